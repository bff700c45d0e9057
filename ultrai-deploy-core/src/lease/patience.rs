//! Waiting for a lease that another holds: the one rule of all leases.

use std::time::Duration;

use tokio::time::Instant;

use super::{Fence, Holder, Wait};
use crate::error::{Error, ErrorKind, Result};

/// How long a holder may go without renewing before one who waits takes over.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a watcher sees of a holder: it lives as long as this changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The number of its taking.
    pub fence: Fence,
    /// How often it said that it lives.
    pub renewals: u64,
}

/// Somebody's waiting for a lease, by the watcher's own clock.
#[derive(Debug)]
pub struct Patience {
    deadline: Option<Instant>,
    pause: Duration,
    watched: Option<(Seen, Instant)>,
}

impl Patience {
    /// Begins to wait.
    pub fn new(wait: Wait) -> Self {
        let deadline = match wait {
            Wait::No => None,
            Wait::AtMost(limit) => Some(Instant::now() + limit),
        };
        Self { deadline, pause: FIRST_PAUSE, watched: None }
    }

    /// Waits a little. Returns what was seen when it has not changed for the time to live: the
    /// lease may be taken over if it still is so.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] naming the holder when the wait is over.
    pub async fn wait(&mut self, seen: Seen, holder: Option<&Holder>) -> Result<Option<Seen>> {
        let now = Instant::now();
        let since = match self.watched {
            Some((before, since)) if before == seen => since,
            _ => now,
        };
        self.watched = Some((seen, since));
        let expiry = since + TIME_TO_LIVE;
        if now >= expiry {
            // Who fails to take it nevertheless waits as long again.
            self.watched = None;
            return Ok(Some(seen));
        }
        let Some(deadline) = self.deadline.filter(|deadline| now < *deadline) else {
            return Err(held(seen.fence, holder));
        };
        tokio::time::sleep_until((now + self.pause).min(deadline).min(expiry)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(None)
    }
}

fn held(fence: Fence, holder: Option<&Holder>) -> Error {
    let message = format!("{} holds it", name(fence, holder));
    Error::new(ErrorKind::Fenced, "take the lease", message)
        .with_advice("wait for it to end, or ask it to stop")
        .without_effect()
        .retryable()
}

/// The lease with `fence` is no longer ours.
pub fn lost(fence: Fence, newest: Fence, holder: Option<&Holder>) -> Error {
    let message = if newest > fence {
        format!("{} took over from fence {fence}", name(newest, holder))
    } else {
        format!("fence {fence} was given up")
    };
    Error::new(ErrorKind::Fenced, "renew the lease", message).without_effect()
}

fn name(fence: Fence, holder: Option<&Holder>) -> String {
    holder.map_or_else(|| format!("another driver with fence {fence}"), Holder::to_string)
}
