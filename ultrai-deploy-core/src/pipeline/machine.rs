//! The state machine of a run: pure, made from events alone, the same for a live run and for replay.
//!
//! ```text
//! Ready(stage) ──StageStarted──► Running(stage) ──StageFinished, FailureIgnored──► Ready(next)
//!      │                              │
//! StageSkipped                   StageFailed
//!      ▼                              ▼
//! Ready(next)                      Failed ─── nothing touched ───► Ended(Refused)
//!      │                              │ ╲
//! after Finalise            RollbackDecided ╲ Held ──► Failed, Ready(next) or Ended(Superseded)
//!      ▼                              ▼
//! Ended(Succeeded)                 Undoing ── Rollback done ──► Restoring ── data is back ──► Proving
//!                                     │                             │                            │
//!                                undo failed                   restore failed     checks failed or passed
//!                                     ▼                             ▼                            ▼
//!                                Ended(Stuck) ◄──────────────── Ended(Stuck)     Ended(Stuck | RolledBack)
//! ```
//!
//! A stuck run can be retried (back to Undoing) or abandoned; every other ending is final. Where only
//! migrations were run, or only data was exchanged, Undoing is left out; Restoring is, unless the
//! decision to go back names a backup.
//!
//! Read it from the top: the [`Stage`]s in their order, the [`Phase`]s that a run can be in,
//! [`State::next`], which says what a driver does in each of them, and [`State::apply`], which says
//! where each event leads. What a stage does is in the file of its name beside this one, as its
//! [`Definition`]; the steps that it takes on the platform are in `steps`. A new stage is a line in
//! each list of [`Stage`] here and a file with its definition.

mod backup;
mod before;
mod build;
mod configure;
mod data;
mod deploy;
mod finalise;
mod lock;
mod migrations;
mod phase;
mod post_deploy_tests;
mod pre_deploy_tests;
mod preflight;
mod push;
mod report;
mod steps;
#[cfg(test)]
mod tests;
mod verify;
mod view;
mod watch;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use phase::{IllegalTransition, Next, Phase};
pub use steps::{Attempt, StepStatus};
pub use view::{Baseline, Facts};

use before::Before;
use data::Data;
use migrations::Migrations;
use steps::Steps;

use super::{Driver, Policy};
use crate::{
    consequence::Reaction,
    context::Context,
    deployer::{Inherited, Observation, Step},
    ending::Ending,
    error::{Effect, Failure, Result},
    health::Role,
    journal::{Event, Record},
    lease::{Fence, Holder},
    migration::Status,
    name::{BackupId, ReleaseId, RunId},
    plan::Plan,
};

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Everything that can be known before: nothing is changed.
    Preflight,
    /// The lease is taken, what serves is read.
    Lock,
    /// What would be lost is kept.
    Backup,
    /// Files and secrets of the new release are gathered.
    Configure,
    /// Images are built or found.
    Build,
    /// Images are pushed; the release is sealed, the plan is binding.
    Push,
    /// Tests in the new image before anything changes.
    PreDeployTests,
    /// The new release is staged and switched to.
    Deploy,
    /// The release's checks against what is live.
    Verify,
    /// Tests against what is live.
    PostDeployTests,
    /// A last look before the point of no return.
    Watch,
    /// The old release is retired.
    Finalise,
    /// What happened is told.
    Report,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 13] = [
        Self::Preflight,
        Self::Lock,
        Self::Backup,
        Self::Configure,
        Self::Build,
        Self::Push,
        Self::PreDeployTests,
        Self::Deploy,
        Self::Verify,
        Self::PostDeployTests,
        Self::Watch,
        Self::Finalise,
        Self::Report,
    ];

    /// What its own file says about it.
    pub(super) fn definition(self) -> &'static Definition {
        match self {
            Self::Preflight => &preflight::STAGE,
            Self::Lock => &lock::STAGE,
            Self::Backup => &backup::STAGE,
            Self::Configure => &configure::STAGE,
            Self::Build => &build::STAGE,
            Self::Push => &push::STAGE,
            Self::PreDeployTests => &pre_deploy_tests::STAGE,
            Self::Deploy => &deploy::STAGE,
            Self::Verify => &verify::STAGE,
            Self::PostDeployTests => &post_deploy_tests::STAGE,
            Self::Watch => &watch::STAGE,
            Self::Finalise => &finalise::STAGE,
            Self::Report => &report::STAGE,
        }
    }

    /// The stage after this one; nothing after the last.
    pub fn next(self) -> Option<Self> {
        let at = Self::ALL.iter().position(|stage| *stage == self)?;
        Self::ALL.get(at + 1).copied()
    }
}

/// What a stage is; each has one in its own file.
pub(super) struct Definition {
    /// Its name in records and reports.
    pub(super) name: &'static str,
    /// Its longest time where the policy sets none; the driver cuts it off there, unless
    /// `is_self_bounded`.
    pub(super) deadline: fn(&Policy) -> Duration,
    /// Whether it bounds each of its parts itself: it waits for what has deadlines of its own.
    pub(super) is_self_bounded: bool,
    /// Whether a person may ask to leave it out: no other stage holds one of the engine's promises.
    pub(super) may_be_skipped: bool,
    /// Whether a run may go on after a failure of it: it adds to what a success promises.
    pub(super) may_be_ignored: bool,
    /// Why it is left out although nobody asked for it, if it is.
    pub(super) skip: fn(&Driver, &State) -> Option<&'static str>,
    /// Runs it, from its beginning or again: what it did before it was interrupted is not done
    /// twice.
    pub(super) run: for<'a> fn(&'a mut Driver, &'a Context) -> BoxFuture<'a, Result<()>>,
}

/// The state of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    phase: Phase,
    // What is large and never changes is shared: a state is cloned for every event.
    facts: Option<Arc<Facts>>,
    fence: Fence,
    holder: Option<Holder>,
    baseline: Option<Baseline>,
    before: Before,
    backup: Option<BackupId>,
    release: Option<ReleaseId>,
    plan: Option<Arc<Plan>>,
    steps: Steps,
    migrations: Migrations,
    data: Data,
    cancelled: bool,
    held_for: Option<Arc<Failure>>,
    hold_is_over: bool,
    reaction: Option<Reaction>,
    accepted: bool,
    supersedes: Option<RunId>,
    inherited: Option<Arc<[Inherited]>>,
}

impl State {
    /// What to do next, for a run that goes on and for one that was found without a driver: the
    /// recovery table.
    ///
    /// | found | next |
    /// |---|---|
    /// | a step without result, in whatever phase | ask the backend what became of it |
    /// | nothing yet | write the first record |
    /// | a stage ahead, or begun | run it, again: stages are idempotent |
    /// | all stages behind | end as succeeded |
    /// | a stage failed, nothing touched | end as refused |
    /// | a stage failed, something touched | decide: go back, or wait for a person |
    /// | held | wait; go back when the time is over |
    /// | going back | go back again; stuck when it cannot be done |
    /// | gone back, data to be put back | put it back, again: stuck when it cannot be done |
    /// | gone back, not proven | prove it; stuck when it cannot be proven |
    /// | over | nothing |
    ///
    /// What a step was found to be is then treated as its result: done, it is not done again; not
    /// done or half done, its stage is run again or taken back. A driver that took a run over adds
    /// rules: it goes back where only the process that began the run could go on, because the
    /// release was not sealed yet; where the run was to take the place of a held one and had not; and
    /// where another engine than its own began it (`going_on`).
    /// While the old release is being retired there is no way back, and retiring is finished.
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
            Phase::Restoring { .. } => Next::RestoreData,
            Phase::Proving { .. } => Next::Prove,
            Phase::Ended(_) => Next::Nothing,
        }
    }

    /// The state after `records`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when they cannot have happened in this order.
    pub fn replay<'a>(
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<Self, IllegalTransition> {
        let mut state = Self::new();
        for record in records {
            // Not `apply`: a state that is thrown away need not be whole after an error.
            let found = state.phase.clone();
            if !state.take(&record.event) {
                return Err(IllegalTransition::new(&record.event, &found));
            }
        }
        Ok(state)
    }

    /// Takes an event in. On an error the state is as before.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event cannot happen now.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalTransition> {
        let mut next = self.clone();
        if next.take(event) {
            *self = next;
            Ok(())
        } else {
            Err(IllegalTransition::new(event, &self.phase))
        }
    }

    /// Takes an event in; false when it cannot happen now, and then `self` is not to be used.
    fn take(&mut self, event: &Event) -> bool {
        if let Phase::Ended(ending) = &self.phase {
            let stuck = ending.is_stuck();
            let leads_out = matches!(
                event,
                Event::Adopted { .. }
                    | Event::RollbackRetried { .. }
                    | Event::Ended { ending: Ending::Abandoned { .. } }
            );
            if !(stuck && leads_out) {
                return false;
            }
        }
        if (self.phase == Phase::New) != matches!(event, Event::Created { .. }) {
            return false;
        }
        match event {
            Event::Created { engine, target, kind, version, skips, plan, initiator, .. } => {
                self.facts = Some(Arc::new(Facts {
                    engine: engine.clone(),
                    target: target.clone(),
                    kind: kind.clone(),
                    version: version.clone(),
                    skips: skips.clone(),
                    plan: plan.clone(),
                    initiator: initiator.clone(),
                }));
                self.phase = Phase::Ready(Stage::Preflight);
                true
            }
            Event::Locked { fence, holder } => {
                let legal = self.phase == Phase::Running(Stage::Lock) && *fence > self.fence;
                self.fence = *fence;
                self.holder = Some(holder.clone());
                legal
            }
            Event::Adopted { fence, holder } => {
                let legal = self.was_locked() && *fence > self.fence;
                self.data.pass_on();
                self.fence = *fence;
                self.holder = Some(holder.clone());
                legal
            }
            Event::StageStarted { stage } => {
                let legal =
                    self.phase == Phase::Ready(*stage) || self.phase == Phase::Running(*stage);
                self.phase = Phase::Running(*stage);
                legal && self.open_attempt().is_none()
            }
            Event::StageSkipped { stage, .. } => {
                self.phase == Phase::Ready(*stage) && self.go_to_next(*stage)
            }
            Event::StageFinished { stage } => {
                self.phase == Phase::Running(*stage)
                    && self.open_attempt().is_none()
                    && self.migrations.open().is_none()
                    && (*stage != Stage::Deploy || !self.is_data_wanted())
                    && self.go_to_next(*stage)
            }
            Event::StageFailed { stage, failure, reaction } => {
                self.reaction = *reaction;
                let legal = self.phase == Phase::Running(*stage)
                    && self.open_attempt().is_none()
                    && !self.is_past_return();
                self.phase = Phase::Failed { stage: *stage, cause: failure.clone() };
                self.data.close();
                legal
            }
            Event::FailureIgnored { stage, .. } => {
                self.phase == Phase::Running(*stage)
                    && stage.may_be_ignored()
                    && self.open_attempt().is_none()
                    && self.go_to_next(*stage)
            }
            Event::Observed { serving, version, proven, failed, supersedes } => {
                self.supersedes.clone_from(supersedes);
                self.baseline = Some(Baseline {
                    release: serving.clone(),
                    version: version.clone(),
                    proven: *proven,
                    failed: failed.clone(),
                });
                self.phase == Phase::Running(Stage::Lock)
            }
            Event::Assessed { .. } => {
                self.phase == Phase::Running(Stage::Lock) && self.baseline.is_some()
            }
            Event::Inherited { from, steps, data, data_replaced } => {
                let legal = self.phase == Phase::Running(Stage::Deploy)
                    && self.supersedes.as_ref() == Some(from)
                    && self.inherited.is_none()
                    && self.steps.is_empty();
                self.inherited = Some(steps.as_slice().into());
                self.data.inherit(data.clone(), *data_replaced);
                legal
            }
            Event::BackedUp { backup, occasion, data, at, .. } => {
                self.backed_up(backup, *occasion, data, *at)
            }
            Event::DataRestoreStarted { what } => self.begin_restore(what),
            Event::DataRestored { backup, .. } => self.end_restore(backup),
            Event::DataRestoreFailed { .. } => self.data.close(),
            Event::Sealed { release } => {
                self.release = Some(release.clone());
                self.phase == Phase::Running(Stage::Push)
            }
            Event::Planned { plan } => {
                let legal = self.phase == Phase::Running(Stage::Push)
                    && self.release.as_ref() == Some(&plan.to);
                self.plan = Some(Arc::new(plan.clone()));
                legal
            }
            Event::MigrationStarted { migration, .. } => {
                self.phase == Phase::Running(Stage::Deploy)
                    && !self.is_rollback()
                    && self.steps.is_empty()
                    && self.migrations.begin(migration)
            }
            Event::MigrationEnded { migration, exit_code, .. } => {
                let status = if *exit_code == 0 { Status::Applied } else { Status::Failed };
                self.phase == Phase::Running(Stage::Deploy)
                    && self.migrations.close(migration, status)
            }
            Event::MigrationFound { migration, status } => {
                let may_be = matches!(
                    self.phase,
                    Phase::Running(Stage::Deploy) | Phase::Failed { stage: Stage::Deploy, .. }
                );
                may_be && self.migrations.close(migration, *status)
            }
            Event::Intent { step, attempt, record } => {
                self.allows(*step)
                    && self.migrations.open().is_none()
                    && self.steps.begin(*step, *attempt, record)
            }
            Event::StepDone { step } => self.close(*step, StepStatus::Done, true),
            Event::StepFailed { step, failure } => {
                self.close(*step, StepStatus::Failed, failure.effect != Effect::None)
            }
            Event::Reconciled { step, observation } => match observation {
                Observation::Done => self.close(*step, StepStatus::Done, true),
                Observation::Partial => self.close(*step, StepStatus::Failed, true),
                Observation::NotDone => self.close(*step, StepStatus::Failed, false),
                Observation::InProgress => self.steps.is_open(*step),
            },
            Event::Effect { effect, .. } => {
                let may_be = matches!(
                    self.phase,
                    Phase::Running(_)
                        | Phase::Undoing { .. }
                        | Phase::Failed { .. }
                        | Phase::Restoring { .. }
                );
                may_be && self.steps.begin_effect(*effect)
            }
            Event::EffectDone { effect, .. } | Event::EffectFailed { effect, .. } => {
                self.steps.end_effect(*effect)
            }
            Event::CancelRequested { .. } => {
                self.cancelled = true;
                true
            }
            Event::RollbackDecided { cause, to, data } => {
                let legal = matches!(self.phase, Phase::Failed { .. } | Phase::Held { .. })
                    && self.touched()
                    && self.migrations.open().is_none()
                    && self.baseline.as_ref().is_some_and(|baseline| baseline.release == *to)
                    && self.data.decide(data.as_ref());
                self.turn_back(cause.clone(), to.clone());
                legal
            }
            Event::RollbackRetried { .. } => {
                let Phase::Ended(Ending::Stuck { cause, .. }) = &self.phase else { return false };
                let cause = cause.clone();
                let to = self.baseline.as_ref().and_then(|baseline| baseline.release.clone());
                self.turn_back(cause, to);
                true
            }
            Event::Held { until, cause } => {
                let Phase::Failed { stage, .. } = self.phase else { return false };
                if !self.is_done(Step::Switch) || self.hold_is_over || self.cancelled {
                    return false;
                }
                self.held_for = Some(Arc::new(cause.clone()));
                self.phase = Phase::Held { stage, cause: cause.clone(), until: *until };
                true
            }
            Event::HoldReleased { proceed, .. } => {
                let Phase::Held { stage, cause, .. } = self.phase.clone() else { return false };
                if *proceed {
                    self.accepted = true;
                    return self.go_to_next(stage);
                }
                self.hold_is_over = true;
                self.phase = Phase::Failed { stage, cause };
                true
            }
            Event::ImageResolved { .. } => {
                matches!(self.phase, Phase::Running(Stage::Build | Stage::Push))
            }
            Event::Checked {
                check,
                role: Role::Previous,
                verdict,
                why,
                severity,
                evidence,
                ..
            } => {
                self.before.take(check, *verdict, why.as_deref(), *severity, evidence);
                matches!(self.phase, Phase::Running(Stage::Lock | Stage::Deploy))
            }
            Event::TaskEnded { .. } | Event::Checked { .. } => {
                matches!(
                    self.phase,
                    Phase::Running(_) | Phase::Undoing { .. } | Phase::Proving { .. }
                )
            }
            Event::Prepared { .. } => self.phase == Phase::Running(Stage::Preflight),
            Event::Note { .. } => true,
            Event::Ended { ending } => self.end(ending),
        }
    }

    fn go_to_next(&mut self, stage: Stage) -> bool {
        match stage.next() {
            Some(next) => {
                self.phase = Phase::Ready(next);
                true
            }
            None => false,
        }
    }

    /// Whether `step` may begin where the run is.
    fn allows(&self, step: Step) -> bool {
        match (step, &self.phase) {
            (Step::Stage, Phase::Running(Stage::Deploy)) => !self.is_done(Step::Switch),
            (Step::Switch, Phase::Running(Stage::Deploy))
            | (Step::Retire, Phase::Running(Stage::Finalise))
            | (Step::Rollback, Phase::Undoing { .. }) => true,
            _ => false,
        }
    }

    /// Closes the open attempt. `may_have_effect` is the step's own word.
    fn close(&mut self, step: Step, status: StepStatus, may_have_effect: bool) -> bool {
        let legal = self.steps.close(step, status, may_have_effect);
        if legal
            && (step, status) == (Step::Rollback, StepStatus::Done)
            && let Phase::Undoing { cause, to } = self.phase.clone()
        {
            self.go_on_back(cause, to);
        }
        legal
    }

    fn end(&mut self, ending: &Ending) -> bool {
        let legal = match ending {
            Ending::Succeeded { .. } => self.phase == Phase::Ready(Stage::Report),
            Ending::Refused { .. } => matches!(self.phase, Phase::Failed { .. }) && !self.touched(),
            Ending::RolledBack { to, .. } => {
                matches!(&self.phase, Phase::Proving { to: proven, .. } if proven == to)
            }
            Ending::Stuck { .. } => {
                matches!(
                    self.phase,
                    Phase::Undoing { .. } | Phase::Restoring { .. } | Phase::Proving { .. }
                ) && self.open_attempt().is_none()
                    && !self.data.is_open()
            }
            Ending::Abandoned { .. } => true,
            Ending::Superseded { .. } => matches!(self.phase, Phase::Held { .. }),
        };
        self.phase = Phase::Ended(ending.clone());
        legal
    }
}
