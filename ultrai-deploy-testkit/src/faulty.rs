//! A deployer that misbehaves where it is told to, for tests of what drives deployers and of what
//! is made of their answers.
//!
//! | fault | what the caller sees | what was done |
//! |---|---|---|
//! | [`Fault::of`] | an error | nothing: it failed before |
//! | [`Fault::of`] + [`after`](Fault::after) | an error | all: the answer got lost |
//! | [`Fault::of`] + [`without_effect`](Fault::without_effect) | an error that says so | nothing |
//! | [`Fault::hang`] | no answer | nothing |
//! | [`Fault::hang`] + [`after`](Fault::after) | no answer | all |
//! | [`Fault::slow`] | the answer, late | all |
//! | [`Fault::lie`] | success, with what was to be said | nothing |
//!
//! Each is for the first call of its method, or from the call on that [`at`](Fault::at) names, and
//! for one call or as many as [`times`](Fault::times) says: `times(1)`, the default, lies once. What
//! hangs is dropped by whoever called it, or never; what is slow waits in [`tokio::time`], so a
//! paused clock runs through it.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use ultrai_deploy_core::memory::{self, World};
//! use ultrai_deploy_testkit::faulty::{Fault, Faulty, Method};
//!
//! let releases = Arc::new(memory::ReleaseStore::default());
//! let deployer = Arc::new(memory::Deployer::new(World::new(), releases));
//! let faulty = Faulty::new(deployer)
//!     .with(Fault::of(Method::Switch).after())
//!     .with(Fault::slow(Method::Current, Duration::from_secs(20)).times(3));
//! assert_eq!(faulty.calls(Method::Switch), 0);
//! ```

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Deployer, Effect, Error, ErrorKind, Result,
    current::Current,
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    plan::Plan,
    release::Release,
    spec::ReleaseSpec,
};

use crate::crash::When;

/// A method of [`Deployer`] that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Method {
    Preflight,
    Current,
    Plan,
    Prepare,
    Stage,
    Switch,
    Retire,
    Rollback,
    Observe,
    DeclaredChecks,
    Endpoints,
}

/// How a method misbehaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fault {
    method: Method,
    first: u64,
    times: u64,
    when: When,
    kind: ErrorKind,
    effect: Effect,
    manner: Manner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Fail,
    Hang,
    Slow(Duration),
    Lie,
    Tell(Observation),
}

impl Fault {
    /// The first call of `method` fails before anything is done, as [`ErrorKind::Unavailable`]
    /// and with an unknown effect.
    pub fn of(method: Method) -> Self {
        Self {
            method,
            first: 1,
            times: 1,
            when: When::Before,
            kind: ErrorKind::Unavailable,
            effect: Effect::Unknown,
            manner: Manner::Fail,
        }
    }

    /// The first call of an async `method` does nothing and does not return; with
    /// [`after`](Fault::after) it does all first.
    ///
    /// # Panics
    /// For [`Method::Plan`] and [`Method::DeclaredChecks`], which cannot wait.
    pub fn hang(method: Method) -> Self {
        Self::of(method).waiting(Manner::Hang)
    }

    /// The first call of an async `method` begins only after `delay`; with
    /// [`after`](Fault::after) its answer comes that late.
    ///
    /// # Panics
    /// As [`Fault::hang`].
    pub fn slow(method: Method, delay: Duration) -> Self {
        Self::of(method).waiting(Manner::Slow(delay))
    }

    /// The first call of a `step` says that it is done, and nothing was.
    pub fn lie(step: Step) -> Self {
        let method = match step {
            Step::Stage => Method::Stage,
            Step::Switch => Method::Switch,
            Step::Retire => Method::Retire,
            _ => Method::Rollback,
        };
        Self { manner: Manner::Lie, ..Self::of(method) }
    }

    /// The first [`observe`](Deployer::observe) tells `observation`, whatever there is.
    pub fn lie_about(observation: Observation) -> Self {
        Self { manner: Manner::Tell(observation), ..Self::of(Method::Observe) }
    }

    fn waiting(self, manner: Manner) -> Self {
        let waits = !matches!(self.method, Method::Plan | Method::DeclaredChecks);
        assert!(waits, "{:?} is not async: it cannot wait", self.method);
        Self { manner, ..self }
    }

    /// The first call that it is for, from 1.
    pub fn at(mut self, call: u64) -> Self {
        self.first = call;
        self
    }

    /// For how many calls in a row it is.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// It comes after all was done: an answer that got lost, or that is late.
    pub fn after(mut self) -> Self {
        self.when = When::After;
        self
    }

    /// It says that certainly nothing was done.
    pub fn without_effect(mut self) -> Self {
        self.effect = Effect::None;
        self
    }

    /// The kind of its error.
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    async fn come(&self) -> Result<()> {
        match self.manner {
            Manner::Fail | Manner::Lie | Manner::Tell(_) => Err(self.error()),
            Manner::Hang => std::future::pending().await,
            Manner::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
        }
    }

    fn error(&self) -> Error {
        let error = Error::new(self.kind, "reach the platform", "a fault was put here");
        match self.effect {
            Effect::None => error.without_effect(),
            _ => error,
        }
    }
}

/// A deployer that misbehaves where it is told to; everything else is done by the one inside.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Deployer>,
    faults: Vec<Fault>,
    claimed: Option<Capabilities>,
    calls: Mutex<BTreeMap<Method, u64>>,
}

impl Faulty {
    /// `inner`, without faults yet.
    pub fn new(inner: Arc<dyn Deployer>) -> Self {
        Self { inner, faults: Vec::new(), claimed: None, calls: Mutex::default() }
    }

    /// Adds a fault.
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Claims to be able to do this, whatever the one inside can.
    pub fn claiming(mut self, capabilities: Capabilities) -> Self {
        self.claimed = Some(capabilities);
        self
    }

    /// How often a method was called.
    pub fn calls(&self, method: Method) -> u64 {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&method).copied().unwrap_or(0)
    }

    /// Counts a call; the fault that is for it.
    fn enter(&self, method: Method) -> Option<&Fault> {
        let call = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let call = calls.entry(method).or_default();
            *call += 1;
            *call
        };
        self.faults.iter().find(|fault| {
            fault.method == method && call >= fault.first && call - fault.first < fault.times
        })
    }

    fn at_once<T>(&self, method: Method, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(fault) = self.enter(method) else { return work() };
        if fault.when == When::After {
            work()?;
        }
        Err(fault.error())
    }

    async fn step(&self, method: Method, work: impl Future<Output = Result<()>>) -> Result<()> {
        let fault = self.enter(method);
        if fault.is_some_and(|fault| fault.manner == Manner::Lie) {
            return Ok(());
        }
        suffer(fault, work).await
    }
}

async fn suffer<T>(fault: Option<&Fault>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(fault) = fault else { return work.await };
    if fault.when == When::Before {
        fault.come().await?;
        return work.await;
    }
    let value = work.await?;
    fault.come().await?;
    Ok(value)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Deployer for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.claimed.clone().unwrap_or_else(|| self.inner.capabilities())
    }

    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        suffer(self.enter(Method::Preflight), self.inner.preflight(cx, spec)).await
    }

    async fn current(&self, cx: &Context) -> Result<Current> {
        suffer(self.enter(Method::Current), self.inner.current(cx)).await
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        self.at_once(Method::Plan, || self.inner.plan(current, release))
    }

    async fn prepare(&self, cx: &Context, step: Step, work: &Work<'_>) -> Result<StepRecord> {
        suffer(self.enter(Method::Prepare), self.inner.prepare(cx, step, work)).await
    }

    async fn stage(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.step(Method::Stage, self.inner.stage(cx, work, record)).await
    }

    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.step(Method::Switch, self.inner.switch(cx, work, record)).await
    }

    async fn retire(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.step(Method::Retire, self.inner.retire(cx, work, record)).await
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.step(Method::Rollback, self.inner.rollback(cx, work, record)).await
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
        suffer(self.enter(Method::Endpoints), self.inner.endpoints(cx, release, role)).await
    }

    async fn evidence(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        self.inner.evidence(cx, endpoint).await
    }
}
