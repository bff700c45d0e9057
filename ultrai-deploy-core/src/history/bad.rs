//! Releases that failed and were taken back.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    ending::Ending,
    error::{Error, ErrorKind, Failure},
    lease::Fence,
    name::{ReleaseId, RunId},
    release::Release,
    state::State,
};

/// A release that failed, and was taken back or replaced for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Bad {
    /// By which run.
    pub run: RunId,
    /// Why.
    pub cause: Failure,
}

impl Bad {
    /// Refuses to bring it again.
    pub(crate) fn refusal(&self, operation: &'static str, release: &Release) -> Error {
        let Release { id, version, .. } = release;
        let message = format!("{version} ({id}) failed in run {}: {}", self.run, self.cause);
        Error::new(ErrorKind::Unhealthy, operation, message)
            .with_advice(format!(
                "change what is wrong with it, or name it to allow it once more: \
                 --allow-failed {version}"
            ))
            .without_effect()
    }
}

/// What a run says about the release that it brought.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// Tells the order of the runs; and a run whose place another took comes before that one, with
    /// whose fence it was closed.
    order: (Fence, bool),
    release: ReleaseId,
    /// Nothing when the run has proven it.
    bad: Option<Bad>,
}

impl Verdict {
    /// Nothing when the run failed for another reason, such as a platform that did not answer.
    pub(crate) fn of(run: &RunId, state: &State) -> Option<Self> {
        let (release, ending) = (state.release()?, state.ending()?);
        let cause = match ending {
            Ending::Succeeded { .. } => None,
            // One that came back by itself and passed its checks is well.
            Ending::RolledBack { to, cause } if to.as_ref() != Some(release) => Some(cause),
            // Nobody accepted it, and what took its place answers for going back.
            Ending::Superseded { .. } => Some(state.held_for()?),
            _ => return None,
        };
        if cause.is_some_and(|cause| cause.kind != ErrorKind::Unhealthy) {
            return None;
        }
        Some(Self {
            order: (state.fence(), !matches!(ending, Ending::Superseded { .. })),
            release: release.clone(),
            bad: cause.map(|cause| Bad { run: run.clone(), cause: cause.clone() }),
        })
    }
}

/// The releases whose last verdict is that they are bad, each with the fence of that verdict.
pub(crate) fn bad(mut verdicts: Vec<Verdict>) -> BTreeMap<ReleaseId, (Fence, Bad)> {
    verdicts.sort_by_key(|verdict| verdict.order);
    let mut releases = BTreeMap::new();
    for Verdict { order, release, bad } in verdicts {
        match bad {
            Some(bad) => releases.insert(release, (order.0, bad)),
            None => releases.remove(&release),
        };
    }
    releases
}
