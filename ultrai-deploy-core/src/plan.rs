//! What a deploy would change.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::name::{ReleaseId, ServiceName};

/// What a deploy changes, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The release that serves before, if any.
    pub from: Option<ReleaseId>,
    /// The release that serves afterwards.
    pub to: ReleaseId,
    /// What happens to each service.
    pub services: BTreeMap<ServiceName, Change>,
    /// What else is created or changed: networks, volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// What a rollback will not bring back, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_undoable: Vec<String>,
    /// The same release with the same content runs already: nothing will be touched.
    pub unchanged: bool,
}

/// What happens to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    Keep,
    /// It is new.
    Create,
    /// The new one starts beside the old one, which stops afterwards: no downtime.
    StartFirst,
    /// The old one stops before the new one starts: some downtime.
    StopFirst,
    /// It is stopped, and removed when the deploy is finalised.
    Remove,
}

impl Plan {
    /// The services with a given action.
    pub fn with_action(&self, action: Action) -> impl Iterator<Item = &ServiceName> {
        self.services
            .iter()
            .filter(move |(_, change)| change.action == action)
            .map(|(name, _)| name)
    }

    /// Whether every service is kept as it is.
    pub fn keeps_all_services(&self) -> bool {
        self.services.values().all(|change| change.action == Action::Keep)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unchanged {
            return f.write_str("nothing changes");
        }
        for (name, change) in &self.services {
            let what = match change.action {
                Action::Keep => "keep   ",
                Action::Create => "create ",
                Action::StartFirst | Action::StopFirst => "replace",
                Action::Remove => "remove ",
            };
            let how = match change.action {
                Action::StartFirst => " (new one first, no downtime)",
                Action::StopFirst => " (old one stops first)",
                _ => "",
            };
            write!(f, "{what} {name}{how}")?;
            if !change.reason.is_empty() {
                write!(f, ": {}", change.reason)?;
            }
            writeln!(f)?;
        }
        for resource in &self.resources {
            writeln!(f, "create  {resource}")?;
        }
        for item in &self.not_undoable {
            writeln!(f, "a rollback does not bring back: {item}")?;
        }
        Ok(())
    }
}
