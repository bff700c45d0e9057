//! Local processes.

use std::{collections::BTreeMap, sync::Arc};

use ultrai_deploy_core::{
    Result,
    backup::BackupSource,
    name::{ServiceName, Target},
    observer::Observer,
    spec::{ReleaseSpec, ServiceSpec},
    version::Version,
};
use ultrai_deploy_http as http;
use ultrai_deploy_local as local;

use super::{Plan, Setup, absolute};
use crate::{
    cli::progress::Progress,
    config::{By, Dump, Port, Service, What},
};

impl Plan<'_> {
    pub(super) async fn local(self, services: &BTreeMap<ServiceName, Service>) -> Result<Setup> {
        let project = self.project()?;
        let secrets = self.secrets();
        let target = Target::new(project.clone(), self.environment_name.clone());
        let state = self.open_home(&target, &*secrets).await?;
        let releases = Arc::clone(&state.releases);
        let mut spec = None;
        let mut rendered = Vec::new();
        if let Some(version) = &self.version {
            let mut release = ReleaseSpec::new(project, version.clone());
            let mut env = self.with_known(|known| self.config.filled_env(services, known))?;
            for (name, service) in services {
                let env = env.remove(name).unwrap_or_default();
                let spec = self.local_service(name, service, &env, version)?;
                release = release.with_service(name.clone(), spec);
            }
            release.verification = self.config.verification(&self.environment, version)?;
            release.migrations = self.config.migrations();
            release.flags = self.flags();
            if self.config.file.is_file() {
                release.sources.push(self.config.file.clone());
            }
            rendered = self.fill_files_in(&mut release)?;
            spec = Some(release);
        }
        let observer: Arc<dyn Observer> = Arc::new(Progress::default());
        let client = http::Client::new(http::Config::default())?;
        let probes = http::Probes::new(client).with_secrets(Arc::clone(&secrets));
        let deployer = Arc::new(local::Deployer::new(Arc::clone(&releases), Arc::new(probes))?);
        let tasks = local::Tasks::new(local::Deployer::clone(&deployer));
        let policy = self.config.policy_of(&self.environment);
        let data = self.data_of_processes(&deployer)?;
        let notices = self.notices(&state, &secrets)?;
        let mut builder = self
            .builder(&state, Arc::clone(&deployer) as _, &secrets, observer)?
            .observer(notices.observer())
            .tasks(Arc::new(tasks));
        for source in data {
            builder = builder.source(source);
        }
        let pipeline = builder.build()?;
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

    /// What is kept in backups besides releases.
    fn data_of_processes(&self, deployer: &local::Deployer) -> Result<Vec<Arc<dyn BackupSource>>> {
        let mut sources: Vec<Arc<dyn BackupSource>> = Vec::new();
        for data in &self.config.data {
            let deployer = deployer.clone();
            sources.push(match &data.what {
                What::Dump(Dump {
                    service,
                    by: By::Commands { dump, restore },
                    variables,
                    secrets,
                }) => {
                    let service = service.clone();
                    let mut made = local::data::Dump::new(&data.name, service, dump, restore);
                    for (variable, value) in variables {
                        made = made.with_variable(variable, value);
                    }
                    for (variable, secret) in secrets {
                        made = made.with_secret(variable, secret);
                    }
                    Arc::new(local::data::Command::new(deployer, made))
                }
                What::Directory { path, stops, services } => {
                    let path = absolute(path)?;
                    let state = if *stops {
                        local::data::While::Stopped
                    } else {
                        local::data::While::Running
                    };
                    let mut directory = local::data::Directory::new(&data.name, path, state);
                    for service in services {
                        directory = directory.with_service(service.clone());
                    }
                    Arc::new(local::data::Directories::new(deployer, &data.name, vec![directory]))
                }
                // deploy.toml refuses the others here.
                What::Dump(_) | What::Volume { .. } => continue,
            });
        }
        Ok(sources)
    }

    fn local_service(
        &self,
        name: &ServiceName,
        service: &Service,
        env: &BTreeMap<String, String>,
        version: &Version,
    ) -> Result<ServiceSpec> {
        let mut made = local::Service::new(service.command.clone())
            .with_stop_grace(service.stop_grace)
            .with_port(match service.port {
                None => local::Port::None,
                Some(Port::Fixed(port)) => local::Port::Fixed(port),
                Some(Port::Auto) => local::Port::Auto,
            });
        for (variable, value) in env {
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
        spec.secrets.extend(service.secrets_of_health().cloned());
        spec.secrets.sort();
        spec.secrets.dedup();
        spec.depends_on.clone_from(&service.depends_on);
        Ok(spec)
    }
}
