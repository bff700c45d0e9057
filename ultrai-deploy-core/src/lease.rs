//! Who drives an environment: one at a time, with a number that only grows.

mod patience;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use patience::{Patience, Seen, TIME_TO_LIVE, lost};

use crate::{
    error::Result,
    name::{RunId, Target},
};

/// Number of a taking of the lease; each taker's is higher than all before.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who holds a lease, shown to whoever waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// Its host.
    pub host: String,
    /// Its process.
    pub process: u32,
    /// Who started it.
    pub user: String,
    /// Since when, by its wall clock.
    pub since: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "run {} of {} (process {} on {}, since {:.0})",
            self.run, self.user, self.process, self.host, self.since
        )
    }
}

/// How long to wait for a lease that another holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Not at all (the default).
    #[default]
    No,
    /// At most so long.
    AtMost(Duration),
}

/// Excludes other drivers from an environment.
#[async_trait]
pub trait Lease: fmt::Debug + Send + Sync + 'static {
    /// Takes the lease. The fence is higher than any given out before for this target.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) when another holds it after the wait; the
    /// message names the holder.
    async fn acquire(&self, target: &Target, holder: &Holder, wait: Wait) -> Result<Fence>;

    /// Checks that `fence` is still the newest, and says that its holder lives.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) when another took over.
    async fn renew(&self, target: &Target, fence: Fence) -> Result<()>;

    /// Gives it up. Giving up what is not held is fine.
    async fn release(&self, target: &Target, fence: Fence) -> Result<()>;

    /// Who holds it now.
    async fn holder(&self, target: &Target) -> Result<Option<Holder>>;
}
