//! Going back, and proving what came back.

use super::{
    Driver,
    proof::Patience,
    recorder::{failure, own_failure},
};
use crate::{
    deployer::Step,
    ending::Ending,
    error::{Error, ErrorKind, Result},
    health::Role,
    journal::Event,
    state::{Phase, StepStatus},
    verification::When,
};

impl Driver {
    /// Decides to go back to what served before.
    pub(super) async fn go_back(&self) -> Result<()> {
        let state = self.log.state().await;
        let Phase::Failed { cause, .. } = state.phase() else { return Ok(()) };
        let to = state.baseline().and_then(|baseline| baseline.release.clone());
        self.log.record(Event::RollbackDecided { cause: cause.clone(), to }).await
    }

    /// One attempt to go back; after the last one the run is stuck.
    pub(super) async fn undo(&mut self) -> Result<()> {
        self.load_redactor().await?;
        self.clean_tasks().await?;
        let outcome = self.step(Step::Rollback).await;
        self.note_cancellation().await.or_else(|error| match &outcome {
            // The first error says more about why the journal is lost.
            Err(_) => Ok(()),
            Ok(()) => Err(error),
        })?;
        let Err(error) = outcome else { return Ok(()) };
        if self.log.is_broken().await {
            return Err(error);
        }
        let state = self.log.state().await;
        let Phase::Undoing { cause, .. } = state.phase() else { return Ok(()) };
        // Attempts of an earlier try do not count: a retry on request gets all of its own.
        let failed = state
            .attempts()
            .iter()
            .rev()
            .take_while(|attempt| attempt.step == Step::Rollback)
            .filter(|attempt| attempt.status == StepStatus::Failed)
            .count();
        let limit = self.parts.policy.rollback_attempts.max(1) as usize;
        let prepared = state.attempts().last().is_some_and(|last| last.step == Step::Rollback);
        if prepared && !failed.is_multiple_of(limit) && error.kind() != ErrorKind::Unsupported {
            let doublings = u32::try_from(failed.saturating_sub(1) % limit).unwrap_or(0).min(6);
            tokio::time::sleep(self.parts.policy.rollback_pause * 2_u32.pow(doublings)).await;
            return Ok(());
        }
        let ending = Ending::Stuck { cause: cause.clone(), undo: failure(&error) };
        self.log.record(Event::Ended { ending }).await
    }

    /// Proves what came back: the release before with its own checks, or that nothing is left.
    pub(super) async fn prove_undone(&mut self) -> Result<()> {
        self.load_redactor().await?;
        let state = self.log.state().await;
        let Phase::Proving { cause, to } = state.phase() else { return Ok(()) };
        let cx = self.uncancelled("prove").with_timeout(self.parts.policy.rollback_deadline);
        let proven = match self.previous().await? {
            Some(release) => {
                let whens = [When::Verify, When::Post];
                let proof = self
                    .parts
                    .prove(&cx, &release, Role::Live, &whens, Patience::FailFast, Some(&self.log))
                    .await;
                proof.and_then(super::Proof::into_result)
            }
            None => cx.bounded(self.parts.deployer.current(&cx)).await.and_then(|current| {
                let left: Vec<_> = current.services.keys().map(|name| name.as_str()).collect();
                if left.is_empty() {
                    return Ok(());
                }
                Err(Error::new(
                    ErrorKind::Unhealthy,
                    "remove a failed first deploy",
                    format!("there is still something of {}", left.join(", ")),
                ))
            }),
        };
        self.note_cancellation().await?;
        let ending = match proven {
            Ok(()) => Ending::RolledBack { to: to.clone(), cause: cause.clone() },
            Err(error) if self.log.is_broken().await => return Err(error),
            Err(error) => {
                let mut undo = failure(&error);
                if state.baseline().is_some_and(|baseline| !baseline.proven) {
                    let unproven = own_failure(
                        ErrorKind::Unhealthy,
                        "the release before was never proven by a run",
                    );
                    undo.causes.push(unproven.message);
                }
                Ending::Stuck { cause: cause.clone(), undo }
            }
        };
        self.log.record(Event::Ended { ending }).await
    }
}
