//! Processes that outlive the program: known by pid, start time and boot, or by a mark in their
//! environment.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::disk;

/// The environment variable that marks a process as an instance's.
pub(crate) const MARK: &str = "ULTRAI_INSTANCE";

/// Between two looks at a process that is stopping.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the kernel may take to end what was killed.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// A process, told apart from any later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks from boot to its start: field 22 of `/proc/<pid>/stat`.
    start: u64,
    /// The boot during which it was started.
    boot: String,
}

/// What one look at a process found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Runs,
    /// It ended; how, when this program is its parent and the first to ask.
    Ended(Option<String>),
}

/// What is started.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) directory: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) mark: String,
}

struct Stat {
    state: char,
    parent: i32,
    group: i32,
    threads: u32,
    start: u64,
}

impl Launch {
    /// Starts it in a process group of its own. It is not bound to this program's life.
    pub(crate) fn start(&self) -> io::Result<Process> {
        let log = disk::private_file(&self.log, OpenOptions::new().append(true))?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.env)
            .env(MARK, &self.mark)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        // A child that has ended keeps its entry in /proc until it is waited for, which happens
        // in `look` and nowhere else.
        Process::of(i32::try_from(child.id()).map_err(io::Error::other)?)
    }
}

impl Process {
    fn of(pid: i32) -> io::Result<Self> {
        let stat = Stat::read(pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, start: stat.start, boot: boot()? })
    }

    /// The leader among the processes that carry a mark.
    pub(crate) fn find(mark: &str) -> Option<Self> {
        let leader = |pid: &i32| Stat::read(*pid).is_some_and(|stat| stat.group == *pid);
        marked(mark).into_iter().find(leader).and_then(|pid| Self::of(pid).ok())
    }

    /// One look. Ends the zombie of a child that has ended.
    pub(crate) fn look(&self) -> Look {
        let Some(stat) = self.stat() else { return Look::Ended(None) };
        if stat.runs() {
            return Look::Runs;
        }
        if stat.parent != rustix::process::getpid().as_raw_pid() {
            return Look::Ended(None);
        }
        let waited = rustix::process::waitpid(Pid::from_raw(self.pid), WaitOptions::NOHANG);
        let how = waited.ok().flatten().and_then(|(_, status)| {
            let code = status.exit_status().map(|code| format!("exit code {code}"));
            code.or_else(|| status.terminating_signal().map(|signal| format!("signal {signal}")))
        });
        Look::Ended(how)
    }

    pub(crate) fn runs(&self) -> bool {
        self.stat().is_some_and(|stat| stat.runs())
    }

    fn stat(&self) -> Option<Stat> {
        let same_boot = boot().is_ok_and(|boot| boot == self.boot);
        Stat::read(self.pid).filter(|stat| same_boot && stat.start == self.start)
    }
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name, in parentheses, may hold anything: what follows its last one is plain.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let threads = fields.nth(14)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        Some(Self { state, parent, group, threads, start })
    }

    /// The first thread may end before the others, which keep files and ports open.
    fn runs(&self) -> bool {
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }
}

/// Stops a process with all that it started: SIGTERM, and SIGKILL after `grace` to what is left.
/// False when something of it runs even then.
pub(crate) async fn stop(leader: Option<&Process>, mark: &str, grace: Duration) -> bool {
    signal(leader, mark, Signal::TERM);
    // What ends gives up its environment before its ports, so a look at marks is not enough.
    let known: Vec<_> = leader.cloned().into_iter().chain(all(mark)).collect();
    if gone(&known, mark, grace).await {
        return true;
    }
    signal(leader, mark, Signal::KILL);
    gone(&known, mark, KILL_LIMIT).await
}

async fn gone(known: &[Process], mark: &str, limit: Duration) -> bool {
    let give_up = Instant::now() + limit;
    let mut seen_nothing = false;
    loop {
        // A process that is just starting another program shows no environment for an instant,
        // so nothing must be found twice.
        let nothing = !known.iter().any(Process::runs) && marked(mark).is_empty();
        if nothing && seen_nothing {
            return true;
        }
        seen_nothing = nothing;
        if Instant::now() >= give_up {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Signals the leader's group and all others that carry the mark. What ended in the meantime
/// cannot be told, and `gone` looks again.
fn signal(leader: Option<&Process>, mark: &str, signal: Signal) {
    let group = leader.filter(|leader| leader.runs()).map(|leader| leader.pid);
    if let Some(group) = group.and_then(Pid::from_raw) {
        let _gone = rustix::process::kill_process_group(group, signal);
    }
    for pid in marked(mark) {
        let has_had_it = Stat::read(pid).is_some_and(|stat| Some(stat.group) == group);
        if let Some(pid) = Pid::from_raw(pid).filter(|_| !has_had_it) {
            let _gone = rustix::process::kill_process(pid, signal);
        }
    }
}

fn all(mark: &str) -> Vec<Process> {
    marked(mark).into_iter().filter_map(|pid| Process::of(pid).ok()).collect()
}

/// All running processes of this user that carry a mark, `<run>/<instance>`.
///
/// While a process starts a program, its environment is empty for an instant, but it is already
/// in its directory, which is named after the instance.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let instance = mark.rsplit_once('/').map(|(_, instance)| instance);
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        let Ok(env) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        let is_marked = if env.is_empty() {
            let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok();
            let name = directory.as_deref().and_then(Path::file_name);
            name.is_some_and(|name| name.to_str() == instance)
        } else {
            env.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        is_marked && Stat::read(*pid).is_some_and(|stat| stat.runs())
    };
    pids.filter(carries).collect()
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Where a program is: among the files in `directory` when its name has a `/`, else in `path`.
pub(crate) fn find_program(program: &str, directory: &Path, path: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(directory.join(program.strip_prefix("./").unwrap_or(program)));
    }
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    directories.map(|directory| Path::new(directory).join(program)).find(|path| is_program(path))
}

pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_shift_the_fields() {
        let text = "7 (a) R 1 (x) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9001 10 11";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.group, stat.start), ('S', 1, 7, 9001));
        assert_eq!(stat.threads, 1);
    }

    #[test]
    fn it_runs_as_long_as_any_thread_does() {
        let of = |state, threads| Stat { state, parent: 1, group: 7, threads, start: 1 };
        assert!(of('S', 1).runs());
        assert!(of('Z', 2).runs());
        assert!(!of('Z', 1).runs());
        assert!(!of('X', 0).runs());
    }

    #[test]
    fn this_process_runs_and_an_earlier_one_of_its_pid_does_not() {
        let pid = rustix::process::getpid().as_raw_pid();
        let own = Process::of(pid).unwrap();
        assert_eq!(own.look(), Look::Runs);
        let earlier = Process { start: own.start - 1, ..own.clone() };
        assert_eq!(earlier.look(), Look::Ended(None));
        let before_boot = Process { boot: "another".into(), ..own };
        assert_eq!(before_boot.look(), Look::Ended(None));
    }
}
