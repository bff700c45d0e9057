//! `[railway]`, and what of it is different in an environment.

use std::collections::BTreeMap;

use ultrai_deploy_core::{Result, name::EnvironmentName};
use ultrai_deploy_railway::{Config, model::ProjectId};

use super::{Access, Settings, take_name};
use crate::config::{
    Environment,
    backend::invalid,
    reader::{Field, Reader, Table},
};

/// Where a project's id stands.
const ID: &str = "the id in the address of its dashboard: railway.com/project/ID";

/// An environment of a project there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct At {
    project: Option<ProjectId>,
    environment: Option<String>,
}

impl At {
    fn take(table: &mut Table<'_>) -> Self {
        Self {
            project: table.take("project").and_then(|field| field.parse(project)),
            environment: take_name(table, "environment"),
        }
    }

    /// Reads `railway` of an environment.
    pub(in crate::config) fn read(field: &Field<'_>) -> Self {
        let Some(mut table) = field.table() else { return Self::default() };
        let at = Self::take(&mut table);
        table.finish();
        at
    }
}

/// Reads `[railway]`; `file` is the table that it stands in.
pub(in crate::config) fn read(
    reader: &Reader<'_>,
    file: &Table<'_>,
    field: Option<Field<'_>>,
    environments: &BTreeMap<EnvironmentName, Environment>,
) -> Settings<Config> {
    let mut place = file.place();
    let (mut general, mut access, mut has_project) = (At::default(), Access::default(), false);
    if let Some(mut table) = field.and_then(|field| field.table()) {
        place = table.place();
        has_project = table.has("project");
        general = At::take(&mut table);
        access = Access::take(&mut table);
        table.finish();
    }
    let mut platforms = BTreeMap::new();
    let mut without = Vec::new();
    for (name, environment) in environments {
        let own = &environment.railway;
        let Some(project) = own.project.as_ref().or(general.project.as_ref()) else {
            without.push(name.as_str());
            continue;
        };
        let there = own.environment.as_ref().or(general.environment.as_ref());
        let there = there.map_or(name.as_str(), String::as_str);
        let mut config = Config::new(project.clone(), there);
        config.pause = access.pause.unwrap_or(config.pause);
        config.lag = access.lag.unwrap_or(config.lag);
        platforms.insert(name.clone(), config);
    }
    // A project that is written wrong is told already.
    if !without.is_empty() && !has_project {
        reader.problem_at(
            place,
            "railway.project",
            format!("it is not said which project of Railway {} is in", without.join(", ")),
            format!("write [railway] with project = \"…\", {ID}"),
        );
    }
    Settings { url: access.url, platforms }
}

fn project(text: &str) -> Result<ProjectId> {
    let parts: Vec<_> = text.split('-').collect();
    let is_id = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()));
    if is_id {
        return Ok(ProjectId::new(text));
    }
    Err(invalid(format!("\"{text}\" is no id of a project of Railway"))
        .with_advice(format!("write {ID}")))
}
