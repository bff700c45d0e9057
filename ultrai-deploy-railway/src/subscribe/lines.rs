//! Logs, line by line.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

use ultrai_deploy_core::{Context, Result};

use super::{Patience, Subscription};
use crate::model::LogLine;

/// How many lines are remembered: as many as come at once at most.
const REMEMBERED: usize = 5000;

/// Which log of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Log {
    /// That of its build; it ends when the build does.
    Build,
    /// That of its containers; it does not end.
    Deploy,
}

/// The lines of a log as they come, each once.
#[derive(Debug)]
pub struct Lines {
    heaps: Subscription<Vec<LogLine>>,
    waiting: VecDeque<LogLine>,
    seen: Seen,
}

impl Lines {
    pub(crate) fn new(heaps: Subscription<Vec<LogLine>>) -> Self {
        Self { heaps, waiting: VecDeque::new(), seen: Seen::default() }
    }

    /// As [`Subscription::with_patience`].
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.heaps = self.heaps.with_patience(patience);
        self
    }

    /// Waits for the next line; `None` when there are no more. It may be dropped and called again.
    ///
    /// # Errors
    /// As [`Subscription::next`]. A log that cannot be followed says nothing about its deployment.
    pub async fn next(&mut self, cx: &Context) -> Result<Option<LogLine>> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Ok(Some(line));
            }
            let Some(heap) = self.heaps.next(cx).await? else { return Ok(None) };
            self.waiting.extend(heap.into_iter().filter(|line| self.seen.is_new(line)));
        }
    }
}

/// What was there already: whoever connects anew is told the last lines once more.
#[derive(Debug, Default)]
struct Seen {
    hasher: RandomState,
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    fn is_new(&mut self, line: &LogLine) -> bool {
        // Times are told to the nanosecond: the same words at the same time are the same line.
        let Some(time) = line.timestamp else { return true };
        let hash = self.hasher.hash_one((time, &line.message));
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: Option<&str>, message: &str) -> LogLine {
        let (timestamp, message) = (time.map(|time| time.parse().unwrap()), message.to_owned());
        LogLine { timestamp, message, severity: None }
    }

    #[test]
    fn a_line_is_there_once_and_memory_is_bounded() {
        let mut seen = Seen::default();
        let (first, second) =
            (Some("2026-11-21T12:00:00.000000001Z"), Some("2026-11-21T12:00:00.000000002Z"));
        assert!(seen.is_new(&line(first, "a")));
        assert!(!seen.is_new(&line(first, "a")));
        assert!(seen.is_new(&line(first, "b")), "two may have the same time");
        assert!(seen.is_new(&line(second, "a")), "and the same words another");
        assert!(seen.is_new(&line(None, "a")) && seen.is_new(&line(None, "a")), "nothing is known");
        for at in 0..2 * REMEMBERED {
            assert!(seen.is_new(&line(first, &at.to_string())));
        }
        assert_eq!((seen.hashes.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
    }
}
