//! The Docker deployer.

mod beside;
mod create;
mod observe;
mod restore;
mod retire;
mod rollback;
mod rollout;
mod stage;
mod switch;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    current::Current,
    deployer::{Capabilities, Deployer as Seam, Observation, Step, StepRecord, Work},
    error::{Error, ErrorKind, Result},
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    plan::Plan,
    release::{Origin, Release},
    release_store::ReleaseStore,
    spec::ReleaseSpec,
};

use crate::{
    backend::Backend,
    checks,
    config::Config,
    current,
    engine::Engine,
    evidence, guard,
    names::Place,
    plan, preflight,
    record::Record,
    snapshot::{Container, Snapshot},
};

/// Deploys compose projects to a Docker Engine.
///
/// It holds no state of its own: containers, networks and volumes are found by their labels, and a
/// container's name tells what it is (`shop-web-1` serves, `shop-web-1-new-…` does not yet,
/// `shop-web-1-kept-…` did before).
#[derive(Clone, Debug)]
pub struct Deployer {
    backend: Backend,
}

impl Deployer {
    /// A deployer to the engine that `config` names, with the releases of one environment. Nothing
    /// is sent before the first call.
    pub fn connect(config: Config, releases: Arc<dyn ReleaseStore>) -> Self {
        let engine = Engine::new(&config);
        Self { backend: Backend { engine, releases, config } }
    }

    /// A deployer with a client of one's own, for transports that [`Config::host`] does not cover.
    /// The client's request modifier is replaced.
    pub fn with_client(
        client: bollard::Docker,
        config: Config,
        releases: Arc<dyn ReleaseStore>,
    ) -> Self {
        let engine = Engine::with_client(client, &config);
        Self { backend: Backend { engine, releases, config } }
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The engine that it deploys to.
    pub fn engine(&self) -> &Engine {
        &self.backend.engine
    }
}

#[async_trait]
impl Seam for Deployer {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { staging: true, redeploy: true, keeping: true }
    }

    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        cx.bounded(Box::pin(preflight::check(cx, &self.backend, spec))).await
    }

    async fn current(&self, cx: &Context) -> Result<Current> {
        cx.bounded(current::read(cx, &self.backend)).await
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        plan::plan(current, release, self.backend.engine.known_api())
    }

    async fn prepare(&self, cx: &Context, _step: Step, work: &Work<'_>) -> Result<StepRecord> {
        guard::refuse_foreign(cx, &self.backend).await?;
        let snapshot = Snapshot::read(&self.backend.engine, &cx.target().project).await?;
        current::refuse_foreign(cx, &snapshot)?;
        let current = self.backend.releases.current().await?;
        Record::new(cx, work, &snapshot, current)?.seal()
    }

    async fn stage(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        stage::stage(cx, &self.backend, work, record).await
    }

    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        switch::switch(cx, &self.backend, work, record).await
    }

    async fn retire(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        retire::retire(cx, &self.backend, work, record).await
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        rollback::rollback(cx, &self.backend, work, record).await
    }

    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        observe::observe(cx, &self.backend, step, work, record).await
    }

    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        checks::declared(&self.backend, release)
    }

    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        let snapshot = Snapshot::read(&self.backend.engine, &cx.target().project).await?;
        let fits = |one: &&Container| match (role, one.place()) {
            (Role::Live, Place::Live) | (Role::Previous, Place::Kept(_)) => is_of(one, release),
            (Role::Staged, Place::Staged(_)) => {
                one.marks.release.as_ref() == Some(&release.id) && !one.state.started_at.is_empty()
            }
            _ => false,
        };
        Ok(snapshot.containers.values().filter(fits).map(|one| endpoint(role, one)).collect())
    }

    async fn evidence(&self, _cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        evidence::collect(&self.backend, endpoint).await
    }
}

/// Whether a container runs what a release says of its service.
fn is_of(container: &Container, release: &Release) -> bool {
    release.services.get(&container.service).is_some_and(|service| {
        let hash = container.marks.spec_hash.as_ref();
        release.origin == Origin::Adopted || hash == Some(&service.spec_hash)
    })
}

fn endpoint(role: Role, container: &Container) -> Endpoint {
    let endpoint = Endpoint::new(role, container.service.clone(), container.id.clone());
    container
        .addresses
        .iter()
        .fold(endpoint, |endpoint, (port, address)| endpoint.with_address(*port, *address))
}

/// The release that a step brings.
fn target<'a>(work: &Work<'a>) -> Result<&'a Release> {
    work.to.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "deploy", "no release to bring was given").without_effect()
    })
}

/// Makes a release current, or none; what was adopted is never current.
async fn set_current(cx: &Context, backend: &Backend, to: Option<&Release>) -> Result<()> {
    let wanted = to.filter(|release| release.origin == Origin::Sealed).map(|one| &one.id);
    if backend.releases.current().await?.as_ref() == wanted {
        return Ok(());
    }
    let object = wanted.map_or("no release", |id| id.as_str());
    cx.effect("make current", object, json!({}), backend.releases.set_current(wanted)).await
}
