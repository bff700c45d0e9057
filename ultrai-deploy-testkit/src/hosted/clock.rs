//! The time of a platform that is not one.

use std::time::Duration;

use tokio::time::Instant;

/// Time goes by as everywhere, and beside that with every call: a deploy that takes three seconds is
/// over after the third look, however short the pauses between them are.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    advanced: Duration,
    /// How much time each call takes; 1 s.
    pub per_call: Duration,
}

impl Clock {
    /// Nothing goes by but what does everywhere.
    pub fn real() -> Self {
        Self { per_call: Duration::ZERO, ..Self::default() }
    }

    /// How long the platform has been there.
    pub fn now(&self) -> Duration {
        self.began.elapsed() + self.advanced
    }

    /// Lets time go by.
    pub fn advance(&mut self, time: Duration) {
        self.advanced += time;
    }

    pub(super) fn call(&mut self) -> Duration {
        self.advance(self.per_call);
        self.now()
    }
}

impl Default for Clock {
    fn default() -> Self {
        let per_call = Duration::from_secs(1);
        Self { began: Instant::now(), advanced: Duration::ZERO, per_call }
    }
}

/// Something that is set at once, and seen only after a while.
#[derive(Clone, Debug)]
pub struct Lagged<T>(Vec<(Duration, T)>);

impl<T: Clone> Lagged<T> {
    /// What has been there always.
    pub fn new(value: T) -> Self {
        Self(vec![(Duration::ZERO, value)])
    }

    /// What it is.
    pub fn get(&self) -> T {
        self.0[self.0.len() - 1].1.clone()
    }

    /// Sets it.
    pub fn set(&mut self, now: Duration, value: T) {
        self.0.push((now, value));
    }

    /// What is seen of it, where a change takes `lag` to be seen.
    pub fn seen(&self, now: Duration, lag: Duration) -> T {
        let seen = self.0.iter().rev().find(|(set, _)| *set + lag <= now);
        seen.unwrap_or(&self.0[0]).1.clone()
    }
}

impl<T: Clone + Default> Default for Lagged<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
