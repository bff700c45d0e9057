//! Commands that change what outlives a release, such as a database's schema: each runs once in an
//! environment, and no rollback takes back what it did.
//!
//! What became of each is kept in the [`Ledger`] of the environment, which outlives the journals of
//! the runs. A migration that was begun and whose end nobody saw is unknown: it may have taken
//! effect. One that is [`repeatable`](Migration::repeatable) is run again then; any other waits for
//! a person to say what became of it.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    name::{RunId, ServiceName},
    verification::{Dependencies, TaskSpec, When},
    version::Version,
};

/// A migration, as a release declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// What it is known by in its environment, for ever: one of the same name is the same one.
    pub name: String,
    /// The service in whose image and configuration it runs.
    pub service: ServiceName,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether what it does can be taken back by hand, or the release before can live with it.
    pub reversible: bool,
    /// Whether it may run again when nobody knows whether it took effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeatable: bool,
    /// Longest time it may take.
    pub timeout: Duration,
}

impl Migration {
    /// Longest time where a declaration sets none.
    pub const TIMEOUT: Duration = Duration::from_mins(10);

    /// The command as tasks are run: in the new image, with dependencies that do not run yet
    /// and the data that they will serve with.
    pub(crate) fn task(&self) -> TaskSpec {
        TaskSpec {
            name: self.name.clone(),
            service: self.service.clone(),
            command: self.command.clone(),
            when: When::Pre,
            dependencies: Dependencies::WithData,
            timeout: self.timeout,
        }
    }

    /// Whether it can be taken back, in words.
    pub(crate) fn reversibility(&self) -> &'static str {
        if self.reversible { "declared reversible" } else { "declared not reversible" }
    }
}

/// What became of the migrations of an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// By name. One that is not there was never begun.
    pub migrations: BTreeMap<String, Entry>,
}

/// What became of one migration, last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// What is known.
    pub status: Status,
    /// The run that began it; nothing when a person said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The version whose deploy began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// When that was, by the wall clock.
    pub at: Timestamp,
    /// The person who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What is known of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// It took effect.
    Applied,
    /// It did not: it was never begun, or a person says so.
    Pending,
    /// It ended with an error; it is tried again by the next deploy that needs it.
    Failed,
    /// It was begun, and nobody saw its end.
    Unknown,
}

impl Status {
    /// Its name in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Entry {
    /// What `run` of `version` did at `at`.
    pub fn of_run(status: Status, run: RunId, version: Option<Version>, at: Timestamp) -> Self {
        Self { status, run: Some(run), version, at, user: None }
    }

    /// What `user` says.
    pub fn of_person(status: Status, user: String, at: Timestamp) -> Self {
        Self { status, run: None, version: None, at, user: Some(user) }
    }
}

impl Ledger {
    /// What is known of a migration.
    pub fn status(&self, name: &str) -> Status {
        self.migrations.get(name).map_or(Status::Pending, |entry| entry.status)
    }

    /// Those of `declared` that a deploy has to run, in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] naming all of which nobody knows whether they took effect, and that
    /// must not run twice.
    pub fn pending<'a>(&self, declared: &'a [Migration]) -> Result<Vec<&'a Migration>> {
        let unknown: Vec<_> = declared
            .iter()
            .filter(|one| !one.repeatable && self.status(&one.name) == Status::Unknown)
            .map(|one| one.name.as_str())
            .collect();
        if let Some(first) = unknown.first() {
            let all: Vec<_> = unknown.iter().map(|name| self.begun(name)).collect();
            let message = format!("nobody knows whether {} took effect", all.join(" and "));
            return Err(Error::new(ErrorKind::Refused, "run the migrations", message)
                .with_advice(format!(
                    "look at the data, and say what became of it: `ultrai migrations --mark \
                     '{first}=applied'`, or `=pending` to have the next deploy run it"
                ))
                .without_effect());
        }
        let all = declared.iter();
        Ok(all.filter(|one| self.status(&one.name) != Status::Applied).collect())
    }

    fn begun(&self, name: &str) -> String {
        let run = self.migrations.get(name).and_then(|entry| entry.run.as_ref());
        let by = run.map(|run| format!(", begun by run {run},")).unwrap_or_default();
        format!("migration `{name}`{by}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, repeatable: bool) -> Migration {
        Migration {
            name: name.into(),
            service: ServiceName::new("db").unwrap(),
            command: vec!["up".into()],
            reversible: false,
            repeatable,
            timeout: Migration::TIMEOUT,
        }
    }

    #[test]
    fn what_is_unknown_is_repeated_or_left_to_a_person() {
        let mut ledger = Ledger::default();
        for (name, status) in [
            ("a", Status::Applied),
            ("f", Status::Failed),
            ("p", Status::Pending),
            ("u", Status::Unknown),
        ] {
            let run = RunId::new("0191").unwrap();
            let entry = Entry::of_run(status, run, None, Timestamp::UNIX_EPOCH);
            ledger.migrations.insert(name.into(), entry);
        }
        let of = |names: &[&str], repeatable: bool| {
            let all: Vec<_> = names.iter().map(|name| declared(name, repeatable)).collect();
            let pending = ledger.pending(&all)?;
            Ok::<_, Error>(pending.iter().map(|one| one.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["new", "a", "p", "f"], false).unwrap(), ["new", "p", "f"]);
        assert_eq!(of(&["u", "a"], true).unwrap(), ["u"]);
        let refused = of(&["a", "u"], false).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        let told = refused.to_string();
        assert!(told.contains("migration `u`, begun by run 0191, took effect"), "{told}");
        assert!(told.contains("--mark 'u=applied'"), "{told}");
    }

    #[test]
    fn an_entry_is_read_as_it_was_first_written() {
        let text = r#"{"migrations":{"m":{"status":"unknown","run":"0191","version":"1.0.0","at":"2026-01-01T00:00:00Z"},"n":{"status":"applied","at":"2026-01-01T00:00:00Z","user":"ops"}}}"#;
        let ledger: Ledger = serde_json::from_str(text).unwrap();
        assert_eq!((ledger.status("m"), ledger.status("n")), (Status::Unknown, Status::Applied));
        assert_eq!(serde_json::to_string(&ledger).unwrap(), text);
    }
}
