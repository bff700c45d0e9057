//! The stages of a run, in their order.

use std::fmt;

use serde::{Deserialize, Serialize};

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

    /// The stage after this one; nothing after the last.
    pub fn next(self) -> Option<Self> {
        let at = Self::ALL.iter().position(|stage| *stage == self)?;
        Self::ALL.get(at + 1).copied()
    }

    /// Whether a run may go on after a failure of it: it adds to what a success promises.
    pub fn may_be_ignored(self) -> bool {
        matches!(self, Self::PostDeployTests | Self::Watch)
    }

    /// Its name in records and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Lock => "lock",
            Self::Backup => "backup",
            Self::Configure => "configure",
            Self::Build => "build",
            Self::Push => "push",
            Self::PreDeployTests => "pre-deploy tests",
            Self::Deploy => "deploy",
            Self::Verify => "verify",
            Self::PostDeployTests => "post-deploy tests",
            Self::Watch => "watch",
            Self::Finalise => "finalise",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
