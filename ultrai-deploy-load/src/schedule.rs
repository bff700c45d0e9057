//! When requests are due: at fixed times, whatever the answers do.

use std::time::Duration;

/// Requests at a fixed rate: the first ones warm up, the others count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    rate: f64,
    warm_up: u64,
    counted: u64,
}

impl Schedule {
    /// `rate` requests a second for `warm_up` and then `duration`; at least one of them counts.
    pub(crate) fn new(rate: f64, warm_up: Duration, duration: Duration) -> Self {
        Self {
            rate,
            warm_up: whole(rate * warm_up.as_secs_f64()),
            counted: planned(rate, duration),
        }
    }

    /// How many requests there are in all.
    pub(crate) fn total(&self) -> u64 {
        self.warm_up + self.counted
    }

    /// How many of them count.
    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// Whether a request counts.
    pub(crate) fn counts(&self, number: u64) -> bool {
        number >= self.warm_up
    }

    /// When the request of this number is due, from the beginning.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
    pub(crate) fn due(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }
}

/// How many requests `rate` a second are in `duration`, at least one.
pub(crate) fn planned(rate: f64, duration: Duration) -> u64 {
    whole(rate * duration.as_secs_f64()).max(1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_fixed_times() {
        let schedule = Schedule::new(50.0, Duration::from_secs(2), Duration::from_secs(10));
        assert_eq!((schedule.total(), schedule.counted()), (600, 500));
        assert!(!schedule.counts(99) && schedule.counts(100));
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(100), Duration::from_secs(2));
        let slow = Schedule::new(0.1, Duration::ZERO, Duration::from_secs(1));
        assert_eq!(slow.total(), 1);
    }
}
