//! Deploys of a service.

use jiff::Timestamp;
use serde::Deserialize;

use super::{DeployId, absent, word::words};

words! {
    /// How far a deploy is.
    DeployStatus {
        /// It exists.
        Created = "created",
        /// It waits for another deploy of the service.
        Queued = "queued",
        /// The source is being built.
        BuildInProgress = "build_in_progress",
        /// The command before the deploy runs.
        PreDeployInProgress = "pre_deploy_in_progress",
        /// New instances start and are waited for.
        UpdateInProgress = "update_in_progress",
        /// It serves.
        Live = "live",
        /// It served, and a later deploy took its place.
        Deactivated = "deactivated",
        /// The build failed.
        BuildFailed = "build_failed",
        /// The command before the deploy failed.
        PreDeployFailed = "pre_deploy_failed",
        /// The new instances did not become healthy.
        UpdateFailed = "update_failed",
        /// A person, or a later deploy, ended it.
        Canceled = "canceled",
    }
}

impl DeployStatus {
    /// Whether nothing more will come of it. A word that is not known may be a new step on the way:
    /// it is not over.
    pub fn is_over(&self) -> bool {
        self.is_live() || self.is_failed() || matches!(self, Self::Deactivated | Self::Canceled)
    }

    /// Whether it is what serves.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }

    /// Whether it failed. What was canceled or superseded did not: it has no verdict.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::BuildFailed | Self::PreDeployFailed | Self::UpdateFailed)
    }
}

words! {
    /// What began a deploy.
    Trigger {
        /// A call of the API.
        Api = "api",
        /// A sync of a Blueprint.
        BlueprintSync = "blueprint_sync",
        /// A deploy hook.
        DeployHook = "deploy_hook",
        /// Render itself.
        DeployedByRender = "deployed_by_render",
        /// A person in the dashboard.
        Manual = "manual",
        /// A push.
        NewCommit = "new_commit",
        /// A rollback.
        Rollback = "rollback",
        /// The service was resumed.
        ServiceResumed = "service_resumed",
        /// The service's settings changed.
        ServiceUpdated = "service_updated",
    }
}

/// A deploy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Deploy {
    /// Its id.
    pub id: DeployId,
    /// How far it is.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub status: DeployStatus,
    /// What began it.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub trigger: Trigger,
    /// The commit, where the service is built from source.
    #[serde(default)]
    pub commit: Option<Commit>,
    /// The image, where the service runs one.
    #[serde(default)]
    pub image: Option<Image>,
    /// When it was asked for.
    #[serde(default, deserialize_with = "absent::time")]
    pub created_at: Option<Timestamp>,
    /// When it began.
    #[serde(default, deserialize_with = "absent::time")]
    pub started_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, deserialize_with = "absent::time")]
    pub updated_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default, deserialize_with = "absent::time")]
    pub finished_at: Option<Timestamp>,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Commit {
    /// Its SHA.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub id: String,
    /// Its message.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub message: String,
    /// When it was made.
    #[serde(default, deserialize_with = "absent::time")]
    pub created_at: Option<Timestamp>,
}

/// The image of a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Image {
    /// What was asked for: `docker.io/library/nginx:1.27`.
    #[serde(rename = "ref", default, deserialize_with = "absent::or_default")]
    pub reference: String,
    /// What that was then: `sha256:…`; empty until it is known.
    #[serde(rename = "sha", default, deserialize_with = "absent::or_default")]
    pub digest: String,
    /// The name of the credential that it was pulled with.
    #[serde(default)]
    pub registry_credential: Option<String>,
}

/// What to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// The newest commit of the service's branch, or its image as it is configured.
    Configured(BuildCache),
    /// A commit, by its SHA; not for cron jobs. It does not stop later pushes from deploying.
    Commit(String, BuildCache),
    /// An image. Host, repository and name are those of the configured one; tag or digest may
    /// differ.
    Image(String),
    /// What was built last and worked, without building it again.
    LastBuild,
}

/// What becomes of the build cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuildCache {
    /// It is used.
    #[default]
    Keep,
    /// It is emptied first.
    Clear,
}

/// What came of starting a deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// This one began.
    Deploy(Box<Deploy>),
    /// It waits for another deploy of the service, and Render does not tell its id: look for it
    /// among the deploys that were created since.
    Queued,
}

/// Which deploys to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployFilter {
    /// Only those with one of these statuses; empty for all.
    pub statuses: Vec<DeployStatus>,
    /// Only those that were created later.
    pub created_after: Option<Timestamp>,
    /// At most so many, from the newest on; all when it is not set.
    pub at_most: Option<usize>,
}
