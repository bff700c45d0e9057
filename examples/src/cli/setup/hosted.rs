//! Platforms that run services themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
};

use serde_json::json;
use tempfile::TempPath;
use ultrai_deploy_core::{
    Error, ErrorKind, Result, memory,
    name::{ServiceName, Target},
    observer::Observer,
    release_store::ReleaseStore,
    secret::{Secret, SecretSource},
    spec::{ImageSpec, PullPolicy, ReleaseSpec, ServiceSpec},
    task::TaskRunner,
    version::Version,
};
use ultrai_deploy_hosted::{self as hosted, Platform};
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway as railway;
use ultrai_deploy_render as render;

use super::{Plan, Setup};
use crate::{
    cli::progress::Progress,
    config::hosted::{Artifact, Filled, Hosted, Service},
};

/// What runs the tests of the releases in a store.
type MakeTasks = dyn FnOnce(Arc<dyn ReleaseStore>) -> Arc<dyn TaskRunner>;

/// A platform as a token opens it.
struct Opened {
    platform: Arc<dyn Platform>,
    /// What runs `[[test]]`s there.
    tasks: Box<MakeTasks>,
}

impl Plan<'_> {
    pub(super) fn railway(self, backend: &Hosted<railway::Config>) -> Result<Setup> {
        let project = self.token("RAILWAY_TOKEN").map(railway::Token::Project);
        let account = || self.token("RAILWAY_API_TOKEN").map(railway::Token::Account);
        let token = project.or_else(account).ok_or_else(|| {
            no_token("Railway").with_advice(
                "set RAILWAY_TOKEN to a project token, which is good for one environment of one \
                 project and made in its settings, or RAILWAY_API_TOKEN to an account or workspace \
                 token, made at railway.com/account/tokens",
            )
        })?;
        let config = self.of_environment(&backend.platforms)?;
        let address = match &backend.url {
            Some(url) => url.clone(),
            None => HttpUrl::parse(railway::ADDRESS)?,
        };
        let client = railway::Client::new(&address, &token, Limits::default())?;
        let platform = Arc::new(railway::Platform::new(client, config));
        let tasks = Box::new(|_| Arc::new(railway::NoTasks) as _);
        self.hosted(&backend.services, Opened { platform, tasks })
    }

    pub(super) fn render(self, backend: &Hosted<render::Config>) -> Result<Setup> {
        let key = self.token("RENDER_API_KEY").ok_or_else(|| {
            no_token("Render").with_advice(
                "set RENDER_API_KEY to an API key, made in the account settings of somebody who \
                 may deploy in the workspace",
            )
        })?;
        let config = self.of_environment(&backend.platforms)?;
        let address = match &backend.url {
            Some(url) => url.clone(),
            None => HttpUrl::parse(render::Client::BASE)?,
        };
        let client = render::Client::new(address, &key, Limits::default())?;
        let platform = Arc::new(render::Platform::new(client.clone(), config.clone()));
        let tasks = move |releases| Arc::new(render::Tasks::new(client, config, releases)) as _;
        self.hosted(&backend.services, Opened { platform, tasks: Box::new(tasks) })
    }

    fn hosted(self, services: &BTreeMap<ServiceName, Service>, opened: Opened) -> Result<Setup> {
        let project = self.project()?;
        let env_files = self.env_files()?;
        let mut packed = Vec::new();
        let spec = match &self.version {
            Some(version) => {
                Some(self.hosted_release(services, version, &env_files, &mut packed)?)
            }
            None => None,
        };
        let secrets = self.secrets(&env_files);
        let state = self.open_state(&Target::new(project, self.environment_name.clone()))?;
        let releases: Arc<dyn ReleaseStore> = Arc::clone(&state.releases) as _;
        let slot = |(name, service): (&ServiceName, &Service)| {
            (name.clone(), service.slot(name, &self.environment).to_owned())
        };
        let slots = services.iter().map(slot).collect();
        let tasks = (opened.tasks)(Arc::clone(&releases));
        let deployer = Arc::new(hosted::Deployer::new(opened.platform, slots, releases));
        let observer: Arc<dyn Observer> = Arc::new(Progress::default());
        let secrets: Arc<dyn SecretSource> = Arc::new(memory::Secrets::new(secrets));
        let pipeline = self
            .builder(&state, Arc::clone(&deployer) as _, secrets, observer)?
            .images(Arc::new(hosted::Images))
            .tasks(tasks)
            .build()?;
        Ok(Setup { pipeline, state, deployer, spec, _packed: packed })
    }

    fn hosted_release(
        &self,
        services: &BTreeMap<ServiceName, Service>,
        version: &Version,
        env_files: &BTreeMap<String, String>,
        packed: &mut Vec<TempPath>,
    ) -> Result<ReleaseSpec> {
        let variables = self.variables();
        let lookup = |name: &str| variables.get(name).or(env_files.get(name)).cloned();
        let mut release = ReleaseSpec::new(self.project()?, version.clone());
        let mut filled = self.config.filled(services, &lookup)?;
        for (name, service) in services {
            let Some(filled) = filled.remove(name) else { continue };
            let slot = service.slot(name, &self.environment);
            let mut spec = service_spec(service, slot, &filled);
            if let Artifact::Source(directory) = &filled.artifact {
                let archive = pack(directory)?;
                spec.files.insert(hosted::SOURCE.to_owned(), archive.to_path_buf());
                packed.push(archive);
            }
            release = release.with_service(name.clone(), spec);
        }
        release.verification = self.config.verification(&self.environment, version)?;
        if self.config.file.is_file() {
            release.sources.push(self.config.file.clone());
        }
        Ok(release)
    }

    /// A token; one that is set to nothing, as CI does it where there is none, is not there.
    fn token(&self, variable: &str) -> Option<Secret> {
        let value = self.around.env.get(variable)?.trim();
        (!value.is_empty()).then(|| Secret::new(value))
    }

    fn of_environment<C: Clone + fmt::Debug>(
        &self,
        platforms: &BTreeMap<ultrai_deploy_core::name::EnvironmentName, C>,
    ) -> Result<C> {
        platforms.get(&self.environment_name).cloned().ok_or_else(|| {
            let message = format!("environment {} has no platform", self.environment_name);
            super::invalid(&message)
        })
    }
}

/// The archive of a source; the release store copies it.
fn pack(directory: &Path) -> Result<TempPath> {
    let file = tempfile::NamedTempFile::new().map_err(|source| {
        let message = "no temporary file can be made";
        Error::new(ErrorKind::Io, "pack the source", message).without_effect().with_source(source)
    })?;
    let archive = file.into_temp_path();
    railway::source::pack(directory, &archive)?;
    Ok(archive)
}

fn service_spec(service: &Service, slot: &str, filled: &Filled) -> ServiceSpec {
    let mut spec = ServiceSpec::default();
    let mut definition = hosted::Definition {
        slot: Some(slot.to_owned()),
        variables: filled.variables.clone(),
        settings: service.extras.settings.clone(),
        secret_files: service.extras.secret_files.clone(),
        registry: service.extras.registry.clone(),
        ..hosted::Definition::default()
    };
    for secret in &service.secrets {
        definition.secret_variables.insert(secret.to_string(), secret.clone());
    }
    match &filled.artifact {
        Artifact::Image(reference) => {
            let reference = reference.clone();
            spec.image = Some(ImageSpec { reference, build: None, pull: PullPolicy::default() });
        }
        Artifact::Commit(commit) => definition.commit = Some(commit.clone()),
        Artifact::Source(_) => {}
    }
    spec.config = json!(definition);
    spec.depends_on.clone_from(&service.depends_on);
    let secrets: BTreeSet<_> = service.secrets.iter().chain(service.extras.secrets()).collect();
    spec.secrets = secrets.into_iter().cloned().collect();
    spec
}

fn no_token(platform: &str) -> Error {
    let message = format!("no token for {platform} is set");
    Error::new(ErrorKind::Invalid, "set the environment up", message).without_effect()
}
