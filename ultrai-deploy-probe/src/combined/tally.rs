//! What the outcomes of weighted parts come to.

/// What one part came to, or the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    NotYet,
    Unclear,
    /// It could not be asked.
    Unasked,
    Bad,
    Dead,
}

/// The weights of the parts by their outcomes.
#[derive(Debug)]
pub(super) struct Tally {
    need: u64,
    good: u64,
    not_yet: u64,
    unclear: u64,
    unasked: u64,
    bad: u64,
}

impl Tally {
    pub(super) fn new(need: u64) -> Self {
        Self { need, good: 0, not_yet: 0, unclear: 0, unasked: 0, bad: 0 }
    }

    pub(super) fn add(&mut self, outcome: Outcome, weight: u64) {
        match outcome {
            Outcome::Good => self.good += weight,
            Outcome::NotYet => self.not_yet += weight,
            Outcome::Unclear => self.unclear += weight,
            Outcome::Unasked => self.unasked += weight,
            Outcome::Bad => self.bad += weight,
            Outcome::Dead => {}
        }
    }

    pub(super) fn need(&self) -> u64 {
        self.need
    }

    pub(super) fn good(&self) -> u64 {
        self.good
    }

    /// The best that can be said: what is missing is put down to those that are nearest to being
    /// well.
    pub(super) fn verdict(&self) -> Outcome {
        let mut reached = 0;
        for (weight, outcome) in [
            (self.good, Outcome::Good),
            (self.not_yet, Outcome::NotYet),
            (self.unclear, Outcome::Unclear),
            (self.unasked, Outcome::Unasked),
            (self.bad, Outcome::Bad),
        ] {
            reached += weight;
            if reached >= self.need {
                return outcome;
            }
        }
        Outcome::Dead
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Outcome::{Bad, Dead, Good, NotYet, Unasked, Unclear},
        *,
    };

    #[test]
    fn verdicts() {
        for (need, parts, verdict) in [
            (2, &[(Good, 1), (Good, 1)][..], Good),
            (2, &[(Good, 1), (NotYet, 1)], NotYet),
            (2, &[(Good, 1), (Bad, 1)], Bad),
            (2, &[(Good, 1), (Dead, 1)], Dead),
            (3, &[(Good, 1), (NotYet, 1), (Bad, 1)], Bad),
            (1, &[(Dead, 1), (Bad, 1)], Bad),
            (1, &[(Dead, 1), (Dead, 1)], Dead),
            (1, &[(Bad, 1), (NotYet, 1)], NotYet),
            (2, &[(Good, 2), (Dead, 1)], Good),
            (2, &[(Dead, 2), (Good, 1)], Dead),
            (2, &[(Good, 1), (Unclear, 1), (Unasked, 1)], Unclear),
            (2, &[(Good, 1), (Unasked, 1), (Bad, 1)], Unasked),
            (3, &[(Good, 1), (Unasked, 1), (Bad, 1)], Bad),
        ] {
            let mut tally = Tally::new(need);
            for (outcome, weight) in parts {
                tally.add(*outcome, *weight);
            }
            assert_eq!(tally.verdict(), verdict, "{need} of {parts:?}");
        }
    }
}
