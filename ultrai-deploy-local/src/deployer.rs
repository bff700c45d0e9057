//! The deployer to processes of this machine.

mod effects;
mod observe;
mod rollback;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Deployer as Seam, Error, ErrorKind, Result,
    current::{Current, Running, Serving},
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    plan::{Action, Plan},
    release::Release,
    release_store::ReleaseStore,
    spec::ReleaseSpec,
    verification::ProbeSource,
};

use crate::{host::Host, plan, ports, preflight, probe, snapshot::Snapshot, traffic::CurrentPorts};

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
}

#[async_trait]
impl Seam for Deployer {
    fn name(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { staging: true, redeploy: true, keeping: true }
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
                addresses: one
                    .port
                    .map(|port| ports::address(port).to_string())
                    .into_iter()
                    .collect(),
                ..Running::default()
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
        self.go_back(cx, work, record).await
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

fn target<'a>(work: &Work<'a>) -> Result<&'a Release> {
    work.to.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "deploy", "no release to bring was given").without_effect()
    })
}
