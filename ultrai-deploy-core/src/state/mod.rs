//! The state of a run: pure, made from events alone, the same for a live run and for replay.
//!
//! ```text
//!            Ready(stage) ──StageStarted──► Running(stage) ──StageFinished──► Ready(next)
//!                 │                              │
//!     StageSkipped, FailureIgnored          StageFailed
//!                 ▼                              ▼
//!            Ready(next)                      Failed ──── nothing touched ──► Ended(Refused)
//!                 │                              │ ╲
//!          after Finalise              RollbackDecided ╲ Held ──► Failed, Ready(next),
//!                 ▼                              ▼             or Ended(Superseded)
//!          Ended(Succeeded)                   Undoing ── rollback done ──► Proving
//!                                                │                           │
//!                                          undo failed           checks failed or passed
//!                                                ▼                           ▼
//!                                          Ended(Stuck) ◄──────────── Ended(Stuck | RolledBack)
//! ```
//!
//! A stuck run can be retried (back to Undoing) or abandoned; every other ending is final.

mod apply;
mod next;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use next::Next;

use crate::{
    deployer::{Inherited, Step, StepRecord},
    ending::Ending,
    error::Failure,
    journal::{Initiator, Kind, Record, Skip},
    lease::{Fence, Holder},
    name::{BackupId, ReleaseId, RunId, Target},
    plan::Plan,
    stage::Stage,
    version::Version,
};

/// Where a run is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// Before its first record.
    New,
    /// A stage is next.
    Ready(Stage),
    /// A stage has begun.
    Running(Stage),
    /// A stage has failed and nothing is decided yet.
    Failed {
        /// Which.
        stage: Stage,
        /// Why.
        cause: Failure,
    },
    /// Waiting for a person or a newer deploy.
    Held {
        /// The stage that failed.
        stage: Stage,
        /// Why.
        cause: Failure,
        /// When the wait is over.
        until: jiff::Timestamp,
    },
    /// Going back.
    Undoing {
        /// Why.
        cause: Failure,
        /// To which release.
        to: Option<ReleaseId>,
    },
    /// Gone back, and proving that what came back is well.
    Proving {
        /// Why it went back.
        cause: Failure,
        /// To which release.
        to: Option<ReleaseId>,
    },
    /// Over.
    Ended(Ending),
}

/// What is known of a step's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepStatus {
    /// Begun; without a result after a crash.
    Open,
    /// Done.
    Done,
    /// Failed, or given up after a crash.
    Failed,
}

/// One attempt of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The step.
    pub step: Step,
    /// Its number, from 1.
    pub number: u32,
    /// What was seen before.
    pub record: Arc<StepRecord>,
    /// What became of it.
    pub status: StepStatus,
    /// Whether any effect was begun in it.
    pub has_effects: bool,
}

/// What served before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The release; nothing for a first deploy.
    pub release: Option<ReleaseId>,
    /// Its version.
    pub version: Option<Version>,
    /// Whether a run has proven it.
    pub proven: bool,
}

/// What the first record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The environment.
    pub target: Target,
    /// Deploy or rollback.
    pub kind: Kind,
    /// The version that shall run.
    pub version: Option<Version>,
    /// Stages left out on request.
    pub skips: Vec<Skip>,
    /// The digest of the saved plan that it applies, if it was given one.
    pub plan: Option<String>,
    /// Who started it.
    pub initiator: Initiator,
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
    backup: Option<BackupId>,
    release: Option<ReleaseId>,
    plan: Option<Arc<Plan>>,
    attempts: Vec<Attempt>,
    effects: u64,
    open_effects: Vec<u64>,
    cancelled: bool,
    hold_is_over: bool,
    supersedes: Option<RunId>,
    inherited: Option<Arc<[Inherited]>>,
}

/// An event that cannot follow what happened before: the journal is damaged, or from other code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen while the run is {phase}")]
pub struct IllegalTransition {
    event: String,
    phase: String,
}

impl State {
    /// Before the first record.
    pub fn new() -> Self {
        Self {
            phase: Phase::New,
            facts: None,
            fence: Fence(0),
            holder: None,
            baseline: None,
            backup: None,
            release: None,
            plan: None,
            attempts: Vec::new(),
            effects: 0,
            open_effects: Vec::new(),
            cancelled: false,
            hold_is_over: false,
            supersedes: None,
            inherited: None,
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

    /// Where the run is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What the first record says.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// The fence of the driver; 0 before the lease is taken.
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Who drives it, or drove it last.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Whether it ever had the environment to itself.
    pub fn was_locked(&self) -> bool {
        self.fence > Fence(0)
    }

    /// What served before.
    pub fn baseline(&self) -> Option<&Baseline> {
        self.baseline.as_ref()
    }

    /// The backup that it took.
    pub fn backup(&self) -> Option<&BackupId> {
        self.backup.as_ref()
    }

    /// The release that it brings, once sealed.
    pub fn release(&self) -> Option<&ReleaseId> {
        self.release.as_ref()
    }

    /// The binding plan.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_deref()
    }

    pub(crate) fn shared_plan(&self) -> Option<Arc<Plan>> {
        self.plan.clone()
    }

    /// All attempts of steps, oldest first.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The number of the next attempt of `step`.
    pub fn next_attempt(&self, step: Step) -> u32 {
        self.attempts
            .iter()
            .filter(|attempt| attempt.step == step)
            .map(|attempt| attempt.number)
            .max()
            .unwrap_or(0)
            + 1
    }

    /// Whether `step` is done.
    pub fn is_done(&self, step: Step) -> bool {
        self.attempts
            .iter()
            .any(|attempt| attempt.step == step && attempt.status == StepStatus::Done)
    }

    /// The attempt without a result, if any.
    pub fn open_attempt(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.status == StepStatus::Open)
    }

    /// Whether the platform may have been changed: an attempt was begun that did not prove to be
    /// without effect.
    pub fn touched(&self) -> bool {
        self.inherited.is_some()
            || self.attempts.iter().any(|attempt| match attempt.status {
                StepStatus::Open | StepStatus::Done => true,
                StepStatus::Failed => attempt.has_effects,
            })
    }

    /// Whether it was held for a person and goes back now.
    pub fn is_hold_over(&self) -> bool {
        self.hold_is_over
    }

    /// The held run whose place it takes, or took when it changed something first.
    pub fn supersedes(&self) -> Option<&RunId> {
        self.supersedes.as_ref()
    }

    /// What it answers for besides its own steps, once it took the place of a held run.
    pub fn inherited(&self) -> Option<&[Inherited]> {
        self.inherited.as_deref()
    }

    /// Whether the point of no return is behind: the old release is being retired.
    pub fn is_past_return(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.step == Step::Retire)
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// The number of the next single effect.
    pub fn next_effect(&self) -> u64 {
        self.effects + 1
    }

    /// The ending, once there is one.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// Whether the run is over for good: nothing can follow.
    pub fn is_final(&self) -> bool {
        self.ending().is_some_and(|ending| !ending.is_stuck())
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl Phase {
    /// The phase in words, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::New => "not begun".to_owned(),
            Self::Ready(stage) => format!("before {stage}"),
            Self::Running(stage) => format!("in {stage}"),
            Self::Failed { stage, .. } => format!("failed in {stage}"),
            Self::Held { until, .. } => format!("held until {until:.0}"),
            Self::Undoing { .. } => "rolling back".to_owned(),
            Self::Proving { .. } => "proving the rollback".to_owned(),
            Self::Ended(ending) => ending.as_str().to_owned(),
        }
    }
}
