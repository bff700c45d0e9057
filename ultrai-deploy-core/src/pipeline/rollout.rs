//! The steps that change the platform, each between a durable intent and its result.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Driver,
    deadline::{GRACE, cut_off},
    proof::Patience,
};
use crate::{
    context::Context,
    deployer::{Inherited, Observation, Step, StepRecord, Work},
    error::{Chain, Effect, Error, ErrorKind, Failure, Result},
    health::Role,
    journal::Event,
    plan::Plan,
    release::Release,
    state::State,
    verification::When,
};

impl Driver {
    pub(super) async fn is_done(&self, step: Step) -> bool {
        self.log.state().await.is_done(step)
    }

    pub(super) async fn prove(&self, cx: &Context, role: Role, whens: &[When]) -> Result<()> {
        let release = self.release().await?;
        let cx = &self.with_measured(cx).await;
        let proof =
            self.parts.prove(cx, &release, role, whens, Patience::FailFast, Some(&self.log));
        proof.await?.into_result()
    }

    /// Performs a step until it works or the policy's attempts are used up, each within `limit`.
    /// An attempt that fails before its intent counts, too.
    pub(super) async fn insist(&self, cx: &Context, step: Step, limit: Duration) -> Result<()> {
        let retry = &self.parts.policy.retry;
        let mut failed = 0;
        loop {
            let cx = cx.clone().with_timeout(limit);
            let Err(error) = self.step(&cx, step).await else { return Ok(()) };
            if self.settle(&error).await? == Some(step) {
                return Ok(());
            }
            failed += 1;
            let hopeless = error.kind() == ErrorKind::Unsupported || self.log.is_broken().await;
            if hopeless || !retry.goes_on(failed) {
                return Err(error);
            }
            tokio::time::sleep(retry.pause(failed, self.parts.randomness.as_ref())).await;
        }
    }

    /// Performs a step: reads what undo will need, makes the intent durable, acts, records.
    ///
    /// After a call that nobody knows the outcome of the attempt stays open, for
    /// [`settle`](Self::settle).
    pub(super) async fn step(&self, cx: &Context, step: Step) -> Result<()> {
        let (attempt, mut scene) = {
            let state = self.log.state().await;
            (state.next_attempt(step), Box::pin(self.scene(step, &state)).await?)
        };
        let cx = cx.for_step(step.as_str(), attempt);
        let record = cx.bounded(self.parts.deployer.prepare(&cx, step, &scene.work())).await?;
        let record = Arc::new(record);
        if Box::pin(self.inherit()).await? {
            scene.inherited = self.log.state().await.inherited().unwrap_or_default().to_vec();
        }
        self.log.record(Event::Intent { step, attempt, record: Arc::clone(&record) }).await?;
        let result = cut_off(&cx, GRACE, self.act(&cx, step, &scene, &record)).await;
        if self.log.is_broken().await {
            return Err(result.err().unwrap_or_else(|| {
                Error::new(ErrorKind::Fenced, "go on", "the lease or the journal was lost")
            }));
        }
        match result {
            Ok(()) => self.log.record(Event::StepDone { step }).await,
            Err(error) if may_be_under_way(&error) => Err(error),
            Err(error) => {
                let failure = Failure::from(&error);
                self.log.record(Event::StepFailed { step, failure }).await?;
                Err(error)
            }
        }
    }

    async fn act(
        &self,
        cx: &Context,
        step: Step,
        scene: &Scene,
        record: &StepRecord,
    ) -> Result<()> {
        let deployer = &self.parts.deployer;
        let work = scene.work();
        match step {
            Step::Stage => deployer.stage(cx, &work, record).await,
            Step::Switch => deployer.switch(cx, &work, record).await,
            Step::Retire => deployer.retire(cx, &work, record).await,
            Step::Rollback => deployer.rollback(cx, &work, record).await,
        }
    }

    /// Finds out what became of the step that failed with `error`, if it was left open. Gives the
    /// step when it turns out to be done.
    pub(super) async fn settle(&self, error: &Error) -> Result<Option<Step>> {
        let open = self.log.state().await.open_attempt().map(|attempt| attempt.step);
        let (Some(step), false) = (open, self.log.is_broken().await) else { return Ok(None) };
        let mut failure = Failure::from(error);
        match Box::pin(self.observe(step)).await {
            Ok(observation @ Observation::Done) => {
                self.note(format!("{step} is done, although no answer came: {}", Chain(error)))
                    .await?;
                self.log.record(Event::Reconciled { step, observation }).await?;
                return Ok(Some(step));
            }
            Ok(Observation::NotDone) => failure.effect = Effect::None,
            // It may have done anything: that is what going back is made for.
            Ok(Observation::Partial | Observation::InProgress) | Err(_) => {}
        }
        self.log.record(Event::StepFailed { step, failure }).await?;
        Ok(None)
    }

    /// Finds out what became of a step that another driver began.
    pub(super) async fn reconcile(&self, step: Step) -> Result<()> {
        let observation = self.observe(step).await?;
        self.log.record(Event::Reconciled { step, observation }).await
    }

    /// Looks at what became of the open attempt of `step`. A call that still may take effect gets
    /// the policy's time to settle; what is under way then is taken for half done.
    async fn observe(&self, step: Step) -> Result<Observation> {
        let state = self.log.state().await;
        let Some(open) = state.open_attempt() else { return Ok(Observation::NotDone) };
        let settle = self.parts.policy.settle;
        let cx = self.uncancelled(step.as_str()).for_step(step.as_str(), open.number);
        let scene = self.scene(step, &state).await?;
        let give_up = Instant::now() + settle;
        let mut asked_before = 0;
        loop {
            let look = cx.clone().with_timeout(settle.max(GRACE));
            let work = scene.work();
            let asked = self.parts.deployer.observe(&look, step, &work, &open.record);
            match look.bounded(asked).await {
                Ok(Observation::InProgress) if Instant::now() >= give_up => {
                    return Ok(Observation::Partial);
                }
                Err(error) if !error.is_retryable() || Instant::now() >= give_up => {
                    return Err(error);
                }
                Ok(Observation::InProgress) | Err(_) => {
                    asked_before += 1;
                    let pause =
                        self.parts.policy.retry.pause(asked_before, self.parts.randomness.as_ref());
                    tokio::time::sleep_until(give_up.min(Instant::now() + pause)).await;
                }
                Ok(observation) => return Ok(observation),
            }
        }
    }

    /// Everything that a step works on.
    async fn scene(&self, step: Step, state: &State) -> Result<Scene> {
        let release = self.release().await?;
        let previous = self.previous().await?;
        let plan = state.shared_plan().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "read the plan", "the run has not made one")
        })?;
        let records =
            state.attempts().iter().map(|one| (one.step, StepRecord::clone(&one.record))).collect();
        let inherited = state.inherited().unwrap_or_default().to_vec();
        let (from, to) = match step {
            Step::Rollback => (Some(release), previous),
            Step::Stage | Step::Switch | Step::Retire => (previous, Some(release)),
        };
        let is_return = state.is_rollback();
        Ok(Scene { from, to, plan, records, inherited, is_return })
    }
}

/// Whether a call that failed so may still take effect, or has: its answer did not come.
pub(super) fn may_be_under_way(error: &Error) -> bool {
    let unanswered =
        matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Cancelled | ErrorKind::Unavailable);
    unanswered && error.effect() == Effect::Unknown
}

/// What a step works on, owned.
#[derive(Debug)]
struct Scene {
    from: Option<Arc<Release>>,
    to: Option<Arc<Release>>,
    plan: Arc<Plan>,
    records: Vec<(Step, StepRecord)>,
    inherited: Vec<Inherited>,
    is_return: bool,
}

impl Scene {
    fn work(&self) -> Work<'_> {
        Work {
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            plan: &self.plan,
            records: &self.records,
            inherited: &self.inherited,
            is_return: self.is_return,
        }
    }
}
