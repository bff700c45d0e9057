//! A deployer that fails where it is told to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
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

/// How a method fails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fault {
    method: Method,
    first: u64,
    times: u64,
    when: When,
    kind: ErrorKind,
    effect: Effect,
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
        }
    }

    /// The first call that fails, from 1.
    pub fn at(mut self, call: u64) -> Self {
        self.first = call;
        self
    }

    /// How many calls fail in a row.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// It fails after all was done: an answer that got lost.
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

    fn error(&self) -> Error {
        let error = Error::new(self.kind, "reach the platform", "a fault was put here");
        match self.effect {
            Effect::None => error.without_effect(),
            _ => error,
        }
    }
}

/// A deployer that fails where it is told to; everything else is done by the one inside.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Deployer>,
    faults: Vec<Fault>,
    calls: Mutex<BTreeMap<Method, u64>>,
}

impl Faulty {
    /// `inner`, without faults yet.
    pub fn new(inner: Arc<dyn Deployer>) -> Self {
        Self { inner, faults: Vec::new(), calls: Mutex::default() }
    }

    /// Adds a fault.
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// How often a method was called.
    pub fn calls(&self, method: Method) -> u64 {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&method).copied().unwrap_or(0)
    }

    fn enter(&self, method: Method) -> Result<Option<&Fault>> {
        let call = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let call = calls.entry(method).or_default();
            *call += 1;
            *call
        };
        let fault = self.faults.iter().find(|fault| {
            fault.method == method && call >= fault.first && call - fault.first < fault.times
        });
        match fault {
            Some(fault) if fault.when == When::Before => Err(fault.error()),
            later => Ok(later),
        }
    }
}

fn leave<T>(fault: Option<&Fault>, result: Result<T>) -> Result<T> {
    let value = result?;
    fault.map_or(Ok(value), |fault| Err(fault.error()))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Deployer for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        leave(self.enter(Method::Preflight)?, self.inner.preflight(cx, spec).await)
    }

    async fn current(&self, cx: &Context) -> Result<Current> {
        leave(self.enter(Method::Current)?, self.inner.current(cx).await)
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        leave(self.enter(Method::Plan)?, self.inner.plan(current, release))
    }

    async fn prepare(&self, cx: &Context, step: Step, work: &Work<'_>) -> Result<StepRecord> {
        leave(self.enter(Method::Prepare)?, self.inner.prepare(cx, step, work).await)
    }

    async fn stage(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        leave(self.enter(Method::Stage)?, self.inner.stage(cx, work, record).await)
    }

    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        leave(self.enter(Method::Switch)?, self.inner.switch(cx, work, record).await)
    }

    async fn retire(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        leave(self.enter(Method::Retire)?, self.inner.retire(cx, work, record).await)
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        leave(self.enter(Method::Rollback)?, self.inner.rollback(cx, work, record).await)
    }

    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        leave(self.enter(Method::Observe)?, self.inner.observe(cx, step, work, record).await)
    }

    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        leave(self.enter(Method::DeclaredChecks)?, self.inner.declared_checks(release))
    }

    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        leave(self.enter(Method::Endpoints)?, self.inner.endpoints(cx, release, role).await)
    }

    async fn evidence(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        self.inner.evidence(cx, endpoint).await
    }
}
