//! The output and the exit code of a container.

use bollard::{
    container::LogOutput,
    errors::Error as Bollard,
    query_parameters::{AttachContainerOptionsBuilder, WaitContainerOptionsBuilder},
};
use futures_util::{Stream, StreamExt};
use ultrai_deploy_core::{error::Result, redact::Redactor, task::TaskOutput};

use super::one_off::LONGEST;
use crate::{
    engine::{Engine, engine_error},
    lines::{Lines, Tail},
};

/// The output of a container that has not been started yet, so that none of it is missed.
///
/// Attached rather than read from the log: there are logging drivers that keep none.
pub(super) async fn output(
    engine: &Engine,
    id: &str,
) -> Result<impl Stream<Item = Result<LogOutput>> + use<>> {
    let options =
        AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
    let failed = {
        let id = id.to_owned();
        move |source| engine_error("read a container's output", &id, source)
    };
    let attached = engine.client().await?.attach_container(id, Some(options)).await;
    let attached = attached.map_err(&failed)?;
    Ok(attached.output.map(move |piece| piece.map_err(&failed)))
}

/// Hands on the output line by line, without secrets, until it ends.
pub(super) async fn hand_on(
    pieces: impl Stream<Item = Result<LogOutput>>,
    redactor: &Redactor,
    to: &dyn TaskOutput,
    tail: &mut Tail,
) -> Result<()> {
    let mut pieces = std::pin::pin!(pieces);
    // Lines of the two streams are kept apart, or halves of them would be joined.
    let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
    let mut take = |line: &str| {
        let line = redactor.text(line);
        to.line(&line);
        tail.push(&line);
    };
    while let Some(piece) = pieces.next().await {
        match piece? {
            LogOutput::StdErr { message } => stderr.push(&message, &mut take),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                stdout.push(&message, &mut take);
            }
            LogOutput::StdIn { .. } => {}
        }
    }
    stdout.finish(&mut take);
    stderr.finish(&mut take);
    Ok(())
}

/// Waits until a container has ended and returns its exit code.
pub(super) async fn exit_code(engine: &Engine, id: &str) -> Result<i64> {
    let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
    let client = engine.patient_client(LONGEST).await?;
    let mut ended = client.wait_container(id, Some(options));
    match ended.next().await {
        Some(Ok(ended)) => Ok(ended.status_code),
        // The client makes an error of every code but 0; a real one comes with a text.
        Some(Err(Bollard::DockerContainerWaitError { error, code })) if error.is_empty() => {
            Ok(code)
        }
        Some(Err(source)) => Err(engine_error("wait for a container", id, source)),
        None => {
            let state = engine.container(id).await?.state.unwrap_or_default();
            Ok(state.exit_code.unwrap_or_default())
        }
    }
}
