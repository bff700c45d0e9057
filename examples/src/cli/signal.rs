//! First signal: cancel. Second signal: leave at once; the journal is complete. A closed terminal
//! only ever cancels.

use tokio::signal::unix::{SignalKind, signal};
use ultrai_deploy_core::{Error, ErrorKind, Result, pipeline::Run, report::Report};

use super::progress::say;

/// Drives a run to its end, or leaves it at the second signal.
///
/// # Errors
/// As [`Run::join_until`], and when signals cannot be received.
pub(super) async fn drive(run: Run) -> Result<Report> {
    let listen = |kind| {
        signal(kind).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "listen for signals", "the system refuses it")
                .without_effect()
                .with_source(source)
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    // The terminal was closed. It may be told more than once, so it never counts as the second.
    let mut hangup = listen(SignalKind::hangup())?;
    let cancel = run.cancel();
    run.join_until(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        say("cancelling: what was changed is rolled back; a second signal leaves at once");
        cancel.cancel();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
    .await
}
