//! Going back, and proving what came back.

use super::{
    Driver, FailureAction,
    deadline::{GRACE, cut_off},
    proof::Patience,
};
use crate::{
    consequence::Reaction,
    context::Context,
    deployer::Step,
    ending::Ending,
    error::{Error, ErrorKind, Failure, Result},
    health::Role,
    journal::Event,
    name::ServiceName,
    state::{Phase, State},
    verification::When,
};

impl Driver {
    /// Decides to go back to what served before, or to wait for a person.
    pub(super) async fn go_back(&self) -> Result<()> {
        self.settle_migrations().await?;
        let state = self.log.state().await;
        if !state.touched() {
            // A migration that was all there was turned out not to have begun.
            return Ok(());
        }
        let Phase::Failed { stage, cause } = state.phase() else { return Ok(()) };
        if state.has_begun_migrations() {
            self.clean_tasks().await?;
        }
        let policy = &self.parts.policy;
        // Only a release is held; data that was put back on its own is not.
        let is_switched = state.is_done(Step::Switch);
        let is_final = state.is_hold_over() || state.is_cancelled();
        let is_held = policy.failure_action(*stage) == FailureAction::Hold
            || state.reaction() == Some(Reaction::Hold);
        if is_held && !is_final && is_switched {
            let now = self.parts.clock.now();
            let until = now.checked_add(policy.hold).unwrap_or(jiff::Timestamp::MAX);
            return self.log.record(Event::Held { until, cause: cause.clone() }).await;
        }
        let to = state.baseline().and_then(|baseline| baseline.release.clone());
        let data = self.data_that_goes_back(&state);
        self.log.record(Event::RollbackDecided { cause: cause.clone(), to, data }).await
    }

    /// Goes back; when the last attempt fails the run is stuck.
    pub(super) async fn undo(&self) -> Result<()> {
        self.clean_tasks().await?;
        let cx = self.uncancelled(Step::Rollback.as_str());
        let limit = self.parts.policy.rollback_deadline;
        match self.insist(&cx, Step::Rollback, limit).await {
            Err(error) if !self.log.is_broken().await => {
                let state = self.log.state().await;
                let Phase::Undoing { cause, .. } = state.phase() else { return Err(error) };
                let undo = Failure::from(&error);
                self.end(Ending::Stuck { cause: cause.clone(), undo }).await
            }
            undone => undone,
        }
    }

    /// Proves what came back: the release before with its own checks, or that nothing is left.
    pub(super) async fn prove_undone(&self) -> Result<()> {
        let state = self.log.state().await;
        let Phase::Proving { cause, to } = state.phase() else { return Ok(()) };
        let cx = self.uncancelled("prove").with_timeout(self.parts.policy.rollback_deadline);
        let ending = match cut_off(&cx, GRACE, self.prove_back(&cx)).await {
            Ok(()) => Ending::RolledBack { to: to.clone(), cause: cause.clone() },
            Err(error) if self.log.is_broken().await => return Err(error),
            Err(error) => {
                let mut undo = Failure::from(&error);
                undo.causes.extend(doubt(&state));
                Ending::Stuck { cause: cause.clone(), undo }
            }
        };
        self.end(ending).await
    }

    async fn prove_back(&self, cx: &Context) -> Result<()> {
        if let Some(release) = self.previous().await? {
            let whens = [When::Verify, When::Post];
            let patience = Patience::FailFast;
            let proof =
                self.parts.prove(cx, &release, Role::Live, &whens, patience, Some(&self.log));
            proof.await?.into_result()?;
            let state = self.log.state().await;
            refuse_half_restored(&state)?;
            return refuse_what_failed(&state);
        }
        let current = cx.bounded(self.parts.deployer.current(cx)).await?;
        let left: Vec<_> = current.services.keys().map(ServiceName::as_str).collect();
        if left.is_empty() {
            return refuse_half_restored(&self.log.state().await);
        }
        let message = format!("there is still something of {}", left.join(", "));
        Err(Error::new(ErrorKind::Unhealthy, "remove a failed first deploy", message))
    }
}

/// Where there was no data before, there is none to take the place of what was half put there.
fn refuse_half_restored(state: &State) -> Result<()> {
    let Some(what) = state.requested_data().filter(|_| state.is_data_half_restored()) else {
        return Ok(());
    };
    let message = format!(
        "only a part of the data of backup {} was put back, and there was none before to return to",
        what.backup
    );
    Err(Error::new(ErrorKind::Unhealthy, "go back", message)
        .with_advice("close the run with `ultrai abandon --reason …` and restore the backup again")
        .without_effect())
}

/// A release that failed before may pass its checks and still be what it was taken back for: what was
/// there is there again, and that is no rollback.
fn refuse_what_failed(state: &State) -> Result<()> {
    let Some(baseline) = state.baseline() else { return Ok(()) };
    let Some(run) =
        baseline.failed.as_ref().filter(|_| baseline.release.as_ref() != state.release())
    else {
        return Ok(());
    };
    let version = baseline.version.as_ref().map_or("the release", |version| version.as_str());
    let message = format!(
        "what ran before serves again and passes its checks, but {version} failed in run {run}"
    );
    Err(Error::new(ErrorKind::Unhealthy, "go back", message)
        .with_advice("close the run with `ultrai abandon --reason …` and deploy what is well")
        .without_effect())
}

/// Why what came back may have been unwell before the run, if there is a reason.
fn doubt(state: &State) -> Option<String> {
    let baseline = state.baseline()?;
    baseline.release.as_ref()?;
    let doubt = if baseline.release.as_ref() == state.release() {
        "the release before is the same one, and it did not run as it should before the run"
    } else if let [trouble, ..] = state.troubles_before() {
        return Some(format!(
            "what ran before was not well before the run either ({trouble}): only a release that \
             mends it helps"
        ));
    } else if !baseline.proven {
        "the release before was never proven by a run"
    } else {
        return None;
    };
    Some(doubt.to_owned())
}
