//! Who the token is, and where things are: workspaces, projects, environments, services.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    id::{EnvironmentId, ProjectId, ServiceId, WorkspaceId},
    open::{or_default, time},
};

/// One service in one environment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAt {
    /// The project of both.
    pub project: ProjectId,
    /// The environment.
    pub environment: EnvironmentId,
    /// The service.
    pub service: ServiceId,
}

/// What a project token is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TokenScope {
    /// Its project.
    pub project_id: ProjectId,
    /// Its environment, the only one that it may see.
    pub environment_id: EnvironmentId,
    /// The project's name, where it may be seen.
    pub project: Option<Named>,
    /// The environment's name, where it may be seen.
    pub environment: Option<Named>,
}

/// An id with a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Named {
    /// The id.
    pub id: String,
    /// The name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Since when it is deleted; it goes for good later.
    #[serde(default, deserialize_with = "time")]
    pub deleted_at: Option<Timestamp>,
}

/// An environment of a project.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Whether it was made for a pull request and goes with it.
    #[serde(default, deserialize_with = "or_default")]
    pub is_ephemeral: bool,
    /// Whether the token may see what is in it, where Railway says so.
    pub can_access: Option<bool>,
    /// Since when it is deleted.
    #[serde(default, deserialize_with = "time")]
    pub deleted_at: Option<Timestamp>,
}

/// A service of a project.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Since when it is deleted.
    #[serde(default, deserialize_with = "time")]
    pub deleted_at: Option<Timestamp>,
}

/// A project with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectTree {
    /// The project.
    pub project: Project,
    /// Its environments.
    pub environments: Vec<Environment>,
    /// Its services.
    pub services: Vec<Service>,
}
