//! What became of notices, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many notices came to which end, over all channels. The sum is each notice times the channels
/// that want it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Accepted by the receiver.
    pub delivered: u64,
    /// Not accepted, after all attempts or because the time was over.
    pub failed: u64,
    /// Not sent since the channel's queue was full.
    pub dropped: u64,
    /// Not sent since there were too many in a short time.
    pub limited: u64,
}

impl Counts {
    /// Whether a receiver did not get something that it should have.
    pub fn is_incomplete(&self) -> bool {
        self.failed + self.dropped > 0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Put into a queue.
    pub(crate) queued: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) limited: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            delivered: of(&self.delivered),
            failed: of(&self.failed),
            dropped: of(&self.dropped),
            limited: of(&self.limited),
        }
    }

    /// Counts what is still under way as failed: nobody drives it any more.
    pub(crate) fn cut_off(&self) {
        let Counts { delivered, failed, limited, .. } = self.read();
        let queued = self.queued.load(Ordering::Relaxed);
        let open = queued.saturating_sub(delivered + failed + limited);
        self.failed.fetch_add(open, Ordering::Relaxed);
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
