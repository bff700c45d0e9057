//! What a deploy would change.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    migration::Migration,
    name::{ReleaseId, ServiceName},
};

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

    /// Migrations that are run: with one, something changes, and no rollback brings it back.
    pub(crate) fn add_migrations(&mut self, pending: &[&Migration]) {
        self.unchanged &= pending.is_empty();
        self.not_undoable.extend(
            pending
                .iter()
                .map(|one| format!("what migration `{}` does ({})", one.name, one.reversibility())),
        );
    }

    /// Whether every service is kept as it is.
    pub fn keeps_all_services(&self) -> bool {
        self.services.values().all(|change| change.action == Action::Keep)
    }
}

impl Action {
    /// Its name in texts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Create => "create",
            Self::StartFirst => "replace, new one first",
            Self::StopFirst => "replace, old one stops first",
            Self::Remove => "remove",
        }
    }
}

impl Change {
    /// What happens to the service `name`, in a line.
    pub(crate) fn describe(&self, name: &ServiceName) -> String {
        let what = match self.action {
            Action::Keep => "keep   ",
            Action::Create => "create ",
            Action::StartFirst | Action::StopFirst => "replace",
            Action::Remove => "remove ",
        };
        let how = match self.action {
            Action::StartFirst => " (new one first, no downtime)",
            Action::StopFirst => " (old one stops first)",
            _ => "",
        };
        let why = if self.reason.is_empty() { "" } else { ": " };
        format!("{what} {name}{how}{why}{}", self.reason)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unchanged {
            return f.write_str("nothing changes");
        }
        for (name, change) in &self.services {
            writeln!(f, "{}", change.describe(name))?;
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
