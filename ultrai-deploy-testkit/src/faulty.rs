//! Backends that misbehave where they are told to, for tests of what drives them and of what is made
//! of their answers. [`Faulty`] wraps a deployer, a journal, a lease, a release store, a backup store,
//! an image store, a task runner or a probe.
//!
//! | fault | what the caller sees | what was done |
//! |---|---|---|
//! | [`Fault::of`] | an error | nothing: it failed before |
//! | [`Fault::of`] + [`after`](Fault::after) | an error | all: the answer got lost |
//! | [`Fault::of`] + [`without_effect`](Fault::without_effect) | an error that says so | nothing |
//! | [`Fault::hang`] | no answer | nothing |
//! | [`Fault::hang`] + [`after`](Fault::after) | no answer | all |
//! | [`Fault::slow`] | the answer, late | all |
//! | [`Fault::lie`] | success | nothing |
//! | [`Fault::lie_about`], [`Fault::lie_about_health`] | what it was told to say | nothing |
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
//!
//! let journal = Arc::new(memory::Journal::default());
//! let disk_full = Faulty::new(journal).with(Fault::of(Method::Append).at(5).times(u64::MAX));
//! # drop(disk_full);
//! ```

mod backup_store;
mod deployer;
mod image_store;
mod journal;
mod lease;
mod probe;
mod release_store;
mod task_runner;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ultrai_deploy_core::{
    Deployer, Effect, Error, ErrorKind, Result,
    deployer::{Capabilities, Observation, Step},
    health::Health,
};

use crate::crash::When;

/// A method that can be made to misbehave, by its name; which seam it is of, the wrapper tells. A
/// fault of a method that the seam does not have never comes.
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
    Append,
    Load,
    Repair,
    Remove,
    Runs,
    Acquire,
    Renew,
    Release,
    Holder,
    PutFiles,
    FileDigests,
    Put,
    Get,
    Secrets,
    List,
    SetCurrent,
    Note,
    SetNote,
    Migrations,
    SetMigrations,
    FingerprintKey,
    Create,
    Verify,
    Restore,
    Delete,
    Build,
    Resolve,
    Push,
    IsObtainable,
    Run,
    Clean,
    Check,
}

impl Method {
    /// Whether its success says nothing else, so that it can be pretended.
    fn is_silent(self) -> bool {
        matches!(
            self,
            Self::Preflight
                | Self::Stage
                | Self::Switch
                | Self::Retire
                | Self::Rollback
                | Self::Append
                | Self::Repair
                | Self::Remove
                | Self::Renew
                | Self::Release
                | Self::Put
                | Self::SetCurrent
                | Self::Verify
                | Self::Restore
                | Self::Delete
                | Self::Clean
        )
    }
}

impl From<Step> for Method {
    fn from(step: Step) -> Self {
        match step {
            Step::Stage => Self::Stage,
            Step::Switch => Self::Switch,
            Step::Retire => Self::Retire,
            _ => Self::Rollback,
        }
    }
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

#[derive(Clone, Debug)]
enum Manner {
    Fail,
    Hang,
    Slow(Duration),
    Lie,
    Tell(Observation),
    TellHealth(Health),
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

    /// The first call of a method, or of a deployer's step, says that it is done, and nothing was.
    ///
    /// # Panics
    /// For a method whose success has more to say.
    pub fn lie(method: impl Into<Method>) -> Self {
        let method = method.into();
        assert!(method.is_silent(), "{method:?} has something to answer: it cannot lie");
        Self { manner: Manner::Lie, ..Self::of(method) }
    }

    /// The first [`observe`](Deployer::observe) tells `observation`, whatever there is.
    pub fn lie_about(observation: Observation) -> Self {
        Self { manner: Manner::Tell(observation), ..Self::of(Method::Observe) }
    }

    /// The first look of a [probe](ultrai_deploy_core::health::HealthProbe) tells `health`, whatever
    /// there is.
    pub fn lie_about_health(health: Health) -> Self {
        Self { manner: Manner::TellHealth(health), ..Self::of(Method::Check) }
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
            Manner::Hang => std::future::pending().await,
            Manner::Slow(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            _ => Err(self.error()),
        }
    }

    fn error(&self) -> Error {
        let error = Error::new(self.kind, "answer", "a fault was put here");
        match self.effect {
            Effect::None => error.without_effect(),
            _ => error,
        }
    }
}

/// A backend that misbehaves where it is told to; everything else is done by the one inside. It
/// implements the seam that that one does.
#[derive(Debug)]
pub struct Faulty<S: ?Sized = dyn Deployer> {
    inner: Arc<S>,
    faults: Vec<Fault>,
    claimed: Option<Capabilities>,
    calls: Mutex<BTreeMap<Method, u64>>,
}

impl<S: ?Sized> Faulty<S> {
    /// `inner`, without faults yet.
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner, faults: Vec::new(), claimed: None, calls: Mutex::default() }
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

    /// A call that has nothing to answer, or only what it did.
    async fn act<T: Default>(
        &self,
        method: Method,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fault = self.enter(method);
        if fault.is_some_and(|fault| matches!(fault.manner, Manner::Lie)) {
            return Ok(T::default());
        }
        suffer(fault, work).await
    }

    async fn ask<T>(&self, method: Method, work: impl Future<Output = Result<T>>) -> Result<T> {
        suffer(self.enter(method), work).await
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
