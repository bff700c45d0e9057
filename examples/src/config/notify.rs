//! `[[notify]]`: who is told what becomes of deploys.

use serde::Deserialize;
use serde_json::Value;
use ultrai_deploy_notify::Config;

use super::reader::Table;

/// Reads one `[[notify]]`; `number` counts from 1.
pub(super) fn read(mut table: Table<'_>, number: usize) -> Option<Config> {
    table.rename(&format!("notify {number}"));
    let fields = table.take_all();
    let read = fields.iter().map(|field| Some((field.name.clone(), field.json()?)));
    let object = Value::Object(read.collect::<Option<_>>()?);
    let config = Config::deserialize(object)
        .map_err(|error| {
            let remedy =
                "write kind = \"slack\", \"webhook\", \"pagerduty\" or \"command\" and its fields";
            table.problem(error.to_string(), remedy);
        })
        .ok()?;
    config
        .check()
        .map_err(|error| table.problem(error.message(), error.advice().unwrap_or_default()))
        .ok()?;
    Some(config)
}
