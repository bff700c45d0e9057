//! How far a deployment is, and what that means for whoever waits for it.

use super::open::open_enum;

open_enum! {
    /// The status of a deployment.
    DeploymentStatus {
        /// It was asked for.
        Initializing = "INITIALIZING",
        /// It waits for its turn to be built.
        Queued = "QUEUED",
        /// It waits for the checks of its commit, then goes on or is skipped.
        Waiting = "WAITING",
        /// It is being built.
        Building = "BUILDING",
        /// Pre-deploy command, start and health check.
        Deploying = "DEPLOYING",
        /// It goes on when a person approves it.
        NeedsApproval = "NEEDS_APPROVAL",
        /// It is active; it may crash, sleep or be removed later.
        Success = "SUCCESS",
        /// It is active and sleeps until a request comes; the first one may be answered with 502.
        Sleeping = "SLEEPING",
        /// Build, pre-deploy command, start or health check failed; what ran before still runs.
        Failed = "FAILED",
        /// It ended more often than its restart policy allows.
        Crashed = "CRASHED",
        /// Nothing was deployed: no watched path changed, or the checks of its commit failed.
        Skipped = "SKIPPED",
        /// It is being removed.
        Removing = "REMOVING",
        /// A newer one took its place, or somebody cancelled or removed it.
        Removed = "REMOVED",
    }
}

/// What a status means for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Look again later.
    InProgress,
    /// Look again later, and tell somebody: it waits for a person.
    WaitsForApproval,
    /// It is what it should be, for now.
    Success,
    /// It failed.
    Failed,
    /// It neither failed nor serves: something else took its place, or it was not needed.
    Superseded,
    /// This version does not know the status. Look again later, and only for a limited time.
    Unknown,
}

impl DeploymentStatus {
    /// What it means for whoever waits.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Initializing
            | Self::Queued
            | Self::Waiting
            | Self::Building
            | Self::Deploying => Standing::InProgress,
            Self::NeedsApproval => Standing::WaitsForApproval,
            Self::Success | Self::Sleeping => Standing::Success,
            Self::Failed | Self::Crashed => Standing::Failed,
            Self::Skipped | Self::Removing | Self::Removed => Standing::Superseded,
            Self::Other(_) => Standing::Unknown,
        }
    }
}

open_enum! {
    /// The status of one container of a deployment.
    InstanceStatus {
        /// It exists.
        Created = "CREATED",
        /// It is being started.
        Initializing = "INITIALIZING",
        /// It runs.
        Running = "RUNNING",
        /// It ended and is started again.
        Restarting = "RESTARTING",
        /// It ended more often than its restart policy allows.
        Crashed = "CRASHED",
        /// It ended and stays so.
        Exited = "EXITED",
        /// It was stopped.
        Stopped = "STOPPED",
        /// It is being removed.
        Removing = "REMOVING",
        /// It is gone.
        Removed = "REMOVED",
        /// It was not needed.
        Skipped = "SKIPPED",
    }
}

open_enum! {
    /// A step of a deployment.
    EventStep {
        /// Taking the source.
        SnapshotCode = "SNAPSHOT_CODE",
        /// Building the image.
        BuildImage = "BUILD_IMAGE",
        /// Storing the image.
        PublishImage = "PUBLISH_IMAGE",
        /// Waiting for services that this one refers to.
        WaitForDependencies = "WAIT_FOR_DEPENDENCIES",
        /// Moving its volumes.
        MigrateVolumes = "MIGRATE_VOLUMES",
        /// The pre-deploy command.
        PreDeployCommand = "PRE_DEPLOY_COMMAND",
        /// Making the container.
        CreateContainer = "CREATE_CONTAINER",
        /// The health check.
        Healthcheck = "HEALTHCHECK",
        /// Leading traffic to it.
        ConfigureNetwork = "CONFIGURE_NETWORK",
        /// Ending what ran before.
        DrainInstances = "DRAIN_INSTANCES",
    }
}

open_enum! {
    /// How far something is that Railway goes on doing after the answer.
    WorkflowStatus {
        /// It goes on.
        Running = "Running",
        /// It is done.
        Complete = "Complete",
        /// It failed.
        Error = "Error",
        /// There is none; right after its beginning: not yet.
        NotFound = "NotFound",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_ends_or_goes_on() {
        let with = |standing| {
            let all = DeploymentStatus::KNOWN.iter();
            all.filter(move |status| status.standing() == standing)
                .map(DeploymentStatus::as_str)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            with(Standing::InProgress),
            ["INITIALIZING", "QUEUED", "WAITING", "BUILDING", "DEPLOYING"]
        );
        assert_eq!(with(Standing::WaitsForApproval), ["NEEDS_APPROVAL"]);
        assert_eq!(with(Standing::Success), ["SUCCESS", "SLEEPING"]);
        assert_eq!(with(Standing::Failed), ["FAILED", "CRASHED"]);
        assert_eq!(with(Standing::Superseded), ["SKIPPED", "REMOVING", "REMOVED"]);
        assert_eq!(DeploymentStatus::KNOWN.len(), 13);
    }

    #[test]
    fn a_status_of_tomorrow_keeps_its_name() {
        let status = DeploymentStatus::from("CANCELLED".to_owned());
        assert_eq!(status.standing(), Standing::Unknown);
        assert_eq!(status.to_string(), "CANCELLED");
        for known in DeploymentStatus::KNOWN {
            assert_eq!(&DeploymentStatus::from(String::from(known.clone())), known);
        }
    }
}
