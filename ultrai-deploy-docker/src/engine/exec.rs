//! Commands in running containers.

use std::time::Duration;

use bollard::{
    exec::StartExecResults,
    models::{ExecConfig, ExecInspectResponse},
};
use futures_util::StreamExt;
use ultrai_deploy_core::error::{Error, ErrorKind, Result};

use super::{Engine, engine_error};

/// Most output that is kept of a command, in bytes; the end is kept.
const MAX_OUTPUT: usize = 4 * 1024;
/// Pause between questions for an exit code that the engine has not noted yet.
const EXIT_PAUSE: Duration = Duration::from_millis(10);
/// How often it is asked: the output has ended, so it is a matter of scheduling.
const EXIT_LOOKS: u32 = 200;

/// How a command in a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecOutput {
    pub(crate) exit_code: i64,
    pub(crate) output: String,
}

impl Engine {
    /// Runs `command` in a running container, as the container's own user, to its end.
    pub(crate) async fn exec(&self, id: &str, command: Vec<String>) -> Result<ExecOutput> {
        let client = self.client().await?;
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command),
            ..ExecConfig::default()
        };
        let failed = |source| engine_error("run a command in a container", id, source);
        let exec = client.create_exec(id, config).await.map_err(failed)?.id;
        let mut kept = Vec::new();
        if let StartExecResults::Attached { mut output, .. } =
            client.start_exec(&exec, None).await.map_err(failed)?
        {
            while let Some(chunk) = output.next().await {
                kept.extend_from_slice(&chunk.map_err(failed)?.into_bytes());
                let surplus = kept.len().saturating_sub(MAX_OUTPUT);
                kept.drain(..surplus);
            }
        }
        for _look in 0..EXIT_LOOKS {
            let state: ExecInspectResponse = client.inspect_exec(&exec).await.map_err(failed)?;
            if let (Some(false) | None, Some(exit_code)) = (state.running, state.exit_code) {
                let output = String::from_utf8_lossy(&kept).trim().to_owned();
                return Ok(ExecOutput { exit_code, output });
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
