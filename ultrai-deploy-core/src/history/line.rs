//! What successful runs tell together: which releases are proven, and which one led to which.

use std::collections::BTreeSet;

use crate::{
    ending::Ending,
    journal::Kind,
    lease::Fence,
    name::{ReleaseId, RunId},
    state::State,
    version::Version,
};

/// A run that has proven its release.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    pub(crate) run: RunId,
    /// Tells the order; ids do not: a run may have waited long for the lease.
    pub(crate) fence: Fence,
    pub(crate) is_rollback: bool,
    pub(crate) release: ReleaseId,
    pub(crate) version: Option<Version>,
}

impl Success {
    pub(crate) fn of(run: &RunId, state: &State) -> Option<Self> {
        let Some(Ending::Succeeded { .. }) = state.ending() else { return None };
        let facts = state.facts();
        Some(Self {
            run: run.clone(),
            fence: state.fence(),
            is_rollback: facts.is_some_and(|facts| matches!(facts.kind, Kind::Rollback { .. })),
            release: state.release()?.clone(),
            version: facts.and_then(|facts| facts.version.clone()),
        })
    }
}

/// The proven releases that led to the last one, oldest first: a deploy goes on from what is
/// there, a rollback takes back what came after its target.
pub(super) fn line<'a>(successes: impl IntoIterator<Item = &'a Success>) -> Vec<&'a ReleaseId> {
    let mut line: Vec<&'a ReleaseId> = Vec::new();
    for Success { is_rollback, release, .. } in successes {
        let known = line.iter().rposition(|known| *known == release);
        match known {
            Some(at) if *is_rollback => line.truncate(at + 1),
            _ if line.last() != Some(&release) => line.push(release),
            _ => {}
        }
    }
    line
}

/// The runs among `old` without which the rest still tells the same of the `needed` releases: which
/// of them are proven, which one last, and in which line they stand. `successes` are all there
/// are, in their order.
pub(crate) fn forgettable(
    successes: &[Success],
    old: &BTreeSet<RunId>,
    needed: &BTreeSet<ReleaseId>,
) -> BTreeSet<RunId> {
    let all: Vec<_> = successes.iter().collect();
    let told = tell(&all, needed);
    // Steps that grow: a few comparisons also for a long history.
    let (mut from, mut step) = (successes.len(), 1);
    loop {
        let (kept, forgotten): (Vec<_>, Vec<_>) = successes
            .iter()
            .enumerate()
            .partition(|(at, success)| *at >= from || !old.contains(&success.run));
        let kept: Vec<_> = kept.into_iter().map(|(_, success)| success).collect();
        // With `from` at 0 nothing is forgotten, and the same is told.
        if from == 0 || tell(&kept, needed) == told {
            return forgotten.into_iter().map(|(_, success)| success.run.clone()).collect();
        }
        from = from.saturating_sub(step);
        step *= 2;
    }
}

/// The line of the needed releases, and those proven, latest first.
fn tell<'a>(
    successes: &[&'a Success],
    needed: &BTreeSet<ReleaseId>,
) -> (Vec<&'a ReleaseId>, Vec<&'a ReleaseId>) {
    let mut line = line(successes.iter().copied());
    line.retain(|id| needed.contains(*id));
    line.dedup();
    let mut latest: Vec<_> = successes.to_vec();
    latest.sort_by(|one, other| other.run.cmp(&one.run));
    let mut proven = Vec::new();
    for Success { release, .. } in latest {
        if needed.contains(release) && !proven.contains(&release) {
            proven.push(release);
        }
    }
    (line, proven)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn release(number: u8) -> ReleaseId {
        ReleaseId::new(format!("r{number}")).unwrap()
    }

    fn successes(steps: &[(u8, bool)]) -> Vec<Success> {
        let numbered = (1..).zip(steps);
        numbered
            .map(|(at, (number, is_rollback))| Success {
                run: RunId::new(format!("run{at:03}")).unwrap(),
                fence: Fence(at),
                is_rollback: *is_rollback,
                release: release(*number),
                version: None,
            })
            .collect()
    }

    fn forget(steps: &[(u8, bool)], keep: usize, needed: &[u8]) -> Vec<Success> {
        let mut successes = successes(steps);
        let old = successes.iter().rev().skip(keep).map(|success| success.run.clone()).collect();
        let needed = needed.iter().copied().map(release).collect();
        let forgotten = forgettable(&successes, &old, &needed);
        successes.retain(|success| !forgotten.contains(&success.run));
        successes
    }

    #[test]
    fn deploys_of_what_is_gone_are_forgotten() {
        let steps: Vec<_> = (0..100).map(|number| (number, false)).collect();
        assert!((5..=8).contains(&forget(&steps, 2, &[95, 97, 99]).len()), "back to 95");
        assert_eq!(forget(&steps, 10, &[95, 97, 99]).len(), 10, "those that are kept anyway");
    }

    #[test]
    fn of_many_proofs_of_a_release_the_last_is_enough() {
        assert_eq!(forget(&[(1, false); 50], 1, &[1]).len(), 1);
    }

    #[test]
    fn what_a_rollback_left_is_not_gone_back_to_afterwards_either() {
        let steps = [(1, false), (2, false), (3, false), (1, true), (4, false)];
        let kept = forget(&steps, 1, &[1, 2, 3, 4]);
        assert_eq!(line(&kept), [&release(1), &release(4)]);
    }

    proptest! {
        /// Whatever follows, a rollback finds what it would have found.
        #[test]
        fn the_line_goes_on_as_if_nothing_was_forgotten(
            steps in prop::collection::vec((0..6_u8, any::<bool>()), 1..30),
            keep in 0..6_usize,
            needed in prop::collection::vec(0..6_u8, 1..4),
            later in prop::collection::vec((0..3_usize, any::<bool>()), 0..8),
        ) {
            // What comes later is of a release that is kept.
            let later = later.iter().map(|(at, back)| (needed[at % needed.len()], *back));
            let all: Vec<_> = steps.iter().copied().chain(later).collect();
            let all = successes(&all);
            let mut kept = forget(&steps, keep, &needed);
            kept.extend(all[steps.len()..].iter().cloned());
            let needed = needed.iter().copied().map(release).collect();
            let (all, kept): (Vec<_>, Vec<_>) = (all.iter().collect(), kept.iter().collect());
            prop_assert_eq!(tell(&all, &needed), tell(&kept, &needed));
        }
    }
}
