//! The last bound on work that should have ended by itself.

use std::{future::Future, time::Duration};

use tokio::time::timeout_at;

use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
};

/// What work gets after its deadline to end by itself and to journal how.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Awaits `work`, which keeps to the deadline and the cancellation of `cx` itself, and drops it
/// when it is not over `grace` after the deadline.
///
/// # Errors
/// What `work` fails with; [`ErrorKind::Timeout`] with an unknown effect when it was dropped.
pub(super) async fn cut_off<T>(
    cx: &Context,
    grace: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(deadline) = cx.deadline() else { return work.await };
    timeout_at(deadline + grace, work).await.unwrap_or_else(|_elapsed| {
        Err(Error::new(
            ErrorKind::Timeout,
            "finish in time",
            format!("{} did not stop at its deadline", cx.key().step),
        ))
    })
}
