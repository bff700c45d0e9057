//! `[services.NAME]` of the local backend: processes of a release.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ultrai_deploy_core::{
    health::Timing,
    name::{SecretName, ServiceName},
    verification::CheckSpec,
    version::Version,
};
use ultrai_deploy_http::{
    address::UrlPath,
    spec::{HttpAt, ProbeSpec, ServicePath, ServicePort, TcpAt, TcpSpec},
};

use super::{
    Problem,
    backend::{Kind, belongs_to},
    depends::{self, Depends},
    environment,
    expect::{self, Request},
    files,
    reader::{Field, Reader, Table},
    test,
    text::{self, Known, References, Text},
};

/// One service of the local backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The program and its arguments; `{port}` in an argument is the service's port.
    pub command: Vec<String>,
    /// Environment variables; their values may have variables of the configuration in them.
    pub env: BTreeMap<String, Text>,
    /// Secrets that it gets as environment variables of the same names.
    pub secrets: Vec<SecretName>,
    /// The port that it listens on.
    pub port: Option<Port>,
    /// Files and directories that belong to a release, relative to the project.
    pub files: Vec<PathBuf>,
    /// Services that must be there before it.
    pub depends_on: Vec<ServiceName>,
    /// How long it may take to stop before it is killed; 10 s.
    pub stop_grace: Duration,
    health: Option<Health>,
    depends: Depends,
}

/// A port of the local backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// This one: the old process stops before the new one starts.
    Fixed(u16),
    /// A free one: the new process starts before the old one stops.
    Auto,
}

#[derive(Clone, Debug, PartialEq)]
struct Health {
    path: Option<UrlPath>,
    request: Request,
    timing: Timing,
}

impl Service {
    /// Its declared check in a release of `version`, if it has one.
    ///
    /// # Errors
    /// None is known: what was read can be stored.
    pub fn health_check(
        &self,
        name: &ServiceName,
        version: &Version,
    ) -> ultrai_deploy_core::Result<Option<CheckSpec>> {
        let Some(health) = &self.health else { return Ok(None) };
        let probe = match &health.path {
            Some(path) => {
                let path = ServicePath { port: None, path: path.clone() };
                health.request.probe(HttpAt::Service(path), version)
            }
            None => ProbeSpec::Tcp(TcpSpec { at: TcpAt::Service(ServicePort { port: None }) }),
        };
        let check = CheckSpec::new(format!("{name} health"), probe.to_value()?);
        Ok(Some(check.of(name.clone()).with_timing(health.timing.clone())))
    }

    /// Its environment variables with what is known in place of `${NAME}`.
    ///
    /// # Errors
    /// Every value that cannot be filled in.
    pub(super) fn filled_env(
        &self,
        known: &Known<'_>,
    ) -> Result<BTreeMap<String, String>, Vec<Problem>> {
        text::fill_all(&self.env, known)
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.secrets.iter().chain(self.secrets_of_health())
    }

    /// The secrets that its declared check needs.
    pub fn secrets_of_health(&self) -> impl Iterator<Item = &SecretName> {
        self.health.iter().flat_map(|health| health.request.secrets())
    }
}

/// Reads `[services]`.
pub(super) fn read_all(
    reader: &Reader<'_>,
    field: &Field<'_>,
    files: &files::Root,
    secrets: &[SecretName],
    deadline: Option<Duration>,
) -> BTreeMap<ServiceName, Service> {
    let mut services = BTreeMap::new();
    for field in field.table().map(|mut table| table.take_all()).unwrap_or_default() {
        let name = field.parse_name(|text| ServiceName::new(text));
        let service = field.table().and_then(|table| read(table, files, secrets, deadline));
        if let (Some(name), Some(service)) = (name, service) {
            services.insert(name, service);
        }
    }
    depends::check(reader, services.iter().map(|(name, one)| (name, &one.depends)));
    services
}

fn read(
    mut table: Table<'_>,
    files: &files::Root,
    secrets: &[SecretName],
    deadline: Option<Duration>,
) -> Option<Service> {
    let command_field = table.require("command", "write command = [\"./program\", \"--flag\"]");
    let command = command_field.as_ref().and_then(test::command);
    let listed: Vec<_> = secrets.iter().collect();
    let env = table.take("env").map(|field| {
        let fields = environment::variable_fields(&field, &listed);
        let text = |field: &Field<'_>| {
            let text = Text::read(field, References::Wrong, |_| Ok(()))?;
            Some((field.name.clone(), text))
        };
        fields.iter().filter_map(text).collect()
    });
    let own_secrets = table.take("secrets").map(|field| secret_names(&field)).unwrap_or_default();
    let port_field = table.take("port");
    let port = port_field.as_ref().and_then(read_port);
    let health = table.take("health");
    if let Some(field) = health.as_ref().filter(|_| port_field.is_none()) {
        field.name_problem("there is no port to look at", "write port = 8080 or port = \"auto\"");
    }
    let health = health.and_then(|field| read_health(&field, deadline));
    let uses_port = command.iter().flatten().any(|word| word.contains("{port}"));
    if let Some(field) = command_field.filter(|_| uses_port && port_field.is_none()) {
        field.problem(
            "`{port}` stands for a port, and there is none",
            "write port = 8080 or port = \"auto\"",
        );
    }
    let items =
        table.take("files").map(|field| field.items("[\"bin/server\"]")).unwrap_or_default();
    let files = items.iter().filter_map(|item| files.existing_below(item)).collect();
    let depends = Depends::take(&mut table);
    for name in ["slot", "image", "commit"] {
        if let Some(field) = table.take_foreign(name) {
            field.name_problem(belongs_to(&Kind::HOSTED), "take it out, and write command = […]");
        }
    }
    if let Some(field) = table.take_foreign("variables") {
        field.name_problem(belongs_to(&Kind::HOSTED), "write env = { … }");
    }
    let stop_grace = table.take("stop_grace").and_then(|field| field.duration());
    table.finish();
    Some(Service {
        command: command?,
        env: env.unwrap_or_default(),
        secrets: own_secrets,
        port,
        files,
        depends_on: depends.names(),
        stop_grace: stop_grace.unwrap_or(Duration::from_secs(10)),
        health,
        depends,
    })
}

fn read_port(field: &Field<'_>) -> Option<Port> {
    if field.is_text() {
        return field.choice(&[("auto", Port::Auto)]);
    }
    field.number(1..=u16::MAX).map(Port::Fixed)
}

fn read_health(field: &Field<'_>, deadline: Option<Duration>) -> Option<Health> {
    let mut table = field.table()?;
    let path_field = table.take("path");
    let (request, first) = Request::read(&mut table);
    let timing = expect::timing(&mut table, deadline);
    if let Some(first) = first.filter(|_| path_field.is_none()) {
        table.problem(
            format!(
                "without `path` only a connection is made, and `{first}` has no answer to look at"
            ),
            "write path = \"/health\"",
        );
    }
    table.finish();
    let path = path_field.and_then(|field| field.parse(UrlPath::parse));
    Some(Health { path, request, timing })
}

/// A list of names of secrets.
pub(super) fn secret_names(field: &Field<'_>) -> Vec<SecretName> {
    let items = field.items("[\"API_KEY\"]");
    items.iter().filter_map(|item| item.parse(|text| SecretName::new(text))).collect()
}
