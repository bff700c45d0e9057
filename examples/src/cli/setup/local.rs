//! Local processes.

use std::{collections::BTreeMap, sync::Arc};

use ultrai_deploy_core::{
    Result,
    name::{ServiceName, Target},
    observer::Observer,
    release_store::ReleaseStore,
    spec::{ReleaseSpec, ServiceSpec},
    version::Version,
};
use ultrai_deploy_http as http;
use ultrai_deploy_local as local;

use super::{Plan, Setup};
use crate::{
    cli::progress::Progress,
    config::{Port, Service},
};

impl Plan<'_> {
    pub(super) fn local(self, services: &BTreeMap<ServiceName, Service>) -> Result<Setup> {
        let project = self.project()?;
        let secrets = self.secrets();
        let target = Target::new(project.clone(), self.environment_name.clone());
        let state = self.open_state(&target)?;
        let releases: Arc<dyn ReleaseStore> = Arc::clone(&state.releases) as _;
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
        let pipeline = self
            .builder(&state, Arc::clone(&deployer) as _, secrets, observer)?
            .tasks(Arc::new(tasks))
            .build()?;
        Ok(Setup { pipeline, state, deployer, spec, is_hosted: false, _packed: rendered })
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
