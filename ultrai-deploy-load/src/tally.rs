//! What was counted and measured.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use crate::failure::Failure;

/// Longest latency that is told apart, in microseconds: an hour, more than a request may take.
const LONGEST: u64 = 3_600_000_000;
/// Latencies are kept to three digits, the precision at which nobody reads more.
const DIGITS: u8 = 3;
/// How many characters of an error's text are kept.
const MAX_TEXT: usize = 200;

/// Counts and latencies of requests that came to an end.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) ended: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) bytes: u64,
    /// Answers by the first digit of their status.
    pub(crate) classes: [u64; 6],
    pub(crate) failures: BTreeMap<Failure, Failed>,
    /// In microseconds: of all that were answered, and of those that were given up after their time.
    /// What was refused or closed has none: it would look fast.
    pub(crate) latencies: Histogram<u64>,
    /// When the last one ended, from the first one that counts.
    pub(crate) until: Duration,
}

/// Requests that failed in one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) count: u64,
    /// What was said the first time.
    pub(crate) text: String,
}

/// How a request came to an end.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Answered { status: u16, is_fine: bool, bytes: u64 },
    Failed(Failure, String),
}

impl Tally {
    #[expect(clippy::expect_used, reason = "constant bounds")]
    pub(crate) fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("1 < LONGEST / 2");
        Self {
            ended: 0,
            answered: 0,
            failed: 0,
            bytes: 0,
            classes: [0; 6],
            failures: BTreeMap::new(),
            latencies,
            until: Duration::ZERO,
        }
    }

    /// Counts a request that ended after `latency`, `until` after the first one that counts.
    pub(crate) fn add(&mut self, end: End, latency: Duration, until: Duration) {
        self.ended += 1;
        self.until = self.until.max(until);
        let mut has_latency = true;
        match end {
            End::Answered { status, is_fine, bytes } => {
                self.answered += 1;
                self.bytes += bytes;
                if let Some(class) = self.classes.get_mut(usize::from(status / 100)) {
                    *class += 1;
                }
                if !is_fine {
                    self.fail(Failure::Status(status), "");
                }
            }
            End::Failed(failure, text) => {
                has_latency = failure == Failure::Timeout;
                self.fail(failure, &text);
            }
        }
        if has_latency {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
            self.latencies.saturating_record(micros.max(1));
        }
    }

    fn fail(&mut self, failure: Failure, text: &str) {
        self.failed += 1;
        let failed = self.failures.entry(failure).or_default();
        if failed.count == 0 {
            let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            failed.text = text.chars().take(MAX_TEXT).map(plain).collect();
        }
        failed.count += 1;
    }

    /// Adds what another one counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.ended += other.ended;
        self.answered += other.answered;
        self.failed += other.failed;
        self.bytes += other.bytes;
        for (own, others) in self.classes.iter_mut().zip(other.classes) {
            *own += others;
        }
        for (failure, others) in &other.failures {
            let own = self.failures.entry(*failure).or_default();
            own.count += others.count;
            if own.text.is_empty() {
                own.text.clone_from(&others.text);
            }
        }
        // The bounds are those of all tallies.
        self.latencies += &other.latencies;
        self.until += other.until;
    }

    /// Requests whose answer was fine.
    pub(crate) fn fine(&self) -> u64 {
        self.ended - self.failed
    }

    /// The most frequent way of failing.
    pub(crate) fn worst(&self) -> Option<(Failure, &Failed)> {
        let most = self.failures.iter().max_by_key(|(_, failed)| failed.count);
        most.map(|(failure, failed)| (*failure, failed))
    }

    /// Whether every single request ended without a connection.
    pub(crate) fn is_refused(&self) -> bool {
        self.ended > 0
            && self.failures.get(&Failure::Connect).is_some_and(|one| one.count == self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> End {
        End::Answered { status, is_fine: status == 200, bytes: 10 }
    }

    #[test]
    fn what_is_counted() {
        let mut tally = Tally::new();
        let ms = Duration::from_millis;
        tally.add(answered(200), ms(5), ms(10));
        tally.add(answered(503), ms(6), ms(20));
        tally.add(End::Failed(Failure::Timeout, "late".into()), ms(900), ms(920));
        tally.add(End::Failed(Failure::Closed, "a\nb".into()), ms(1), ms(30));
        let mut whole = Tally::new();
        whole.merge(&tally);
        whole.merge(&tally);
        assert_eq!((whole.ended, whole.answered, whole.failed, whole.fine()), (8, 4, 6, 2));
        assert_eq!((whole.bytes, whole.classes), (40, [0, 0, 2, 0, 0, 2]));
        assert_eq!(whole.failures[&Failure::Closed].text, "a\u{fffd}b");
        assert_eq!(whole.latencies.len(), 6, "what was closed has no latency");
        assert_eq!(tally.until, ms(920));
        assert!(whole.latencies.max() > 890_000);
        assert!(!whole.is_refused());
    }
}
