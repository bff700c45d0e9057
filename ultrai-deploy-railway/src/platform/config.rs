//! How Railway is used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::ProjectId;

/// How Railway is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The project's id.
    pub project: ProjectId,
    /// The environment, by name or id.
    pub environment: String,
    /// How often a deployment under way is looked at; every 5 s, and less often where the plan's
    /// limit asks for it.
    #[serde(default = "five_seconds")]
    pub pause: Duration,
    /// How long after a call what it did may not be seen yet; 5 s.
    #[serde(default = "five_seconds")]
    pub lag: Duration,
    /// Whether deployments are followed over a subscription, too, so that they need fewer looks; true.
    /// It takes the feature `subscriptions`.
    #[serde(default = "yes")]
    pub follow: bool,
}

impl Config {
    /// An environment of a project, looked at every 5 s.
    pub fn new(project: ProjectId, environment: impl Into<String>) -> Self {
        let (pause, lag) = (five_seconds(), five_seconds());
        Self { project, environment: environment.into(), pause, lag, follow: yes() }
    }
}

fn yes() -> bool {
    true
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}
