//! The calls that a platform gets: how many there were, how many may be, and which go wrong.

use std::{collections::BTreeMap, time::Duration};

use super::Clock;
use crate::server::{Answer, Request};

/// How many calls of a class there may be in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub calls: u64,
    /// In which time.
    pub window: Duration,
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// There are too many, and the next one may come at once.
    TooMany,
    /// The platform fails before it did anything.
    Internal,
    /// It does not get to the platform, and a gateway says so.
    Gateway,
    /// It is done, and nobody hears of it.
    Lost,
    /// It is done, and half of the answer arrives.
    Half,
    /// It arrives twice.
    Twice,
    /// Something else answers, and nothing is done.
    Instead(Answer),
}

/// A call that came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// When.
    pub at: Duration,
    /// The class of those that share a limit with it.
    pub class: &'static str,
    /// What it was for: the method and the path, or the fields of the document.
    pub what: String,
}

/// The calls that a platform gets.
#[derive(Debug, Default)]
pub struct Traffic {
    /// The platform's time.
    pub clock: Clock,
    /// The limits of the classes that have one.
    pub limits: BTreeMap<&'static str, Limit>,
    /// Every so many calls one goes wrong, in each of these ways in turn.
    pub fails_every: Option<usize>,
    /// The calls that came so far.
    pub calls: Vec<Call>,
    /// How many of them were more than a limit allows.
    pub refused: usize,
    used: BTreeMap<&'static str, (u128, u64)>,
    planned: Vec<(String, Fault)>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How many calls there may be in a window.
    pub limit: u64,
    /// How many there may still be; nothing when there were too many already.
    pub remaining: Option<u64>,
    /// When the next window begins, from now on.
    pub resets_in: Duration,
}

impl Traffic {
    /// None so far, under these limits.
    pub fn limited(limits: impl IntoIterator<Item = (&'static str, Limit)>) -> Self {
        Self { limits: limits.into_iter().collect(), ..Self::default() }
    }

    /// Begins a window of another limit.
    pub fn limit(&mut self, class: &'static str, limit: Limit) {
        self.limits.insert(class, limit);
        self.used.remove(class);
    }

    /// From now on every so many calls fail in all ways; none without a number.
    pub fn fail_every(&mut self, calls: Option<usize>) {
        self.fails_every = calls;
    }

    /// The next call whose purpose has `part` in it goes wrong. May be said several times.
    pub fn fail_next(&mut self, part: &str, fault: Fault) {
        self.planned.push((part.to_owned(), fault));
    }

    /// How many calls have `part` in their purpose.
    pub fn count(&self, part: &str) -> usize {
        self.calls.iter().filter(|call| call.what.contains(part)).count()
    }

    /// The most calls of a class, of all without one, that came within any such time.
    pub fn most_within(&self, class: Option<&str>, window: Duration) -> usize {
        let of_class = |call: &&Call| class.is_none_or(|class| call.class == class);
        let times: Vec<_> = self.calls.iter().filter(of_class).map(|call| call.at).collect();
        let within =
            |from: Duration| times.iter().filter(|at| (from..from + window).contains(*at)).count();
        times.iter().map(|from| within(*from)).max().unwrap_or_default()
    }

    /// Counts a call; how it goes wrong, if it does.
    pub(super) fn come(&mut self, class: &'static str, what: String) -> Option<Fault> {
        let at = self.clock.call();
        let planned = self.planned.iter().position(|(part, _)| what.contains(part));
        self.calls.push(Call { at, class, what });
        if let Some(planned) = planned {
            return Some(self.planned.remove(planned).1);
        }
        let every = self.fails_every.filter(|every| self.calls.len().is_multiple_of(*every))?;
        Some(match (self.calls.len() / every) % 5 {
            0 => Fault::TooMany,
            1 => Fault::Lost,
            2 => Fault::Gateway,
            3 => Fault::Half,
            _ => Fault::Internal,
        })
    }

    /// Takes a call off its limit.
    pub(super) fn take(&mut self, class: &'static str) -> Option<Left> {
        let Limit { calls, window } = *self.limits.get(class)?;
        let (now, window) = (self.clock.now().as_millis(), window.as_millis().max(1));
        let used = self.used.entry(class).or_default();
        if used.0 != now / window {
            *used = (now / window, 0);
        }
        let remaining = calls.checked_sub(used.1 + 1);
        used.1 += u64::from(remaining.is_some());
        let resets_in = u64::try_from(window - now % window).unwrap_or(u64::MAX);
        Some(Left { limit: calls, remaining, resets_in: Duration::from_millis(resets_in) })
    }
}

/// A platform that answers calls.
pub trait World: Send + 'static {
    /// The calls that it gets.
    fn traffic(&mut self) -> &mut Traffic;

    /// The class of the calls that share a limit with this one.
    fn class(&self, request: &Request) -> &'static str;

    /// What a call is for, as tests name it.
    fn purpose(&self, request: &Request) -> String;

    /// Does what it is asked for.
    fn act(&mut self, request: &Request) -> Answer;

    /// Tells with an answer what is left of a limit.
    fn tell(&self, answer: Answer, left: Left) -> Answer;

    /// Answers, right or wrong.
    fn answer(&mut self, request: &Request) -> Answer {
        let (class, purpose) = (self.class(request), self.purpose(request));
        let fault = self.traffic().come(class, purpose);
        let left = self.traffic().take(class);
        if let Some(left) = left.filter(|left| left.remaining.is_none()) {
            self.traffic().refused += 1;
            return self.tell(Answer::json(429, r#"{"message":"rate limit exceeded"}"#), left);
        }
        let answer = match fault {
            None => self.act(request),
            Some(Fault::TooMany) => Answer::json(429, "{}").with_header("Retry-After", "0"),
            Some(Fault::Internal) => Answer::json(500, r#"{"message":"internal server error"}"#),
            Some(Fault::Gateway) => Answer::text(502, "<html>bad gateway</html>"),
            Some(Fault::Lost) => {
                self.act(request);
                Answer::close()
            }
            Some(Fault::Half) => self.act(request).cut_in_half(),
            Some(Fault::Twice) => {
                self.act(request);
                self.act(request)
            }
            Some(Fault::Instead(answer)) => answer,
        };
        match left {
            Some(left) => self.tell(answer, left),
            None => answer,
        }
    }
}
