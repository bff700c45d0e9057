//! What runs now, as a backend sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    name::{ReleaseId, ServiceName},
    release::{Image, Release},
};

/// What serves, read once under the lock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Current {
    /// Which release it is.
    pub serving: Serving,
    /// What runs of each service.
    pub services: BTreeMap<ServiceName, Running>,
}

/// Which release serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Serving {
    /// Nothing runs.
    #[default]
    Nothing,
    /// A release that was deployed by this pipeline.
    Release(ReleaseId),
    /// Something that others started; described as far as it can be, so that it can be kept and
    /// brought back.
    Unmanaged(Box<Release>),
}

/// What runs of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Ids of containers, processes, deployments; in the backend's own form.
    pub instances: Vec<String>,
    /// The image that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The [`spec_hash`](crate::release::ReleaseService::spec_hash) that it was started with;
    /// nothing when somebody else started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<String>,
    /// Whether all its instances are up.
    pub up: bool,
    /// When it started, as the backend tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// What the backend says of it, for people: `healthy`, `exited (1)`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Addresses that it can be reached at from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// What it writes to and a new instance takes over, so that only one may run at a time; in the
    /// backend's own form. Only what the definition does not tell, such as anonymous volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes_over: Vec<String>,
    /// Names of what is set there whose values nobody can read and no release knows, so that one
    /// that is overwritten is lost: sealed variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// Whether nobody knows which image it is, only the tag that it was found behind, and a tag may
    /// move.
    #[serde(default, skip_serializing_if = "is_not")]
    pub is_by_tag: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_not(is: &bool) -> bool {
    !*is
}
