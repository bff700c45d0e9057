//! From flags and files to a pipeline.

mod checklist;
mod compose;
mod home;
mod hosted;
mod local;
mod rendered;
pub(super) mod variables;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    flag::FlagState,
    migration::Migration,
    name::{EnvironmentName, ProjectName},
    observer::Observer,
    pipeline::{Pipeline, PipelineBuilder, Policy, Run},
    release_backup::ReleaseSource,
    report::Report,
    secret::SecretSource,
    spec::ReleaseSpec,
    verification::ProbeSource,
    version::Version,
};
use ultrai_deploy_docker::registry::Destination;

pub(super) use self::home::Home;
use self::variables::{Given, Variables};
use super::{
    Surroundings,
    args::{Cli, Where},
    notices::Notices,
    signal,
};
use crate::config::{Backend, Config, Environment, Known};
use crate::probes;

/// An environment with everything that works on it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) pipeline: Pipeline,
    pub(super) state: Home,
    pub(super) deployer: Arc<dyn ultrai_deploy_core::Deployer>,
    /// What the engine does differently from its defaults.
    pub(super) policy: Policy,
    /// What to deploy; nothing for commands that deploy nothing.
    pub(super) spec: Option<ReleaseSpec>,
    /// Who is told what becomes of runs.
    pub(super) notices: Notices,
    /// Whether a platform runs the services itself.
    pub(super) is_hosted: bool,
    /// Archives of sources that the spec names; they are removed with this.
    _packed: Vec<tempfile::TempPath>,
}

impl Setup {
    /// Drives a run to its end, and tells whoever is to be told.
    ///
    /// # Errors
    /// As [`Run::join_until`].
    pub(super) async fn drive(&self, run: Run) -> Result<Report> {
        self.notices.beside(&*self.state.journal, signal::drive(run)).await
    }

    /// Has the images of `spec` that are built pushed to the registry that a flag names.
    pub(super) fn push_to(&self, flag: Option<&str>, spec: &mut ReleaseSpec) -> Result<()> {
        let Some(registry) = flag.map(Destination::parse).transpose()? else { return Ok(()) };
        if self.deployer.name() != "docker" {
            return Err(invalid("--registry is for images that are built here")
                .with_advice("leave it out: only the compose backend builds images"));
        }
        registry.push(spec);
        Ok(())
    }
}

/// Sets an environment up for a command that deploys nothing.
pub(super) async fn look(cli: &Cli, at: &Where, around: &Surroundings) -> Result<Setup> {
    build(cli, at, around, Purpose::Look).await
}

/// Sets an environment up for a deploy of `tag`, or of the configuration's version.
pub(super) async fn deploy(
    cli: &Cli,
    at: &Where,
    around: &Surroundings,
    tag: Option<&str>,
    set: &[String],
) -> Result<Setup> {
    build(cli, at, around, Purpose::Deploy { tag, set }).await
}

/// The migrations that deploy.toml declares.
pub(super) fn migrations(cli: &Cli, at: &Where) -> Result<Vec<Migration>> {
    Ok(read_config(cli, at.compose.as_deref())?.migrations())
}

/// What an environment is set up for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    /// For a command that deploys nothing.
    Look,
    /// For a deploy of this version, or of the configuration's.
    Deploy { tag: Option<&'a str>, set: &'a [String] },
}

async fn build(
    cli: &Cli,
    at: &Where,
    around: &Surroundings,
    purpose: Purpose<'_>,
) -> Result<Setup> {
    let config = read_config(cli, at.compose.as_deref())?;
    let environment_name = EnvironmentName::new(at.environment.as_str())?;
    let environment = config.environment(&environment_name)?.clone();
    let version = match purpose {
        Purpose::Look => None,
        Purpose::Deploy { tag: Some(tag), .. } => Some(Version::parse(tag)?),
        Purpose::Deploy { tag: None, .. } => Some(config.version.clone().ok_or_else(|| {
            invalid("no version is named")
                .with_advice("use --tag, or write `version` into deploy.toml")
        })?),
    };
    let set = match purpose {
        Purpose::Look => &[],
        Purpose::Deploy { set, .. } => set,
    };
    let given = Given { set, version: version.as_ref(), compose: at.compose.as_deref() };
    let variables = match purpose {
        Purpose::Look => given.glance(&config, &environment_name, around)?,
        Purpose::Deploy { .. } => given.load(&config, &environment_name, around).await?,
    };
    let plan = Plan { cli, at, around, config, environment, environment_name, version, variables };
    match plan.config.backend.clone() {
        Backend::Compose { file, docker_host } => plan.compose(file, docker_host).await,
        Backend::Local { services } => plan.local(&services).await,
        Backend::Railway(railway) => plan.railway(&railway).await,
        Backend::Render(render) => plan.render(&render).await,
    }
}

/// Everything that is known before a backend is chosen.
struct Plan<'a> {
    cli: &'a Cli,
    at: &'a Where,
    around: &'a Surroundings,
    config: Config,
    environment: Environment,
    environment_name: EnvironmentName,
    version: Option<Version>,
    variables: Variables,
}

impl Plan<'_> {
    fn builder(
        &self,
        state: &Home,
        deployer: Arc<dyn ultrai_deploy_core::Deployer>,
        secrets: &Arc<dyn SecretSource>,
        observer: Arc<dyn Observer>,
    ) -> Result<PipelineBuilder> {
        let probes = self.probes(secrets, &|others| others)?;
        self.builder_with(state, deployer, secrets, observer, probes)
    }

    /// What makes probes of checks: those of every backend, and of this one.
    fn probes(
        &self,
        secrets: &Arc<dyn SecretSource>,
        backend: probes::Backend<'_>,
    ) -> Result<Arc<dyn ProbeSource>> {
        probes::source(secrets, self.around.env.get("PATH").map(Into::into), backend)
    }

    /// Who is told what becomes of runs of the environment.
    fn notices(&self, state: &Home, secrets: &Arc<dyn SecretSource>) -> Result<Notices> {
        let receivers = &self.config.notify;
        Notices::open(receivers, &self.environment_name, &state.directory, secrets)
    }

    fn builder_with(
        &self,
        state: &Home,
        deployer: Arc<dyn ultrai_deploy_core::Deployer>,
        secrets: &Arc<dyn SecretSource>,
        observer: Arc<dyn Observer>,
        probes: Arc<dyn ProbeSource>,
    ) -> Result<PipelineBuilder> {
        let releases = Arc::clone(&state.releases);
        let builder = Pipeline::builder(
            state.target.clone(),
            deployer,
            Arc::clone(&state.journal),
            Arc::clone(&state.lease),
            Arc::clone(&releases),
            probes,
        )
        .backups(Arc::clone(&state.backups))
        .source(Arc::new(ReleaseSource::new(releases)))
        .secrets(Arc::clone(secrets))
        .observer(observer)
        .policy(self.config.policy_of(&self.environment))
        .initiator(self.around.initiator.clone());
        self.checklist(state, secrets, builder)
    }

    /// The secrets of the configuration.
    fn secrets(&self) -> Arc<dyn SecretSource> {
        self.variables.source(self.variables.secrets())
    }

    /// Fills texts of the configuration in.
    fn with_known<T>(&self, fill: impl FnOnce(&Known<'_>) -> T) -> T {
        let secrets = self.variables.names_of_secrets(&self.config);
        fill(&Known {
            lookup: &|name| self.variables.get(name).map(str::to_owned),
            is_secret: &|name| secrets.contains(name),
        })
    }

    /// What the environment's configuration says of the declared flags.
    fn flags(&self) -> BTreeMap<String, FlagState> {
        let lookup = |name: &str| self.variables.get(name).map(str::to_owned);
        self.config.flags(&self.environment_name, &lookup)
    }

    /// The project, for backends that have it from nowhere else.
    fn project(&self) -> Result<ProjectName> {
        self.config.project.clone().ok_or_else(|| {
            invalid("the project has no name").with_advice("write `project` into deploy.toml")
        })
    }
}

/// Reads the named configuration, or `deploy.toml` beside the compose file, or none.
pub(super) fn read_config(cli: &Cli, compose: Option<&Path>) -> Result<Config> {
    if let Some(named) = &cli.config {
        return Config::load(&absolute(named)?);
    }
    let directory = match compose {
        Some(path) if path.is_dir() => path.to_path_buf(),
        Some(path) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
        None => PathBuf::from("."),
    };
    let file = absolute(&directory)?.join("deploy.toml");
    if file.is_file() { Config::load(&file) } else { Ok(Config::parse(&file, "")?) }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|source| invalid(&format!("`{}` is no path", path.display())).with_source(source))
}

pub(super) fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "set the environment up", message).without_effect()
}
