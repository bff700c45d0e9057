//! Render as a hosted platform: its services are the slots.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Effect, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    name::ServiceName,
    secret::Secret,
};
use ultrai_deploy_hosted::platform::{
    Artifact, Change, Configured, Deploy, Order, Platform as Seam, Pushes, Seen, Setting, Slot,
    Status, Wanted,
};

use crate::{
    Client,
    model::{
        self, AutoDeploy, BuildCache, DeployFilter, DeployStatus, EventFilter, ImageSource,
        LogQuery, MaintenanceMode, OwnerId, Service, ServiceChange, ServiceId, Start, StartCommand,
        Started, Suspension,
    },
};

/// How many deploys are looked at: more than come about in one run.
const DEPLOYS: usize = 20;
/// What Render calls that each push is deployed, and that none is.
const COMMIT: &str = "commit";
const OFF: &str = "off";
/// How many lines of log are kept of a deploy that failed.
const LINES: usize = 50;

/// How Render is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The workspace (`tea-…`, `usr-…`) that services are looked for in by name; all that the key
    /// sees when it is not set.
    pub workspace: Option<OwnerId>,
    /// How often a deploy under way is looked at; every 5 s, as Render's own command-line program
    /// does. Less often where the account's limit asks for it.
    pub pause: Duration,
    /// How long after a call what it did may not be seen yet; 5 s.
    pub lag: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let (pause, lag) = (Duration::from_secs(5), Duration::from_secs(5));
        Self { workspace: None, pause, lag }
    }
}

/// Render. Clones are the same.
#[derive(Clone, Debug)]
pub struct Platform {
    client: Client,
    config: Config,
    /// A service keeps its id, and whoever gives it another name calls for a new run.
    found: Arc<Mutex<BTreeMap<String, Slot>>>,
}

impl Platform {
    /// Render through `client`.
    pub fn new(client: Client, config: Config) -> Self {
        Self { client, config, found: Arc::default() }
    }

    async fn look_for(&self, cx: &Context, name: &str) -> Result<Slot> {
        let service = if is_id(name) {
            self.client.service(cx, &name.into()).await?
        } else {
            let owner = self.config.workspace.as_ref();
            only(name, self.client.services_named(cx, owner, name).await?)?
        };
        let is_exclusive = service.details.disk.is_some();
        Ok(Slot { id: service.id.as_str().to_owned(), name: service.name, is_exclusive })
    }

    /// Why a deploy ended as it did, and the end of its log.
    async fn clues(&self, cx: &Context, slot: &Slot, deploy: &Deploy) -> Result<Vec<Evidence>> {
        let id = id_of(slot);
        let mut clues = Vec::new();
        let events = self.client.events(cx, &id, &EventFilter::default()).await.unwrap_or_default();
        let ended = events.iter().filter_map(model::Event::ended);
        let mut reasons = ended
            .filter(|ended| ended.deploy.as_ref().is_some_and(|one| one.as_str() == deploy.id));
        if let Some(ended) = reasons.next() {
            let text = format!("{ended:?}");
            clues.push(Evidence::new(EvidenceKind::Status, &slot.name, text));
        }
        let owner = self.client.service(cx, &id).await?.owner_id;
        let query = LogQuery::new(owner, slot.id.as_str());
        let mut lines = self.client.logs(cx, &query, LINES).await?;
        lines.reverse();
        let text: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        clues.push(Evidence::new(EvidenceKind::Log, &slot.name, text.join("\n")));
        Ok(clues)
    }
}

#[async_trait]
impl Seam for Platform {
    fn name(&self) -> &'static str {
        "render"
    }

    async fn find(&self, cx: &Context, name: &str) -> Result<Slot> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(slot) = known {
            return Ok(slot);
        }
        let slot = self.look_for(cx, name).await?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(name.to_owned(), slot.clone());
        Ok(slot)
    }

    async fn look(&self, cx: &Context, slot: &Slot) -> Result<Seen> {
        let service = self.client.service(cx, &id_of(slot)).await?;
        let filter = DeployFilter { at_most: Some(DEPLOYS), ..DeployFilter::default() };
        let mut deploys = self.client.deploys(cx, &id_of(slot), &filter).await?;
        if deploys.len() >= DEPLOYS && !deploys.iter().any(|deploy| deploy.status.is_live()) {
            // What serves is older than as many that failed.
            let (statuses, at_most) = (vec![DeployStatus::Live], Some(1));
            let filter = DeployFilter { statuses, at_most, ..DeployFilter::default() };
            deploys.extend(self.client.deploys(cx, &id_of(slot), &filter).await?);
        }
        Ok(Seen {
            deploys: deploys.into_iter().map(deploy).collect(),
            is_suspended: service.suspended == Suspension::Suspended,
            url: service.details.url,
        })
    }

    async fn deploy(&self, cx: &Context, slot: &Slot, id: &str) -> Result<Deploy> {
        self.client.deploy(cx, &id_of(slot), &id.into()).await.map(deploy)
    }

    async fn variables(&self, cx: &Context, slot: &Slot) -> Result<BTreeMap<String, Secret>> {
        let variables = self.client.env_vars(cx, &id_of(slot)).await?;
        Ok(variables.into_iter().map(|variable| (variable.key, variable.value)).collect())
    }

    async fn change_variables(&self, cx: &Context, slot: &Slot, change: &Change) -> Result<()> {
        let id = id_of(slot);
        let mut is_changed = false;
        for name in &change.remove {
            after(is_changed, self.client.delete_env_var(cx, &id, name).await)?;
            is_changed = true;
        }
        for (name, value) in &change.set {
            after(is_changed, self.client.set_env_var(cx, &id, name, value).await)?;
            is_changed = true;
        }
        Ok(())
    }

    async fn files(&self, cx: &Context, slot: &Slot) -> Result<BTreeMap<String, Secret>> {
        let files = self.client.secret_files(cx, &id_of(slot)).await?;
        Ok(files.into_iter().map(|file| (file.name, file.content)).collect())
    }

    async fn change_files(&self, cx: &Context, slot: &Slot, change: &Change) -> Result<()> {
        let id = id_of(slot);
        let mut is_changed = false;
        for name in &change.remove {
            after(is_changed, self.client.delete_secret_file(cx, &id, name).await)?;
            is_changed = true;
        }
        for (name, content) in &change.set {
            after(is_changed, self.client.put_secret_file(cx, &id, name, content).await)?;
            is_changed = true;
        }
        Ok(())
    }

    async fn configured(&self, cx: &Context, slot: &Slot) -> Result<Configured> {
        let service = self.client.service(cx, &id_of(slot)).await?;
        let mut settings = BTreeMap::new();
        let values = [
            (Setting::PreDeployCommand, service.pre_deploy_command().map(str::to_owned)),
            (Setting::StartCommand, service.start_command().map(str::to_owned)),
            (Setting::HealthPath, service.details.health_check_path),
        ];
        for (setting, value) in values {
            settings.extend(value.filter(|value| !value.is_empty()).map(|value| (setting, value)));
        }
        let image = service.image_path.filter(|image| !image.is_empty());
        Ok(Configured { artifact: image.map(Artifact::image), settings })
    }

    async fn configure(
        &self,
        cx: &Context,
        slot: &Slot,
        artifact: Option<&Artifact>,
        settings: &BTreeMap<Setting, Option<String>>,
    ) -> Result<()> {
        let path = artifact.and_then(Artifact::pinned);
        if path.is_none() && settings.is_empty() {
            return Ok(());
        }
        let id = id_of(slot);
        let service = self.client.service(cx, &id).await?;
        let owner = service.owner_id;
        let image = path.map(|path| ImageSource { owner, path, registry_credential: None });
        // Render takes nothing for what is cleared.
        let setting = |setting| settings.get(&setting).cloned().map(Option::unwrap_or_default);
        let runtime = service.details.runtime.unwrap_or_default();
        let change = ServiceChange {
            image,
            health_check_path: setting(Setting::HealthPath),
            pre_deploy_command: setting(Setting::PreDeployCommand),
            start_command: setting(Setting::StartCommand)
                .map(|command| StartCommand { runtime, command }),
            ..ServiceChange::default()
        };
        self.client.update_service(cx, &id, &change).await.map(drop)
    }

    async fn pushes(&self, cx: &Context, slot: &Slot) -> Result<Option<Pushes>> {
        let service = self.client.service(cx, &id_of(slot)).await?;
        Ok(match (service.auto_deploy, service.auto_deploy_trigger) {
            (AutoDeploy::No, _) => Some(Pushes::Wait),
            (AutoDeploy::Yes, trigger) if trigger.is_empty() || trigger == OFF => {
                Some(Pushes::Deployed(COMMIT.to_owned()))
            }
            (AutoDeploy::Yes, trigger) => Some(Pushes::Deployed(trigger)),
            _ => None,
        })
    }

    async fn set_pushes(&self, cx: &Context, slot: &Slot, pushes: &Pushes) -> Result<()> {
        let mut change = ServiceChange::default();
        match pushes {
            Pushes::Wait => change.auto_deploy = Some(AutoDeploy::No),
            Pushes::Deployed(trigger) if trigger == COMMIT => {
                change.auto_deploy = Some(AutoDeploy::Yes);
            }
            // Not known to the older of the two fields.
            Pushes::Deployed(trigger) => change.auto_deploy_trigger = Some(trigger.clone()),
        }
        self.client.update_service(cx, &id_of(slot), &change).await.map(drop)
    }

    async fn maintenance(&self, cx: &Context, slot: &Slot) -> Result<Option<bool>> {
        let details = self.client.service(cx, &id_of(slot)).await?.details;
        Ok(Some(details.maintenance_mode.is_some_and(|mode| mode.enabled)))
    }

    async fn set_maintenance(&self, cx: &Context, slot: &Slot, on: bool) -> Result<()> {
        let id = id_of(slot);
        // The page that is chosen already stays.
        let chosen = self.client.service(cx, &id).await?.details.maintenance_mode;
        let mode = MaintenanceMode { enabled: on, ..chosen.unwrap_or_default() };
        self.client.set_maintenance_mode(cx, &id, &mode).await
    }

    async fn start(&self, cx: &Context, slot: &Slot, order: &Order<'_>) -> Result<Option<String>> {
        let start = match (order.artifact, order.artifact.pinned()) {
            (_, Some(image)) => Start::Image(image),
            (Artifact::Commit(commit), _) => Start::Commit(commit.clone(), BuildCache::Keep),
            (other, None) => {
                let message = format!("Render cannot be told to deploy {other}");
                let error = Error::new(ErrorKind::Unsupported, "start a deploy", message);
                return Err(error.without_effect());
            }
        };
        Ok(match self.client.start_deploy(cx, &id_of(slot), &start).await? {
            Started::Deploy(deploy) => Some(deploy.id.as_str().to_owned()),
            Started::Queued => None,
        })
    }

    async fn start_back(&self, cx: &Context, slot: &Slot, to: &Deploy) -> Result<Option<String>> {
        match self.client.rollback(cx, &id_of(slot), &to.id.as_str().into()).await {
            Ok(back) => Ok(Some(back.id.as_str().to_owned())),
            // Builds are kept for a while only, and a refusal does not say which reason it has.
            Err(error)
                if error.effect() == Effect::None
                    && matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict) =>
            {
                let message = format!("Render does not go back to deploy {}", to.id);
                Err(Error::new(ErrorKind::NotFound, "roll back a service", message)
                    .without_effect()
                    .with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, cx: &Context, slot: &Slot, id: &str) -> Result<()> {
        let (service, id) = (id_of(slot), id.into());
        match self.client.cancel_deploy(cx, &service, &id).await {
            Ok(_) => Ok(()),
            // It came to its end by itself.
            Err(error) => match self.client.deploy(cx, &service, &id).await {
                Ok(deploy) if deploy.status.is_over() => Ok(()),
                _ => Err(error),
            },
        }
    }

    async fn suspend(&self, cx: &Context, slot: &Slot) -> Result<()> {
        self.client.suspend(cx, &id_of(slot)).await
    }

    async fn resume(&self, cx: &Context, slot: &Slot) -> Result<()> {
        self.client.resume(cx, &id_of(slot)).await
    }

    async fn evidence(&self, cx: &Context, slot: &Slot, deploy: &Deploy) -> Vec<Evidence> {
        self.clues(cx, slot, deploy).await.unwrap_or_default()
    }

    fn check(&self, service: &ServiceName, wanted: &Wanted<'_>) -> Result<()> {
        let (message, advice) = if wanted.is_upload {
            (
                format!("Render takes no source of {service} from here"),
                "name the commit of the repository that the service is connected to, or an image",
            )
        } else if wanted.definition.registry.is_some() {
            (
                format!("Render takes no registry login for {service} with a deploy"),
                "choose the registry credential of the service in Render's dashboard",
            )
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Unsupported, "set a service up", message)
            .with_advice(advice)
            .without_effect())
    }

    fn pause(&self) -> Duration {
        self.client.api().spread("read", self.config.pause)
    }

    fn lag(&self) -> Duration {
        self.config.lag
    }
}

/// Whatever failed, something before it may have changed what is there.
fn after<T>(is_changed: bool, result: Result<T>) -> Result<T> {
    result.map_err(|error| if is_changed { error.with_unknown_effect() } else { error })
}

fn id_of(slot: &Slot) -> ServiceId {
    slot.id.as_str().into()
}

/// Whether it is an id: `srv-…`, and `crn-…` for cron jobs.
fn is_id(name: &str) -> bool {
    name.starts_with("srv-") || name.starts_with("crn-")
}

/// The only one; several may have the same name, in other workspaces and environments.
fn only(name: &str, mut services: Vec<Service>) -> Result<Service> {
    if services.len() == 1
        && let Some(service) = services.pop()
    {
        return Ok(service);
    }
    let (kind, message, advice) = if services.is_empty() {
        let message = format!("no service that the key sees is called {name}");
        (
            ErrorKind::NotFound,
            message,
            "look at its name in the dashboard, or whether the key is of its workspace".to_owned(),
        )
    } else {
        let ids: Vec<_> = services
            .iter()
            .map(|service| format!("{} ({})", service.id.as_str(), service.kind.as_str()))
            .collect();
        let message = format!("{} services are called {name}", services.len());
        (ErrorKind::Invalid, message, format!("use the id of one of them: {}", ids.join(", ")))
    };
    Err(Error::new(kind, "find a service", message).with_advice(advice).without_effect())
}

fn deploy(deploy: model::Deploy) -> Deploy {
    let image = deploy.image.filter(|image| !image.reference.is_empty()).map(|image| {
        let digest = (!image.digest.is_empty()).then_some(image.digest);
        match (Artifact::image(image.reference), digest) {
            (Artifact::Image { reference, .. }, Some(digest)) => {
                Artifact::Image { reference, digest: Some(digest) }
            }
            (artifact, _) => artifact,
        }
    });
    let commit = deploy.commit.filter(|commit| !commit.id.is_empty());
    Deploy {
        id: deploy.id.as_str().to_owned(),
        artifact: image.or(commit.map(|commit| Artifact::Commit(commit.id))),
        status: status(&deploy.status),
        began: deploy.created_at.map(|at| at.to_string()),
    }
}

fn status(status: &DeployStatus) -> Status {
    let word = status.as_str().to_owned();
    match status {
        _ if status.is_live() => Status::Live,
        _ if status.is_failed() => Status::Failed(word),
        DeployStatus::Deactivated => Status::Replaced,
        DeployStatus::Canceled => Status::Dropped(word),
        _ => Status::UnderWay(word),
    }
}
