//! The one transition function.

use std::sync::Arc;

use super::{Attempt, Baseline, Facts, IllegalTransition, Phase, State, StepStatus};
use crate::{
    deployer::{Observation, Step},
    ending::Ending,
    error::Effect,
    journal::Event,
    stage::Stage,
};

impl State {
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
    pub(super) fn take(&mut self, event: &Event) -> bool {
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
            Event::Created { target, kind, version, skips, plan, initiator, .. } => {
                self.facts = Some(Arc::new(Facts {
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
                    && self.go_to_next(*stage)
            }
            Event::StageFailed { stage, failure } => {
                let legal = self.phase == Phase::Running(*stage)
                    && self.open_attempt().is_none()
                    && !self.is_past_return();
                self.phase = Phase::Failed { stage: *stage, cause: failure.clone() };
                legal
            }
            Event::FailureIgnored { stage, .. } => {
                self.phase == Phase::Running(*stage)
                    && stage.may_be_ignored()
                    && self.open_attempt().is_none()
                    && self.go_to_next(*stage)
            }
            Event::Observed { serving, version, proven, supersedes } => {
                self.supersedes.clone_from(supersedes);
                self.baseline = Some(Baseline {
                    release: serving.clone(),
                    version: version.clone(),
                    proven: *proven,
                });
                self.phase == Phase::Running(Stage::Lock)
            }
            Event::Inherited { from, steps } => {
                let legal = self.phase == Phase::Running(Stage::Deploy)
                    && self.supersedes.as_ref() == Some(from)
                    && self.inherited.is_none()
                    && self.attempts.is_empty();
                self.inherited = Some(steps.as_slice().into());
                legal
            }
            Event::BackedUp { backup, .. } => {
                self.backup = Some(backup.clone());
                self.phase == Phase::Running(Stage::Backup)
            }
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
            Event::Intent { step, attempt, record } => {
                let legal = self.allows(*step)
                    && self.open_attempt().is_none()
                    && *attempt == self.next_attempt(*step);
                self.attempts.push(Attempt {
                    step: *step,
                    number: *attempt,
                    record: Arc::new(record.clone()),
                    status: StepStatus::Open,
                    has_effects: false,
                });
                legal
            }
            Event::StepDone { step } => self.close(*step, StepStatus::Done, true),
            Event::StepFailed { step, failure } => {
                self.close(*step, StepStatus::Failed, failure.effect != Effect::None)
            }
            Event::Reconciled { step, observation } => match observation {
                Observation::Done => self.close(*step, StepStatus::Done, true),
                Observation::Partial => self.close(*step, StepStatus::Failed, true),
                Observation::NotDone => self.close(*step, StepStatus::Failed, false),
                Observation::InProgress => self.is_open(*step),
            },
            Event::Effect { effect, .. } => {
                let legal = *effect == self.next_effect()
                    && matches!(
                        self.phase,
                        Phase::Running(_) | Phase::Undoing { .. } | Phase::Failed { .. }
                    );
                self.effects = *effect;
                self.open_effects.push(*effect);
                if let Some(attempt) = self.attempts.last_mut()
                    && attempt.status == StepStatus::Open
                {
                    attempt.has_effects = true;
                }
                legal
            }
            Event::EffectDone { effect, .. } | Event::EffectFailed { effect, .. } => {
                let before = self.open_effects.len();
                self.open_effects.retain(|open| open != effect);
                self.open_effects.len() < before
            }
            Event::CancelRequested { .. } => {
                self.cancelled = true;
                true
            }
            Event::RollbackDecided { cause, to } => {
                let legal = matches!(self.phase, Phase::Failed { .. } | Phase::Held { .. })
                    && self.touched()
                    && self.baseline.as_ref().is_some_and(|baseline| baseline.release == *to);
                self.phase = Phase::Undoing { cause: cause.clone(), to: to.clone() };
                legal
            }
            Event::RollbackRetried { .. } => {
                let Phase::Ended(Ending::Stuck { cause, .. }) = &self.phase else { return false };
                let to = self.baseline.as_ref().and_then(|baseline| baseline.release.clone());
                self.phase = Phase::Undoing { cause: cause.clone(), to };
                true
            }
            Event::Held { until, cause } => {
                let Phase::Failed { stage, .. } = self.phase else { return false };
                if !self.is_done(Step::Switch) || self.hold_is_over || self.cancelled {
                    return false;
                }
                self.phase = Phase::Held { stage, cause: cause.clone(), until: *until };
                true
            }
            Event::HoldReleased { proceed, .. } => {
                let Phase::Held { stage, cause, .. } = self.phase.clone() else { return false };
                if *proceed {
                    return self.go_to_next(stage);
                }
                self.hold_is_over = true;
                self.phase = Phase::Failed { stage, cause };
                true
            }
            Event::ImageResolved { .. } => {
                matches!(self.phase, Phase::Running(Stage::Build | Stage::Push))
            }
            Event::TaskEnded { .. } | Event::Checked { .. } => {
                matches!(
                    self.phase,
                    Phase::Running(_) | Phase::Undoing { .. } | Phase::Proving { .. }
                )
            }
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

    fn is_open(&self, step: Step) -> bool {
        self.open_attempt().is_some_and(|attempt| attempt.step == step)
    }

    /// Closes the open attempt. `may_have_effect` is the step's own word; effects that it
    /// journaled count whatever it says, except those that never began.
    fn close(&mut self, step: Step, status: StepStatus, may_have_effect: bool) -> bool {
        if !self.is_open(step) {
            return false;
        }
        self.open_effects.clear();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = status;
            attempt.has_effects |= may_have_effect;
        }
        if step == Step::Rollback
            && status == StepStatus::Done
            && let Phase::Undoing { cause, to } = self.phase.clone()
        {
            self.phase = Phase::Proving { cause, to };
        }
        true
    }

    fn end(&mut self, ending: &Ending) -> bool {
        let legal = match ending {
            Ending::Succeeded { .. } => self.phase == Phase::Ready(Stage::Report),
            Ending::Refused { .. } => matches!(self.phase, Phase::Failed { .. }) && !self.touched(),
            Ending::RolledBack { to, .. } => {
                matches!(&self.phase, Phase::Proving { to: proven, .. } if proven == to)
            }
            Ending::Stuck { .. } => {
                matches!(self.phase, Phase::Undoing { .. } | Phase::Proving { .. })
                    && self.open_attempt().is_none()
            }
            Ending::Abandoned { .. } => true,
            Ending::Superseded { .. } => matches!(self.phase, Phase::Held { .. }),
        };
        self.phase = Phase::Ended(ending.clone());
        legal
    }
}

impl IllegalTransition {
    /// Names the event by its tag, as the journal writes it.
    pub(super) fn new(event: &Event, phase: &Phase) -> Self {
        let value = crate::digest::json(event);
        let tag = value.get("type").and_then(|tag| tag.as_str()).unwrap_or("an event");
        Self { event: tag.to_owned(), phase: phase.describe() }
    }
}
