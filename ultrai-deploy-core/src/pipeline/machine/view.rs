//! What can be asked of a state, and of a stage.

use std::{fmt, sync::Arc};

use super::{Attempt, Before, Data, Migrations, Phase, Stage, State, StepStatus, Steps};
use crate::{
    consequence::Reaction,
    deployer::{Inherited, Step},
    ending::Ending,
    error::Failure,
    journal::{Initiator, Kind, Skip},
    lease::{Fence, Holder},
    name::{BackupId, ReleaseId, RunId, Target},
    plan::Plan,
    version::Version,
};

/// What served before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The release; nothing for a first deploy.
    pub release: Option<ReleaseId>,
    /// Its version.
    pub version: Option<Version>,
    /// Whether a run has proven it.
    pub proven: bool,
    /// The run in which it failed, unless it was proven since.
    pub failed: Option<RunId>,
}

/// What the first record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The version of the engine that began it.
    pub engine: String,
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

impl State {
    /// Before the first record.
    pub fn new() -> Self {
        Self {
            phase: Phase::New,
            facts: None,
            fence: Fence(0),
            holder: None,
            baseline: None,
            before: Before::default(),
            backup: None,
            release: None,
            plan: None,
            steps: Steps::default(),
            migrations: Migrations::default(),
            data: Data::default(),
            cancelled: false,
            held_for: None,
            hold_is_over: false,
            reaction: None,
            accepted: false,
            supersedes: None,
            inherited: None,
        }
    }

    /// Where the run is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// What the first record says.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Whether it returns to a release on request.
    pub fn is_rollback(&self) -> bool {
        self.facts().is_some_and(|facts| matches!(facts.kind, Kind::Rollback { .. }))
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

    /// What the checks that failed ask for, where that is not what the policy says.
    pub(crate) fn reaction(&self) -> Option<Reaction> {
        self.reaction
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

    /// Whether its plan, once it is made, is to change nothing.
    pub fn is_unchanged(&self) -> bool {
        self.plan().is_some_and(|plan| plan.unchanged)
    }

    /// All attempts of steps, oldest first.
    pub fn attempts(&self) -> &[Attempt] {
        self.steps.attempts()
    }

    /// The number of the next attempt of `step`.
    pub fn next_attempt(&self, step: Step) -> u32 {
        self.steps.next_attempt(step)
    }

    /// Whether `step` is done.
    pub fn is_done(&self, step: Step) -> bool {
        self.steps.is_done(step)
    }

    /// The attempt without a result, if any.
    pub fn open_attempt(&self) -> Option<&Attempt> {
        self.steps.open()
    }

    /// Whether the platform or its data may have been changed: an attempt or a migration was begun
    /// that did not prove to be without effect, data was put back, or what another run began was
    /// inherited.
    pub fn touched(&self) -> bool {
        self.inherited.is_some()
            || self.steps.have_effects()
            || self.migrations.have_effects()
            || self.is_data_replaced()
    }

    /// Whether the new release, or a migration of it, may have changed data.
    pub fn may_have_changed_data(&self) -> bool {
        let has_switched = self.attempts().iter().any(|one| {
            one.step == Step::Switch && (one.has_effects || one.status != StepStatus::Failed)
        });
        has_switched || self.inherited.is_some() || self.migrations.have_effects()
    }

    /// Whether it has begun migrations.
    pub fn has_begun_migrations(&self) -> bool {
        !self.migrations.is_empty()
    }

    /// A migration that ended with an error, if any.
    pub fn failed_migration(&self) -> Option<&str> {
        self.migrations.failed()
    }

    /// The migration without a result, if any.
    pub fn open_migration(&self) -> Option<&str> {
        self.migrations.open()
    }

    /// Why it was held for a person, last.
    pub fn held_for(&self) -> Option<&Failure> {
        self.held_for.as_deref()
    }

    /// Whether it was held for a person and goes back now.
    pub fn is_hold_over(&self) -> bool {
        self.hold_is_over
    }

    /// Whether it was held for a person, who had it go on.
    pub fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// The held run whose place it takes, or took when it changed something first.
    pub fn supersedes(&self) -> Option<&RunId> {
        self.supersedes.as_ref()
    }

    /// Whether it would take the place of a held run, which is still held.
    pub fn is_to_inherit(&self) -> bool {
        self.supersedes.is_some() && self.inherited.is_none()
    }

    /// What it answers for besides its own steps, once it took the place of a held run.
    pub fn inherited(&self) -> Option<&[Inherited]> {
        self.inherited.as_deref()
    }

    /// Whether the point of no return is behind: the old release is being retired.
    pub fn is_past_return(&self) -> bool {
        self.attempts().iter().any(|attempt| attempt.step == Step::Retire)
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// The number of the next single effect.
    pub fn next_effect(&self) -> u64 {
        self.steps.next_effect()
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
            Self::Restoring { .. } => "putting the data back".to_owned(),
            Self::Proving { .. } => "proving the rollback".to_owned(),
            Self::Ended(ending) => ending.as_str().to_owned(),
        }
    }
}

impl Stage {
    /// Whether a run may go on after a failure of it: it adds to what a success promises.
    pub fn may_be_ignored(self) -> bool {
        self.definition().may_be_ignored
    }

    /// Its name in records and reports.
    pub fn as_str(self) -> &'static str {
        self.definition().name
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
