//! Whether there is room on a file system.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rustix::fs::StatVfs;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    preflight::{Found, PreflightCheck},
};

use super::amount::{Amount, shown};
use crate::disk::blocking;

const LOOK: &str = "look at free space";

/// Asks for room on the file system of a path. One that is not there yet will be made in its nearest
/// parent, which is looked at then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Its name in reports: `disk` and the path where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// An absolute path.
    pub path: PathBuf,
    /// How many bytes must be free for this user: `5GiB`, or `10%` of the file system.
    #[serde(default = "usual_free")]
    pub free: Amount,
    /// How many files it must be possible to make: 10,000. File systems that do not count them pass.
    #[serde(default = "usual_inodes")]
    pub inodes: u64,
}

#[expect(clippy::expect_used, reason = "the text is an amount")]
fn usual_free() -> Amount {
    Amount::parse("1GiB").expect("1GiB is an amount")
}

fn usual_inodes() -> u64 {
    10_000
}

impl Disk {
    /// 1 GiB and 10,000 files on the file system of `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (name, free, inodes) = (None, usual_free(), usual_inodes());
        Self { name, path: path.into(), free, inodes }.named()
    }

    /// Checks what can be known without looking.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a relative path.
    pub fn validated(self) -> Result<Self> {
        if self.path.is_absolute() {
            return Ok(self.named());
        }
        let message = format!("`{}` is a relative path", self.path.display());
        Err(Error::new(ErrorKind::Invalid, LOOK, message)
            .with_advice("give an absolute path")
            .without_effect())
    }

    fn named(mut self) -> Self {
        self.name.get_or_insert_with(|| format!("disk {}", self.path.display()));
        self
    }
}

#[async_trait]
impl PreflightCheck for Disk {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("disk")
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let path = self.path.clone();
        let look = blocking(move || {
            let there = nearest(&path);
            rustix::fs::statvfs(there).map_err(|source| {
                let message = format!("the file system of {} does not tell", path.display());
                Error::new(ErrorKind::Io, LOOK, message).without_effect().with_source(source)
            })
        });
        Ok(self.judge(&cx.bounded(look).await?))
    }
}

impl Disk {
    fn judge(&self, seen: &StatVfs) -> Found {
        let path = self.path.display();
        let free = seen.f_bavail.saturating_mul(seen.f_frsize);
        let needed = self.free.of(seen.f_blocks.saturating_mul(seen.f_frsize));
        if free < needed {
            let what =
                format!("{} are free below {path}, {} are needed", shown(free), shown(needed));
            return Found::bad(
                what,
                format!(
                    "free some space there, for example with `docker system prune`; see `du -xh -d1 {path}`"
                ),
            );
        }
        // Some file systems make them as they are needed, and say that there are none.
        if seen.f_files > 0 && seen.f_favail < self.inodes {
            let what = format!(
                "{} files can be made below {path}, {} are needed",
                seen.f_favail, self.inodes
            );
            return Found::bad(
                what,
                format!("remove files there; see `du --inodes -x -d1 {path}`"),
            );
        }
        Found::good(format!("{} are free below {path}, {} are needed", shown(free), shown(needed)))
    }
}

/// The path itself, or the first of its parents that is there.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|one| one.exists()).unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use ultrai_deploy_core::{
        health::Verdict,
        name::{EnvironmentName, ProjectName, RunId, Target},
    };

    use super::*;

    /// A tmpfs of 1 MiB and 32 inodes, until it is dropped.
    struct Small(tempfile::TempDir);

    impl Small {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let mut mount = Command::new("mount");
            mount
                .args(["-t", "tmpfs", "-o", "size=1m,nr_inodes=32", "tmpfs"])
                .arg(directory.path());
            assert!(mount.status().unwrap().success(), "mounting needs root, as CI has it");
            Self(directory)
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            // A test that fails must show its own reason.
            let _left = Command::new("umount").arg(self.0.path()).status();
        }
    }

    async fn look(disk: Disk) -> Found {
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        let cx = Context::detached(target, RunId::generate());
        disk.validated().unwrap().check(&cx).await.unwrap()
    }

    #[tokio::test]
    async fn a_small_file_system_has_too_little_of_both() {
        let small = Small::new();
        let missing = small.0.path().join("not/there/yet");
        let disk = |free: &str, inodes| Disk {
            name: None,
            path: missing.clone(),
            free: Amount::parse(free).unwrap(),
            inodes,
        };
        let good = look(disk("512KiB", 8)).await;
        assert_eq!(good.verdict, Verdict::Pass, "{good:?}");
        assert!(good.what.starts_with("1 MiB are free below "), "{good:?}");
        for (disk, says) in [
            (disk("2MiB", 8), "1 MiB are free below"),
            (disk("512KiB", 1000), "files can be made below"),
        ] {
            let bad = look(disk).await;
            assert_eq!(bad.verdict, Verdict::Fail, "{bad:?}");
            assert!(bad.what.contains(says) && bad.remedy.is_some(), "{bad:?}");
        }
        fs::write(small.0.path().join("filler"), vec![0; 768 << 10]).unwrap();
        let full = look(disk("50%", 8)).await;
        assert_eq!(full.verdict, Verdict::Fail, "{full:?}");
        assert!(full.what.contains("256 KiB are free"), "{full:?}");
        assert!(full.what.contains("512 KiB are needed"), "{full:?}");
    }

    #[test]
    fn the_form_is_a_promise() {
        let json = r#"{"path":"/var/lib","free":"5GiB","inodes":100}"#;
        let disk: Disk = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&disk).unwrap(), json);
        assert_eq!(disk.validated().unwrap().name(), "disk /var/lib");
        let bare: Disk = serde_json::from_str(r#"{"path":"lib"}"#).unwrap();
        assert_eq!(bare.validated().unwrap_err().kind(), ErrorKind::Invalid);
        assert!(serde_json::from_str::<Disk>(r#"{"path":"/","fre":"1GiB"}"#).is_err());
    }
}
