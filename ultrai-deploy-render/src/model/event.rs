//! What happened to a service.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{DeployId, ServiceId, absent, word::words};

words! {
    /// What happened. Render has more words than these; `Other` keeps them.
    EventKind {
        /// A build began.
        BuildStarted = "build_started",
        /// A build ended.
        BuildEnded = "build_ended",
        /// The command before a deploy began.
        PreDeployStarted = "pre_deploy_started",
        /// The command before a deploy ended.
        PreDeployEnded = "pre_deploy_ended",
        /// A deploy began.
        DeployStarted = "deploy_started",
        /// A deploy ended.
        DeployEnded = "deploy_ended",
        /// An image could not be pulled.
        ImagePullFailed = "image_pull_failed",
        /// An instance failed.
        ServerFailed = "server_failed",
        /// An instance is healthy.
        ServerAvailable = "server_available",
        /// An instance was restarted.
        ServerRestarted = "server_restarted",
        /// A job ended.
        JobRunEnded = "job_run_ended",
    }
}

words! {
    /// How a build, a command or a deploy ended.
    Outcome {
        /// Well.
        Succeeded = "succeeded",
        /// Not.
        Failed = "failed",
        /// It was ended.
        Canceled = "canceled",
    }
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only these.
    pub kind: Option<EventKind>,
    /// From when on; an hour ago when it is not set.
    pub start: Option<Timestamp>,
    /// Until when; now when it is not set.
    pub end: Option<Timestamp>,
    /// At most so many; all when it is not set.
    pub at_most: Option<usize>,
}

/// Something that happened to a service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Event {
    /// Its id.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub id: String,
    /// When.
    #[serde(default, deserialize_with = "absent::time")]
    pub timestamp: Option<Timestamp>,
    /// The service.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub service_id: ServiceId,
    /// What.
    #[serde(rename = "type", default, deserialize_with = "absent::or_default")]
    pub kind: EventKind,
    /// What else Render tells; depends on what happened.
    #[serde(default)]
    pub details: Value,
}

impl Event {
    /// How a build, the command before a deploy or a deploy ended; nothing for other events.
    pub fn ended(&self) -> Option<Ended> {
        let outcome = match self.kind {
            EventKind::BuildEnded => "buildStatus",
            EventKind::PreDeployEnded => "preDeployStatus",
            EventKind::DeployEnded => "deployStatus",
            _ => return None,
        };
        let text = |name: &str| Some(self.details.get(name)?.as_str()?.to_owned());
        let reason = self.details.get("reason").map(Reason::deserialize);
        Some(Ended {
            deploy: text("deployId").map(DeployId::from),
            outcome: text(outcome).unwrap_or_default().into(),
            // Odd details must not hide that it ended.
            reason: reason.and_then(Result::ok).unwrap_or_default(),
        })
    }
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// The deploy; a build does not tell it.
    pub deploy: Option<DeployId>,
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
}

/// Why something ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Reason {
    /// What failed.
    pub failure: Option<Failure>,
    /// The build that failed.
    pub build_failed: Option<Cause>,
    /// The build that took its place.
    pub new_build: Option<Cause>,
    /// The deploy that took its place.
    pub new_deploy: Option<Cause>,
}

/// Another build or deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Cause {
    /// Its id.
    #[serde(deserialize_with = "absent::or_default")]
    pub id: String,
}

/// What failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Failure {
    /// Render took the machine away.
    #[serde(deserialize_with = "absent::or_default")]
    pub evicted: bool,
    /// The application ended although it should go on.
    #[serde(deserialize_with = "absent::or_default")]
    pub early_exit: bool,
    /// The exit code.
    pub non_zero_exit: Option<i64>,
    /// It used more memory than it has.
    pub oom_killed: Option<OomKilled>,
    /// After how many seconds Render gave up.
    pub timed_out_seconds: Option<i64>,
    /// What Render waited for.
    pub timed_out_reason: Option<String>,
    /// What the health check said.
    pub unhealthy: Option<String>,
}

/// More memory than there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct OomKilled {
    /// How much there is: `512Mi`.
    #[serde(deserialize_with = "absent::or_default")]
    pub memory_limit: String,
}

impl std::fmt::Display for Failure {
    /// A line for people: `exit code 1; unhealthy: 503`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if let Some(oom) = &self.oom_killed {
            parts.push(format!("out of memory ({})", oom.memory_limit));
        }
        if let Some(code) = self.non_zero_exit {
            parts.push(format!("exit code {code}"));
        }
        if self.early_exit {
            parts.push("it ended instead of going on".to_owned());
        }
        if let Some(text) = &self.unhealthy {
            parts.push(format!("unhealthy: {text}"));
        }
        if let Some(seconds) = self.timed_out_seconds {
            parts.push(format!("not ready after {seconds} s"));
        }
        if let Some(text) = &self.timed_out_reason {
            parts.push(text.clone());
        }
        if self.evicted {
            parts.push("Render took its machine away".to_owned());
        }
        if parts.is_empty() {
            parts.push("Render tells no reason".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}
