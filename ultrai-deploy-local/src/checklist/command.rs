//! A check of the user's own: a program that ends with 0 when all is well.

use std::{process::Stdio, time::Duration};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command as Program},
};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    preflight::{Found, PreflightCheck},
};

const RUN: &str = "run a check of the checklist";
/// How much of the end of its output is told, in characters.
const TAIL: usize = 400;
/// How much of the end of its output is kept, in bytes.
const KEPT: usize = 4096;
/// How long its output may take to end after its own end: something in the background may hold it.
const DRAIN: Duration = Duration::from_millis(100);

/// Runs a program. It is as it should be when that ends with 0; what it said last is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Its name in reports.
    pub name: String,
    /// The program and its arguments; no shell.
    pub command: Vec<String>,
    /// Longest time: 30 s. Then it is killed with all that it started.
    #[serde(
        default = "usual",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub timeout: Duration,
    /// What to do when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

fn usual() -> Duration {
    Duration::from_secs(30)
}

impl Command {
    /// Checks what can be known without running it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it names no program.
    pub fn validated(self) -> Result<Self> {
        if self.command.first().is_some_and(|program| !program.is_empty()) {
            return Ok(self);
        }
        Err(Error::new(ErrorKind::Invalid, RUN, format!("`{}` names no program", self.name))
            .with_advice(
                "write the program and its arguments: [\"/usr/local/bin/check\", \"--all\"]",
            )
            .without_effect())
    }

    fn start(&self) -> Result<Group> {
        let program = self.command.first().map_or("", String::as_str);
        let child = Program::new(program)
            .args(self.command.iter().skip(1))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| {
                Error::new(ErrorKind::NotFound, RUN, format!("`{program}` does not start"))
                    .with_advice("name an executable file, or one in PATH")
                    .without_effect()
                    .with_source(source)
            })?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Group { child, id })
    }

    fn remedy(&self) -> String {
        let shown = || format!("run `{}` and see what it says", self.command.join(" "));
        self.remedy.clone().unwrap_or_else(shown)
    }
}

#[async_trait]
impl PreflightCheck for Command {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let mut group = self.start()?;
        let run = async { Ok(tokio::time::timeout(self.timeout, group.end()).await) };
        let Ok(ended) = cx.bounded(run).await? else {
            let what = format!("it ran longer than {:?} and was killed", self.timeout);
            return Ok(Found::bad(what, self.remedy()));
        };
        let (code, tail) = ended.map_err(|source| {
            Error::new(ErrorKind::Io, RUN, format!("the output of `{}` was lost", self.name))
                .with_source(source)
        })?;
        Ok(match (code, tail.is_empty()) {
            (0, true) => Found::good("it ended with 0"),
            (0, false) => Found::good(tail),
            (code, true) => Found::bad(format!("it ended with {code}"), self.remedy()),
            (code, false) => Found::bad(format!("it ended with {code}: {tail}"), self.remedy()),
        })
    }
}

/// A process with all that it started. They are killed when it is dropped.
#[derive(Debug)]
struct Group {
    child: Child,
    /// Its id, until it was waited for: after that the kernel may give it to another.
    id: Option<Pid>,
}

impl Group {
    /// Waits for its output and its end: its exit code, 128 and the signal where it was killed.
    async fn end(&mut self) -> std::io::Result<(i32, String)> {
        use std::os::unix::process::ExitStatusExt;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let status = {
            let reading =
                async { tokio::try_join!(last(stdout, &mut out), last(stderr, &mut err)) };
            tokio::pin!(reading);
            tokio::select! {
                read = &mut reading => {
                    read?;
                    self.child.wait().await?
                }
                status = self.child.wait() => {
                    if let Ok(read) = tokio::time::timeout(DRAIN, &mut reading).await {
                        read?;
                    }
                    status?
                }
            }
        };
        self.id = None;
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        // What went wrong is on standard error, where there is something.
        let said = if err.is_empty() { out } else { err };
        Ok((code.unwrap_or(-1), tail(&String::from_utf8_lossy(&said))))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // It may just have ended by itself.
            let _gone = kill_process_group(id, Signal::KILL);
        }
    }
}

/// The end of what a pipe gives. All of it is read: a program that cannot write any more would fail.
async fn last(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut piece = vec![0; KEPT];
    loop {
        let length = pipe.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        kept.extend_from_slice(&piece[..length]);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
}

/// The end of a text, on one line.
fn tail(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = line.chars().count().saturating_sub(TAIL);
    if skipped == 0 {
        line
    } else {
        format!("…{}", line.chars().skip(skipped).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::{
        health::Verdict,
        name::{EnvironmentName, ProjectName, RunId, Target},
    };

    use super::*;

    async fn look(script: &str, timeout: Duration) -> Result<Found> {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let check = Command { name: "own".into(), command, timeout, remedy: None };
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        check.validated()?.check(&Context::detached(target, RunId::generate())).await
    }

    #[tokio::test]
    async fn its_exit_code_and_its_last_words_count() {
        for (script, verdict, what) in [
            ("exit 0", Verdict::Pass, "it ended with 0"),
            ("echo all is well", Verdict::Pass, "all is well"),
            (
                "echo out; echo the licence is over >&2; exit 3",
                Verdict::Fail,
                "it ended with 3: the licence is over",
            ),
            ("sleep 5 & echo left something", Verdict::Pass, "left something"),
            ("exit 1", Verdict::Fail, "it ended with 1"),
            ("kill -9 $$", Verdict::Fail, "it ended with 137"),
        ] {
            let found = look(script, usual()).await.unwrap();
            assert_eq!((found.verdict, found.what.as_str()), (verdict, what), "{script}");
            assert_eq!(found.remedy.is_some(), verdict == Verdict::Fail, "{script}");
        }
        let long = look("seq 1 99999", usual()).await.unwrap();
        assert!(long.what.starts_with('…') && long.what.ends_with("99998 99999"), "{long:?}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let child = directory.path().join("child");
        let script = format!("sleep 600 & echo $! > {}; wait", child.display());
        let found = look(&script, Duration::from_millis(700)).await.unwrap();
        assert_eq!(found.verdict, Verdict::Fail);
        assert!(found.what.contains("was killed"), "{found:?}");
        let child = std::fs::read_to_string(child).unwrap();
        let runs = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
        };
        let gone = async {
            while runs() {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), gone).await.is_ok(), "{child} runs");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        let json = r#"{"name":"own","command":["/no/such/program"]}"#;
        let check: Command = serde_json::from_str(json).unwrap();
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        let cx = Context::detached(target, RunId::generate());
        assert_eq!(check.check(&cx).await.unwrap_err().kind(), ErrorKind::NotFound);
        let json = r#"{"name":"own","command":["check","-v"],"timeout":"5s","remedy":"pay"}"#;
        let check: Command = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&check).unwrap(), json);
        let empty: Command = serde_json::from_str(r#"{"name":"own","command":[]}"#).unwrap();
        assert_eq!(empty.validated().unwrap_err().kind(), ErrorKind::Invalid);
    }
}
