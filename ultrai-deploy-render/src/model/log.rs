//! Logs.

use jiff::Timestamp;
use serde::Deserialize;

use super::{OwnerId, absent};

/// Which lines of log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogQuery {
    /// The workspace that all resources belong to.
    pub owner: OwnerId,
    /// Ids of services, jobs and databases; all in one region.
    pub resources: Vec<String>,
    /// From when on; an hour ago when it is not set.
    pub start: Option<Timestamp>,
    /// Until when; now when it is not set.
    pub end: Option<Timestamp>,
    /// In which order.
    pub direction: Direction,
    /// Only these: `build`, `app`, `request`; empty for all.
    pub types: Vec<String>,
    /// Only these levels: `error`; empty for all.
    pub levels: Vec<String>,
    /// Only lines with this text.
    pub text: Option<String>,
}

impl LogQuery {
    /// All lines of one resource within the last hour, the newest first.
    pub fn new(owner: OwnerId, resource: impl Into<String>) -> Self {
        Self {
            owner,
            resources: vec![resource.into()],
            start: None,
            end: None,
            direction: Direction::default(),
            types: Vec::new(),
            levels: Vec::new(),
            text: None,
        }
    }
}

/// In which order lines come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The newest first.
    #[default]
    Backward,
    /// The oldest first.
    Forward,
}

/// Some lines, and where the next ones are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LogPage {
    /// The lines.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub logs: Vec<LogLine>,
    /// Whether there are more.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub has_more: bool,
    /// The start of the query for the next ones.
    #[serde(default, deserialize_with = "absent::time")]
    pub next_start_time: Option<Timestamp>,
    /// The end of the query for the next ones.
    #[serde(default, deserialize_with = "absent::time")]
    pub next_end_time: Option<Timestamp>,
}

/// A line of log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// Its id; may be empty.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub id: String,
    /// The text. An application may have written anything into it, secrets as well.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub message: String,
    /// When it was written.
    #[serde(default, deserialize_with = "absent::time")]
    pub timestamp: Option<Timestamp>,
    /// Where it is from and of which kind.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub labels: Vec<LogLabel>,
}

impl LogLine {
    /// The value of a label: `level`, `type`, `instance`.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
    }
}

/// A label of a line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LogLabel {
    /// Its name.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub name: String,
    /// Its value.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub value: String,
}
