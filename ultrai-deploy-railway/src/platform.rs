//! Railway as a hosted platform: its services, in one environment, are the slots.

mod config;
mod starting;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::OnceCell;
use ultrai_deploy_core::{
    Context, Effect, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    name::ServiceName,
    secret::Secret,
};
#[cfg(feature = "subscriptions")]
use ultrai_deploy_hosted::platform::rest;
use ultrai_deploy_hosted::platform::{
    Artifact, Change, Configured, Deploy, Order, Platform as Seam, Pushes, Seen, Setting, Slot,
    Status, Wanted,
};

use crate::{
    Client, Refusal, find,
    model::{
        Deployment, DeploymentEvent, DeploymentId, DeploymentStatus, Deploys, EnvironmentId,
        LogRange, Service, ServiceAt, ServiceId, ServicePatch, ServiceUpdate, Standing,
        VariablesOf,
    },
};

pub use self::config::Config;
use self::starting::after;

/// How many deployments are looked at: more than come about in one run.
const DEPLOYMENTS: usize = 20;
/// How many when none of those serves: each push that is skipped or fails leaves one.
const MOST_DEPLOYMENTS: usize = 500;
/// How many lines of log are kept of a deployment that failed.
const LINES: u16 = 50;

/// Railway. Clones are the same.
#[derive(Clone, Debug)]
pub struct Platform {
    client: Client,
    config: Config,
    /// What has a name keeps its id, and whoever gives it another one calls for a new run.
    place: Arc<OnceCell<Place>>,
    /// The deployment that is followed.
    #[cfg(feature = "subscriptions")]
    followed: Arc<tokio::sync::Mutex<Option<(DeploymentId, crate::subscribe::Changes)>>>,
}

#[derive(Debug)]
struct Place {
    environment: EnvironmentId,
    services: Vec<Service>,
    with_volume: Vec<ServiceId>,
}

impl Platform {
    /// Railway through `client`.
    pub fn new(client: Client, config: Config) -> Self {
        Self {
            client,
            config,
            place: Arc::default(),
            #[cfg(feature = "subscriptions")]
            followed: Arc::default(),
        }
    }

    async fn place(&self, cx: &Context) -> Result<&Place> {
        self.place.get_or_try_init(|| self.look_around(cx)).await
    }

    async fn look_around(&self, cx: &Context) -> Result<Place> {
        let Config { project, environment, .. } = &self.config;
        let tree = self.client.project_tree(cx, project).await?;
        let environment = find::exactly_one("environment", environment, &tree.environments)?;
        if environment.can_access == Some(false) {
            let message = format!("the token may not see environment {}", environment.name);
            return Err(Error::new(ErrorKind::Denied, "find the environment", message)
                .with_advice("use a token of somebody who may, or a project token of it")
                .without_effect());
        }
        let volumes = self.client.volumes(cx, project, &environment.id).await?;
        Ok(Place {
            environment: environment.id.clone(),
            services: tree.services,
            with_volume: volumes.into_iter().filter_map(|volume| volume.service_id).collect(),
        })
    }

    async fn at(&self, cx: &Context, slot: &Slot) -> Result<ServiceAt> {
        Ok(ServiceAt {
            project: self.config.project.clone(),
            environment: self.place(cx).await?.environment.clone(),
            service: ServiceId::new(slot.id.as_str()),
        })
    }

    /// The steps that failed, and the end of the log.
    async fn clues(&self, cx: &Context, slot: &Slot, id: &DeploymentId) -> Result<Vec<Evidence>> {
        let events = self.client.deployment_events(cx, id).await?;
        let mut clues: Vec<_> = events.iter().filter_map(failed_step).collect();
        if clues.is_empty() {
            clues.extend(events.last().map(|event| format!("the last step was {}", event.step)));
        }
        let mut evidence = vec![Evidence::new(EvidenceKind::Status, &slot.name, clues.join("\n"))];
        let mut lines = self.client.deploy_logs(cx, id, &LogRange::last(LINES)).await?;
        if lines.is_empty() {
            lines = self.client.build_logs(cx, id, &LogRange::last(LINES)).await?;
        }
        let text: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        evidence.push(Evidence::new(EvidenceKind::Log, &slot.name, text.join("\n")));
        Ok(evidence)
    }
}

#[async_trait]
impl Seam for Platform {
    fn name(&self) -> &'static str {
        "railway"
    }

    async fn find(&self, cx: &Context, name: &str) -> Result<Slot> {
        let place = self.place(cx).await?;
        let service = find::exactly_one("service", name, &place.services)?;
        let is_exclusive = place.with_volume.contains(&service.id);
        let id = service.id.as_str().to_owned();
        Ok(Slot { id, name: service.name.clone(), is_exclusive })
    }

    /// Railway suspends nothing: where nothing is deployed, nothing runs.
    async fn look(&self, cx: &Context, slot: &Slot) -> Result<Seen> {
        let at = self.at(cx, slot).await?;
        let mut deployments = self.client.deployments(cx, &at, DEPLOYMENTS).await?;
        let serves = |one: &Deployment| status(&one.status) == Status::Live;
        if deployments.len() >= DEPLOYMENTS && !deployments.iter().any(serves) {
            deployments = self.client.deployments(cx, &at, MOST_DEPLOYMENTS).await?;
        }
        let url = deployments.iter().find_map(|deployment| deployment.static_url.as_deref());
        let url = url.filter(|url| !url.is_empty()).map(with_scheme);
        let deploys = deployments.iter().map(deploy).collect();
        Ok(Seen { deploys, is_suspended: false, url })
    }

    async fn deploy(&self, cx: &Context, _slot: &Slot, id: &str) -> Result<Deploy> {
        let found = self.client.deployment(cx, &DeploymentId::new(id)).await?;
        Ok(deploy(&found))
    }

    async fn variables(&self, cx: &Context, slot: &Slot) -> Result<BTreeMap<String, Secret>> {
        let of = VariablesOf::from(self.at(cx, slot).await?);
        let variables = self.client.variables(cx, &of).await?.0.into_iter();
        // A sealed one cannot be read: it is set anew each time.
        Ok(variables.filter_map(|(name, value)| Some((name, value?))).collect())
    }

    async fn sealed(&self, cx: &Context, slot: &Slot) -> Result<BTreeSet<String>> {
        let of = VariablesOf::from(self.at(cx, slot).await?);
        let variables = self.client.variables(cx, &of).await?.0.into_iter();
        Ok(variables.filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect())
    }

    async fn change_variables(&self, cx: &Context, slot: &Slot, change: &Change) -> Result<()> {
        let at = self.at(cx, slot).await?;
        if !change.remove.is_empty() {
            // Railway deploys for these, once for the whole change: what that starts has all of it,
            // and is overtaken by what comes after, or stopped.
            let service = ServicePatch {
                variables: change.set.clone(),
                removed_variables: change.remove.clone(),
                ..ServicePatch::default()
            };
            return self.patch(cx, &at, service, "change variables").await;
        }
        if change.set.is_empty() {
            return Ok(());
        }
        let of = VariablesOf::from(at);
        self.client.upsert_variables(cx, &of, &change.set, Deploys::Skipped).await
    }

    async fn configured(&self, cx: &Context, slot: &Slot) -> Result<Configured> {
        let at = self.at(cx, slot).await?;
        let instance = self.client.service_instance(cx, &at).await?;
        let mut settings = BTreeMap::new();
        let values = [
            (Setting::PreDeployCommand, instance.pre_deploy_line()),
            (Setting::HealthPath, instance.healthcheck_path),
            (Setting::StartCommand, instance.start_command),
        ];
        for (setting, value) in values {
            settings.extend(value.filter(|value| !value.is_empty()).map(|value| (setting, value)));
        }
        let image = instance.source.and_then(|source| source.image);
        let artifact = image.filter(|image| !image.is_empty()).map(Artifact::image);
        Ok(Configured { artifact, settings })
    }

    async fn configure(
        &self,
        cx: &Context,
        slot: &Slot,
        artifact: Option<&Artifact>,
        settings: &BTreeMap<Setting, Option<String>>,
    ) -> Result<()> {
        let at = self.at(cx, slot).await?;
        let image = artifact.and_then(Artifact::pinned);
        if image.is_none() && settings.is_empty() {
            return Ok(());
        }
        let setting = |setting| settings.get(&setting).cloned();
        let update = ServiceUpdate {
            image,
            healthcheck_path: setting(Setting::HealthPath),
            pre_deploy_command: setting(Setting::PreDeployCommand),
            start_command: setting(Setting::StartCommand),
            ..ServiceUpdate::default()
        };
        self.client.update_service(cx, &at, &update).await
    }

    async fn pushes(&self, cx: &Context, slot: &Slot) -> Result<Option<Pushes>> {
        let at = self.at(cx, slot).await?;
        let status = self.client.auto_deploy(cx, &at).await?;
        Ok(match (status.enabled, status.can_enable) {
            (true, _) => Some(Pushes::Deployed("enabled".to_owned())),
            (false, true) => Some(Pushes::Wait),
            (false, false) => None,
        })
    }

    async fn set_pushes(&self, cx: &Context, slot: &Slot, pushes: &Pushes) -> Result<()> {
        let at = self.at(cx, slot).await?;
        self.client.set_auto_deploy(cx, &at, *pushes != Pushes::Wait).await
    }

    fn removes_with_deploy(&self) -> bool {
        true
    }

    fn brings_variables_back(&self) -> bool {
        true
    }

    async fn start(&self, cx: &Context, slot: &Slot, order: &Order<'_>) -> Result<Option<String>> {
        let at = self.at(cx, slot).await?;
        match order.artifact {
            Artifact::Source(digest) => self.upload(cx, &at, digest, order).await.map(Some),
            _ if order.artifact.pinned().is_some() => self.start_image(cx, &at, order).await,
            Artifact::Commit(commit) => {
                self.remove_variables(cx, &at, order.remove).await?;
                let id = self.client.deploy(cx, &at, Some(commit)).await;
                Ok(Some(after(!order.remove.is_empty(), id)?.as_str().to_owned()))
            }
            other => {
                let message = format!("Railway cannot be told to deploy {other}");
                let error = Error::new(ErrorKind::Unsupported, "start a deployment", message);
                Err(error.without_effect())
            }
        }
    }

    /// Which deployment comes of it Railway does not tell.
    async fn start_back(&self, cx: &Context, _slot: &Slot, to: &Deploy) -> Result<Option<String>> {
        let id = DeploymentId::new(to.id.as_str());
        let gone = || {
            let message = format!("Railway does not go back to deployment {id}");
            Error::new(ErrorKind::NotFound, "roll back a service", message).without_effect()
        };
        // Images are kept for a while only.
        if !self.client.deployment(cx, &id).await?.can_rollback {
            return Err(gone());
        }
        match self.client.rollback(cx, &id).await {
            Ok(()) => Ok(None),
            // Most of what Railway refuses it calls a failure of its own, so a refusal of any kind
            // leads to the same thing once more, which overtakes what may have begun.
            Err(error) if is_refusal(&error) => {
                let is_known = error.effect() == Effect::None;
                let gone = gone().with_source(error);
                Err(if is_known { gone } else { gone.with_unknown_effect() })
            }
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, cx: &Context, _slot: &Slot, id: &str) -> Result<()> {
        let id = DeploymentId::new(id);
        match self.client.cancel(cx, &id).await {
            Ok(()) => Ok(()),
            // It came to its end by itself.
            Err(error) => match self.client.deployment(cx, &id).await {
                Ok(found) if !status(&found.status).is_open() => Ok(()),
                _ => Err(error),
            },
        }
    }

    async fn suspend(&self, cx: &Context, slot: &Slot) -> Result<()> {
        match self.look(cx, slot).await?.live() {
            Some(live) => self.client.remove(cx, &DeploymentId::new(live.id.as_str())).await,
            None => Ok(()),
        }
    }

    async fn resume(&self, _cx: &Context, _slot: &Slot) -> Result<()> {
        Ok(())
    }

    async fn evidence(&self, cx: &Context, slot: &Slot, deploy: &Deploy) -> Vec<Evidence> {
        let id = DeploymentId::new(deploy.id.as_str());
        self.clues(cx, slot, &id).await.unwrap_or_default()
    }

    fn check(&self, service: &ServiceName, wanted: &Wanted<'_>) -> Result<()> {
        let (message, advice) = if !wanted.definition.secret_files.is_empty() {
            (
                format!("Railway has no files with secrets, as {service} wants them"),
                "give it the content in a variable",
            )
        } else if wanted.definition.maintenance {
            (
                format!("Railway shows no page instead of {service}"),
                "leave maintenance out, and let the service itself answer while it migrates",
            )
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Unsupported, "set a service up", message)
            .with_advice(advice)
            .without_effect())
    }

    /// Railway tells when a deployment changes, which costs fewer calls than looking.
    #[cfg(feature = "subscriptions")]
    async fn changed(&self, cx: &Context, _slot: &Slot, deploy: &Deploy) -> Result<()> {
        let (id, pause) = (DeploymentId::new(deploy.id.as_str()), self.pause());
        if !self.config.follow {
            return rest(cx, pause).await;
        }
        // Whoever tells too much must not make us ask too often.
        let next = tokio::time::Instant::now() + pause / 5;
        let mut followed = self.followed.lock().await;
        if followed.as_ref().is_none_or(|(of, _)| *of != id) {
            *followed = Some((id.clone(), self.client.changes(&id, pause)));
        }
        if let (Some((_, changes)), Status::UnderWay(word)) = (followed.as_mut(), &deploy.status) {
            changes.after(cx, &DeploymentStatus::from(word.clone())).await?;
        }
        rest(cx, next.saturating_duration_since(tokio::time::Instant::now())).await
    }

    fn pause(&self) -> Duration {
        self.client.spread(self.config.pause)
    }

    fn lag(&self) -> Duration {
        self.config.lag
    }
}

/// Whether Railway answered, and said no: to this, and not to everything.
fn is_refusal(error: &Error) -> bool {
    let source =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<Refusal>());
    source.is_some() && !matches!(error.kind(), ErrorKind::Denied | ErrorKind::Unsupported)
}

/// Railway tells the name of a host only.
fn with_scheme(url: &str) -> String {
    if url.contains("://") { url.to_owned() } else { format!("https://{url}") }
}

fn failed_step(event: &DeploymentEvent) -> Option<String> {
    let payload = &event.payload;
    let error = payload.error.as_ref()?;
    let texts = [Some(error), payload.detail.as_ref(), payload.reason.as_ref()];
    let texts: Vec<_> = texts.into_iter().flatten().map(String::as_str).collect();
    Some(format!("{}: {}", event.step, texts.join("; ")))
}

fn deploy(deployment: &Deployment) -> Deploy {
    let commit = || deployment.commit().map(|commit| Artifact::Commit(commit.to_owned()));
    Deploy {
        id: deployment.id.as_str().to_owned(),
        artifact: deployment.image().map(Artifact::image).or_else(commit),
        status: status(&deployment.status),
        began: deployment.created_at.map(|at| at.to_string()),
    }
}

fn status(status: &DeploymentStatus) -> Status {
    let word = status.as_str().to_owned();
    match (status, status.standing()) {
        (DeploymentStatus::Skipped, _) => Status::Dropped(word),
        (_, Standing::Success) => Status::Live,
        (_, Standing::Failed) => Status::Failed(word),
        (_, Standing::Superseded) => Status::Replaced,
        (_, Standing::WaitsForApproval) => Status::Blocked(word),
        _ => Status::UnderWay(word),
    }
}
