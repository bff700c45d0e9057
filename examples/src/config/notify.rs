//! `[[notify]]`: who is told what becomes of deploys.

use std::collections::BTreeMap;

use ultrai_deploy_core::name::EnvironmentName;
use ultrai_deploy_notify::Config;

use super::{Environment, reader::Table, source::Place, stored};

const REMEDY: &str =
    "write kind = \"slack\", \"webhook\", \"pagerduty\" or \"command\" and its fields";

/// A receiver.
pub(super) struct Receiver {
    pub(super) config: Config,
    /// Where it stands.
    pub(super) place: Place,
}

/// Reads one `[[notify]]`; `number` counts from 1.
pub(super) fn read(
    mut table: Table<'_>,
    number: usize,
    known: &BTreeMap<EnvironmentName, Environment>,
) -> Option<Receiver> {
    table.rename(&format!("notify {number}"));
    let place = table.place();
    let fields = table.take_named();
    let config: Config = stored::read(&fields, REMEDY, |what| table.problem(what, REMEDY))?;
    for name in config.environments.iter().filter(|name| !known.contains_key(*name)) {
        let list = known.keys().map(EnvironmentName::as_str).collect::<Vec<_>>().join(", ");
        table.problem(format!("there is no environment `{name}`"), format!("known: {list}"));
    }
    config
        .check()
        .map_err(|error| table.problem(error.message(), error.advice().unwrap_or_default()))
        .ok()?;
    Some(Receiver { config, place })
}
