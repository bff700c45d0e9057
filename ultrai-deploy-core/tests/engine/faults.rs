//! Backends that fail on request.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Deployer, ErrorKind,
    current::Current,
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    error::{Error, Result},
    evidence::{Evidence, EvidenceKind},
    health::{Check, Endpoint, Role},
    plan::Plan,
    release::Release,
    spec::ReleaseSpec,
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::{TaskSpec, When},
};

use crate::lab::SECRET;

/// A call of a deployer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Preflight,
    Current,
    Prepare(Step),
    Act(Step),
    Observe,
    Endpoints,
    Evidence,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Without having done anything, and it says so.
    Clean,
    /// Without having done anything, but it cannot tell.
    Before,
    /// After having done everything.
    After,
    /// It never answers, and has done nothing.
    Hangs,
    /// It never answers, but has done everything.
    HangsAfter,
    /// Who observes cannot tell yet.
    TooEarly,
}

/// Says how a call fails, by its number from 1, if it does.
pub(crate) type Rule = fn(u32, Call) -> Option<How>;

/// Fails some calls of a deployer.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Deployer>,
    calls: AtomicU32,
    rule: Rule,
    planned: Vec<(u32, How)>,
    once: Mutex<Option<(Call, How)>>,
}

impl Faulty {
    /// Fails the calls that `rule` names; it gets their number, from 1.
    pub(crate) fn new(inner: Arc<dyn Deployer>, rule: Rule) -> Self {
        let (calls, once) = (AtomicU32::new(0), Mutex::default());
        Self { inner, calls, rule, planned: Vec::new(), once }
    }

    /// Fails the calls with these numbers.
    pub(crate) fn planned(inner: Arc<dyn Deployer>, planned: Vec<(u32, How)>) -> Self {
        Self { planned, ..Self::new(inner, |_, _| None) }
    }

    /// Fails the first call of a kind.
    pub(crate) fn once(inner: Arc<dyn Deployer>, call: Call, how: How) -> Self {
        Self { once: Mutex::new(Some((call, how))), ..Self::new(inner, |_, _| None) }
    }

    async fn call<T>(&self, call: Call, work: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let planned = self.planned.iter().find(|(at, _)| *at == number).map(|(_, how)| *how);
        let once = self.once.lock().unwrap().take_if(|(of, _)| *of == call).map(|(_, how)| how);
        let how = (self.rule)(number, call).or(planned).or(once);
        match how {
            None => work.await,
            Some(How::Clean) => Err(fault(call).without_effect()),
            Some(How::Before) => Err(fault(call)),
            Some(How::After) => {
                work.await?;
                Err(fault(call))
            }
            Some(How::Hangs) => std::future::pending().await,
            Some(How::HangsAfter) => {
                work.await?;
                std::future::pending().await
            }
            Some(How::TooEarly) => Err(fault(call).retryable()),
        }
    }
}

/// It quotes a secret, as a careless platform does.
fn fault(call: Call) -> Error {
    Error::new(ErrorKind::Unavailable, "do it", format!("{call:?} failed with {SECRET}"))
        .with_source(std::io::Error::other(format!("denied: {SECRET}")))
        .with_evidence([Evidence::new(EvidenceKind::Log, "platform", format!("t={SECRET}"))])
}

#[async_trait]
impl Deployer for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        self.call(Call::Preflight, self.inner.preflight(cx, spec)).await
    }
    async fn current(&self, cx: &Context) -> Result<Current> {
        self.call(Call::Current, self.inner.current(cx)).await
    }
    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        self.inner.plan(current, release)
    }
    async fn prepare(&self, cx: &Context, step: Step, work: &Work<'_>) -> Result<StepRecord> {
        self.call(Call::Prepare(step), self.inner.prepare(cx, step, work)).await
    }
    async fn stage(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.call(Call::Act(Step::Stage), self.inner.stage(cx, work, record)).await
    }
    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.call(Call::Act(Step::Switch), self.inner.switch(cx, work, record)).await
    }
    async fn retire(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.call(Call::Act(Step::Retire), self.inner.retire(cx, work, record)).await
    }
    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.call(Call::Act(Step::Rollback), self.inner.rollback(cx, work, record)).await
    }
    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        match self.call(Call::Observe, self.inner.observe(cx, step, work, record)).await {
            Err(error) if error.is_retryable() => Ok(Observation::InProgress),
            answer => answer,
        }
    }
    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        self.inner.declared_checks(release)
    }
    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        self.call(Call::Endpoints, self.inner.endpoints(cx, release, role)).await
    }
    async fn evidence(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        let work = async { Ok(self.inner.evidence(cx, endpoint).await) };
        self.call(Call::Evidence, work).await.unwrap_or_default()
    }
}

/// Tests that all fail.
#[derive(Debug)]
pub(crate) struct FailingTasks;

#[async_trait]
impl TaskRunner for FailingTasks {
    fn check(&self, _: &TaskSpec) -> Result<()> {
        Ok(())
    }
    async fn run(
        &self,
        _: &Context,
        _: &Release,
        _: &TaskSpec,
        output: &dyn TaskOutput,
    ) -> Result<TaskEnd> {
        let tail = format!("token {SECRET} was refused");
        output.line(&tail);
        Ok(TaskEnd { exit_code: 1, tail })
    }
    async fn clean(&self, _: &Context) -> Result<()> {
        Ok(())
    }
}

/// Runs tests after the deploy and none before.
#[derive(Debug)]
pub(crate) struct OnlyAfterwards;

#[async_trait]
impl TaskRunner for OnlyAfterwards {
    fn check(&self, task: &TaskSpec) -> Result<()> {
        if task.when == When::Post {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, "run a task", "not before").without_effect())
    }
    async fn run(
        &self,
        _: &Context,
        _: &Release,
        task: &TaskSpec,
        _: &dyn TaskOutput,
    ) -> Result<TaskEnd> {
        panic!("{} was not to be run", task.name)
    }
    async fn clean(&self, _: &Context) -> Result<()> {
        Ok(())
    }
}
