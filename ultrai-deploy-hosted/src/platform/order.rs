//! What a platform is told.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::secret::Secret;

use super::Artifact;

/// A setting of a slot that may go with a release, and back with it. A platform that has no such
/// thing refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Setting {
    /// The path that the platform asks before it leads traffic to a new deploy.
    HealthPath,
    /// What it runs in the new build before the deploy, which fails with it.
    PreDeployCommand,
    /// What it runs instead of the image's own command.
    StartCommand,
}

impl Setting {
    /// Its name in configurations: `health_path`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HealthPath => "health_path",
            Self::PreDeployCommand => "pre_deploy_command",
            Self::StartCommand => "start_command",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a platform does with what is pushed to the repository of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pushes {
    /// Nothing, until it is told to deploy.
    Wait,
    /// It deploys them, when the word of its own says: `commit`, `checksPass`.
    Deployed(String),
}

/// How a slot is set up, beside its variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// What the platform deploys by itself, when it moves a service to another machine or somebody
    /// presses a button; nothing where that is not one fixed thing, such as a branch.
    pub artifact: Option<Artifact>,
    /// The settings that are set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<Setting, String>,
}

/// What a deploy is asked for.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// What it shall run.
    pub artifact: &'a Artifact,
    /// Variables that are removed with it: only where
    /// [`removes_with_deploy`](super::Platform::removes_with_deploy).
    pub remove: &'a [String],
    /// Where the archive of a source lies.
    pub archive: Option<PathBuf>,
    /// What the image is pulled with, where it is not what the slot has already.
    pub login: Option<Login>,
}

impl<'a> Order<'a> {
    /// A deploy of `artifact` and nothing else.
    pub fn new(artifact: &'a Artifact) -> Self {
        Self { artifact, remove: &[], archive: None, login: None }
    }
}

/// What an image is pulled with.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}
