//! What may be tried again: the one rule of all calls.

use std::time::Duration;

use super::Repeat;

/// What became of an attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The call cannot be made.
    Impossible,
    /// It did not get as far as the platform.
    NotSent,
    /// It may have arrived; no whole answer came back.
    Lost,
    /// An answer came.
    Answered {
        /// Its status.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// An answer came that nobody can use, and would come again.
    Useless,
}

/// Whether there is another attempt, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// After a pause of our own; counts as a try.
    AfterAWhile,
    /// When the platform says; does not count as a try.
    NotBefore(Duration),
}

pub(super) fn again(repeat: Repeat, outcome: &Outcome) -> Again {
    let may_repeat = repeat != Repeat::Once;
    match *outcome {
        Outcome::NotSent => Again::AfterAWhile,
        Outcome::Lost if may_repeat => Again::AfterAWhile,
        // Turned away at the door: nothing was done.
        Outcome::Answered { status: 429, retry_after } => {
            retry_after.map_or(Again::AfterAWhile, Again::NotBefore)
        }
        Outcome::Answered { status: 408 | 425 | 500 | 502..=504, retry_after } if may_repeat => {
            retry_after.map_or(Again::AfterAWhile, Again::NotBefore)
        }
        Outcome::Impossible | Outcome::Useless | Outcome::Lost | Outcome::Answered { .. } => {
            Again::Never
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Again::*, *};

    #[test]
    fn what_changes_something_and_may_have_arrived_is_not_sent_twice() {
        let wait = Duration::from_secs(7);
        let answered = |status, retry_after| Outcome::Answered { status, retry_after };
        for (outcome, safe, once) in [
            (Outcome::Impossible, Never, Never),
            (Outcome::NotSent, AfterAWhile, AfterAWhile),
            (Outcome::Lost, AfterAWhile, Never),
            (Outcome::Useless, Never, Never),
            (answered(429, Some(wait)), NotBefore(wait), NotBefore(wait)),
            (answered(429, None), AfterAWhile, AfterAWhile),
            (answered(503, Some(wait)), NotBefore(wait), Never),
            (answered(500, None), AfterAWhile, Never),
            (answered(501, None), Never, Never),
            (answered(502, None), AfterAWhile, Never),
            (answered(400, Some(wait)), Never, Never),
            (answered(401, None), Never, Never),
            (answered(404, None), Never, Never),
            (answered(302, None), Never, Never),
        ] {
            assert_eq!(again(Repeat::Safe, &outcome), safe, "{outcome:?}");
            assert_eq!(again(Repeat::Keyed, &outcome), safe, "{outcome:?}");
            assert_eq!(again(Repeat::Once, &outcome), once, "{outcome:?}");
        }
    }
}
