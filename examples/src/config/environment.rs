//! `[environments.NAME]`: where a release goes, and what is different there.

use std::{collections::BTreeMap, path::PathBuf};

use ultrai_deploy_core::{
    name::{EnvironmentName, SecretName, ServiceName},
    pipeline::PreReleases,
};
use ultrai_deploy_docker::registry::Destination;
use ultrai_deploy_http::address::HttpUrl;

use super::{
    backend::{Kind, engine_address},
    files,
    hosted::{self, railway, render},
    reader::{Field, Table},
    registries,
    source::Place,
};

/// The environments that are known when the file declares none.
pub(super) const DEFAULT: [&str; 3] = ["development", "staging", "production"];

/// One environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// More dotenv files for interpolation, later ones win. They are looked for when the
    /// environment is chosen: those of another one may be on another machine.
    pub(super) env_files: Vec<(PathBuf, Place)>,
    /// Values of variables; they win over those of files.
    pub(super) variables: BTreeMap<String, (String, Place)>,
    /// Stands in front of checks that give only a path.
    pub base_url: Option<HttpUrl>,
    /// Whether a pre-release may be deployed there.
    pub pre_releases: PreReleases,
    /// Where images that are built for it are pushed, where that differs.
    pub registry: Option<Destination>,
    /// The engine's address, where it differs.
    pub docker_host: Option<String>,
    /// Where it is declared, if it is.
    pub(super) place: Option<Place>,
    /// The platform's own names or ids of services, where they differ here.
    pub(super) slots: BTreeMap<ServiceName, (String, Place)>,
    pub(super) railway: railway::At,
    pub(super) render: render::At,
}

impl Environment {
    /// One that nothing is said about: only the one called production refuses pre-releases.
    pub(super) fn named(name: &EnvironmentName) -> Self {
        let pre_releases =
            if name.as_str() == "production" { PreReleases::Refused } else { PreReleases::Allowed };
        Self { pre_releases, ..Self::default() }
    }

    /// More dotenv files, later ones win.
    pub fn env_files(&self) -> impl Iterator<Item = &PathBuf> {
        self.env_files.iter().map(|(path, _)| path)
    }

    /// Values of variables, each with where it is written; they win over those of files.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str, Place)> {
        let variables = self.variables.iter();
        variables.map(|(name, (value, place))| (name.as_str(), value.as_str(), *place))
    }
}

/// Reads `[environments]`.
pub(super) fn read_all(
    field: &Field<'_>,
    kind: Option<Kind>,
    files: &files::Root,
    secrets: &[SecretName],
) -> BTreeMap<EnvironmentName, Environment> {
    let mut environments = BTreeMap::new();
    for field in field.table().map(|mut table| table.take_all()).unwrap_or_default() {
        let name = field.parse_name(|text| EnvironmentName::new(text));
        let begun = name.as_ref().map(Environment::named).unwrap_or_default();
        let environment = field.table().map(|table| read(table, begun, kind, files, secrets));
        if let (Some(name), Some(environment)) = (name, environment) {
            environments.insert(name, environment);
        }
    }
    environments
}

fn read(
    mut table: Table<'_>,
    mut environment: Environment,
    kind: Option<Kind>,
    files: &files::Root,
    secrets: &[SecretName],
) -> Environment {
    environment.place = Some(table.place());
    if let Some(field) = table.take("env_files") {
        for item in field.items("[\".env.production\"]") {
            if let Some(path) = item.text() {
                environment.env_files.push((files.path(path), item.place()));
            }
        }
    }
    if let Some(field) = table.take("variables") {
        let secrets: Vec<_> = secrets.iter().collect();
        let fields = variable_fields(&field, &secrets);
        let value = |field: &Field<'_>| {
            Some((field.name.clone(), (field.text()?.to_owned(), field.name_place())))
        };
        environment.variables = fields.iter().filter_map(value).collect();
    }
    environment.base_url = table.take("base_url").and_then(|field| field.parse(HttpUrl::parse));
    if let Some(allowed) = table.take("pre_releases").and_then(|field| field.switch()) {
        environment.pre_releases =
            if allowed { PreReleases::Allowed } else { PreReleases::Refused };
    }
    environment.registry = registries::destination(kind, &mut table);
    environment.docker_host = Kind::take_own(kind, &mut table, "docker_host", &[Kind::Compose])
        .and_then(|field| field.parse(engine_address));
    if let Some(field) = Kind::take_own(kind, &mut table, "railway", &[Kind::Railway]) {
        environment.railway = railway::At::read(&field);
    }
    if let Some(field) = Kind::take_own(kind, &mut table, "render", &[Kind::Render]) {
        environment.render = render::At::read(&field);
    }
    if let Some(field) = Kind::take_own(kind, &mut table, "slots", &Kind::HOSTED) {
        environment.slots = hosted::slots(&field);
    }
    table.finish();
    environment
}

/// The fields of a table of environment variables that can be ones, and are no secrets.
pub(super) fn variable_fields<'a>(field: &Field<'a>, secrets: &[&SecretName]) -> Vec<Field<'a>> {
    let mut fields = field.table().map(|mut table| table.take_all()).unwrap_or_default();
    fields.retain(|field| {
        let is_name = is_variable(&field.name);
        let is_secret = secrets.iter().any(|secret| secret.as_str() == field.name);
        if !is_name {
            field.name_problem(
                "it is no name of an environment variable",
                "use letters, digits and `_`, and begin with a letter or `_`",
            );
        } else if is_secret {
            field.name_problem(
                "it is listed in `secrets`, and its value would stand in this file",
                "take it out here and give the value in the environment or in an env file",
            );
        }
        is_name && !is_secret
    });
    fields
}

pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
