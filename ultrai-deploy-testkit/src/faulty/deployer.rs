//! A deployer that misbehaves.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Deployer, Result,
    current::Current,
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    plan::Plan,
    release::Release,
    spec::ReleaseSpec,
};

use super::{Fault, Faulty, Manner, Method, suffer};

impl<D: Deployer + ?Sized> Faulty<D> {
    /// Claims to be able to do this, whatever the one inside can.
    pub fn claiming(mut self, capabilities: Capabilities) -> Self {
        self.claimed = Some(capabilities);
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<D: Deployer + ?Sized> Deployer for Faulty<D> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.claimed.clone().unwrap_or_else(|| self.inner.capabilities())
    }

    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        self.ask(Method::Preflight, self.inner.preflight(cx, spec)).await
    }

    async fn current(&self, cx: &Context) -> Result<Current> {
        self.ask(Method::Current, self.inner.current(cx)).await
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        self.at_once(Method::Plan, || self.inner.plan(current, release))
    }

    async fn prepare(&self, cx: &Context, step: Step, work: &Work<'_>) -> Result<StepRecord> {
        self.ask(Method::Prepare, self.inner.prepare(cx, step, work)).await
    }

    async fn stage(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.act(Method::Stage, self.inner.stage(cx, work, record)).await
    }

    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.act(Method::Switch, self.inner.switch(cx, work, record)).await
    }

    async fn retire(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.act(Method::Retire, self.inner.retire(cx, work, record)).await
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.act(Method::Rollback, self.inner.rollback(cx, work, record)).await
    }

    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        let fault = self.enter(Method::Observe);
        if let Some(Fault { manner: Manner::Tell(observation), .. }) = fault {
            return Ok(*observation);
        }
        suffer(fault, self.inner.observe(cx, step, work, record)).await
    }

    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        self.at_once(Method::DeclaredChecks, || self.inner.declared_checks(release))
    }

    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        self.ask(Method::Endpoints, self.inner.endpoints(cx, release, role)).await
    }

    async fn evidence(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        self.inner.evidence(cx, endpoint).await
    }
}
