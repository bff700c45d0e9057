//! Drives a deployer in the engine's order.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ultrai_deploy_core::{
    Cancel, Context, Deployer, Result,
    context::Key,
    current::Serving,
    deployer::{Inherited, Observation, Step, StepRecord, Work},
    health::Role,
    name::{ReleaseId, RunId, ServiceName},
    plan::Plan,
    release::Release,
    secret::Secrets,
    waiting::{CheckResult, wait_until_healthy},
};

use super::{Environment, Variant};
use crate::{
    conformance::ok,
    crash::{Death, Effects},
};

/// Longer than any step takes, shorter than a case may.
const STEP_LIMIT: Duration = Duration::from_mins(2);
/// What is not healthy by then stays so.
const BOOT_LIMIT: Duration = Duration::from_secs(10);

/// One run against an environment.
pub(super) struct Run<'a> {
    environment: &'a dyn Environment,
    pub(super) id: RunId,
    pub(super) before: Option<Release>,
    pub(super) release: Release,
    pub(super) plan: Plan,
    records: Vec<(Step, StepRecord)>,
    inherited: Vec<Inherited>,
    death: Death,
    cancel: Cancel,
}

impl<'a> Run<'a> {
    /// Reads what serves and plans, as the engine does before its first effect.
    pub(super) async fn begin(environment: &'a dyn Environment, variant: Variant) -> Self {
        let release = environment.release(variant).await;
        Self::begin_with(environment, release).await
    }

    pub(super) async fn begin_with(environment: &'a dyn Environment, release: Release) -> Self {
        let id = RunId::generate();
        let cx = Context::detached(environment.target(), id.clone());
        let deployer = environment.deployer();
        let current = ok(deployer.current(&cx).await);
        let plan = ok(deployer.plan(&current, &release));
        let before = match current.serving {
            Serving::Release(id) => {
                Some(Release::clone(&*ok(environment.releases().get(&id).await)))
            }
            Serving::Unmanaged(found) => {
                let none = Secrets::new();
                ok(environment.releases().put(&found, &none).await);
                Some(*found)
            }
            _ => None,
        };
        Self {
            environment,
            id,
            before,
            release,
            plan,
            records: Vec::new(),
            inherited: Vec::new(),
            death: Death::never(),
            cancel: Cancel::new(),
        }
    }

    /// Takes the place of a run that is held, before its own first step: it answers for what that
    /// one did, and goes back to what served before it.
    pub(super) fn take_place_of(&mut self, held: &Run<'_>) {
        let of_held = |(step, record): &(Step, StepRecord)| Inherited {
            run: held.id.clone(),
            step: *step,
            record: record.clone(),
        };
        self.inherited.clone_from(&held.inherited);
        self.inherited.extend(held.records.iter().map(of_held));
        self.before.clone_from(&held.before);
    }

    /// From here on the run dies at this point, and its effects are counted anew.
    pub(super) fn set_death(&mut self, death: Death) {
        self.death = death;
    }

    pub(super) fn death(&self) -> &Death {
        &self.death
    }

    /// Somebody asks it to stop.
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    fn context(&self, step: Step) -> Context {
        let begun = self.records.iter().filter(|(of, _)| *of == step).count();
        let attempt = u32::try_from(begun).unwrap_or(u32::MAX).max(1);
        let key = Key { run: self.id.clone(), step: step.to_string(), attempt };
        Context::new(self.environment.target(), key, Arc::new(Effects::new(self.death.clone())))
            .with_cancel(self.cancel.clone())
            .with_timeout(STEP_LIMIT)
    }

    fn work(&self, step: Step) -> Work<'_> {
        let (from, to) = match step {
            Step::Rollback => (Some(&self.release), self.before.as_ref()),
            _ => (self.before.as_ref(), Some(&self.release)),
        };
        Work {
            from,
            to,
            plan: &self.plan,
            records: &self.records,
            inherited: &self.inherited,
            is_return: false,
        }
    }

    /// Only the record of a step, as if the process died right after its intent.
    pub(super) async fn prepare(&mut self, step: Step) {
        ok(self.try_prepare(step).await);
    }

    async fn try_prepare(&mut self, step: Step) -> Result<()> {
        let cx = self.context(step);
        let record = self.environment.deployer().prepare(&cx, step, &self.work(step)).await?;
        self.records.push((step, record));
        Ok(())
    }

    /// The step itself with the newest record, by a deployer of its own.
    pub(super) async fn act(&self, step: Step) -> Result<()> {
        let deployer = self.environment.deployer();
        let (cx, work) = (self.context(step), self.work(step));
        let Some(record) = work.record(step) else { panic!("{step} was not prepared") };
        match step {
            Step::Stage => deployer.stage(&cx, &work, record).await,
            Step::Switch => deployer.switch(&cx, &work, record).await,
            Step::Retire => deployer.retire(&cx, &work, record).await,
            Step::Rollback => deployer.rollback(&cx, &work, record).await,
            other => panic!("the suite does not know {other}"),
        }
    }

    pub(super) async fn try_step(&mut self, step: Step) -> Result<()> {
        self.try_prepare(step).await?;
        self.act(step).await
    }

    pub(super) async fn step(&mut self, step: Step) {
        ok(self.try_step(step).await);
    }

    pub(super) async fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(*step).await;
        }
    }

    pub(super) async fn observe(&self, step: Step) -> Observation {
        let (cx, work) = (self.context(step), self.work(step));
        let Some(record) = work.record(step) else { panic!("{step} was not prepared") };
        ok(self.environment.deployer().observe(&cx, step, &work, record).await)
    }

    /// The run's newest step, if it has begun any.
    pub(super) fn open_step(&self) -> Option<Step> {
        self.records.last().map(|(step, _)| *step)
    }
}

/// Brings a release to its end.
pub(super) async fn deploy(environment: &dyn Environment, variant: Variant) -> Release {
    let mut run = Run::begin(environment, variant).await;
    run.steps(&[Step::Stage, Step::Switch, Step::Retire]).await;
    run.release
}

/// What can be seen of an environment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub(super) serving: Option<ReleaseId>,
    pub(super) link: Option<ReleaseId>,
    pub(super) services: BTreeMap<ServiceName, Service>,
    pub(super) leftovers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Service {
    pub(super) instances: Vec<String>,
    pub(super) spec_hash: Option<String>,
    pub(super) up: bool,
    pub(super) started_at: Option<String>,
}

impl View {
    pub(super) async fn of(environment: &dyn Environment) -> Self {
        let cx = Context::detached(environment.target(), RunId::generate());
        let current = ok(environment.deployer().current(&cx).await);
        let serving = match current.serving {
            Serving::Release(id) => Some(id),
            Serving::Unmanaged(found) => Some(found.id),
            _ => None,
        };
        let services = current.services.into_iter().map(|(name, running)| {
            let mut instances = running.instances;
            instances.sort();
            let (spec_hash, up, started_at) = (running.spec_hash, running.up, running.started_at);
            (name, Service { instances, spec_hash, up, started_at })
        });
        let services = services.collect();
        let link = ok(environment.releases().current().await);
        let mut leftovers = environment.leftovers().await;
        leftovers.sort();
        Self { serving, link, services, leftovers }
    }

    /// The same without times: what was stopped and started again is the same instance.
    pub(super) fn without_times(mut self) -> Self {
        for service in self.services.values_mut() {
            service.started_at = None;
        }
        self
    }

    pub(super) fn of_service(&self, name: &str) -> Option<&Service> {
        self.services.get(&super::service(name))
    }

    /// Asserts that exactly `release` serves, and nothing else is there.
    #[track_caller]
    pub(super) fn assert_only(&self, release: &Release) {
        self.assert_serves(release);
        assert_eq!(self.leftovers, Vec::<String>::new(), "left over");
    }

    #[track_caller]
    pub(super) fn assert_serves(&self, release: &Release) {
        assert_eq!(self.serving.as_ref(), Some(&release.id), "serving in {self:?}");
        assert_eq!(self.link.as_ref(), Some(&release.id), "the current release in {self:?}");
        let wanted: Vec<_> = release
            .services
            .iter()
            .map(|(name, service)| (name.clone(), Some(service.spec_hash.clone()), true))
            .collect();
        let found: Vec<_> = self
            .services
            .iter()
            .map(|(name, service)| (name.clone(), service.spec_hash.clone(), service.up))
            .collect();
        assert_eq!(found, wanted, "services");
    }

    #[track_caller]
    pub(super) fn assert_nothing(&self) {
        assert_eq!(self.serving, None, "serving");
        assert_eq!(self.link, None, "the current release");
        assert!(self.services.is_empty(), "still there: {:?}", self.services);
        assert_eq!(self.leftovers, Vec::<String>::new(), "left over");
    }
}

/// Waits for the checks that a release declares itself, on all that is there in a role. The
/// service's name and the result of each look.
pub(super) async fn checks(
    environment: &dyn Environment,
    run: RunId,
    release: &Release,
    role: Role,
) -> Vec<(ServiceName, CheckResult)> {
    let cx = Context::detached(environment.target(), run).with_timeout(STEP_LIMIT);
    let deployer: Arc<dyn Deployer> = environment.deployer();
    let endpoints = ok(deployer.endpoints(&cx, release, role).await);
    let mut results = Vec::new();
    for mut check in ok(deployer.declared_checks(release)) {
        check.timing.deadline = Some(BOOT_LIMIT);
        for endpoint in endpoints.iter().filter(|one| one.service == check.service) {
            let Some(service) = endpoint.service.clone() else { continue };
            assert_eq!(endpoint.role, role);
            let result = ok(wait_until_healthy(&cx, &check, endpoint).await);
            results.push((service, result));
        }
    }
    results
}

/// Asserts that every service of a release is there in this role and well.
pub(super) async fn assert_healthy(environment: &dyn Environment, release: &Release) {
    let results = checks(environment, RunId::generate(), release, Role::Live).await;
    let looked: Vec<_> = results.iter().map(|(name, _)| name).collect();
    for name in release.services.keys() {
        assert!(looked.contains(&name), "no endpoint or no check of {name}");
    }
    for (name, result) in results {
        assert!(result.passed(), "{name}: {result:?}");
    }
}
