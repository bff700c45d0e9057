//! First signal: cancel. Second signal: leave at once; the journal is complete. A closed terminal
//! only ever cancels, and under nohup it does nothing.

use std::fs;

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
    // Who ignores it since before this program began wants it to go on.
    let mut hangup = if ignores_hangup() { None } else { Some(listen(SignalKind::hangup())?) };
    let hung_up = async move {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    let cancel = run.cancel();
    run.join_until(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
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

/// Whether this process was started with SIGHUP ignored, as by nohup; on Linux, which tells it.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // A bit for each signal, from number 1 on: SIGHUP.
    ignored.is_some_and(|mask| mask & 1 == 1)
}
