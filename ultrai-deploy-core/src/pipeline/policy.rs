//! What the engine does when nobody tells it otherwise.

use std::{collections::BTreeMap, time::Duration};

use super::Backoff;
use crate::{retention::Retention, stage::Stage};

/// Deadlines, attempts, retention. Every wait of a run is bounded by one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether a backup must exist and verify before anything is changed.
    pub backup: BackupPolicy,
    /// What an automatic rollback does with data: it stays as it is.
    pub data: DataPolicy,
    /// How old a backup of data may be at the first effect of a deploy: 5 minutes. Older data is
    /// backed up again right before it.
    pub backup_max_age: Duration,
    /// Longest time of one attempt to put data back: 6 hours.
    pub restore_deadline: Duration,
    /// Whether a deploy may bring a pre-release such as `1.2.0-rc.1`: yes.
    pub pre_releases: PreReleases,
    /// What it means for a deploy that it could not be taken back: a warning.
    pub readiness: ReadinessPolicy,
    /// Longest times of stages, instead of the usual ones: 2 minutes for preflight; 10 for backup,
    /// configure, finalise and report; 15 for verify; 30 for lock, push and deploy; an hour for
    /// build and both kinds of tests; for watch the window itself and 5 minutes.
    pub stage_deadlines: BTreeMap<Stage, Duration>,
    /// Longest time of one attempt to go back: 30 minutes.
    pub rollback_deadline: Duration,
    /// How often going back is tried before the run is stuck, putting data back before it has
    /// failed, and retiring the old release before it is left as it is; also the pauses of whatever else the engine asks again. Going forward
    /// is tried once: what comes after a failure is going back.
    pub retry: Backoff,
    /// What a failure of a stage leads to where that is not going back: see
    /// [`FailureAction::is_allowed_in`].
    pub failure_actions: BTreeMap<Stage, FailureAction>,
    /// How long a held release waits for a person: 15 minutes.
    pub hold: Duration,
    /// How long a call of a dead driver may still take effect: 60 s.
    pub settle: Duration,
    /// How long the new release is watched before the old one is retired: 0, not at all.
    pub watch: Duration,
    /// How many proven releases are kept besides the current one: 5.
    pub keep_releases: usize,
    /// Which backups are kept.
    pub retention: Retention,
    /// How many runs are kept in the history: 200. Besides them those that are not over, those that
    /// kept releases were proven by, and, up to the same number, those for which a release is
    /// refused because it failed.
    pub keep_runs: usize,
    /// How many looks of checks are under way at once: 128. More of them wait for their turn.
    pub looks_at_once: usize,
    /// How often the lease is renewed: every 5 s.
    pub renew_every: Duration,
}

/// Whether a backup must exist before anything is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupPolicy {
    /// It must exist and verify (the default).
    #[default]
    Required,
    /// None is taken.
    Off,
}

/// What a rollback that nobody asked for does with data, once the new release, or a migration of it,
/// may have changed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataPolicy {
    /// It stays as it is (the default): what was written since the backup is not lost, and a person
    /// can bring the backup's back.
    #[default]
    Keep,
    /// It comes back as it was before the run. What was written since is kept in a backup of its
    /// own.
    Restore,
}

/// What [`Readiness`](crate::readiness::Readiness) is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadinessPolicy {
    /// Nothing: it is not looked at.
    Off,
    /// What is missing is told (the default).
    #[default]
    Warn,
    /// A deploy is refused as long as something is missing; a first one never is.
    Block,
}

/// Whether a deploy may bring a pre-release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreReleases {
    /// It may (the default).
    #[default]
    Allowed,
    /// Only where [the request allows it](super::DeployRequest::allow_pre_release).
    Refused,
}

/// What the failure of a stage after the switch leads to. A stage before it has changed nothing
/// that has the traffic; its failure refuses the run, or takes back what was staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureAction {
    /// Going back to what served before (the default).
    #[default]
    RollBack,
    /// Waiting for a person, for [`Policy::hold`] at most; then going back.
    Hold,
    /// Going on all the same; the failure stays in the report as a warning.
    Ignore,
}

impl FailureAction {
    /// Whether it may follow a failure of `stage`. What a success promises, that the intended
    /// release runs and passes its checks after the switch, cannot be ignored: only tests and
    /// watching can. For a person it is held only once everything has been switched.
    pub fn is_allowed_in(self, stage: Stage) -> bool {
        match self {
            Self::RollBack => true,
            Self::Hold => stage == Stage::Verify || stage.may_be_ignored(),
            Self::Ignore => stage.may_be_ignored(),
        }
    }
}

impl Policy {
    /// Longest time of a stage; for the lock, of each call in it, without the wait for other runs.
    /// How long watching takes follows from [`Policy::watch`] and the checks.
    pub fn deadline(&self, stage: Stage) -> Duration {
        if let Some(limit) = self.stage_deadlines.get(&stage) {
            return *limit;
        }
        (stage.definition().deadline)(self)
    }

    /// What a failure of `stage` leads to.
    pub fn failure_action(&self, stage: Stage) -> FailureAction {
        let action = self.failure_actions.get(&stage).copied().unwrap_or_default();
        if action.is_allowed_in(stage) { action } else { FailureAction::RollBack }
    }

    /// The same longest time for every stage but watching.
    pub fn set_deadlines(&mut self, limit: Duration) {
        let stages = Stage::ALL.into_iter().filter(|stage| *stage != Stage::Watch);
        self.stage_deadlines.extend(stages.map(|stage| (stage, limit)));
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            backup: BackupPolicy::Required,
            data: DataPolicy::Keep,
            backup_max_age: Duration::from_mins(5),
            restore_deadline: Duration::from_hours(6),
            pre_releases: PreReleases::Allowed,
            readiness: ReadinessPolicy::Warn,
            stage_deadlines: BTreeMap::new(),
            rollback_deadline: Duration::from_mins(30),
            retry: Backoff::default(),
            failure_actions: BTreeMap::new(),
            hold: Duration::from_mins(15),
            settle: Duration::from_mins(1),
            watch: Duration::ZERO,
            keep_releases: 5,
            retention: Retention::default(),
            keep_runs: 200,
            looks_at_once: 128,
            renew_every: Duration::from_secs(5),
        }
    }
}
