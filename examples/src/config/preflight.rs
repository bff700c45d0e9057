//! `[[preflight]]`: the checklist that is gone through before each deploy.

use std::time::Duration;

use serde::de::DeserializeOwned;
use ultrai_deploy_core::{Result, consequence::Severity, preflight::BackupCheck};
use ultrai_deploy_docker::checklist::{ClockSpec, EngineSpec, RegistrySpec};
use ultrai_deploy_http::checklist::Clock;
use ultrai_deploy_local::checklist::{Command, Disk, Memory};

use super::{
    backend::Kind as BackendKind,
    consequence,
    reader::{Field, Table},
    stored,
};

/// One item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What is looked at.
    pub what: Look,
    /// How bad it is when that is not as it should be.
    pub severity: Severity,
}

/// What an item looks at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Look {
    /// Free space on this machine.
    Disk(Disk),
    /// Free memory of this machine.
    Memory(Memory),
    /// A program of one's own.
    Command(Command),
    /// The engine: version, space, what the release needs of it.
    Docker(EngineSpec),
    /// This machine's clock, and that of a server.
    Clock(Clock),
    /// This machine's clock, and that of the engine.
    EngineClock(ClockSpec),
    /// A registry, and its login.
    Registry(RegistrySpec),
    /// The newest backup, no older than this.
    Backup(Duration),
}

const KINDS: [(&str, Word); 7] = [
    ("disk", Word::Disk),
    ("memory", Word::Memory),
    ("command", Word::Command),
    ("docker", Word::Docker),
    ("clock", Word::Clock),
    ("registry", Word::Registry),
    ("backup", Word::Backup),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Disk,
    Memory,
    Command,
    Docker,
    Clock,
    Registry,
    Backup,
}

/// Reads one `[[preflight]]`; `number` counts from 1.
pub(super) fn read(
    mut table: Table<'_>,
    number: usize,
    backend: Option<BackendKind>,
) -> Option<Item> {
    table.rename(&format!("preflight {number}"));
    let kind = table.require("kind", "write kind = \"disk\"")?;
    let word = kind.choice(&KINDS)?;
    let severity = table.take("severity").and_then(|field| consequence::severity(&field));
    // With an address it is that of a server, else that of the engine.
    let is_of_server = word == Word::Clock && table.has("url");
    let is_of_engine = matches!(word, Word::Docker | Word::Clock | Word::Registry) && !is_of_server;
    if is_of_engine && backend.is_some_and(|backend| backend != BackendKind::Compose) {
        let remedy = if word == Word::Clock {
            "write url = \"https://…\", a server whose clock is right"
        } else {
            "it is for the compose backend"
        };
        kind.problem("it asks an engine, and there is none", remedy);
        return None;
    }
    if word == Word::Backup {
        let age = table.take("max_age").and_then(|field| field.some_duration());
        table.finish();
        let what = Look::Backup(age.unwrap_or(BackupCheck::MAX_AGE));
        return Some(Item { what, severity: severity.unwrap_or_default() });
    }
    let fields = table.take_named();
    let what = match word {
        Word::Disk => valid(&kind, spec(&kind, &fields).map(Disk::validated)).map(Look::Disk),
        Word::Memory => spec(&kind, &fields).map(Look::Memory),
        Word::Command => {
            valid(&kind, spec(&kind, &fields).map(Command::validated)).map(Look::Command)
        }
        Word::Docker => spec(&kind, &fields).map(Look::Docker),
        Word::Clock if is_of_server => spec(&kind, &fields).map(Look::Clock),
        Word::Clock => spec(&kind, &fields).map(Look::EngineClock),
        Word::Registry => spec(&kind, &fields).map(Look::Registry),
        Word::Backup => None,
    };
    Some(Item { what: what?, severity: severity.unwrap_or_default() })
}

fn valid<T>(kind: &Field<'_>, read: Option<Result<T>>) -> Option<T> {
    read?.map_err(|error| kind.problem(error.message(), error.advice().unwrap_or_default())).ok()
}

/// Reads the other fields of an item as its kind writes them.
fn spec<T: DeserializeOwned>(kind: &Field<'_>, fields: &[Field<'_>]) -> Option<T> {
    let remedy = "see the fields of its kind in docs/deploy-toml.md";
    stored::read(fields, remedy, |what| kind.problem(what, remedy))
}
