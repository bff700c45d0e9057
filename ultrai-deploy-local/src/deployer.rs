//! The deployer to processes of this machine.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::json;
use ultrai_deploy_core::{
    Context, Deployer as Seam, Error, ErrorKind, Result,
    current::{Current, Running, Serving},
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    name::ServiceName,
    plan::{Action, Plan},
    release::Release,
    release_store::ReleaseStore,
    spec::ReleaseSpec,
    verification::ProbeSource,
};

use crate::{
    config::{Port, Service},
    host::{Host, sealed},
    instance::Instance,
    plan, ports, preflight, probe,
    snapshot::Snapshot,
    traffic::CurrentPorts,
};

/// Deploys releases as processes of this machine. It holds no state of its own: all of it is in
/// the release store's directory.
#[derive(Clone, Debug)]
pub struct Deployer {
    pub(crate) host: Host,
    pub(crate) probes: Arc<dyn ProbeSource>,
}

impl Deployer {
    /// A deployer to the environment that `releases` belongs to. `probes` understands the health
    /// checks of its services.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the store is not on the file system.
    pub fn new(releases: Arc<dyn ReleaseStore>, probes: Arc<dyn ProbeSource>) -> Result<Self> {
        Ok(Self { host: Host::new(releases)?, probes })
    }

    /// Where the services are found now: what `current-ports.json` in the state directory says.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn current_ports(&self) -> Result<CurrentPorts> {
        self.host.traffic.read()
    }

    /// Has this run's instance of a service running, made if it is not there.
    async fn bring(
        &self,
        cx: &Context,
        step: Step,
        release: &Release,
        name: &ServiceName,
    ) -> Result<Instance> {
        let id = Instance::id_of(cx, Some(step), name);
        let definition = self.host.definition(release, name).await?;
        match self.host.instances.get(&id)? {
            Some(there) if there.is_up() && there.started_at().is_some() => Ok(there),
            _ => {
                let detail = json!({ "instance": id, "release": release.id });
                let work = self.host.create(cx, Some(step), definition);
                self.effect(cx, "start", name, detail, work).await
            }
        }
    }

    /// Starts an instance that was stopped or has ended.
    async fn start_again(
        &self,
        cx: &Context,
        release: &Release,
        instance: Instance,
    ) -> Result<Instance> {
        if instance.is_up() {
            return Ok(instance);
        }
        let name = instance.service.clone();
        let definition = self.host.definition(release, &name).await?;
        let detail = json!({ "instance": instance.id });
        let work = self.host.start(instance, definition);
        self.effect(cx, "start again", &name, detail, work).await
    }

    /// One effect whose output is an instance, which the journal does not need.
    async fn effect(
        &self,
        cx: &Context,
        action: &str,
        name: &ServiceName,
        detail: serde_json::Value,
        work: impl Future<Output = Result<Instance>>,
    ) -> Result<Instance> {
        let mut made = None;
        cx.effect(action, name.as_str(), detail, async {
            made = Some(work.await?);
            Ok(())
        })
        .await?;
        made.ok_or_else(|| Error::new(ErrorKind::Unexpected, "start a process", "no instance"))
    }

    async fn publish(&self, cx: &Context, instance: &Instance) -> Result<()> {
        let service = &instance.service;
        let ports = self.host.traffic.read()?;
        let published = ports.0.get(service);
        if published.is_some_and(|one| one.instance == instance.id && one.port == instance.port) {
            return Ok(());
        }
        let detail = json!({ "port": instance.port });
        cx.effect("give traffic", &instance.id, detail, self.host.publish(instance)).await
    }

    async fn unpublish(&self, cx: &Context, service: &ServiceName, id: &str) -> Result<()> {
        if self.host.traffic.read()?.instance(service) != Some(id) {
            return Ok(());
        }
        cx.effect("take traffic", id, json!({}), self.host.unpublish(service)).await
    }

    async fn stop(&self, cx: &Context, id: &str) -> Result<()> {
        match self.host.instances.get(id)? {
            Some(instance) if instance.is_up() => {
                cx.effect("stop", id, json!({}), self.host.stop(id)).await
            }
            _ => Ok(()),
        }
    }

    async fn remove(&self, cx: &Context, id: &str) -> Result<()> {
        cx.effect("remove", id, json!({}), self.host.remove(id)).await
    }

    /// Stops what else holds a fixed port: an old process of a service that is replaced later or
    /// removed.
    async fn free_port(&self, cx: &Context, release: &Release, name: &ServiceName) -> Result<()> {
        let Port::Fixed(port) = Service::of(name, sealed(release, name)?)?.port else {
            return Ok(());
        };
        for instance in self.host.instances.all()? {
            if instance.port == Some(port) && !instance.is_brought_by(cx.run()) {
                self.stop(cx, &instance.id).await?;
            }
        }
        Ok(())
    }

    /// Waits for what a service needs, so that it finds it when it starts.
    async fn wait_for_needed(
        &self,
        cx: &Context,
        release: &Release,
        name: &ServiceName,
    ) -> Result<()> {
        for needed in &sealed(release, name)?.depends_on {
            let Some(wanted) = release.services.get(needed) else { continue };
            let mut there = self.host.instances.all()?;
            there.retain(|one| {
                one.service == *needed && one.spec_hash == wanted.spec_hash && one.is_up()
            });
            // What this run brought counts more than what still has the traffic.
            there.sort_by_key(|one| Reverse(one.is_brought_by(cx.run())));
            let Some(instance) = there.first() else {
                let message = format!("{needed}, which {name} needs, does not run");
                return Err(Error::new(ErrorKind::Unhealthy, "start a process", message));
            };
            probe::wait_for(cx, &self.host, self.probes.as_ref(), release, instance).await?;
        }
        Ok(())
    }

    async fn serve(&self, cx: &Context, release: Option<&Release>) -> Result<()> {
        let id = release.map(|release| &release.id);
        if self.host.releases.current().await?.as_ref() == id {
            return Ok(());
        }
        let object = id.map_or("nothing", |id| id.as_str());
        cx.effect("make current", object, json!({}), async {
            if let Some(id) = id {
                for (service, instance) in self.host.live()? {
                    self.host.link(id, &service, &instance.id)?;
                }
            }
            self.host.releases.set_current(id).await
        })
        .await
    }

    fn brought(&self, cx: &Context) -> Result<Vec<Instance>> {
        let mut all = self.host.instances.all()?;
        all.retain(|one| one.is_brought_by(cx.run()));
        Ok(all)
    }

    /// What goes with a rollback.
    fn to_take_back(&self, cx: &Context, work: &Work<'_>) -> Result<Vec<Instance>> {
        let mut all = self.host.instances.all()?;
        all.retain(|one| is_to_take_back(cx, work, one));
        Ok(all)
    }

    /// What is there of a service as a release wants it, best what served `before`; nothing that
    /// this run brought.
    fn candidate(
        &self,
        cx: &Context,
        work: &Work<'_>,
        before: &Snapshot,
        release: &Release,
        name: &ServiceName,
    ) -> Result<Option<Instance>> {
        let wanted = &sealed(release, name)?.spec_hash;
        let served = before.served(cx, name);
        let mut all = self.host.instances.all()?;
        all.retain(|one| {
            one.service == *name
                && one.spec_hash == *wanted
                && one.step.is_some()
                && !is_to_take_back(cx, work, one)
        });
        Ok(all.into_iter().max_by_key(|one| (Some(&one.id) == served, one.is_up())))
    }

    /// Whether a release has all the traffic, and nothing else has any.
    async fn serves(&self, release: &Release) -> Result<bool> {
        let live = self.host.live()?;
        let same = live.len() == release.services.len()
            && live.iter().all(|(name, one)| {
                let wanted = release.services.get(name);
                wanted.is_some_and(|wanted| wanted.spec_hash == one.spec_hash) && one.is_up()
            });
        Ok(same && self.host.releases.current().await?.as_ref() == Some(&release.id))
    }

    fn observe_stage(&self, cx: &Context, work: &Work<'_>, to: &Release) -> Result<Observation> {
        let brought = self.brought(cx)?;
        let wanted = plan::staged(work.plan, to);
        let runs =
            |name: &&&ServiceName| brought.iter().any(|one| one.service == ***name && one.is_up());
        if wanted.iter().filter(runs).count() == wanted.len() {
            return Ok(Observation::Done);
        }
        Ok(if brought.is_empty() { Observation::NotDone } else { Observation::Partial })
    }

    async fn observe_switch(
        &self,
        cx: &Context,
        before: &Snapshot,
        to: &Release,
    ) -> Result<Observation> {
        if self.serves(to).await? {
            return Ok(Observation::Done);
        }
        let now = Snapshot::of(&self.host).await?;
        let began = self.brought(cx)?.iter().any(|one| one.step == Some(Step::Switch));
        let untouched = !began
            && now.serving == before.serving
            && now.traffic == before.traffic
            && before.traffic.values().all(|id| now.instances.get(id) == before.instances.get(id));
        Ok(if untouched { Observation::NotDone } else { Observation::Partial })
    }

    fn observe_retire(&self, record: &StepRecord) -> Result<Observation> {
        let kept = self.unpublished()?;
        if kept.is_empty() {
            return Ok(Observation::Done);
        }
        let then = Snapshot::read(record)?;
        let gone = then.instances.keys().any(|id| !kept.contains(id) && !then.holds(id));
        Ok(if gone { Observation::Partial } else { Observation::NotDone })
    }

    async fn observe_rollback(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        let back = match work.to {
            Some(to) => self.serves(to).await?,
            None => self.host.live()?.is_empty() && self.host.releases.current().await?.is_none(),
        };
        if back && self.to_take_back(cx, work)?.is_empty() {
            return Ok(Observation::Done);
        }
        let untouched = Snapshot::read(record)? == Snapshot::of(&self.host).await?;
        Ok(if untouched { Observation::NotDone } else { Observation::Partial })
    }

    /// The ids of all instances without traffic.
    fn unpublished(&self) -> Result<Vec<String>> {
        let ports = self.host.traffic.read()?;
        let all = self.host.instances.all()?.into_iter().map(|one| one.id);
        Ok(all.filter(|id| !ports.holds(id)).collect())
    }
}

#[async_trait]
impl Seam for Deployer {
    fn name(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { staging: true, redeploy: true }
    }

    async fn preflight(&self, _cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        preflight::check(&self.host, spec)
    }

    async fn current(&self, _cx: &Context) -> Result<Current> {
        let mut services = BTreeMap::new();
        for (name, one) in self.host.live()? {
            let running = Running {
                instances: vec![one.id.clone()],
                image: None,
                spec_hash: Some(one.spec_hash.clone()),
                up: one.is_up(),
                started_at: one.started_at(),
                status: self.host.instances.status(&one),
                takes_over: Vec::new(),
                addresses: one
                    .port
                    .map(|port| ports::address(port).to_string())
                    .into_iter()
                    .collect(),
            };
            services.insert(name, running);
        }
        let serving =
            self.host.releases.current().await?.map_or(Serving::Nothing, Serving::Release);
        Ok(Current { serving, services })
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        plan::plan(current, release)
    }

    async fn prepare(&self, _cx: &Context, _step: Step, _work: &Work<'_>) -> Result<StepRecord> {
        Snapshot::of(&self.host).await?.record()
    }

    async fn stage(&self, cx: &Context, work: &Work<'_>, _record: &StepRecord) -> Result<()> {
        let to = target(work)?;
        for name in plan::staged(work.plan, to) {
            self.wait_for_needed(cx, to, name).await?;
            self.bring(cx, Step::Stage, to, name).await?;
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
            self.wait_for_needed(cx, to, name).await?;
            let old = before.served(cx, name);
            if action == Some(Action::StopFirst) {
                if let Some(old) = old {
                    self.stop(cx, old).await?;
                }
                self.free_port(cx, to, name).await?;
            }
            let new = self.bring(cx, Step::Switch, to, name).await?;
            self.publish(cx, &new).await?;
            if let Some(old) = old
                && self.host.instances.get(old)?.is_some_and(|old| !old.runs_beside)
            {
                self.stop(cx, old).await?;
            }
        }
        for name in work.plan.with_action(Action::Remove) {
            if let Some(old) = before.served(cx, name) {
                self.unpublish(cx, name, old).await?;
                self.stop(cx, old).await?;
            }
        }
        self.serve(cx, Some(to)).await
    }

    async fn retire(&self, cx: &Context, _work: &Work<'_>, _record: &StepRecord) -> Result<()> {
        self.host.instances.sweep()?;
        for id in self.unpublished()? {
            self.remove(cx, &id).await?;
        }
        Ok(())
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.host.instances.sweep()?;
        let before = Snapshot::before_all(work, record)?;
        let order: Vec<_> = work.from.map(Release::in_dependency_order).unwrap_or_default();
        let mut brought = self.to_take_back(cx, work)?;
        brought.sort_by_key(|one| Reverse(order.iter().position(|name| **name == one.service)));
        for new in &brought {
            let old = match before.served(cx, &new.service) {
                Some(old) => self.host.instances.get(old)?.filter(Instance::is_up),
                None => None,
            };
            match old {
                Some(old) => self.publish(cx, &old).await?,
                None => self.unpublish(cx, &new.service, &new.id).await?,
            }
            self.remove(cx, &new.id).await?;
        }
        if let Some(to) = work.to {
            for name in to.in_dependency_order() {
                let there = self.candidate(cx, work, &before, to, name)?;
                let back = match there {
                    Some(there) if there.is_up() => there,
                    other => {
                        self.wait_in_rollback(cx, to, name).await?;
                        match other {
                            Some(stopped) => self.start_again(cx, to, stopped).await?,
                            None => self.bring(cx, Step::Rollback, to, name).await?,
                        }
                    }
                };
                self.publish(cx, &back).await?;
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
            Step::Stage => self.observe_stage(cx, work, target(work)?),
            Step::Switch => self.observe_switch(cx, &before, target(work)?).await,
            Step::Retire => self.observe_retire(record),
            Step::Rollback => self.observe_rollback(cx, work, record).await,
            other => {
                let message = format!("the step {other} is not known");
                Err(Error::new(ErrorKind::Unsupported, "observe", message).without_effect())
            }
        }
    }

    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        probe::declared(&self.host.instances, self.probes.as_ref(), release)
    }

    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        let ports = self.host.traffic.read()?;
        let mut all = self.host.instances.all()?;
        all.retain(|one| {
            let wanted = release.services.get(&one.service);
            let live = ports.holds(&one.id);
            let own = one.is_brought_by(cx.run());
            wanted.is_some_and(|wanted| wanted.spec_hash == one.spec_hash)
                && match role {
                    Role::Live => live,
                    Role::Staged => !live && own,
                    Role::Previous => !live && !own && one.step.is_some(),
                    _ => false,
                }
        });
        Ok(all.iter().map(|one| probe::endpoint(role, one)).collect())
    }

    async fn evidence(&self, _cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        match self.host.instances.get(&endpoint.instance) {
            Ok(Some(instance)) => probe::evidence(&self.host.instances, &instance),
            // Evidence is best effort: the failure that it is asked for counts more.
            Ok(None) | Err(_) => Vec::new(),
        }
    }
}

impl Deployer {
    /// On the way back everything is started, well or not: the engine proves it afterwards.
    async fn wait_in_rollback(&self, cx: &Context, to: &Release, name: &ServiceName) -> Result<()> {
        match self.wait_for_needed(cx, to, name).await {
            Err(error) if error.kind() == ErrorKind::Unhealthy => {
                cx.note(&format!("{name} is started though what it needs is not well")).await
            }
            other => other,
        }
    }
}

/// Whether the run brought it, or one whose place it took.
fn is_to_take_back(cx: &Context, work: &Work<'_>, one: &Instance) -> bool {
    work.answers_for(cx.run(), &one.run) && one.is_brought_by(&one.run)
}

fn target<'a>(work: &Work<'a>) -> Result<&'a Release> {
    work.to.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "deploy", "no release to bring was given").without_effect()
    })
}
