//! What to do next: the recovery table, in one place.

use super::{Phase, State};
use crate::{deployer::Step, stage::Stage};

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Write the first record.
    Create,
    /// Run a stage, from its beginning or again.
    Run(Stage),
    /// Find out what became of a step.
    Reconcile(Step),
    /// End without having touched anything.
    Refuse,
    /// Decide to go back.
    GoBack,
    /// Go back, or try again to.
    Undo,
    /// Prove what came back.
    Prove,
    /// Wait for a person or the deadline.
    Wait,
    /// End well.
    Conclude,
    /// Nothing: it is over.
    Nothing,
}

impl State {
    /// What to do next, for a run that goes on and for one that was found without a driver.
    ///
    /// | found | next |
    /// |---|---|
    /// | a step without result | ask the backend what became of it, then repeat or undo it |
    /// | a stage begun | run it again: stages are idempotent |
    /// | a stage failed, nothing touched | end as refused |
    /// | a stage failed, something touched | go back |
    /// | going back | go back again |
    /// | gone back, not proven | prove it |
    /// | retiring the old release | finish retiring: there is no way back |
    pub fn next(&self) -> Next {
        if let Some(open) = self.open_attempt() {
            return Next::Reconcile(open.step);
        }
        match &self.phase {
            Phase::New => Next::Create,
            Phase::Ready(Stage::Report) => Next::Conclude,
            Phase::Ready(stage) | Phase::Running(stage) => Next::Run(*stage),
            Phase::Failed { .. } if self.touched() => Next::GoBack,
            Phase::Failed { .. } => Next::Refuse,
            Phase::Held { .. } => Next::Wait,
            Phase::Undoing { .. } => Next::Undo,
            Phase::Proving { .. } => Next::Prove,
            Phase::Ended(_) => Next::Nothing,
        }
    }
}
