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

/// A release that failed, and was taken back for it.
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
        let message = format!("run {} took {version} ({id}) back: {}", self.run, self.cause);
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
    /// Tells the order of the runs.
    fence: Fence,
    release: ReleaseId,
    /// Nothing when the run has proven it.
    bad: Option<Bad>,
}

impl Verdict {
    /// Nothing when the run failed for another reason, such as a platform that did not answer.
    pub(crate) fn of(run: &RunId, state: &State) -> Option<Self> {
        let release = state.release()?;
        let bad = match state.ending()? {
            Ending::Succeeded { .. } => None,
            // One that came back by itself and passed its checks is well.
            Ending::RolledBack { to, cause }
                if cause.kind == ErrorKind::Unhealthy && to.as_ref() != Some(release) =>
            {
                Some(Bad { run: run.clone(), cause: cause.clone() })
            }
            _ => return None,
        };
        Some(Self { fence: state.fence(), release: release.clone(), bad })
    }
}

/// The releases whose last verdict is that they are bad, each with the fence of that verdict.
pub(crate) fn bad(mut verdicts: Vec<Verdict>) -> BTreeMap<ReleaseId, (Fence, Bad)> {
    verdicts.sort_by_key(|verdict| verdict.fence);
    let mut releases = BTreeMap::new();
    for Verdict { fence, release, bad } in verdicts {
        match bad {
            Some(bad) => releases.insert(release, (fence, bad)),
            None => releases.remove(&release),
        };
    }
    releases
}
