//! A program of the user's own: the payload on its standard input, the most of it in variables.

use std::{process::Stdio, time::Duration};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command as Program},
};
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::{
    notice::{Notice, shortened},
    payload::Payload,
    sender::{Sender, Sent},
};

const RUN: &str = "run a notification command";
/// The exit code that asks to be called again: `EX_TEMPFAIL` of sysexits.h.
const TRY_AGAIN: i32 = 75;
/// How much of the end of what it writes to its standard error is kept, in bytes.
const KEPT: usize = 4096;
/// How long its output may take to end after its own end: something in the background may hold it.
const DRAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) words: Vec<String>,
}

#[async_trait]
impl Sender for Command {
    async fn send(&self, notice: &Notice, left_out: u64, limit: Duration) -> Result<Sent> {
        let shown = self.words.first().map_or("", String::as_str);
        let mut program = Program::new(shown);
        program
            .args(self.words.iter().skip(1))
            .envs(variables(notice, left_out))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = program.spawn().map_err(|source| {
            Error::new(ErrorKind::NotFound, RUN, format!("`{shown}` does not start"))
                .with_advice("name an executable file, or one in PATH")
                .without_effect()
                .with_source(source)
        })?;
        let mut group = Group::of(child);
        let input = Payload::new(notice, left_out).json();
        let Ok(ended) = tokio::time::timeout(limit, group.talk(&input)).await else {
            return Err(Error::new(
                ErrorKind::Timeout,
                RUN,
                format!("`{shown}` ran longer than {limit:?} and was killed"),
            ));
        };
        let (code, said) = ended.map_err(|source| {
            Error::new(ErrorKind::Io, RUN, format!("`{shown}` was lost")).with_source(source)
        })?;
        let why = format!("`{shown}` ended with {code}: {}", shortened(&said, 200));
        match code {
            0 => Ok(Sent::Accepted),
            TRY_AGAIN => Ok(Sent::Later { after: None, why }),
            _ => Err(Error::new(ErrorKind::Unexpected, RUN, why)),
        }
    }
}

fn variables(notice: &Notice, left_out: u64) -> Vec<(&'static str, String)> {
    let text =
        |version: Option<&dyn ToString>| version.map_or_else(String::new, ToString::to_string);
    let severity = notice.what.severity().map_or("", |severity| severity.as_str());
    vec![
        ("ULTRAI_EVENT", notice.what.name().as_str().to_owned()),
        ("ULTRAI_KEY", notice.key.clone()),
        ("ULTRAI_SEVERITY", severity.to_owned()),
        ("ULTRAI_SUMMARY", notice.summary().replace('\0', " ")),
        ("ULTRAI_PROJECT", notice.target.project.to_string()),
        ("ULTRAI_ENVIRONMENT", notice.target.environment.to_string()),
        ("ULTRAI_RUN", text(notice.run.as_ref().map(|one| one as _))),
        ("ULTRAI_VERSION", text(notice.version.as_ref().map(|one| one as _))),
        ("ULTRAI_VERSION_BEFORE", text(notice.version_before.as_ref().map(|one| one as _))),
        ("ULTRAI_LEFT_OUT", left_out.to_string()),
    ]
}

/// A process with all that it started. They are killed when it is dropped before its end.
#[derive(Debug)]
struct Group {
    child: Child,
    /// Its id, until it was waited for: after that the kernel may give it to another.
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { child, id }
    }

    /// Gives it its input and waits for its end: its exit code, 128 and the signal where it was
    /// killed, and what it wrote to its standard error.
    async fn talk(&mut self, input: &[u8]) -> std::io::Result<(i32, String)> {
        use std::os::unix::process::ExitStatusExt;
        let (stdin, stderr) = (self.child.stdin.take(), self.child.stderr.take());
        let mut said = Vec::new();
        let status = {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // One that does not want to know more than its variables closes it early.
                    let _closed = stdin.write_all(input).await;
                }
            };
            let read = async {
                // It matters for the message of a failure only.
                let _lost = last(stderr, &mut said).await;
            };
            let talking = async { tokio::join!(write, read) };
            tokio::pin!(talking);
            let mut talked = false;
            loop {
                tokio::select! {
                    status = self.child.wait() => {
                        if !talked {
                            let _held = tokio::time::timeout(DRAIN, &mut talking).await;
                        }
                        break status?;
                    }
                    _ = &mut talking, if !talked => talked = true,
                }
            }
        };
        self.id = None;
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok((code.unwrap_or(-1), String::from_utf8_lossy(&said).into_owned()))
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
