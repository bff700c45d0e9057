//! How often something may happen: pure, fed with instants.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket: `burst` at once, then one each `every`.
#[derive(Debug)]
pub(crate) struct Bucket {
    burst: u32,
    every: Duration,
    tokens: u32,
    /// When the last token was added; nothing while the bucket is full.
    since: Option<Instant>,
}

impl Bucket {
    pub(crate) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, tokens: burst, since: None }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if let Some(since) = self.since {
            let mut passed = now.saturating_duration_since(since);
            let mut counted = since;
            while passed >= self.every && self.tokens < self.burst && !self.every.is_zero() {
                self.tokens += 1;
                passed -= self.every;
                counted += self.every;
            }
            self.since = (self.tokens < self.burst).then_some(counted);
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        self.since.get_or_insert(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(3, Duration::from_secs(10));
        let mut at = |seconds| bucket.take(begin + Duration::from_secs(seconds));
        assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
        assert_eq!([at(9), at(10), at(11), at(19), at(20)], [false, true, false, false, true]);
        // A long pause fills it, and no more than fills it.
        assert_eq!([at(999), at(999), at(999), at(999)], [true, true, true, false]);
    }
}
