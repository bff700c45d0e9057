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
    Error, ErrorKind, Result,
    name::{EnvironmentName, ServiceName, Target},
    observer::Observer,
    release_store::ReleaseStore,
    secret::Secret,
    spec::{ImageSpec, ReleaseSpec, ServiceSpec},
    task::TaskRunner,
    version::Version,
};
use ultrai_deploy_hosted::{
    self as hosted, Platform,
    backups::{self, Snapshots},
    metrics::{self, Metrics},
};
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway as railway;
use ultrai_deploy_render as render;

use super::{Plan, Setup};
use crate::{
    cli::progress::{Progress, say},
    config::hosted::{Artifact, Filled, Hosted, Service},
};

/// What runs the tests of the releases in a store.
type MakeTasks = dyn FnOnce(Arc<dyn ReleaseStore>) -> Arc<dyn TaskRunner>;

/// A platform as a token opens it.
struct Opened {
    platform: Arc<dyn Platform>,
    /// What runs `[[test]]`s there.
    tasks: Box<MakeTasks>,
    metrics: Arc<dyn Metrics>,
    /// What it keeps in backups, if anything.
    snapshots: Option<Arc<dyn Snapshots>>,
}

impl Plan<'_> {
    pub(super) async fn railway(self, backend: &Hosted<railway::Config>) -> Result<Setup> {
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
        self.tell_of_railway_files(&backend.services);
        let volumes = self.kept(&backend.kept).map(|names| {
            let volumes = railway::Volumes::new(client.clone(), config.clone());
            Arc::new(volumes.only(names)) as _
        });
        let opened = Opened {
            metrics: Arc::new(railway::Metrics::new(client.clone(), config.clone())),
            platform: Arc::new(railway::Platform::new(client, config)),
            tasks: Box::new(|_| Arc::new(railway::NoTasks) as _),
            snapshots: volumes,
        };
        self.hosted(&backend.services, opened).await
    }

    pub(super) async fn render(self, backend: &Hosted<render::Config>) -> Result<Setup> {
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
        self.tell_of_blueprint();
        let databases = self.kept(&backend.kept).map(|names| {
            render::Databases::new(client.clone(), config.clone(), names)
                .map(|databases| Arc::new(databases) as _)
        });
        let opened = Opened {
            metrics: Arc::new(render::Metrics::new(client.clone())),
            platform: Arc::new(render::Platform::new(client.clone(), config.clone())),
            snapshots: databases.transpose()?,
            tasks: Box::new(|releases| Arc::new(render::Tasks::new(client, config, releases)) as _),
        };
        self.hosted(&backend.services, opened).await
    }

    async fn hosted(
        self,
        services: &BTreeMap<ServiceName, Service>,
        opened: Opened,
    ) -> Result<Setup> {
        let project = self.project()?;
        let mut packed = Vec::new();
        let spec = match &self.version {
            Some(version) => Some(self.hosted_release(services, version, &mut packed)?),
            None => None,
        };
        let secrets = self.secrets();
        let mut state =
            self.open_home(&Target::new(project, self.environment_name.clone()), &*secrets).await?;
        let releases = Arc::clone(&state.releases);
        let slot = |(name, service): (&ServiceName, &Service)| {
            (name.clone(), service.slot(name, &self.environment).to_owned())
        };
        let slots = services.iter().map(slot).collect();
        let tasks = (opened.tasks)(Arc::clone(&releases));
        let deployer = Arc::new(hosted::Deployer::new(opened.platform, slots, releases));
        let observer: Arc<dyn Observer> = Arc::new(Progress::default());
        let notices = self.notices(&state, &secrets)?;
        let of_platform =
            |others| Arc::new(metrics::Probes::new(Arc::clone(&opened.metrics), others)) as _;
        let probes = self.probes(&secrets, &of_platform)?;
        let policy = self.config.policy_of(&self.environment);
        let mut builder = self
            .builder_with(&state, Arc::clone(&deployer) as _, &secrets, observer, probes)?
            .observer(notices.observer())
            .images(Arc::new(hosted::Images))
            .tasks(tasks);
        if let Some(snapshots) = opened.snapshots {
            let files = Arc::clone(&state.backups);
            state.backups = Arc::new(backups::BackupStore::new(files, snapshots));
            builder = builder.backups(Arc::clone(&state.backups));
        }
        let pipeline = builder.build()?;
        Ok(Setup {
            pipeline,
            state,
            deployer,
            policy,
            spec,
            notices,
            is_hosted: true,
            _packed: packed,
        })
    }

    fn hosted_release(
        &self,
        services: &BTreeMap<ServiceName, Service>,
        version: &Version,
        packed: &mut Vec<TempPath>,
    ) -> Result<ReleaseSpec> {
        let mut release = ReleaseSpec::new(self.project()?, version.clone());
        let mut filled = self.with_known(|known| self.config.filled(services, known))?;
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
        release.flags = self.flags();
        if self.config.file.is_file() {
            release.sources.push(self.config.file.clone());
        }
        Ok(release)
    }

    /// What the platform keeps in backups of the environment.
    fn kept(&self, kept: &BTreeMap<EnvironmentName, Vec<String>>) -> Option<Vec<String>> {
        kept.get(&self.environment_name).filter(|names| !names.is_empty()).cloned()
    }

    /// What Railway reads beside its settings, in the directories that it may read it from.
    fn tell_of_railway_files(&self, services: &BTreeMap<ServiceName, Service>) {
        let sources = services.values().filter_map(|service| match &service.artifact {
            Artifact::Source(directory) => Some(directory.as_path()),
            _ => None,
        });
        let directories: BTreeSet<_> = sources.chain([self.config.directory()]).collect();
        for directory in directories {
            for name in ["railway.json", "railway.toml"] {
                let file = directory.join(name);
                let Some(text) = self.beside(&file) else { continue };
                tell(
                    railway::config_file::ConfigFile::read(&file, &text).map(|read| read.warnings),
                );
            }
        }
    }

    /// A Blueprint is Render's, and nothing here rests on it: what is wrong with it is told.
    fn tell_of_blueprint(&self) {
        let file = self.config.directory().join("render.yaml");
        let Some(text) = self.beside(&file) else { return };
        tell(render::blueprint::Blueprint::read(&file, &text).map(|read| read.warnings));
    }

    /// A file of the platform's own, where there is one and something is deployed.
    fn beside(&self, file: &Path) -> Option<String> {
        self.version.as_ref()?;
        std::fs::read_to_string(file).ok()
    }

    /// A token; one that is set to nothing, as CI does it where there is none, is not there.
    fn token(&self, variable: &str) -> Option<Secret> {
        let value = self.around.env.get(variable)?.trim();
        (!value.is_empty()).then(|| Secret::new(value))
    }

    fn of_environment<C: Clone + fmt::Debug>(
        &self,
        platforms: &BTreeMap<EnvironmentName, C>,
    ) -> Result<C> {
        platforms.get(&self.environment_name).cloned().ok_or_else(|| {
            let message = format!("environment {} has no platform", self.environment_name);
            super::invalid(&message)
        })
    }
}

/// What is odd, or wrong, in a file that nothing here rests on.
fn tell<W: fmt::Display, P: fmt::Display>(read: std::result::Result<Vec<W>, P>) {
    match read {
        Ok(warnings) => {
            for warning in warnings {
                say(&format!("warning: {warning}"));
            }
        }
        Err(problems) => say(&format!("warning: {problems}")),
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
        maintenance: service.extras.maintenance,
        ..hosted::Definition::default()
    };
    for secret in &service.secrets {
        definition.secret_variables.insert(secret.to_string(), secret.clone());
    }
    match &filled.artifact {
        Artifact::Image(reference) => {
            let reference = reference.clone();
            spec.image = Some(ImageSpec::new(reference));
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
