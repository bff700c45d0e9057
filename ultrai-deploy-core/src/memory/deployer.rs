//! The memory deployer: the reference for what every backend has to do.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::json;

use super::{
    behaviour::Behaviour,
    plan,
    probe::{self, Probe},
    snapshot::{Seen, Snapshot},
    world::{Instance, Maker, Phase, World},
};
use crate::{
    context::Context,
    current::{Current, Running, Serving},
    deployer::{Capabilities, Deployer as Seam, Observation, Step, StepRecord, Work},
    error::{Error, ErrorKind, Result},
    evidence::Evidence,
    health::{Check, Endpoint, Role, Timing},
    name::ServiceName,
    plan::{Action, Plan},
    release::{Origin, Release, ReleaseService},
    release_store::ReleaseStore,
    spec::ReleaseSpec,
    version::Version,
};

/// Deploys to a [`World`]. It holds no state of its own: a second one on the same world and the
/// same release store is the same deployer after a restart. Which release serves is what the
/// store's `current` says; it changes last in a step.
///
/// A service's `config` says how it behaves. All keys may be left out:
///
/// | key | meaning |
/// |---|---|
/// | `"port": "fixed"` | the old instance stops before the new one starts; start-first otherwise |
/// | `"healthy": false` | its health check never passes |
/// | `"healthy": "once"` | it passes until it was stopped once |
/// | `"healthy": "staged"` | it passes as long as it has no traffic |
/// | `"healthy_after": 2` | the first two looks find it coming up |
/// | `"dead": true` | it exits right after its start |
/// | `"starts": false` | starting it fails |
/// | `"supported": false` | preflight refuses it |
/// | `"tasks": {"smoke": 1}` | exit codes of tasks by name, 0 for others |
#[derive(Clone, Debug)]
pub struct Deployer {
    world: World,
    releases: Arc<dyn ReleaseStore>,
}

impl Deployer {
    /// A deployer to `world` that makes releases current in `releases`.
    pub fn new(world: World, releases: Arc<dyn ReleaseStore>) -> Self {
        Self { world, releases }
    }

    async fn look(&self) -> Result<Snapshot> {
        Ok(Snapshot::of(self.releases.current().await?, &self.world))
    }

    /// The running instance that this run brought for a service, made if it is not there.
    async fn bring(
        &self,
        cx: &Context,
        step: Step,
        release: &Release,
        name: &ServiceName,
        phase: Phase,
    ) -> Result<()> {
        match self.brought(cx, name) {
            Some(one) if one.is_up() && [Phase::Live, phase].contains(&one.phase) => Ok(()),
            Some(one) => self.start(cx, &one, phase).await,
            None => self.create(cx, step, release, name, phase).await,
        }
    }

    async fn create(
        &self,
        cx: &Context,
        step: Step,
        release: &Release,
        name: &ServiceName,
        phase: Phase,
    ) -> Result<()> {
        let service = service(release, name)?;
        let maker = Maker { run: cx.run().clone(), step: Some(step) };
        cx.effect("create", name.as_str(), json!({ "release": release.id }), async {
            self.world.create(maker, release, name, service, phase)
        })
        .await
        .map(|_id| ())
    }

    async fn start(&self, cx: &Context, one: &Instance, phase: Phase) -> Result<()> {
        let action = if one.is_up() { "give traffic" } else { "start" };
        cx.effect(action, &one.id, json!({}), async { self.world.start(&one.id, phase) }).await
    }

    async fn keep(&self, cx: &Context, one: &Instance) -> Result<()> {
        cx.effect("stop", &one.id, json!({}), async { self.world.set_phase(&one.id, Phase::Kept) })
            .await
    }

    async fn remove(&self, cx: &Context, one: &Instance) -> Result<()> {
        cx.effect("remove", &one.id, json!({}), async {
            self.world.remove(&one.id);
            Ok(())
        })
        .await
    }

    /// Stops what served of a service before this run and still has traffic.
    async fn keep_old(&self, cx: &Context, before: &Snapshot, name: &ServiceName) -> Result<()> {
        for seen in before.served(cx).filter(|seen| seen.service == *name) {
            if let Some(old) = self.world.get(&seen.id)
                && old.phase == Phase::Live
            {
                self.keep(cx, &old).await?;
            }
        }
        Ok(())
    }

    async fn serve(&self, cx: &Context, release: Option<&Release>) -> Result<()> {
        let id = release.filter(|one| one.origin == Origin::Sealed).map(|one| one.id.clone());
        if self.releases.current().await? == id {
            return Ok(());
        }
        let object = id.as_ref().map_or("nothing", |id| id.as_str());
        cx.effect("make current", object, json!({}), self.releases.set_current(id.as_ref())).await
    }

    fn brought(&self, cx: &Context, name: &ServiceName) -> Option<Instance> {
        self.world
            .instances()
            .into_iter()
            .find(|one| one.service == *name && one.is_brought_by(cx.run()))
    }

    /// What runs or is kept of a service as a release wants it, best what served `before`; nothing
    /// that this run brought.
    fn candidate(
        &self,
        cx: &Context,
        work: &Work<'_>,
        before: &Snapshot,
        release: &Release,
        name: &ServiceName,
    ) -> Option<Instance> {
        let served: Vec<_> = before.served(cx).map(|seen| &seen.id).collect();
        let mut found = self.world.instances();
        found.retain(|one| {
            one.service == *name
                && one.phase != Phase::Task
                && !is_brought(cx, work, one)
                && is_of(one, release)
        });
        found.into_iter().max_by_key(|one| served.contains(&&one.id))
    }

    fn observe_stage(&self, cx: &Context, work: &Work<'_>, to: &Release) -> Observation {
        let wanted = plan::staged(work.plan, to);
        let there = wanted
            .iter()
            .filter(|name| self.brought(cx, name).is_some_and(|one| one.is_up()))
            .count();
        let any = wanted.iter().any(|name| self.brought(cx, name).is_some());
        match (there == wanted.len(), any) {
            (true, _) => Observation::Done,
            (false, true) => Observation::Partial,
            (false, false) => Observation::NotDone,
        }
    }

    async fn observe_switch(
        &self,
        cx: &Context,
        before: &Snapshot,
        to: &Release,
    ) -> Result<Observation> {
        let now = self.look().await?;
        if self.serves(&now, to) {
            return Ok(Observation::Done);
        }
        let untouched = before.serving == now.serving
            && before.served(cx).all(|seen| self.phase(seen) == Some(Phase::Live))
            && !self.world.live().iter().any(|one| one.is_brought_by(cx.run()));
        Ok(if untouched { Observation::NotDone } else { Observation::Partial })
    }

    async fn observe_rollback(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        let now = self.look().await?;
        let pending = self.world.instances().iter().any(|one| is_brought(cx, work, one));
        let back = work.to.map_or(now.serving.is_none(), |to| self.serves(&now, to));
        if back && !pending {
            return Ok(Observation::Done);
        }
        let untouched = Snapshot::read(record)? == now;
        Ok(if untouched { Observation::NotDone } else { Observation::Partial })
    }

    fn observe_retire(&self, cx: &Context, before: &Snapshot) -> Observation {
        let kept: Vec<_> = before
            .served(cx)
            .filter(|seen| self.phase(seen) == Some(Phase::Kept))
            .map(|seen| &seen.id)
            .collect();
        let gone = before.served(cx).any(|seen| self.phase(seen).is_none());
        match (kept.is_empty(), gone) {
            (true, _) => Observation::Done,
            (false, true) => Observation::Partial,
            (false, false) => Observation::NotDone,
        }
    }

    /// Whether a release has all the traffic.
    fn serves(&self, now: &Snapshot, release: &Release) -> bool {
        let marked = match release.origin {
            Origin::Sealed => now.serving.as_ref() == Some(&release.id),
            Origin::Adopted => now.serving.is_none(),
        };
        let live = self.world.live();
        marked
            && live.iter().all(|one| is_of(one, release))
            && release
                .services
                .keys()
                .all(|name| live.iter().any(|one| one.service == *name && one.is_up()))
    }

    fn phase(&self, seen: &Seen) -> Option<Phase> {
        self.world.get(&seen.id).map(|one| one.phase)
    }
}

#[async_trait]
impl Seam for Deployer {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { staging: true, redeploy: true, keeping: true }
    }

    async fn preflight(&self, _cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        for (name, service) in &spec.services {
            if !Behaviour::read(&service.config)?.supported {
                return Err(unsupported(name));
            }
        }
        Ok(())
    }

    async fn current(&self, cx: &Context) -> Result<Current> {
        let mut services: BTreeMap<ServiceName, Running> = BTreeMap::new();
        let live = self.world.live();
        for one in &live {
            let running = services.entry(one.service.clone()).or_insert_with(|| Running {
                image: one.image.clone(),
                spec_hash: one.spec_hash.clone(),
                up: true,
                started_at: Some(format!("tick {}", one.started_at)),
                status: one.state().to_owned(),
                ..Running::default()
            });
            running.up &= one.is_up();
            running.instances.push(one.id.clone());
        }
        let serving = match self.releases.current().await? {
            Some(id) => Serving::Release(id),
            // Others started it, or an earlier run whose release was forgotten.
            None if live.iter().any(|one| !one.is_brought_by(cx.run())) => {
                let found = live.into_iter().filter(|one| !one.is_brought_by(cx.run()));
                let services = found
                    .map(|one| (one.service, ReleaseService::new(one.image, one.config)))
                    .collect();
                let release =
                    Release::new(cx.target().project.clone(), Version::parse("0.0.0")?, services)?;
                Serving::Unmanaged(Box::new(release.adopted()?))
            }
            None => Serving::Nothing,
        };
        Ok(Current { serving, services })
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        plan::plan(current, release)
    }

    async fn prepare(&self, _cx: &Context, _step: Step, _work: &Work<'_>) -> Result<StepRecord> {
        Ok(self.look().await?.record())
    }

    async fn stage(&self, cx: &Context, work: &Work<'_>, _record: &StepRecord) -> Result<()> {
        let to = target(work)?;
        for name in plan::staged(work.plan, to) {
            self.bring(cx, Step::Stage, to, name, Phase::Staged).await?;
        }
        Ok(())
    }

    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        let to = target(work)?;
        let before = Snapshot::before_run(work, record)?;
        for name in to.in_dependency_order() {
            let action = work.plan.services.get(name).map(|change| change.action);
            if action == Some(Action::Keep) {
                continue;
            }
            for needed in &service(to, name)?.depends_on {
                probe::wait_until_healthy(cx, &self.world, needed).await?;
            }
            if action == Some(Action::StopFirst) {
                self.keep_old(cx, &before, name).await?;
            }
            self.bring(cx, Step::Switch, to, name, Phase::Live).await?;
            self.keep_old(cx, &before, name).await?;
        }
        for name in work.plan.with_action(Action::Remove) {
            self.keep_old(cx, &before, name).await?;
        }
        self.serve(cx, Some(to)).await
    }

    async fn retire(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        for seen in Snapshot::before_run(work, record)?.of_others(cx) {
            if let Some(old) = self.world.get(&seen.id)
                && old.phase == Phase::Kept
            {
                self.remove(cx, &old).await?;
            }
        }
        Ok(())
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        let before = Snapshot::before_all(work, record)?;
        let order: Vec<_> = work.from.map(Release::in_dependency_order).unwrap_or_default();
        let mut brought: Vec<_> = self.world.instances();
        brought.retain(|one| is_brought(cx, work, one));
        brought.sort_by_key(|one| {
            std::cmp::Reverse(order.iter().position(|name| **name == one.service))
        });
        for one in &brought {
            self.remove(cx, one).await?;
        }
        if let Some(to) = work.to {
            for name in to.in_dependency_order() {
                match self.candidate(cx, work, &before, to, name) {
                    Some(one) if one.is_up() && one.phase == Phase::Live => {}
                    Some(one) => self.start(cx, &one, Phase::Live).await?,
                    None => self.create(cx, Step::Rollback, to, name, Phase::Live).await?,
                }
            }
        }
        self.serve(cx, work.to).await
    }

    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        let before = Snapshot::before_run(work, record)?;
        match step {
            Step::Stage => Ok(self.observe_stage(cx, work, target(work)?)),
            Step::Switch => self.observe_switch(cx, &before, target(work)?).await,
            Step::Retire => Ok(self.observe_retire(cx, &before)),
            Step::Rollback => self.observe_rollback(cx, work, record).await,
        }
    }

    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        let check = |(name, service): (&ServiceName, &ReleaseService)| {
            Behaviour::read(&service.config)?;
            let probe = Probe::shared(self.world.clone());
            Ok(Check::new(format!("{name} health"), Some(name.clone()), probe, Timing::default()))
        };
        release.services.iter().map(check).collect()
    }

    async fn endpoints(
        &self,
        _cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        let phase = match role {
            Role::Staged => Phase::Staged,
            Role::Live => Phase::Live,
            Role::Previous => Phase::Kept,
        };
        let instances = self.world.instances().into_iter();
        Ok(instances
            .filter(|one| one.phase == phase && is_of(one, release))
            .map(|one| Endpoint::new(role, one.service, one.id))
            .collect())
    }

    async fn evidence(&self, _cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        self.world.get(&endpoint.instance).map(|one| one.status()).into_iter().collect()
    }
}

/// Whether an instance goes with a rollback: the run brought it, or one whose place it took.
fn is_brought(cx: &Context, work: &Work<'_>, one: &Instance) -> bool {
    one.maker.as_ref().is_some_and(|maker| {
        work.answers_for(cx.run(), &maker.run) && one.is_brought_by(&maker.run)
    })
}

/// Whether an instance runs what a release says of its service.
fn is_of(one: &Instance, release: &Release) -> bool {
    release.services.get(&one.service).is_some_and(|service| {
        release.origin == Origin::Adopted || one.spec_hash.as_ref() == Some(&service.spec_hash)
    })
}

fn target<'a>(work: &Work<'a>) -> Result<&'a Release> {
    work.to.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "deploy", "no release to bring was given").without_effect()
    })
}

fn service<'a>(release: &'a Release, name: &ServiceName) -> Result<&'a ReleaseService> {
    release.services.get(name).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "deploy", format!("{} has no {name}", release.id))
            .without_effect()
    })
}

fn unsupported(name: &ServiceName) -> Error {
    Error::new(ErrorKind::Unsupported, "check the release", format!("{name} is not supported"))
        .without_effect()
}
