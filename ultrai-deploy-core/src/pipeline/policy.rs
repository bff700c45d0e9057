//! What the engine does when nobody tells it otherwise.

use std::time::Duration;

use crate::stage::Stage;

/// Deadlines, attempts, retention. Every wait of a run is bounded by one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether a backup must exist and verify before anything is changed.
    pub backup: BackupPolicy,
    /// Longest time of a stage, by default as [`Policy::deadline`] says.
    pub stage_deadline: Option<Duration>,
    /// Longest time of one attempt to go back: 30 minutes.
    pub rollback_deadline: Duration,
    /// How often going back is tried before the run is stuck, and retiring the old release before
    /// it is left as it is: 3.
    pub rollback_attempts: u32,
    /// Pause before the second of these attempts, doubled for each further one: 1 s.
    pub rollback_pause: Duration,
    /// How long a call of a dead driver may still take effect: 60 s.
    pub settle: Duration,
    /// How long the new release is watched before the old one is retired: 0, not at all.
    pub watch: Duration,
    /// How many proven releases are kept besides the current one: 5.
    pub keep_releases: usize,
    /// Of how many releases the backups are kept: 10.
    pub keep_backups: usize,
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

impl Policy {
    /// Longest time of a stage; for the lock, of each call in it, without the wait for other runs.
    pub fn deadline(&self, stage: Stage) -> Duration {
        let minutes = match stage {
            Stage::Preflight => 2,
            Stage::Backup | Stage::Configure | Stage::Finalise | Stage::Report => 10,
            Stage::Verify => 15,
            Stage::Lock | Stage::Push | Stage::Deploy => 30,
            Stage::Build | Stage::PreDeployTests | Stage::PostDeployTests => 60,
            Stage::Watch => return self.watch + Duration::from_mins(5),
        };
        self.stage_deadline.unwrap_or(Duration::from_mins(minutes))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            backup: BackupPolicy::Required,
            stage_deadline: None,
            rollback_deadline: Duration::from_mins(30),
            rollback_attempts: 3,
            rollback_pause: Duration::from_secs(1),
            settle: Duration::from_mins(1),
            watch: Duration::ZERO,
            keep_releases: 5,
            keep_backups: 10,
            renew_every: Duration::from_secs(5),
        }
    }
}
