//! From flags and files to a pipeline.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    file::{self, State},
    memory,
    name::{EnvironmentName, ProjectName, SecretName, ServiceName, Target},
    observer::Observer,
    pipeline::Pipeline,
    release_backup::ReleaseSource,
    release_store::ReleaseStore,
    secret::{Secret, SecretSource},
    spec::{ReleaseSpec, ServiceSpec},
    version::Version,
};
use ultrai_deploy_docker::{self as docker, Engine, compose};
use ultrai_deploy_http as http;
use ultrai_deploy_local as local;

use super::{
    Surroundings,
    args::{Cli, Where},
    progress::{Progress, say},
};
use crate::config::{Backend, Config, Environment, Port};

/// An environment with everything that works on it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) pipeline: Pipeline,
    pub(super) state: State,
    pub(super) deployer: Arc<dyn ultrai_deploy_core::Deployer>,
    /// What to deploy; nothing for commands that deploy nothing.
    pub(super) spec: Option<ReleaseSpec>,
}

/// Sets an environment up for a command that deploys nothing.
pub(super) fn look(cli: &Cli, at: &Where, around: &Surroundings) -> Result<Setup> {
    build(cli, at, around, Purpose::Look)
}

/// Sets an environment up for a deploy of `tag`, or of the configuration's version.
pub(super) fn deploy(
    cli: &Cli,
    at: &Where,
    around: &Surroundings,
    tag: Option<&str>,
) -> Result<Setup> {
    build(cli, at, around, Purpose::Deploy { tag })
}

/// What an environment is set up for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    /// For a command that deploys nothing.
    Look,
    /// For a deploy of this version, or of the configuration's.
    Deploy { tag: Option<&'a str> },
}

fn build(cli: &Cli, at: &Where, around: &Surroundings, purpose: Purpose<'_>) -> Result<Setup> {
    let config = read_config(cli, at)?;
    let environment_name = EnvironmentName::new(at.environment.as_str())?;
    let environment = config.environment(&environment_name)?.clone();
    let version = match purpose {
        Purpose::Look => None,
        Purpose::Deploy { tag: Some(tag) } => Some(Version::parse(tag)?),
        Purpose::Deploy { tag: None } => Some(config.version.clone().ok_or_else(|| {
            invalid("no version is named")
                .with_advice("use --tag, or write `version` into deploy.toml")
        })?),
    };
    let plan = Plan { cli, at, around, config, environment, environment_name, version };
    match plan.config.backend.clone() {
        Backend::Compose { file, docker_host } => plan.compose(file, docker_host),
        Backend::Local { services } => plan.local(&services),
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
}

impl Plan<'_> {
    fn compose(self, file: Option<PathBuf>, docker_host: Option<String>) -> Result<Setup> {
        let env = self.variables();
        let options = compose::Options {
            path: self
                .at
                .compose
                .clone()
                .or(file)
                .unwrap_or_else(|| self.config.directory().to_path_buf()),
            project_name: self.config.project.as_ref().map(ToString::to_string),
            env,
            env_files: self.environment.env_files().cloned().collect(),
            secrets: self.config.secrets.iter().map(ToString::to_string).collect(),
        };
        // Without a deploy the compose file only gives the project's name, and may be broken.
        let loaded = self.version.as_ref().map(|_| compose::load(&options));
        let loaded = loaded.transpose().map_err(advise)?;
        let project = match (&self.config.project, &loaded) {
            (Some(project), _) => project.clone(),
            (None, Some(loaded)) => ProjectName::new(loaded.project.name.as_str())?,
            (None, None) => ProjectName::new(compose::project_name(&options).map_err(advise)?)?,
        };
        let mut secrets = self.secrets_of_process();
        let mut spec = None;
        if let Some(loaded) = loaded {
            for warning in &loaded.warnings {
                say(&format!("warning: {warning}"));
            }
            if let Some(version) = &self.version {
                let mut release = docker::spec(&loaded.project, version.clone())?;
                release.verification = self.config.verification(&self.environment, version)?;
                self.config.require_services(release.services.keys())?;
                if self.config.file.is_file() {
                    release.sources.push(self.config.file.clone());
                }
                spec = Some(release);
            }
            for (name, value) in loaded.secrets {
                secrets.insert(SecretName::new(name)?, value);
            }
        }
        let target = Target::new(project, self.environment_name.clone());
        let state = self.open_state(&target)?;
        let releases: Arc<dyn ReleaseStore> = Arc::clone(&state.releases) as _;
        let host = docker_host.or_else(|| self.around.env.get("DOCKER_HOST").cloned());
        let boot_deadline = self.config.health_deadline;
        let settings = docker::Config { host, boot_deadline, ..docker::Config::default() };
        let engine = Engine::new(&settings);
        let observer: Arc<dyn Observer> = Arc::new(Progress::default());
        let deployer = Arc::new(docker::Deployer::connect(settings.clone(), Arc::clone(&releases)));
        let images = docker::image::Store::new(engine.clone());
        let tasks =
            docker::task::Runner::new(engine.clone(), Arc::clone(&releases), settings.clone());
        let containers = docker::backup::ProjectSource::new(engine, releases);
        let secrets: Arc<dyn SecretSource> = Arc::new(memory::Secrets::new(secrets));
        let pipeline = self
            .builder(&state, Arc::clone(&deployer) as _, secrets, observer)?
            .images(Arc::new(images))
            .tasks(Arc::new(tasks))
            .source(Arc::new(containers))
            .build()?;
        Ok(Setup { pipeline, state, deployer, spec })
    }

    fn local(self, services: &BTreeMap<ServiceName, crate::config::Service>) -> Result<Setup> {
        let project = self.config.project.clone().ok_or_else(|| {
            invalid("the project has no name").with_advice("write `project` into deploy.toml")
        })?;
        let mut secrets = self.secrets_of_process();
        for path in self.environment.env_files() {
            let text = std::fs::read_to_string(path).map_err(|source| {
                invalid(&format!("{} cannot be read", path.display())).with_source(source)
            })?;
            let lookup = |name: &str| self.around.env.get(name).cloned();
            let read = compose::dotenv::parse(&text, &lookup)
                .map_err(|error| invalid(&format!("{}: {error}", path.display())))?;
            for (name, value) in read {
                let Ok(name) = SecretName::new(name) else { continue };
                if self.config.secrets.contains(&name) {
                    secrets.entry(name).or_insert_with(|| Secret::new(value));
                }
            }
        }
        let target = Target::new(project.clone(), self.environment_name.clone());
        let state = self.open_state(&target)?;
        let releases: Arc<dyn ReleaseStore> = Arc::clone(&state.releases) as _;
        let mut spec = None;
        if let Some(version) = &self.version {
            let mut release = ReleaseSpec::new(project, version.clone());
            for (name, service) in services {
                let spec = self.local_service(name, service, version)?;
                release = release.with_service(name.clone(), spec);
            }
            release.verification = self.config.verification(&self.environment, version)?;
            if self.config.file.is_file() {
                release.sources.push(self.config.file.clone());
            }
            spec = Some(release);
        }
        let observer: Arc<dyn Observer> = Arc::new(Progress::default());
        let secrets: Arc<dyn SecretSource> = Arc::new(memory::Secrets::new(secrets));
        let client = http::Client::new(http::Config::default())?;
        let probes = http::Probes::new(client).with_secrets(Arc::clone(&secrets));
        let deployer = Arc::new(local::Deployer::new(Arc::clone(&releases), Arc::new(probes))?);
        let tasks = local::Tasks::new(local::Deployer::clone(&deployer));
        let pipeline = self
            .builder(&state, Arc::clone(&deployer) as _, secrets, observer)?
            .tasks(Arc::new(tasks))
            .build()?;
        Ok(Setup { pipeline, state, deployer, spec })
    }

    fn local_service(
        &self,
        name: &ServiceName,
        service: &crate::config::Service,
        version: &Version,
    ) -> Result<ServiceSpec> {
        let mut made = local::Service::new(service.command.clone())
            .with_stop_grace(service.stop_grace)
            .with_port(match service.port {
                None => local::Port::None,
                Some(Port::Fixed(port)) => local::Port::Fixed(port),
                Some(Port::Auto) => local::Port::Auto,
            });
        for (variable, value) in &service.env {
            made = made.with_env(variable, value);
        }
        for secret in &service.secrets {
            made = made.with_secret(secret);
        }
        if let Some(check) = service.health_check(name, version)? {
            made = made.with_health(check.probe, check.timing);
        }
        let mut spec = made.to_spec(name)?;
        for file in &service.files {
            let inside = file.to_string_lossy().into_owned();
            spec.files.insert(inside, self.config.directory().join(file));
        }
        spec.depends_on.clone_from(&service.depends_on);
        Ok(spec)
    }

    fn builder(
        &self,
        state: &State,
        deployer: Arc<dyn ultrai_deploy_core::Deployer>,
        secrets: Arc<dyn SecretSource>,
        observer: Arc<dyn Observer>,
    ) -> Result<ultrai_deploy_core::pipeline::PipelineBuilder> {
        let releases: Arc<dyn ReleaseStore> = Arc::clone(&state.releases) as _;
        let client = http::Client::new(http::Config::default())?;
        let probes = http::Probes::new(client).with_secrets(Arc::clone(&secrets));
        Ok(Pipeline::builder(
            state.target.clone(),
            deployer,
            Arc::clone(&state.journal) as _,
            Arc::clone(&state.lease) as _,
            Arc::clone(&releases),
            Arc::new(probes),
        )
        .backups(Arc::clone(&state.backups) as _)
        .source(Arc::new(ReleaseSource::new(releases)))
        .secrets(secrets)
        .observer(observer)
        .policy(self.config.policy.clone())
        .initiator(self.around.initiator.clone()))
    }

    /// What values of the compose file may refer to: the environment's own variables, those of
    /// the process over them, and the version over all.
    fn variables(&self) -> BTreeMap<String, String> {
        let mut env = self.environment.variables.clone();
        env.extend(self.around.env.clone());
        if let Some(version) = &self.version {
            env.insert("VERSION".to_owned(), version.as_str().to_owned());
        }
        env
    }

    fn secrets_of_process(&self) -> BTreeMap<SecretName, Secret> {
        let mut secrets = BTreeMap::new();
        for name in &self.config.secrets {
            if let Some(value) = self.around.env.get(name.as_str()) {
                secrets.insert(name.clone(), Secret::new(value.clone()));
            }
        }
        secrets
    }

    fn open_state(&self, target: &Target) -> Result<State> {
        let path = |name: &str| self.around.env.get(name).map(PathBuf::from);
        let base = match (&self.cli.state, &self.config.state) {
            (Some(flag), _) => absolute(flag)?,
            (None, Some(configured)) => configured.clone(),
            (None, None) => file::default_base(
                self.around.is_root,
                path("XDG_STATE_HOME").as_deref(),
                path("HOME").as_deref(),
            ),
        };
        file::open(&base, target)
    }
}

/// Reads the named configuration, or `deploy.toml` beside the compose file, or none.
fn read_config(cli: &Cli, at: &Where) -> Result<Config> {
    if let Some(named) = &cli.config {
        return Config::load(&absolute(named)?);
    }
    let directory = match &at.compose {
        Some(path) if path.is_dir() => path.clone(),
        Some(path) => path.parent().map(Path::to_path_buf).unwrap_or_default(),
        None => PathBuf::from("."),
    };
    let file = absolute(&directory)?.join("deploy.toml");
    if file.is_file() { Config::load(&file) } else { Ok(Config::parse(&file, "")?) }
}

/// Names the flag, which the library does not know, where there is no compose file at all.
fn advise(error: compose::LoadError) -> Error {
    let is_nowhere = error.problems.iter().any(|problem| problem.file.is_dir());
    let error = Error::from(error);
    if is_nowhere { error.with_advice("--compose names one that is elsewhere") } else { error }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|source| invalid(&format!("`{}` is no path", path.display())).with_source(source))
}

pub(super) fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "set the environment up", message).without_effect()
}
