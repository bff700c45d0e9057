//! Starting runs, and the handle on one.

use std::{future::Future, sync::Arc};

use tokio::sync::watch;

use super::{
    Pipeline,
    driver::{Driver, Job},
    recorder::Recorder,
};
use crate::{
    backup::Selection,
    context::{Cancel, Context},
    error::{Error, ErrorKind, Result},
    journal::{Kind, Skip},
    lease::Wait,
    name::{ReleaseId, RunId},
    preview::SavedPlan,
    promotion::Promotion,
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
    state::State,
    version::Version,
};

/// A deploy, as asked for.
#[derive(Clone, Debug)]
pub struct DeployRequest {
    /// What to deploy.
    pub spec: ReleaseSpec,
    /// Stages to leave out, each with the flag that asked for it: build, tests, watch.
    pub skips: Vec<Skip>,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// The version that may be brought although it failed and was taken back.
    pub allow_failed: Option<Version>,
    /// Whether its version may be lower than that of what serves.
    pub allow_downgrade: bool,
    /// Whether it may be a pre-release where [`Policy::pre_releases`](super::Policy::pre_releases)
    /// refuses them.
    pub allow_pre_release: bool,
    /// How long to wait for another run to end.
    pub wait: Wait,
    /// What to do about an unfinished run.
    pub unfinished: OnUnfinished,
    /// The plan that it applies; the run is refused, with nothing touched, when anything has
    /// changed since it was made.
    pub plan: Option<SavedPlan>,
    /// What it promotes from another environment, if it does.
    pub promotion: Option<Promotion>,
}

/// A rollback, as asked for.
#[derive(Clone, Debug)]
pub struct RollbackRequest {
    /// The release to return to; with `data` it may be the one that serves, which is left as it is
    /// then.
    pub to: ReleaseId,
    /// Data that comes back with it, once the release serves. What it takes the place of is backed up
    /// before, and comes back when the run fails.
    pub data: Option<Selection>,
    /// Stages to leave out, as for a deploy.
    pub skips: Vec<Skip>,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// The version that may be brought although it failed and was taken back.
    pub allow_failed: Option<Version>,
    /// How long to wait for another run to end.
    pub wait: Wait,
}

/// What a run does about an unfinished one that it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnfinished {
    /// Finishes or undoes it first (the default).
    #[default]
    Finish,
    /// Refuses.
    Refuse,
}

impl DeployRequest {
    /// A deploy of `spec` with nothing left out.
    pub fn new(spec: ReleaseSpec) -> Self {
        Self {
            spec,
            skips: Vec::new(),
            reason: None,
            allow_failed: None,
            allow_downgrade: false,
            allow_pre_release: false,
            wait: Wait::No,
            unfinished: OnUnfinished::Finish,
            plan: None,
            promotion: None,
        }
    }

    /// A promotion: `spec`, that of this environment, with what is proven in another one. Nothing is
    /// built, and no reference is looked up.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the services of both are not the same, naming them.
    pub fn promote(mut promotion: Promotion, mut spec: ReleaseSpec) -> Result<Self> {
        promotion.pin(&mut spec)?;
        let why = format!("promoted from {}", promotion.from());
        let mut request = Self::new(spec);
        request.skips.push(Skip { stage: Stage::Build, why });
        request.promotion = Some(promotion);
        Ok(request)
    }

    /// Applies exactly `plan`, with the images that it was made with.
    pub fn with_plan(mut self, plan: SavedPlan) -> Self {
        if plan.skips_build() {
            let why = "the plan was made without building".to_owned();
            self.skips.push(Skip { stage: Stage::Build, why });
        }
        self.plan = Some(plan);
        self
    }
}

impl RollbackRequest {
    /// A rollback to `to`.
    pub fn new(to: ReleaseId) -> Self {
        Self { to, data: None, skips: Vec::new(), reason: None, allow_failed: None, wait: Wait::No }
    }

    /// With data of a backup.
    pub fn with_data(mut self, data: Selection) -> Self {
        self.data = Some(data);
        self
    }
}

/// A run that has not begun; [`Run::join`] drives it.
///
/// The caller may spawn the join. Dropping it is like a crash: the journal stays, and the next
/// run, or [`Pipeline::resume`], finishes or undoes what was begun. The lease is free once the
/// [`Lease`](crate::lease::Lease) is dropped or its time to live is over.
#[derive(Debug)]
pub struct Run {
    driver: Driver,
}

impl Run {
    pub(super) fn new(driver: Driver) -> Self {
        Self { driver }
    }

    /// Its id.
    pub fn id(&self) -> &RunId {
        self.driver.run()
    }

    /// Cancels it, from anywhere and at any time.
    pub fn cancel(&self) -> Cancel {
        self.driver.cancel.clone()
    }

    /// Its state as it changes: what is true now, for whoever looks in from time to time. States
    /// in between may be missed; an [`Observer`](crate::observer::Observer) sees every record.
    /// Closed when the run is over or dropped.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.driver.log.watch()
    }

    /// Drives the run to its end.
    ///
    /// # Errors
    /// Only when the engine itself cannot go on: the journal cannot be written, the lease was
    /// lost. Whatever happens to the release is in the report.
    pub async fn join(self) -> Result<Report> {
        // Whoever awaits it holds a pointer, not the whole engine's future.
        Box::pin(self.driver.join()).await
    }

    /// Drives the run until `stop` resolves, then leaves it as it is, as a second signal does.
    ///
    /// # Errors
    /// As [`Run::join`]; [`ErrorKind::Cancelled`] when `stop` came first.
    pub async fn join_until(self, stop: impl Future<Output = ()>) -> Result<Report> {
        tokio::select! {
            report = self.join() => report,
            () = stop => Err(Error::new(
                ErrorKind::Cancelled,
                "finish the run",
                "it was left at once; its journal is complete",
            )
            .with_advice("run `resume` to finish or undo it")),
        }
    }
}

impl Pipeline {
    /// A deploy.
    pub fn deploy(&self, request: DeployRequest) -> Run {
        self.begin(Job::Deploy(Box::new(request)))
    }

    /// A rollback to a stored release: a run of its own, with a backup of the present state, the
    /// target's checks and a report.
    pub fn rollback(&self, request: RollbackRequest) -> Run {
        self.begin(Job::Rollback(Box::new(request)))
    }

    fn begin(&self, job: Job) -> Run {
        let recorder = Arc::new(Recorder::new(Arc::clone(&self.parts), RunId::generate()));
        Run::new(Driver::new(Arc::clone(&self.parts), recorder, Cancel::new(), Some(job)))
    }

    /// A context for looking at the environment without a run, for as long as verifying may take.
    pub fn look(&self) -> Context {
        Context::detached(self.parts.target.clone(), RunId::generate())
            .with_timeout(self.parts.policy.deadline(Stage::Verify))
    }
}

impl Job {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Deploy(request) => {
                request.promotion.as_ref().map_or(Kind::Deploy, Promotion::kind)
            }
            Self::Rollback(request) => {
                Kind::Rollback { to: request.to.clone(), data: request.data.clone() }
            }
        }
    }

    pub(super) fn skips(&self) -> &[Skip] {
        match self {
            Self::Deploy(request) => &request.skips,
            Self::Rollback(request) => &request.skips,
        }
    }

    pub(super) fn reason(&self) -> Option<&String> {
        match self {
            Self::Deploy(request) => request.reason.as_ref(),
            Self::Rollback(request) => request.reason.as_ref(),
        }
    }

    pub(super) fn allow_failed(&self) -> Option<&Version> {
        match self {
            Self::Deploy(request) => request.allow_failed.as_ref(),
            Self::Rollback(request) => request.allow_failed.as_ref(),
        }
    }

    pub(super) fn wait(&self) -> Wait {
        match self {
            Self::Deploy(request) => request.wait,
            Self::Rollback(request) => request.wait,
        }
    }
}
