//! The seam to a receiver. Programs bring their own for what is not here, such as mail.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use ultrai_deploy_core::Result;

use crate::notice::Notice;

/// Sends a notice to one receiver, once. The [`Worker`](crate::Worker) owns waiting and trying
/// again.
#[async_trait]
pub trait Sender: fmt::Debug + Send + Sync + 'static {
    /// Sends `notice` within `limit`, where it is dropped otherwise. `left_out` is how many notices
    /// before it were not sent, for the receiver to be told.
    ///
    /// It may be called again with the same notice, also after it arrived: receivers know it by its
    /// [`key`](Notice::key).
    ///
    /// # Errors
    /// When it is not known to have arrived. One that is
    /// [retryable](ultrai_deploy_core::Error::is_retryable) is tried again. No error shows a secret.
    async fn send(&self, notice: &Notice, left_out: u64, limit: Duration) -> Result<Sent>;
}

/// What became of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// The receiver has it, or there was nothing to tell this kind of receiver.
    Accepted,
    /// The receiver asks to come again later.
    Later {
        /// After how long; nothing where it does not say.
        after: Option<Duration>,
        /// What it said, for people.
        why: String,
    },
}
