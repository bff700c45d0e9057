//! Docker, from a compose file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ultrai_deploy_core::{
    Error, Result,
    backup::BackupSource,
    name::{ProjectName, SecretName, Target},
    observer::Observer,
    release_store::ReleaseStore,
    secret::SecretSource,
};
use ultrai_deploy_docker::{self as docker, Engine, compose, data, registry::Registries};

use super::{Plan, Setup};
use crate::{
    cli::progress::{Progress, say},
    config::{By, Dump, What},
};

impl Plan<'_> {
    pub(super) async fn compose(
        self,
        file: Option<PathBuf>,
        docker_host: Option<String>,
    ) -> Result<Setup> {
        let options = compose::Options {
            path: self
                .at
                .compose
                .clone()
                .or(file)
                .unwrap_or_else(|| self.config.directory().to_path_buf()),
            project_name: self.config.project.as_ref().map(ToString::to_string),
            env: self.variables.all(),
            // The layers have them already.
            env_files: Vec::new(),
            secrets: self.variables.names_of_secrets(&self.config),
        };
        // Without a deploy the compose file only gives the project's name, and may be broken.
        let loaded = self.version.as_ref().map(|_| compose::load(&options));
        let loaded = loaded.transpose().map_err(advise)?;
        let project = match (&self.config.project, &loaded) {
            (Some(project), _) => project.clone(),
            (None, Some(loaded)) => ProjectName::new(loaded.project.name.as_str())?,
            (None, None) => ProjectName::new(compose::project_name(&options).map_err(advise)?)?,
        };
        let mut secrets = self.variables.secrets();
        let mut spec = None;
        let mut rendered = Vec::new();
        if let Some(loaded) = loaded {
            for warning in &loaded.warnings {
                say(&format!("warning: {warning}"));
            }
            if let Some(version) = &self.version {
                let mut release = docker::spec(&loaded.project, version.clone())?;
                release.verification = self.config.verification(&self.environment, version)?;
                release.migrations = self.config.migrations();
                release.flags = self.flags();
                self.config.require_services(release.services.keys())?;
                if let Some(registry) =
                    self.environment.registry.as_ref().or(self.config.registry.as_ref())
                {
                    registry.push(&mut release);
                }
                if self.config.file.is_file() {
                    release.sources.push(self.config.file.clone());
                }
                rendered = self.fill_files_in(&mut release)?;
                spec = Some(release);
            }
            for (name, value) in loaded.secrets {
                secrets.insert(SecretName::new(name)?, value);
            }
        }
        let target = Target::new(project, self.environment_name.clone());
        let secrets = self.variables.source(secrets);
        let state = self.open_home(&target, &*secrets).await?;
        let releases = Arc::clone(&state.releases);
        let host = self.environment.docker_host.clone().or(docker_host);
        let host = host.or_else(|| self.around.env.get("DOCKER_HOST").cloned());
        let boot_deadline = self.config.health_deadline;
        let settings = docker::Config { host, boot_deadline, ..docker::Config::default() };
        let engine = Engine::new(&settings);
        let observer: Arc<dyn Observer> = Arc::new(Progress::default());
        let deployer = Arc::new(docker::Deployer::connect(settings.clone(), Arc::clone(&releases)));
        let tasks =
            docker::task::Runner::new(engine.clone(), Arc::clone(&releases), settings.clone());
        let data = self.data(&engine, &releases);
        let containers = docker::backup::ProjectSource::new(engine.clone(), releases);
        let registries = self.registries(&secrets);
        let policy = self.config.policy_of(&self.environment);
        let notices = self.notices(&state, &secrets)?;
        let of_containers = |others| Arc::new(docker::Probes::new(&deployer, others)) as _;
        let probes = self.probes(&secrets, &of_containers)?;
        let builder =
            self.builder_with(&state, Arc::clone(&deployer) as _, &secrets, observer, probes)?;
        let builder = builder.observer(notices.observer());
        let mut builder = self.checklist_of_engine(&engine, &registries, spec.as_ref(), builder)?;
        let images = docker::image::Store::new(engine).with_registries(registries);
        for source in data {
            builder = builder.source(source);
        }
        let pipeline = builder
            .images(Arc::new(images))
            .tasks(Arc::new(tasks))
            .source(Arc::new(containers))
            .build()?;
        Ok(Setup {
            pipeline,
            state,
            deployer,
            policy,
            spec,
            notices,
            is_hosted: false,
            _packed: rendered,
        })
    }

    /// What is kept in backups besides releases and descriptions.
    fn data(
        &self,
        engine: &Engine,
        releases: &Arc<dyn ReleaseStore>,
    ) -> Vec<Arc<dyn BackupSource>> {
        let mut sources: Vec<Arc<dyn BackupSource>> = Vec::new();
        for data in &self.config.data {
            let (engine, releases) = (engine.clone(), Arc::clone(releases));
            sources.push(match &data.what {
                What::Dump(dump) => {
                    Arc::new(data::Command::new(engine, releases, of_docker(&data.name, dump)))
                }
                What::Volume { name, stops, helper_image } => {
                    let state = if *stops { data::While::Stopped } else { data::While::Running };
                    let mut volume = data::Volume::new(name, state);
                    if let Some(image) = helper_image {
                        volume = volume.with_helper_image(image);
                    }
                    Arc::new(data::Volumes::new(engine, releases, &data.name, vec![volume]))
                }
                // deploy.toml refuses it here.
                What::Directory { .. } => continue,
            });
        }
        if self.config.backups.images {
            sources.push(Arc::new(data::Images::new(engine.clone(), Arc::clone(releases))));
        }
        sources
    }

    /// What is logged in to registries with: what deploy.toml says, then what Docker knows.
    fn registries(&self, secrets: &Arc<dyn SecretSource>) -> Registries {
        let env = &self.around.env;
        let directory = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(Path::new);
        let mut registries =
            Registries::new().with_secrets(Arc::clone(secrets)).with_env(env.clone());
        let (own, home) = (directory("DOCKER_CONFIG"), directory("HOME"));
        if let Some(file) = Registries::default_config_file(own, home) {
            registries = registries.with_config_file(file);
        }
        for (host, login) in &self.config.registries {
            let password = login.password.clone();
            registries = registries.with_login(host, login.username.as_str(), password);
        }
        registries
    }
}

fn of_docker(name: &str, dump: &Dump) -> data::Dump {
    let service = dump.service.clone();
    let mut made = match &dump.by {
        By::Postgres => data::Dump::postgres(name, service),
        By::Mongodb => data::Dump::mongodb(name, service),
        By::Redis => data::Dump::redis(name, service),
        By::Commands { dump, restore } => data::Dump::new(name, service, dump, restore),
    };
    for (variable, value) in &dump.variables {
        made = made.with_variable(variable, data::Variable::Text(value.clone()));
    }
    for (variable, secret) in &dump.secrets {
        made = made.with_variable(variable, data::Variable::Secret(secret.clone()));
    }
    made
}

/// Names the flag, which the library does not know, where there is no compose file at all.
fn advise(error: compose::LoadError) -> Error {
    let is_nowhere = error.problems.iter().any(|problem| problem.file.is_dir());
    let error = Error::from(error);
    if is_nowhere { error.with_advice("--compose names one that is elsewhere") } else { error }
}
