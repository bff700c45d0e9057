//! How often something is tried, and how long the pauses between are.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Attempts with growing pauses: each one twice the one before up to a longest, and each shortened
/// by chance to somewhere between its half and its whole, so that many that failed at the same time
/// do not all come back at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How often it is tried altogether; at least once.
    pub attempts: u32,
    /// Pause after the first attempt, before it is shortened.
    pub first: Duration,
    /// Longest pause.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after the `failed`th attempt that failed, from 1.
    pub fn pause(&self, failed: u32, randomness: &dyn Randomness) -> Duration {
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        let half = whole / 2;
        half + half.mul_f64(randomness.fraction().clamp(0.0, 1.0))
    }

    /// Whether another attempt follows after `failed` ones that failed.
    pub fn goes_on(&self, failed: u32) -> bool {
        failed < self.attempts
    }
}

impl Default for Backoff {
    /// Three attempts, the first pause 1 s, the longest 30 s.
    fn default() -> Self {
        Self { attempts: 3, first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

/// Gives the chance in pauses.
pub trait Randomness: fmt::Debug + Send + Sync + 'static {
    /// A number from 0 to 1.
    fn fraction(&self) -> f64;
}

/// The system's randomness, good enough to spread pauses and for nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fraction(&self) -> f64 {
        // Each state has keys of its own.
        let random = RandomState::new().build_hasher().finish();
        f64::from((random >> 32) as u32) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Always(f64);

    impl Randomness for Always {
        fn fraction(&self) -> f64 {
            self.0
        }
    }

    fn pauses(fraction: f64) -> Vec<u128> {
        let backoff = Backoff { longest: Duration::from_secs(5), ..Backoff::default() };
        (1..6).map(|failed| backoff.pause(failed, &Always(fraction)).as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_takes_at_most_half() {
        assert_eq!(pauses(1.0), [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(pauses(0.0), [500, 1000, 2000, 2500, 2500]);
        assert_eq!(pauses(7.0), pauses(1.0), "a bad source makes no pause longer");
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        let backoff = Backoff { longest: Duration::MAX, ..Backoff::default() };
        assert!(backoff.pause(u32::MAX, &Always(1.0)) > Duration::from_hours(24));
        assert!(!backoff.goes_on(3) && backoff.goes_on(2));
    }

    #[test]
    fn the_system_gives_different_fractions() {
        let seen: Vec<_> = (0..16).map(|_| SystemRandomness.fraction()).collect();
        assert!(seen.iter().all(|one| (0.0..=1.0).contains(one)), "{seen:?}");
        assert!(seen.windows(2).any(|pair| (pair[0] - pair[1]).abs() > f64::EPSILON), "{seen:?}");
    }
}
