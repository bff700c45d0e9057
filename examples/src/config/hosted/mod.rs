//! What the backends Railway and Render have in common: services with a fixed place each.

mod extras;
pub(super) mod railway;
mod reference;
pub(super) mod render;
mod service;

use std::{collections::BTreeMap, time::Duration};

use ultrai_deploy_core::{
    Result,
    name::{EnvironmentName, ServiceName},
};
use ultrai_deploy_http::address::HttpUrl;

pub use self::{
    extras::Extras,
    service::{Artifact, Filled, Service},
};
use super::{
    Config, Environment,
    backend::{Kind, Surroundings, invalid},
    check::Check,
    depends,
    migration::Migration,
    reader::{Field, Reader, Table},
    test::Test,
    text::Known,
};

/// A hosted platform; `C` is how its adapter is configured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hosted<C> {
    /// Where its API is; nothing for the platform's own address.
    pub url: Option<HttpUrl>,
    /// How it is used, for each known environment.
    pub platforms: BTreeMap<EnvironmentName, C>,
    /// The volumes (Railway) and databases (Render) that are kept in backups there, for each known
    /// environment.
    pub kept: BTreeMap<EnvironmentName, Vec<String>>,
    /// The services by name.
    pub services: BTreeMap<ServiceName, Service>,
}

/// A platform's own table.
pub(super) struct Settings<C> {
    url: Option<HttpUrl>,
    platforms: BTreeMap<EnvironmentName, C>,
    kept: BTreeMap<EnvironmentName, Vec<String>>,
}

/// How a platform is reached, and how often.
#[derive(Default)]
struct Access {
    url: Option<HttpUrl>,
    pause: Option<Duration>,
    lag: Option<Duration>,
}

impl Access {
    fn take(table: &mut Table<'_>) -> Self {
        Self {
            url: table.take("url").and_then(|field| field.parse(api)),
            pause: table.take("pause").and_then(|field| field.some_duration()),
            lag: table.take("lag").and_then(|field| field.duration()),
        }
    }
}

/// An address that a token may be sent to.
fn api(text: &str) -> Result<HttpUrl> {
    let url = HttpUrl::parse(text)?;
    if url.is_loopback() || url.to_string().starts_with("https://") {
        return Ok(url);
    }
    Err(invalid(format!("the token would go to {url} in clear text"))
        .with_advice("write https://…; plain http is for 127.0.0.1, [::1] and localhost only"))
}

/// A name or id of the platform's.
fn name(text: &str) -> Result<String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(invalid("it is empty or has control characters".to_owned())
            .with_advice("write the name or the id that it has on the platform"));
    }
    Ok(text.to_owned())
}

/// Takes names of what is kept in backups on the platform; none twice.
fn take_kept(table: &mut Table<'_>, field: &'static str) -> Option<Vec<String>> {
    let items = table.take(field)?.items("[\"data\"]");
    let mut names = Vec::new();
    for item in &items {
        let Some(name) = item.parse(name) else { continue };
        if names.contains(&name) {
            item.problem(format!("\"{name}\" is there twice"), "take one of them out");
        } else {
            names.push(name);
        }
    }
    Some(names)
}

/// Takes a name or id of the platform's.
fn take_name(table: &mut Table<'_>, field: &'static str) -> Option<String> {
    table.take(field).and_then(|field| field.parse(name))
}

/// Reads `[environments.NAME.slots]`.
pub(super) fn slots(field: &Field<'_>) -> BTreeMap<ServiceName, (String, super::Place)> {
    let fields = field.table().map(|mut table| table.take_all()).unwrap_or_default();
    let slot = |field: Field<'_>| {
        let service = field.parse_name(|text| ServiceName::new(text))?;
        Some((service, (field.parse(name)?, field.place())))
    };
    fields.into_iter().filter_map(slot).collect()
}

pub(super) fn read<C: PartialEq>(
    reader: &Reader<'_>,
    kind: Kind,
    services: Option<Field<'_>>,
    settings: Settings<C>,
    around: &Surroundings<'_>,
) -> Hosted<C> {
    let mut read = BTreeMap::new();
    let fields = services.and_then(|field| field.table()).map(|mut table| table.take_all());
    for field in fields.unwrap_or_default() {
        let name = field.parse_name(|text| ServiceName::new(text));
        let table = field.table();
        let service =
            table.and_then(|table| service::read(table, kind, around.root, around.secrets));
        if let (Some(name), Some(service)) = (name, service) {
            read.insert(name, service);
        }
    }
    depends::check(reader, read.iter().map(|(name, service)| (name, &service.depends)));
    for (name, environment) in around.environments {
        refuse_strange_slots(reader, name, environment, &read);
        refuse_shared_slots(reader, name, environment, &read);
    }
    refuse_shared_places(reader, around.environments, &settings.platforms, &read);
    let Settings { url, platforms, kept } = settings;
    Hosted { url, platforms, kept, services: read }
}

fn refuse_strange_slots(
    reader: &Reader<'_>,
    name: &EnvironmentName,
    environment: &Environment,
    services: &BTreeMap<ServiceName, Service>,
) {
    let named: Vec<_> =
        environment.slots.iter().map(|(service, (_, place))| (service.clone(), *place)).collect();
    let named = named.iter().map(|one| (format!("environments.{name}.slots.{}", one.0), one));
    depends::refuse_unknown(reader, named, services.keys());
}

fn refuse_shared_slots(
    reader: &Reader<'_>,
    name: &EnvironmentName,
    environment: &Environment,
    services: &BTreeMap<ServiceName, Service>,
) {
    let mut first = BTreeMap::new();
    for (service, one) in services {
        let slot = one.slot(service, environment);
        if let Some(other) = first.insert(slot, service) {
            reader.problem_at(
                one.place(),
                format!("services.{service}"),
                format!("in environment {name} it has the slot `{slot}`, and so has {other}"),
                "give each a slot of its own: slot = \"…\", by its name or id on the platform",
            );
        }
    }
}

/// Refuses environments of which one would deploy over the other.
fn refuse_shared_places<C: PartialEq>(
    reader: &Reader<'_>,
    environments: &BTreeMap<EnvironmentName, Environment>,
    platforms: &BTreeMap<EnvironmentName, C>,
    services: &BTreeMap<ServiceName, Service>,
) {
    let mut seen: Vec<(&EnvironmentName, &Environment)> = Vec::new();
    for (name, environment) in environments {
        let Some(place) = environment.place else { continue };
        let shared = seen.iter().find_map(|(other, before)| {
            let here = platforms.get(name);
            let is_there = here.is_some() && here == platforms.get(*other);
            let same = |(service, one): &(&ServiceName, &Service)| {
                one.slot(service, environment) == one.slot(service, before)
            };
            Some((*other, services.iter().filter(|_| is_there).find(same)?.0))
        });
        if let Some((other, service)) = shared {
            reader.problem_at(
                place,
                format!("environments.{name}"),
                format!("{service} has the same slot there as in environment {other}"),
                format!("write [environments.{name}.slots] with {service} = \"…\""),
            );
        }
        seen.push((name, environment));
    }
}

/// Refuses checks of what a platform measures where there is no platform.
pub(super) fn refuse_metrics(reader: &Reader<'_>, checks: &[Check]) {
    for check in checks.iter().filter(|check| check.looks_at_metrics()) {
        reader.problem_at(
            check.place,
            format!("check \"{}\"", check.name),
            "nobody measures the requests here: that is for the backends railway and render",
            "write url or path, and max_latency for one's own requests",
        );
    }
}

/// Refuses checks and tests that no hosted platform, or not this one, can be asked for.
pub(super) fn refuse(reader: &Reader<'_>, kind: Kind, checks: &[Check], tests: &[Test]) {
    for check in checks.iter().filter(|check| check.looks_at_ports()) {
        reader.problem_at(
            check.place,
            format!("check \"{}\"", check.name),
            format!("where {} runs the instances of a service is not known", kind.word()),
            "take `port` out and write path = \"/…\", which is looked at where the platform routes to \
             the service, or write url = \"https://…\"",
        );
    }
    for test in tests {
        let field = format!("test \"{}\"", test.task.name);
        if kind == Kind::Railway {
            reader.problem_at(
                test.place,
                field,
                "railway runs no commands beside a service",
                format!(
                    "write pre_deploy_command = \"…\" in [services.{}], or look at the release with \
                     [[check]]",
                    test.task.service
                ),
            );
        } else if test.task.when == ultrai_deploy_core::verification::When::Pre {
            reader.problem_at(
                test.place,
                field,
                "render runs commands with the image that serves already, so not before the deploy",
                "write when = \"post\"",
            );
        }
    }
}

/// Refuses migrations: neither platform runs a command in the new build but the service's own.
pub(super) fn refuse_migrations(reader: &Reader<'_>, kind: Kind, migrations: &[Migration]) {
    for one in migrations {
        reader.problem_at(
            one.place,
            format!("migration \"{}\"", one.declared.name),
            match kind {
                Kind::Railway => "railway runs no commands beside a service",
                _ => "render runs commands with what serves already, not with the new release",
            },
            format!(
                "write pre_deploy_command = \"…\" in [services.{}], which the platform runs in the \
                 new build before it serves; it runs with every deploy, so it has to find out by \
                 itself what is done already",
                one.service.0
            ),
        );
    }
}

impl Config {
    /// What services bring to an environment, with what `lookup` knows in the place of `${NAME}`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](ultrai_deploy_core::ErrorKind::Invalid) with every text that cannot
    /// be filled in, or is wrong then.
    pub fn filled(
        &self,
        services: &BTreeMap<ServiceName, Service>,
        known: &Known<'_>,
    ) -> Result<BTreeMap<ServiceName, Filled>> {
        let (mut filled, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, service) in services {
            match service.filled(known) {
                Ok(one) => {
                    filled.insert(name.clone(), one);
                }
                Err(wrong) => problems.extend(wrong),
            }
        }
        self.refuse(problems)?;
        Ok(filled)
    }
}
