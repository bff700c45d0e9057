//! The loop that drives a run: asks the state what is next, does it, records what came of it.

use std::sync::Arc;

use super::{
    DeployRequest, Parts, RollbackRequest,
    recorder::{Recorder, failure},
    seal::Draft,
};
use crate::{
    context::{Cancel, Context, Key},
    ending::Ending,
    error::Result,
    journal::{Event, Initiator},
    name::RunId,
    report::Report,
    stage::Stage,
    state::{Next, Phase},
};

/// What a driver was asked to do; a driver that adopts a run has none.
#[derive(Debug)]
pub(crate) enum Job {
    Deploy(Box<DeployRequest>),
    Rollback(RollbackRequest),
}

/// Drives one run.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(super) parts: Arc<Parts>,
    pub(super) log: Arc<Recorder>,
    pub(super) cancel: Cancel,
    pub(super) job: Option<Job>,
    pub(super) draft: Draft,
}

impl Driver {
    pub(super) fn new(
        parts: Arc<Parts>,
        log: Arc<Recorder>,
        cancel: Cancel,
        job: Option<Job>,
    ) -> Self {
        Self { parts, log, cancel, job, draft: Draft::default() }
    }

    pub(super) fn run(&self) -> &RunId {
        self.log.run()
    }

    /// Drives the run to its end and gives the lease up.
    pub(super) async fn join(mut self) -> Result<Report> {
        let log = Arc::clone(&self.log);
        let every = self.parts.policy.renew_every;
        let renewals = async {
            loop {
                tokio::time::sleep(every).await;
                if let Err(error) = log.renew().await {
                    return error;
                }
            }
        };
        let driven = tokio::select! {
            driven = self.drive() => driven,
            lost = renewals => Err(lost),
        };
        let fence = self.log.state().await.fence();
        let released = self.parts.lease.release(&self.parts.target, fence).await;
        driven?;
        if let Err(error) = released {
            // The run is over and durable; a lease that cannot be given up runs out by itself.
            tracing::warn!(run = %self.run(), error = %crate::Chain(&error), "lease not released");
        }
        Ok(Report::from_records(self.run(), &self.log.records().await))
    }

    /// Drives the run to its end. The lease stays held.
    pub(super) async fn drive(&mut self) -> Result<()> {
        loop {
            let state = self.log.state().await;
            match state.next() {
                Next::Create => self.create().await?,
                Next::Run(stage) => self.stage(stage).await?,
                Next::Reconcile(step) => self.reconcile(step).await?,
                Next::Refuse => self.refuse().await?,
                Next::GoBack => self.go_back().await?,
                Next::Undo => self.undo().await?,
                Next::Prove => self.prove_undone().await?,
                Next::Wait => {
                    let Phase::Held { until, .. } = state.phase() else { return Ok(()) };
                    if self.parts.clock.now() < *until {
                        return Ok(());
                    }
                    self.log.record(Event::HoldReleased { proceed: false }).await?;
                }
                Next::Conclude => {
                    let changed = state.plan().is_none_or(|plan| !plan.unchanged);
                    self.log.record(Event::Ended { ending: Ending::Succeeded { changed } }).await?;
                }
                Next::Nothing => return Ok(()),
            }
        }
    }

    async fn create(&self) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        let version = match job {
            Job::Deploy(request) => Some(request.spec.version.clone()),
            // An unknown release is a failure of preflight, which is journaled.
            Job::Rollback(request) => {
                self.parts.releases.get(&request.to).await.ok().map(|release| release.version)
            }
        };
        let initiator = Initiator { reason: job.reason().cloned(), ..self.parts.initiator.clone() };
        self.log
            .record(Event::Created {
                format: crate::journal::FORMAT,
                engine: env!("CARGO_PKG_VERSION").to_owned(),
                target: self.parts.target.clone(),
                kind: job.kind(),
                version,
                skips: job.skips().to_vec(),
                initiator,
            })
            .await
    }

    /// Runs a stage and records what came of it.
    async fn stage(&mut self, stage: Stage) -> Result<()> {
        let state = self.log.state().await;
        if *state.phase() == Phase::Ready(stage)
            && let Some(why) = self.reason_to_skip(stage, &state)
        {
            return self.log.record(Event::StageSkipped { stage, why }).await;
        }
        self.log.record(Event::StageStarted { stage }).await?;
        let cx = self.context(stage.as_str()).with_timeout(self.parts.policy.deadline(stage));
        let result = match cx.check() {
            Err(stopped) if !state.is_past_return() => Err(stopped),
            _ => match stage {
                Stage::Preflight => self.preflight(&cx).await,
                Stage::Lock => self.lock(&cx).await,
                Stage::Backup => self.backup(&cx).await,
                Stage::Configure => self.configure(&cx).await,
                Stage::Build => self.build(&cx).await,
                Stage::Push => self.seal(&cx).await,
                Stage::PreDeployTests => self.pre_deploy_tests(&cx).await,
                Stage::Deploy => self.deploy(&cx).await,
                Stage::Verify => self.verify(&cx).await,
                Stage::PostDeployTests => self.post_deploy_tests(&cx).await,
                Stage::Watch => self.watch(&cx).await,
                Stage::Finalise => self.finalise(&cx).await,
                Stage::Report => Ok(()),
            },
        };
        match result {
            Ok(()) => self.log.record(Event::StageFinished { stage }).await,
            Err(error) if self.log.is_broken().await => Err(error),
            Err(error) => {
                self.note_cancellation().await?;
                self.log.record(Event::StageFailed { stage, failure: failure(&error) }).await
            }
        }
    }

    /// Journals a cancellation that has not been journaled yet.
    pub(super) async fn note_cancellation(&self) -> Result<()> {
        if self.cancel.is_cancelled() && !self.log.state().await.is_cancelled() {
            let why = "it was asked to stop".to_owned();
            self.log.record(Event::CancelRequested { why }).await?;
        }
        Ok(())
    }

    /// Ends a run that touched nothing, after removing what its tests left.
    async fn refuse(&self) -> Result<()> {
        let state = self.log.state().await;
        let Phase::Failed { cause, .. } = state.phase() else { return Ok(()) };
        if state.was_locked() {
            self.clean_tasks().await?;
        }
        let cause = cause.clone();
        self.log.record(Event::Ended { ending: Ending::Refused { cause } }).await
    }

    /// Removes what tests of this run left behind; what cannot be removed is named in a note.
    pub(super) async fn clean_tasks(&self) -> Result<()> {
        let Some(tasks) = &self.parts.tasks else { return Ok(()) };
        let cx = self.uncancelled("clean").with_timeout(self.parts.policy.rollback_deadline);
        if let Err(error) = tasks.clean(&cx).await {
            if self.log.is_broken().await {
                return Err(error);
            }
            let message = format!("leftovers of tests: {}", crate::Chain(&error));
            self.log.record(Event::Note { message }).await?;
        }
        Ok(())
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
