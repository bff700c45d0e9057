//! Whether there is memory for what will be started.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    preflight::{Found, PreflightCheck},
};

use super::amount::{Amount, shown};
use crate::disk::blocking;

const LOOK: &str = "look at free memory";

/// Asks for memory: of the machine, and of the control groups (v2) that this program is in, whichever
/// leaves less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Its name in reports: `memory` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How much must be available: `512MiB`, or `10%` of all there is.
    pub available: Amount,
}

impl Memory {
    /// So much.
    pub fn new(available: Amount) -> Self {
        Self { name: None, available }
    }

    fn judge(&self, seen: &Figures) -> Found {
        let needed = self.available.of(seen.total);
        let what = format!(
            "{} of memory are available{}, {} are needed",
            shown(seen.available),
            if seen.is_group { " in this control group" } else { "" },
            shown(needed)
        );
        if seen.available >= needed {
            return Found::good(what);
        }
        let remedy = if seen.is_group {
            "raise the memory limit of the container or service that this runs in"
        } else {
            "stop what is not needed (see `ps aux --sort=-rss`), or add memory"
        };
        Found::bad(what, remedy)
    }
}

#[async_trait]
impl PreflightCheck for Memory {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("memory")
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let look = blocking(|| look(Path::new("/proc"), Path::new("/sys/fs/cgroup")));
        Ok(self.judge(&cx.bounded(look).await?))
    }
}

/// What there is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Figures {
    total: u64,
    available: u64,
    /// Whether a control group leaves less than the machine.
    is_group: bool,
}

fn look(proc: &Path, groups: &Path) -> Result<Figures> {
    let unknown = || Error::new(ErrorKind::Io, LOOK, "the kernel does not tell").without_effect();
    let text =
        fs::read_to_string(proc.join("meminfo")).map_err(|source| unknown().with_source(source))?;
    let mut figures = machine(&text).ok_or_else(unknown)?;
    let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    for group in groups_of(groups, &own) {
        if let Some((max, left)) =
            limit_of(&group).map_err(|source| unknown().with_source(source))?
        {
            if left < figures.available {
                (figures.available, figures.is_group) = (left, true);
            }
            figures.total = figures.total.min(max);
        }
    }
    Ok(figures)
}

/// What `/proc/meminfo` says.
fn machine(meminfo: &str) -> Option<Figures> {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    Some(Figures { total: of("MemTotal")?, available: of("MemAvailable")?, is_group: false })
}

/// The directories of the control groups (v2) that `/proc/self/cgroup` names, the innermost first. A
/// limit of any of them counts.
fn groups_of(root: &Path, own: &str) -> Vec<PathBuf> {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    // In a container's own view it may begin with `..`: then there is nothing to be seen of it.
    let below = Path::new(path);
    if below.components().any(|one| one == std::path::Component::ParentDir) {
        return vec![root.to_owned()];
    }
    below.ancestors().map(|one| root.join(one)).collect()
}

/// The limit of a group and what is left of it; nothing when it has none. The part of the page cache
/// that is not in use counts as left, as it does in `MemAvailable`.
fn limit_of(group: &Path) -> io::Result<Option<(u64, u64)>> {
    let read = |name| match fs::read_to_string(group.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let number = |text: String| text.trim().parse::<u64>().ok();
    let (Some(max), Some(current)) =
        (read("memory.max")?.and_then(number), read("memory.current")?.and_then(number))
    else {
        return Ok(None);
    };
    let stat = read("memory.stat")?.unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok());
    let used = current.saturating_sub(cache.unwrap_or(0));
    Ok(Some((max, max.saturating_sub(used))))
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::health::Verdict;

    use super::*;

    const MEMINFO: &str =
        "MemTotal:       16384 kB\nMemFree:          100 kB\nMemAvailable:    8192 kB\n";

    /// The files of a machine; `own` is the path of the group, and each group has limit, use, cache.
    fn machine_with(own: &str, groups: &[(&str, &str, u64, u64)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("proc/self")).unwrap();
        fs::write(root.join("proc/meminfo"), MEMINFO).unwrap();
        fs::write(root.join("proc/self/cgroup"), own).unwrap();
        for (path, max, current, cache) in groups {
            let group = root.join("cgroup").join(path);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("memory.max"), format!("{max}\n")).unwrap();
            fs::write(group.join("memory.current"), format!("{current}\n")).unwrap();
            let stat = format!("anon 1\ninactive_file {cache}\nactive_file 5\n");
            fs::write(group.join("memory.stat"), stat).unwrap();
        }
        directory
    }

    #[test]
    fn the_group_that_leaves_least_counts() {
        let (machine, kib) = ((16 << 20, 8 << 20), 1024_u64);
        for (own, groups, (total, available), is_group) in [
            ("0::/\n", &[][..], machine, false),
            ("", &[], machine, false),
            ("2:memory:/a\n", &[("a", "1024", 0, 0)], machine, false),
            ("0::/a/b\n", &[("a/b", "max", 0, 0)], machine, false),
            ("0::/a/b\n", &[("a/b", "1048576", 512 * kib, 0)], (1 << 20, 512 * kib), true),
            // What the page cache holds and does not use can be had.
            ("0::/a/b\n", &[("a/b", "1048576", 512 * kib, 256 * kib)], (1 << 20, 768 * kib), true),
            // A limit of a group around it.
            (
                "0::/a/b\n",
                &[("a/b", "max", 0, 0), ("a", "2097152", 0, 0)],
                (2 << 20, 2 << 20),
                true,
            ),
            // In a container the root of the view has the limit.
            ("0::/\n", &[("", "1048576", 1 << 20, 0)], (1 << 20, 0), true),
            ("0::/../x\n", &[("", "1048576", 0, 0)], (1 << 20, 1 << 20), true),
            // A limit that leaves more than the machine has.
            ("0::/a\n", &[("a", "99999999", 0, 0)], machine, false),
        ] {
            let files = machine_with(own, groups);
            let seen = look(&files.path().join("proc"), &files.path().join("cgroup")).unwrap();
            assert_eq!(seen, Figures { total, available, is_group }, "{own:?} {groups:?}");
        }
    }

    #[test]
    fn a_machine_that_tells_nothing_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(look(directory.path(), directory.path()).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(machine("MemTotal: x kB\n"), None);
    }

    #[test]
    fn too_little_says_how_much_and_what_to_do() {
        let seen = Figures { total: 16 << 20, available: 1 << 20, is_group: true };
        for (needed, verdict) in
            [("1MiB", Verdict::Pass), ("2MiB", Verdict::Fail), ("10%", Verdict::Fail)]
        {
            let found = Memory::new(Amount::parse(needed).unwrap()).judge(&seen);
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert!(found.what.starts_with("1 MiB of memory are available in this control group"));
            assert_eq!(found.remedy.is_some(), verdict == Verdict::Fail);
        }
    }

    #[test]
    fn the_form_is_a_promise() {
        let json = r#"{"available":"10%"}"#;
        let memory: Memory = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&memory).unwrap(), json);
        assert!(serde_json::from_str::<Memory>("{}").is_err());
    }
}
