//! `backend` and the fields that only one of them has.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ultrai_deploy_config::suggest;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::{EnvironmentName, SecretName, ServiceName},
};

use super::{
    Environment, files,
    hosted::{self, Hosted},
    reader::{Field, Reader, Table},
    service::{self, Service},
};

/// What releases run on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Backend {
    /// Docker, from a compose file.
    Compose {
        /// The compose file; nothing when it has one of the usual names.
        file: Option<PathBuf>,
        /// The engine's address; nothing for the environment's or the default one.
        docker_host: Option<String>,
    },
    /// Local processes.
    Local {
        /// The services by name.
        services: BTreeMap<ServiceName, Service>,
    },
    /// Railway.
    Railway(Hosted<ultrai_deploy_railway::Config>),
    /// Render.
    Render(Hosted<ultrai_deploy_render::Config>),
}

impl Backend {
    /// The names of the services, where they are declared in this file.
    pub(super) fn services(&self) -> Option<Vec<&ServiceName>> {
        match self {
            Self::Compose { .. } => None,
            Self::Local { services } => Some(services.keys().collect()),
            Self::Railway(Hosted { services, .. }) | Self::Render(Hosted { services, .. }) => {
                Some(services.keys().collect())
            }
        }
    }

    /// The secrets that services name.
    pub(super) fn secrets(&self) -> Vec<&SecretName> {
        match self {
            Self::Compose { .. } => Vec::new(),
            Self::Local { services } => services.values().flat_map(Service::secrets).collect(),
            Self::Railway(Hosted { services, .. }) | Self::Render(Hosted { services, .. }) => {
                let all = services.values();
                all.flat_map(|one| one.secrets.iter().chain(one.extras.secrets())).collect()
            }
        }
    }
}

/// A backend by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Compose,
    Local,
    Railway,
    Render,
}

impl Kind {
    const ALL: [(&str, Self); 4] = [
        ("compose", Self::Compose),
        ("local", Self::Local),
        ("railway", Self::Railway),
        ("render", Self::Render),
    ];
    /// Those that declare their services in this file.
    const WITH_SERVICES: [Self; 3] = [Self::Local, Self::Railway, Self::Render];
    /// Those that others run services on.
    pub(super) const HOSTED: [Self; 2] = [Self::Railway, Self::Render];

    /// Takes the word. Where it is wrong, its own problem is told, and none that follows from a
    /// guess.
    pub(super) fn take(table: &mut Table<'_>) -> Option<Self> {
        match table.take("backend") {
            None => Some(Self::Compose),
            Some(field) => field.choice(&Self::ALL),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Compose => "compose",
            Self::Local => "local",
            Self::Railway => "railway",
            Self::Render => "render",
        }
    }

    /// Takes a field that only the backends `of` have, and refuses it for the others.
    pub(super) fn take_own<'a>(
        kind: Option<Self>,
        table: &mut Table<'a>,
        name: &'static str,
        of: &[Self],
    ) -> Option<Field<'a>> {
        match kind {
            Some(kind) if of.contains(&kind) => table.take(name),
            Some(_) => {
                let field = table.take_foreign(name)?;
                let words: Vec<_> = of.iter().map(|kind| format!("\"{}\"", kind.word())).collect();
                let words = suggest::one_of(words.iter().map(String::as_str));
                field.name_problem(
                    belongs_to(of),
                    format!("take it out, or write backend = {words}"),
                );
                None
            }
            None => {
                table.take_foreign(name);
                None
            }
        }
    }
}

/// To which backends a field belongs.
pub(super) fn belongs_to(kinds: &[Kind]) -> String {
    match kinds {
        [kind] => format!("it belongs to the {} backend", kind.word()),
        kinds => {
            let words = suggest::one_of(kinds.iter().map(|kind| kind.word()));
            format!("it belongs to the backends {}", words.replace(" or ", " and "))
        }
    }
}

/// What a backend is read with.
pub(super) struct Surroundings<'a> {
    pub(super) root: &'a files::Root,
    pub(super) secrets: &'a [SecretName],
    pub(super) environments: &'a BTreeMap<EnvironmentName, Environment>,
    pub(super) deadline: Option<Duration>,
}

/// Reads what belongs to the backend.
pub(super) fn read(
    reader: &Reader<'_>,
    kind: Option<Kind>,
    table: &mut Table<'_>,
    around: &Surroundings<'_>,
) -> Backend {
    let compose = Kind::take_own(kind, table, "compose", &[Kind::Compose]);
    let docker_host = Kind::take_own(kind, table, "docker_host", &[Kind::Compose]);
    let of_railway = Kind::take_own(kind, table, "railway", &[Kind::Railway]);
    let of_render = Kind::take_own(kind, table, "render", &[Kind::Render]);
    let services = Kind::take_own(kind, table, "services", &Kind::WITH_SERVICES);
    if services.is_none()
        && let Some(kind) = kind.filter(|kind| Kind::WITH_SERVICES.contains(kind))
    {
        let field = if kind == Kind::Local { "command = […]" } else { "image = \"…\"" };
        table.problem(
            format!("the {} backend has no services", kind.word()),
            format!("write [services.NAME] with {field}"),
        );
    }
    match kind {
        Some(Kind::Local) => {
            let read = |field: &Field<'_>| {
                service::read_all(reader, field, around.root, around.secrets, around.deadline)
            };
            Backend::Local { services: services.as_ref().map(read).unwrap_or_default() }
        }
        Some(Kind::Railway) => {
            let settings = hosted::railway::read(reader, table, of_railway, around.environments);
            Backend::Railway(hosted::read(reader, Kind::Railway, services, settings, around))
        }
        Some(Kind::Render) => {
            let settings = hosted::render::read(of_render, around.environments);
            Backend::Render(hosted::read(reader, Kind::Render, services, settings, around))
        }
        Some(Kind::Compose) | None => Backend::Compose {
            file: compose.and_then(|field| around.root.existing_file(&field)),
            docker_host: docker_host.and_then(|field| field.parse(engine_address)),
        },
    }
}

pub(super) fn engine_address(text: &str) -> Result<String> {
    let known = ["unix:///", "tcp://", "http://"];
    if known.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme)) {
        return Ok(text.to_owned());
    }
    Err(invalid(format!("\"{text}\" is no address of a Docker Engine"))
        .with_advice("write \"unix:///path/to/docker.sock\" or \"tcp://host:port\""))
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "use the configuration", message).without_effect()
}
