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

use super::{Engine, engine_error};

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
    /// Runs `command` in a running container, as the container's own user, to its end.
    pub(crate) async fn exec(&self, id: &str, command: Vec<String>) -> Result<ExecOutput> {
        let config = ExecConfig { cmd: Some(command), ..ExecConfig::default() };
        let mut exec = self.begin_exec(id, config).await?;
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
        let client = self.client().await?;
        let config = ExecConfig { attach_stdout: Some(true), attach_stderr: Some(true), ..config };
        let failed = {
            let id = id.to_owned();
            move |source| engine_error("run a command in a container", &id, source)
        };
        let exec = client.create_exec(id, config).await.map_err(&failed)?.id;
        let options = StartExecOptions { output_capacity: Some(PIECE), ..Default::default() };
        match client.start_exec(&exec, Some(options)).await.map_err(&failed)? {
            StartExecResults::Attached { output, input } => Ok(Exec {
                id: exec,
                output: Box::pin(output.map(move |one| one.map_err(&failed))),
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
            let state: ExecInspectResponse = client
                .inspect_exec(exec)
                .await
                .map_err(|source| engine_error("run a command in a container", id, source))?;
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
