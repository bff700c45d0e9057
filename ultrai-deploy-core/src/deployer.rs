//! The seam to a platform: what runs there, and how a release gets there and back.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    context::Context,
    current::Current,
    error::Result,
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    name::RunId,
    plan::Plan,
    release::Release,
    spec::ReleaseSpec,
};

/// A platform that releases are deployed to.
///
/// The engine calls the mutating methods (`stage`, `switch`, `retire`, `rollback`) only between a
/// durable intent and its result. A process that dies in between leaves an intent without result;
/// the next one asks [`observe`](Deployer::observe) and then repeats or undoes the step. So every
/// mutating method must be safe to call again with the same record, whatever part of it ran.
///
/// Inside a step each single effect goes through [`Context::effect`], which journals it, checks
/// the lease right before the call, and stops when the run is cancelled.
#[async_trait]
pub trait Deployer: fmt::Debug + Send + Sync + 'static {
    /// A short name for reports: `docker`, `local`.
    fn name(&self) -> &'static str;

    /// What this backend can do, known without I/O.
    fn capabilities(&self) -> Capabilities;

    /// Looks whether a deploy of `spec` can work at all: the platform answers, what the spec uses
    /// can be carried out, ports are free, external networks exist. Changes nothing.
    ///
    /// # Errors
    /// The first reason why it cannot work, with [`Effect::None`](crate::Effect::None).
    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()>;

    /// What serves now; the only reader of the world. Changes nothing.
    async fn current(&self, cx: &Context) -> Result<Current>;

    /// What has to change to get from `current` to `release`. Pure: no I/O, no clock.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for what cannot be carried out.
    fn plan(&self, current: &Current, release: &Release) -> Result<Plan>;

    /// Reads all that `step` and its undo will need. Changes nothing. The engine makes the record
    /// durable with the intent and hands it to the step, to `observe` and to `rollback`.
    ///
    /// # Errors
    /// Whatever makes the step impossible, with [`Effect::None`](crate::Effect::None).
    async fn prepare(&self, cx: &Context, step: Step, work: &Work<'_>) -> Result<StepRecord>;

    /// Brings up what can run beside the old release, without traffic.
    ///
    /// On Ok everything staged runs. Idempotent in the run: adopts what an earlier attempt began.
    async fn stage(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()>;

    /// Gives the traffic to the new release and keeps the old one, stopped, until `retire`.
    ///
    /// On Ok the new release serves and its declared checks passed where its dependents needed
    /// them. Idempotent in the run.
    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()>;

    /// Removes what was kept of the old release. The point of no return; idempotent.
    async fn retire(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()>;

    /// Returns to `work.to` (or to nothing after a failed first deploy): on Ok it serves, and
    /// nothing that this run created is left but named volumes and images.
    ///
    /// `work.from` is what the run tried to bring. Must tolerate that the run's steps never ran,
    /// half ran, ran, or are already undone. Asks `current` first: where the target still serves,
    /// only what is pending is removed.
    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()>;

    /// Tells what became of a step whose result is not known. Changes nothing.
    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation>;

    /// The checks that `release` itself declares, such as a compose file's health checks; for a
    /// service without one, that it runs and goes on running.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when its definition cannot be read.
    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>>;

    /// Where probes find `release` in its `role`: one endpoint for each instance of each service.
    async fn endpoints(&self, cx: &Context, release: &Release, role: Role)
    -> Result<Vec<Endpoint>>;

    /// What can be seen of an instance: end of its log, exit code, state. Best effort.
    async fn evidence(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Evidence>;
}

/// What a backend can do; the pipeline checks it before any I/O.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Some services can be staged beside their old ones.
    pub staging: bool,
    /// A release that is no longer kept can be brought up again from its stored form.
    pub redeploy: bool,
    /// What is replaced is kept, stopped, until it is retired. Otherwise the platform itself keeps
    /// what it goes back to, for as long as it likes.
    pub keeping: bool,
}

/// A step of a run that changes the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// [`Deployer::stage`].
    Stage,
    /// [`Deployer::switch`].
    Switch,
    /// [`Deployer::retire`].
    Retire,
    /// [`Deployer::rollback`].
    Rollback,
}

impl Step {
    /// Its name in records, labels and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Switch => "switch",
            Self::Retire => "retire",
            Self::Rollback => "rollback",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a step works on.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// What served before; for a rollback, what the run tried to bring.
    pub from: Option<&'a Release>,
    /// What shall serve afterwards; nothing only when a failed first deploy is undone.
    pub to: Option<&'a Release>,
    /// The binding plan of the run.
    pub plan: &'a Plan,
    /// The records of the steps that the run has begun, oldest first.
    pub records: &'a [(Step, StepRecord)],
    /// What held runs did that this one took the place of, oldest first. Their releases count as
    /// what served before, until a rollback: that goes back to what served before the first of
    /// them, and removes what they brought, too.
    pub inherited: &'a [Inherited],
    /// Whether the run brings back a stored release because somebody asked for that.
    pub is_return: bool,
}

/// A step of a run that was held, and whose place another one has taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inherited {
    /// The run that began it.
    pub run: RunId,
    /// The step.
    pub step: Step,
    /// What was seen before.
    pub record: StepRecord,
}

impl Work<'_> {
    /// The record of what was there before this run, and before those that it took the place of,
    /// began to change things; nothing when none has.
    pub fn first_record(&self) -> Option<&StepRecord> {
        let began = |step: Step| matches!(step, Step::Stage | Step::Switch);
        let mut inherited = self.inherited.iter().filter(|one| began(one.step));
        let mut own = self.records.iter().filter(|(step, _)| began(*step));
        inherited.next().map(|one| &one.record).or_else(|| own.next().map(|(_, record)| record))
    }

    /// Whether what `run` brought goes with a rollback of `own`: it is that run, or one whose place
    /// that took.
    pub fn answers_for(&self, own: &RunId, run: &RunId) -> bool {
        own == run || self.inherited.iter().any(|one| one.run == *run)
    }

    /// The latest record of `step` in this run.
    pub fn record(&self, step: Step) -> Option<&StepRecord> {
        self.records.iter().rev().find(|(of, _)| *of == step).map(|(_, record)| record)
    }
}

/// What a backend saw before a step and needs to repeat or undo it. Durable before the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Version of the data's form, the backend's own.
    pub version: u16,
    /// The data. No secret values.
    pub data: Value,
}

impl StepRecord {
    /// A record.
    pub fn new(version: u16, data: Value) -> Self {
        Self { version, data }
    }
}

/// What became of a step whose result is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Observation {
    /// It is done.
    Done,
    /// It may still take effect: ask again.
    InProgress,
    /// Part of it is done.
    Partial,
    /// Nothing is done, and nothing can come any more.
    NotDone,
}
