//! Commands in running containers.

use std::{fmt, pin::Pin, time::Duration};

use bollard::{
    container::LogOutput,
    exec::{StartExecOptions, StartExecResults},
    models::{ExecConfig, ExecInspectResponse},
};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWrite;
use ultrai_deploy_core::error::{Error, ErrorKind, Result};

use super::{Engine, engine_error, ignore_missing};

/// Most output that is kept of a command, in bytes; the end is kept.
const MAX_OUTPUT: usize = 4 * 1024;
/// Pause between questions for an exit code that the engine has not noted yet.
const EXIT_PAUSE: Duration = Duration::from_millis(10);
/// How often it is asked: the output has ended, so it is a matter of scheduling.
const EXIT_LOOKS: u32 = 200;
/// Memory for one piece of output.
const PIECE: usize = 64 * 1024;

/// How a command in a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecOutput {
    pub(crate) exit_code: i64,
    pub(crate) output: String,
}

/// A command that runs in a container.
pub(crate) struct Exec {
    pub(crate) id: String,
    pub(crate) output: Pin<Box<dyn Stream<Item = Result<LogOutput>> + Send>>,
    /// What it reads; nothing is heard there unless it was asked for.
    pub(crate) input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs `command` in a running container, as the container's own user, to its end. `begun` hears
    /// its id before it runs: the engine goes on with it when nobody listens any more.
    pub(crate) async fn exec(
        &self,
        id: &str,
        command: Vec<String>,
        begun: impl FnOnce(&str),
    ) -> Result<ExecOutput> {
        let config = ExecConfig { cmd: Some(command), ..ExecConfig::default() };
        let exec = self.create_exec(id, config).await?;
        begun(&exec);
        let mut exec = self.start_exec(id, exec).await?;
        let mut kept = Vec::new();
        while let Some(chunk) = exec.output.next().await {
            kept.extend_from_slice(&chunk?.into_bytes());
            let surplus = kept.len().saturating_sub(MAX_OUTPUT);
            kept.drain(..surplus);
        }
        let exit_code = self.exec_exit(&exec.id, id).await?;
        Ok(ExecOutput { exit_code, output: String::from_utf8_lossy(&kept).trim().to_owned() })
    }

    /// Starts a command in a running container, as the container's own user.
    pub(crate) async fn begin_exec(&self, id: &str, config: ExecConfig) -> Result<Exec> {
        let exec = self.create_exec(id, config).await?;
        self.start_exec(id, exec).await
    }

    /// Whether a command that was begun in the container `id` still runs.
    pub(crate) async fn exec_runs(&self, exec: &str, id: &str) -> Result<bool> {
        let client = self.client().await?;
        let inspect = || client.inspect_exec(exec);
        let found = self.read("inspect a command", id, inspect).await.map(Some);
        Ok(ignore_missing(found)?.is_some_and(|state| state.running == Some(true)))
    }

    async fn create_exec(&self, id: &str, config: ExecConfig) -> Result<String> {
        let config = ExecConfig { attach_stdout: Some(true), attach_stderr: Some(true), ..config };
        let created = self.client().await?.create_exec(id, config).await;
        Ok(created.map_err(|source| failed(id, source))?.id)
    }

    async fn start_exec(&self, id: &str, exec: String) -> Result<Exec> {
        let options = StartExecOptions { output_capacity: Some(PIECE), ..Default::default() };
        let started = self.client().await?.start_exec(&exec, Some(options)).await;
        let container = id.to_owned();
        match started.map_err(|source| failed(id, source))? {
            StartExecResults::Attached { output, input } => Ok(Exec {
                id: exec,
                output: Box::pin(
                    output.map(move |one| one.map_err(|source| failed(&container, source))),
                ),
                input,
            }),
            StartExecResults::Detached => Err(Error::new(
                ErrorKind::Unexpected,
                "run a command in a container",
                format!("the engine does not show what it says in {id}"),
            )),
        }
    }

    /// The exit code of a command whose output has ended.
    pub(crate) async fn exec_exit(&self, exec: &str, id: &str) -> Result<i64> {
        let client = self.client().await?;
        for _look in 0..EXIT_LOOKS {
            let state: ExecInspectResponse =
                client.inspect_exec(exec).await.map_err(|source| failed(id, source))?;
            if let (Some(false) | None, Some(exit_code)) = (state.running, state.exit_code) {
                return Ok(exit_code);
            }
            tokio::time::sleep(EXIT_PAUSE).await;
        }
        Err(Error::new(
            ErrorKind::Timeout,
            "run a command in a container",
            format!("the engine does not tell how it ended in {id}"),
        ))
    }
}

fn failed(id: &str, source: bollard::errors::Error) -> Error {
    engine_error("run a command in a container", id, source)
}
