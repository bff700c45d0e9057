//! One-off jobs.

use jiff::Timestamp;
use serde::Deserialize;

use super::{JobId, ServiceId, absent, word::words};

words! {
    /// How far a job is.
    JobStatus {
        /// It has not begun.
        Pending = "pending",
        /// It runs.
        Running = "running",
        /// Its command ended with 0.
        Succeeded = "succeeded",
        /// It ended otherwise.
        Failed = "failed",
        /// It was ended.
        Canceled = "canceled",
    }
}

impl JobStatus {
    /// Whether it ended. A word that is not known is not an end.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// A command that runs once, with the latest build and the variables of a service. What it writes
/// is among the logs, with its id as the resource.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The service that it belongs to.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub service_id: ServiceId,
    /// The command.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub start_command: String,
    /// What it runs on.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub plan_id: String,
    /// How far it is.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub status: JobStatus,
    /// When it was asked for.
    #[serde(default, deserialize_with = "absent::time")]
    pub created_at: Option<Timestamp>,
    /// When it began.
    #[serde(default, deserialize_with = "absent::time")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "absent::time")]
    pub finished_at: Option<Timestamp>,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only those with one of these statuses; empty for all. A new job has none at first.
    pub statuses: Vec<JobStatus>,
    /// Only those that were created later.
    pub created_after: Option<Timestamp>,
    /// At most so many; all when it is not set.
    pub at_most: Option<usize>,
}
