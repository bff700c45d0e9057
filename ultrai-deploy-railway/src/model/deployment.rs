//! Deployments, what happened to them, and what they say.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    id::{DeploymentId, EnvironmentId, ServiceId},
    open::{number, or_default, time},
    status::{DeploymentStatus, EventStep, InstanceStatus},
};

/// A deployment. What the operation that gave it does not ask for is `None` or empty.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// How far it is.
    pub status: DeploymentStatus,
    /// When that changed last.
    #[serde(default, deserialize_with = "time")]
    pub status_updated_at: Option<Timestamp>,
    /// When it was asked for.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// Whether it can be gone back to: its image is still kept.
    #[serde(default, deserialize_with = "or_default")]
    pub can_rollback: bool,
    /// Whether it can be built and started once more.
    #[serde(default, deserialize_with = "or_default")]
    pub can_redeploy: bool,
    /// Whether all its containers ended. With [`DeploymentStatus::Success`]: a job that is done.
    #[serde(default, deserialize_with = "or_default")]
    pub deployment_stopped: bool,
    /// Where it is reached.
    pub url: Option<String>,
    /// Where it alone is reached.
    pub static_url: Option<String>,
    /// What it was made from, in a form that is Railway's own; see [`Deployment::image`].
    pub meta: Option<Value>,
    /// The service.
    pub service_id: Option<ServiceId>,
    /// The environment.
    pub environment_id: Option<EnvironmentId>,
    /// Its containers.
    #[serde(default, deserialize_with = "or_default")]
    pub instances: Vec<Instance>,
}

impl Deployment {
    /// The image that it runs, where it was deployed from one. A deployment that reports success may
    /// still run another one than was asked for last.
    pub fn image(&self) -> Option<&str> {
        self.meta.as_ref()?.get("image")?.as_str()
    }

    /// The commit that it was built from, where it was.
    pub fn commit(&self) -> Option<&str> {
        self.meta.as_ref()?.get("commitHash")?.as_str()
    }
}

/// A container of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// What it does.
    pub status: InstanceStatus,
}

/// A step of a deployment: the best that Railway says about why it failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeploymentEvent {
    /// Its id.
    pub id: String,
    /// The step.
    pub step: EventStep,
    /// When it began.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "time")]
    pub completed_at: Option<Timestamp>,
    /// How it went.
    #[serde(default, deserialize_with = "or_default")]
    pub payload: EventPayload,
}

/// How a step of a deployment went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EventPayload {
    /// What failed.
    pub error: Option<String>,
    /// More about it.
    pub detail: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whether the step was left out.
    #[serde(default, deserialize_with = "or_default")]
    pub skipped: bool,
    /// Which attempt it was.
    #[serde(default, deserialize_with = "number")]
    pub attempt: Option<u32>,
    /// How many there may be.
    #[serde(default, deserialize_with = "number")]
    pub max_attempts: Option<u32>,
    /// How long it took, in milliseconds.
    #[serde(default, deserialize_with = "number")]
    pub duration_ms: Option<u64>,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// When it was written.
    #[serde(default, deserialize_with = "time")]
    pub timestamp: Option<Timestamp>,
    /// What it says.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// How bad it is: `info`, `err`.
    pub severity: Option<String>,
}

/// Which lines of a log are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// How many lines at most: the last ones; 500.
    pub limit: u16,
    /// Not those before.
    pub since: Option<Timestamp>,
    /// Not those after.
    pub until: Option<Timestamp>,
}

impl LogRange {
    /// The last `limit` lines.
    pub fn last(limit: u16) -> Self {
        Self { limit, since: None, until: None }
    }
}

impl Default for LogRange {
    fn default() -> Self {
        Self::last(500)
    }
}

/// What Railway says about a source archive that it took.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Uploaded {
    /// The deployment that builds it.
    pub deployment_id: DeploymentId,
    /// The page of the project.
    pub url: Option<String>,
    /// The page of its logs.
    pub logs_url: Option<String>,
    /// Where it will be reached.
    pub deployment_domain: Option<String>,
}
