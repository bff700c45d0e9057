//! The loop that drives a run: asks the state what is next, does it, records what came of it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Backoff, DeployRequest, FailureAction, Parts, Randomness, RollbackRequest,
    deadline::{GRACE, cut_off},
    going_on::ENGINE,
    recorder::Recorder,
    seal::Draft,
};
use crate::{
    context::{Cancel, Context, Key},
    ending::Ending,
    error::{Chain, Error, ErrorKind, Failure, Result},
    journal::{Event, Initiator},
    name::RunId,
    preview::SavedPlan,
    promotion::Promotion,
    report::Report,
    stage::Stage,
    state::{Next, Phase, State},
};

/// How long giving up the lease may take; one that is not given up runs out by itself.
const RELEASE_LIMIT: Duration = Duration::from_secs(30);

/// How many renewals in a row may fail, each after at most a fifth of the usual pause: the lease has not run
/// out by then, which is three pauses long.
const MOST_RENEWAL_FAILURES: u32 = 5;

/// What a driver was asked to do; a driver that adopts a run has none.
#[derive(Debug)]
pub(crate) enum Job {
    Deploy(Box<DeployRequest>),
    Rollback(Box<RollbackRequest>),
}

/// Drives one run.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(super) parts: Arc<Parts>,
    pub(super) log: Arc<Recorder>,
    pub(super) cancel: Cancel,
    /// Taken away once it is done.
    pub(super) job: Option<Job>,
    /// Whether another process began the run.
    pub(super) is_adopted: bool,
    pub(super) draft: Draft,
}

impl Driver {
    pub(super) fn new(
        parts: Arc<Parts>,
        log: Arc<Recorder>,
        cancel: Cancel,
        job: Option<Job>,
    ) -> Self {
        Self { parts, log, cancel, is_adopted: job.is_none(), job, draft: Draft::default() }
    }

    /// The plan that the run applies, if it was given one.
    pub(super) fn expected(&self) -> Option<&SavedPlan> {
        match &self.job {
            Some(Job::Deploy(request)) => request.plan.as_ref(),
            _ => None,
        }
    }

    /// What the run promotes from another environment, if it does.
    pub(super) fn promotion(&self) -> Option<&Promotion> {
        match &self.job {
            Some(Job::Deploy(request)) => request.promotion.as_ref(),
            _ => None,
        }
    }

    pub(super) fn run(&self) -> &RunId {
        self.log.run()
    }

    /// Drives the run to its end and gives the lease up. All that it logs is in a span with its id.
    pub(super) async fn join(self) -> Result<Report> {
        let span = tracing::info_span!("run", id = %self.run(), target = %self.parts.target);
        self.join_in_span().instrument(span).await
    }

    async fn join_in_span(mut self) -> Result<Report> {
        let (log, cancel) = (Arc::clone(&self.log), self.cancel.clone());
        let every = self.parts.policy.renew_every;
        let randomness = Arc::clone(&self.parts.randomness);
        let driven = tokio::select! {
            driven = self.drive() => driven,
            lost = keep_watch(&log, &cancel, every, randomness.as_ref()) => Err(lost),
        };
        let fence = self.log.fence().await;
        let cx = self.uncancelled("release").with_timeout(RELEASE_LIMIT);
        let released = cx.bounded(self.parts.lease.release(&self.parts.target, fence)).await;
        if let Err(error) = driven {
            let error = self.log.redactor().await.error(error);
            let state = self.log.state().await;
            let is_unfinished = state.touched() && !state.is_final();
            return Err(if is_unfinished { unfinished(error) } else { error.without_effect() });
        }
        if let Err(error) = released {
            // The run is over and durable; a lease that cannot be given up runs out by itself.
            tracing::warn!(run = %self.run(), error = %Chain(&error), "lease not released");
        }
        Ok(self.log.take_report().await)
    }

    /// Drives the run to its end. The lease stays held.
    pub(super) async fn drive(&mut self) -> Result<()> {
        if self.is_adopted && !self.log.state().await.is_final() {
            self.settle_sources().await?;
        }
        loop {
            // Each in a box of its own: a run that waits holds what it waits in, and no room for
            // all the rest.
            let next = self.log.state().await.next();
            match next {
                Next::Create => Box::pin(self.create()).await?,
                Next::Run(stage) => Box::pin(self.stage(stage)).await?,
                Next::Reconcile(step) => Box::pin(self.reconcile(step)).await?,
                Next::Refuse => Box::pin(self.refuse()).await?,
                Next::GoBack => Box::pin(self.go_back()).await?,
                Next::Undo => Box::pin(self.undo()).await?,
                Next::RestoreData => Box::pin(self.return_data()).await?,
                Next::Prove => Box::pin(self.prove_undone()).await?,
                Next::Wait => {
                    self.log.record_cancellation(&self.cancel).await?;
                    let state = self.log.state().await;
                    let is_over = match state.phase() {
                        Phase::Held { until, .. } => self.parts.clock.now() >= *until,
                        _ => false,
                    };
                    if !is_over && !state.is_cancelled() {
                        return Ok(());
                    }
                    let over = Event::HoldReleased { proceed: false, initiator: None };
                    self.log.record(over).await?;
                }
                Next::Conclude => {
                    Box::pin(self.prune_journals()).await?;
                    let state = self.log.state().await;
                    let changed = !state.is_unchanged() || state.requested_data().is_some();
                    self.end(Ending::Succeeded { changed }).await?;
                }
                Next::Nothing => return Ok(()),
            }
        }
    }

    async fn create(&self) -> Result<()> {
        let Some(job) = &self.job else {
            return Err(Error::new(ErrorKind::Corrupt, "go on", "the run has no first record"));
        };
        let version = match job {
            Job::Deploy(request) => Some(request.spec.version.clone()),
            // An unknown release is a failure of preflight, which is journaled.
            Job::Rollback(request) => self
                .parts
                .releases
                .get(&request.to)
                .await
                .ok()
                .map(|release| release.version.clone()),
        };
        let initiator = Initiator { reason: job.reason().cloned(), ..self.parts.initiator.clone() };
        self.log
            .record(Event::Created {
                format: crate::journal::FORMAT,
                engine: ENGINE.to_owned(),
                target: self.parts.target.clone(),
                kind: job.kind(),
                version,
                skips: job.skips().to_vec(),
                plan: self.expected().map(|plan| plan.digest().to_owned()),
                initiator,
            })
            .await
    }

    /// Runs a stage and records what came of it.
    async fn stage(&mut self, stage: Stage) -> Result<()> {
        let skip = {
            let before = self.log.state().await;
            let is_new = *before.phase() == Phase::Ready(stage);
            is_new.then(|| self.reason_to_skip(stage, &before)).flatten()
        };
        if let Some(why) = skip {
            return self.log.record(Event::StageSkipped { stage, why }).await;
        }
        self.log.record(Event::StageStarted { stage }).await?;
        let stop = self.reason_to_stop(stage, &self.log.state().await);
        let result = if let Some(stop) = stop {
            Err(stop)
        } else {
            let span = tracing::info_span!("stage", name = %stage);
            self.insist_on_answers(stage).instrument(span).await
        };
        match result {
            Ok(()) => self.log.record(Event::StageFinished { stage }).await,
            Err(error) if self.log.is_broken().await => Err(error),
            Err(error) if self.log.state().await.is_past_return() => {
                let message = Chain(&error).to_string();
                self.note(message).await?;
                self.log.record(Event::StageFinished { stage }).await
            }
            Err(error) => {
                self.log.record_cancellation(&self.cancel).await?;
                let failure = Failure::from(&error);
                let cancelled = self.log.state().await.is_cancelled();
                let action = self.parts.policy.failure_action(stage);
                self.log
                    .record(if action == FailureAction::Ignore && !cancelled {
                        Event::FailureIgnored { stage, failure }
                    } else {
                        Event::StageFailed { stage, failure, reaction: error.reaction() }
                    })
                    .await
            }
        }
    }

    /// Why a stage is left out, if it is.
    fn reason_to_skip(&self, stage: Stage, before: &State) -> Option<String> {
        let definition = stage.definition();
        let mut asked = before.facts().into_iter().flat_map(|facts| &facts.skips);
        match asked.find(|skip| skip.stage == stage && definition.may_be_skipped) {
            Some(skip) => Some(skip.why.clone()),
            None => (definition.skip)(self, before).map(str::to_owned),
        }
    }

    /// Performs a stage. When the answer to a step did not come, finds out what became of it before
    /// anything is decided; what turns out to be done is gone on from while there is time.
    async fn insist_on_answers(&mut self, stage: Stage) -> Result<()> {
        let until = Instant::now() + self.parts.policy.deadline(stage);
        loop {
            let Err(error) = self.perform(stage, until).await else { return Ok(()) };
            let goes_on = self.settle(&error).await?.is_some()
                && Instant::now() < until
                && self.reason_to_stop(stage, &self.log.state().await).is_none();
            if !goes_on {
                return Err(error);
            }
        }
    }

    /// What a stage gets on top of its own time, for data that is kept and put back in it.
    fn time_for_data(&self, stage: Stage, found: &State) -> Duration {
        let policy = &self.parts.policy;
        let keeping = policy.deadline(Stage::Backup);
        match stage {
            Stage::Deploy if found.is_data_wanted() => 2 * keeping + policy.restore_deadline,
            Stage::Deploy if self.parts.has_data() => keeping,
            _ => Duration::ZERO,
        }
    }

    async fn perform(&mut self, stage: Stage, until: Instant) -> Result<()> {
        let definition = stage.definition();
        let cx = self.context(stage.as_str());
        if definition.is_self_bounded {
            return (definition.run)(self, &cx).await;
        }
        let more = self.time_for_data(stage, &self.log.state().await);
        let cx = cx.with_timeout(until - Instant::now() + more);
        // Twice the grace: a step in it is cut off first, and journaled.
        cut_off(&cx, 2 * GRACE, (definition.run)(self, &cx)).await
    }

    /// Ends a run that touched nothing, after removing what its tests left.
    async fn refuse(&self) -> Result<()> {
        let state = self.log.state().await;
        let Phase::Failed { cause, .. } = state.phase() else { return Ok(()) };
        if state.was_locked() {
            self.clean_tasks().await?;
        }
        self.end(Ending::Refused { cause: cause.clone() }).await
    }

    /// Ends the run, after journaling a cancellation that came too late to change anything.
    pub(super) async fn end(&self, ending: Ending) -> Result<()> {
        self.log.record_cancellation(&self.cancel).await?;
        self.log.record(Event::Ended { ending }).await
    }

    /// Turns a failure that changes no outcome into a note.
    pub(super) async fn housekeep(&self, what: &str, result: Result<()>) -> Result<()> {
        match result {
            Err(error) if !self.log.is_broken().await => {
                let message = format!("{what}: {}", Chain(&error));
                self.note(message).await
            }
            result => result,
        }
    }

    pub(super) async fn note(&self, message: String) -> Result<()> {
        self.log.record(Event::Note { message }).await
    }

    pub(super) fn context(&self, step: &str) -> Context {
        self.uncancelled(step).with_cancel(self.cancel.clone())
    }

    /// For work that goes on whatever is asked: going back, retiring.
    pub(super) fn uncancelled(&self, step: &str) -> Context {
        let key = Key { run: self.run().clone(), step: step.to_owned(), attempt: 1 };
        let log: Arc<Recorder> = Arc::clone(&self.log);
        Context::new(self.parts.target.clone(), key, log)
    }
}

/// Nothing more can be done or written; what was begun stays as it is.
fn unfinished(error: Error) -> Error {
    let (kind, advice) = match error.kind() {
        // Another driver has it.
        ErrorKind::Fenced | ErrorKind::Conflict => (ErrorKind::Fenced, "look with `ultrai status`"),
        _ => (ErrorKind::Stuck, "mend the cause and run `ultrai resume`"),
    };
    let evidence = error.evidence().to_vec();
    Error::new(kind, "finish the run", "what it has begun is neither finished nor undone")
        .with_advice(advice)
        .with_evidence(evidence)
        .with_source(error)
}

/// Renews the lease and journals a cancellation as soon as it comes, beside the work. Returns only
/// when the lease or the journal is lost.
async fn keep_watch(
    log: &Recorder,
    cancel: &Cancel,
    every: Duration,
    randomness: &dyn Randomness,
) -> Error {
    let hurry =
        Backoff { attempts: MOST_RENEWAL_FAILURES + 1, first: every / 5, longest: every / 5 };
    let renewals = async {
        let mut failures = 0;
        loop {
            let pause = if failures == 0 { every } else { hurry.pause(failures, randomness) };
            tokio::time::sleep(pause).await;
            match log.renew().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if error.kind() == ErrorKind::Fenced || !hurry.goes_on(failures) {
                        log.mark_broken().await;
                        return error;
                    }
                }
            }
        }
    };
    let cancellation = async {
        cancel.cancelled().await;
        match log.record_cancellation(cancel).await {
            Ok(()) => std::future::pending().await,
            Err(lost) => lost,
        }
    };
    tokio::select! {
        lost = renewals => lost,
        lost = cancellation => lost,
    }
}
