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
    error::{Error, ErrorKind, Failure, Result},
    health::Role,
    journal::Event,
    plan::Plan,
    release::Release,
    stage::Stage,
    state::State,
    verification::When,
};

impl Driver {
    /// Stages, looks at what was staged, switches.
    pub(super) async fn deploy(&self, cx: &Context) -> Result<()> {
        if self.is_done(Step::Switch).await {
            return Ok(());
        }
        if self.parts.deployer.capabilities().staging {
            if !self.is_done(Step::Stage).await {
                self.step(cx, Step::Stage).await?;
            }
            Box::pin(self.prove(cx, Role::Staged, &[])).await?;
        }
        self.step(cx, Step::Switch).await
    }

    /// Compares what runs with what is intended, and runs all checks.
    pub(super) async fn verify(&self, cx: &Context) -> Result<()> {
        self.prove(cx, Role::Live, &[When::Verify]).await
    }

    pub(super) async fn post_deploy_tests(&self, cx: &Context) -> Result<()> {
        let release = self.release().await?;
        let checks = self.parts.named_checks(&release, &[When::Post])?;
        let looked = self.parts.look_at(
            cx,
            checks,
            Role::Live,
            &release,
            Patience::FailFast,
            Some(&self.log),
        );
        looked.await?.into_result()?;
        self.tests(cx, When::Post).await
    }

    /// Every check must stay well for the whole window.
    pub(super) async fn watch(&self, cx: &Context) -> Result<()> {
        let release = self.release().await?;
        let mut checks = self.parts.deployer.declared_checks(&release)?;
        checks.extend(self.parts.named_checks(&release, &[When::Verify])?);
        // A failure that begins at the end of the window still gets its time.
        let timings = checks.iter().map(|check| &check.timing);
        let decided = timings.map(|timing| timing.failing_for() + timing.timeout).max();
        let limit = self.parts.policy.deadline(Stage::Watch) + decided.unwrap_or_default();
        let cx = cx.clone().with_timeout(limit);
        let patience = Patience::Watch(self.parts.policy.watch);
        let looked =
            self.parts.look_at(&cx, checks, Role::Live, &release, patience, Some(&self.log));
        cut_off(&cx, GRACE, looked).await?.into_result()
    }

    async fn is_done(&self, step: Step) -> bool {
        self.log.state().await.is_done(step)
    }

    async fn prove(&self, cx: &Context, role: Role, whens: &[When]) -> Result<()> {
        let release = self.release().await?;
        let proof =
            self.parts.prove(cx, &release, role, whens, Patience::FailFast, Some(&self.log));
        proof.await?.into_result()
    }

    /// Retires the old release. The new one is proven, so nothing fails here any more: what cannot
    /// be removed is named in a note.
    pub(super) async fn finalise(&self) -> Result<()> {
        let limit = self.parts.policy.deadline(Stage::Finalise);
        let cx = self.uncancelled(Stage::Finalise.as_str()).with_timeout(limit);
        if !self.is_done(Step::Retire).await {
            let retired = self.insist(&cx, Step::Retire, limit).await;
            self.housekeep("the old release was not removed", retired).await?;
        }
        self.clean_tasks().await?;
        self.prune(&cx).await
    }

    /// Performs a step until it works or the policy's attempts are used up, each within `limit`.
    /// An attempt that fails before its intent counts, too.
    pub(super) async fn insist(&self, cx: &Context, step: Step, limit: Duration) -> Result<()> {
        let retry = &self.parts.policy.retry;
        let mut failed = 0;
        loop {
            let cx = cx.clone().with_timeout(limit);
            let Err(error) = self.step(&cx, step).await else { return Ok(()) };
            failed += 1;
            let hopeless = error.kind() == ErrorKind::Unsupported || self.log.is_broken().await;
            if hopeless || !retry.goes_on(failed) {
                return Err(error);
            }
            tokio::time::sleep(retry.pause(failed, self.parts.randomness.as_ref())).await;
        }
    }

    /// Performs a step: reads what undo will need, makes the intent durable, acts, records.
    async fn step(&self, cx: &Context, step: Step) -> Result<()> {
        let (attempt, mut scene) = {
            let state = self.log.state().await;
            (state.next_attempt(step), Box::pin(self.scene(step, &state)).await?)
        };
        let cx = cx.for_step(step.as_str(), attempt);
        let record = cx.bounded(self.parts.deployer.prepare(&cx, step, &scene.work())).await?;
        if Box::pin(self.inherit()).await? {
            scene.inherited = self.log.state().await.inherited().unwrap_or_default().to_vec();
        }
        self.log.record(Event::Intent { step, attempt, record: record.clone() }).await?;
        let result = cut_off(&cx, GRACE, self.act(&cx, step, &scene, &record)).await;
        if self.log.is_broken().await {
            return Err(result.err().unwrap_or_else(|| {
                Error::new(ErrorKind::Fenced, "go on", "the lease or the journal was lost")
            }));
        }
        match result {
            Ok(()) => self.log.record(Event::StepDone { step }).await,
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

    /// Finds out what became of a step that another driver began. A call that still may take
    /// effect gets the policy's time to settle.
    pub(super) async fn reconcile(&self, step: Step) -> Result<()> {
        let state = self.log.state().await;
        let Some(open) = state.open_attempt() else { return Ok(()) };
        let settle = self.parts.policy.settle;
        let cx = self.uncancelled(step.as_str()).for_step(step.as_str(), open.number);
        let scene = self.scene(step, &state).await?;
        let give_up = Instant::now() + settle;
        let mut asked_before = 0;
        let observation = loop {
            let look = cx.clone().with_timeout(settle.max(GRACE));
            let work = scene.work();
            let asked = self.parts.deployer.observe(&look, step, &work, &open.record);
            match look.bounded(asked).await {
                Ok(Observation::InProgress) if Instant::now() >= give_up => {
                    break Observation::Partial;
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
                Ok(observation) => break observation,
            }
        };
        self.log.record(Event::Reconciled { step, observation }).await
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
        Ok(Scene { from, to, plan, records, inherited })
    }
}

/// What a step works on, owned.
#[derive(Debug)]
struct Scene {
    from: Option<Arc<Release>>,
    to: Option<Arc<Release>>,
    plan: Arc<Plan>,
    records: Vec<(Step, StepRecord)>,
    inherited: Vec<Inherited>,
}

impl Scene {
    fn work(&self) -> Work<'_> {
        Work {
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            plan: &self.plan,
            records: &self.records,
            inherited: &self.inherited,
        }
    }
}
