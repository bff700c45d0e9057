//! The steps that change the platform, each between a durable intent and its result.

use tokio::time::Instant;

use super::{Driver, proof::Patience, recorder::failure};
use crate::{
    context::Context,
    deployer::{Observation, Step, StepRecord, Work},
    error::{Chain, Error, ErrorKind, Result},
    health::Role,
    journal::Event,
    plan::Plan,
    release::Release,
    state::State,
    verification::When,
};

impl Driver {
    /// Stages, looks at what was staged, switches.
    pub(super) async fn deploy(&mut self, cx: &Context) -> Result<()> {
        self.load_redactor().await?;
        let release = self.release().await?;
        let state = self.log.state().await;
        if !state.is_done(Step::Switch) {
            if self.parts.deployer.capabilities().staging {
                if !state.is_done(Step::Stage) {
                    self.step(Step::Stage).await?;
                }
                let staged = self.parts.prove(
                    cx,
                    &release,
                    Role::Staged,
                    &[],
                    Patience::FailFast,
                    Some(&self.log),
                );
                staged.await?.into_result()?;
            }
            self.step(Step::Switch).await?;
        }
        Ok(())
    }

    /// Compares what runs with what is intended, and runs all checks.
    pub(super) async fn verify(&mut self, cx: &Context) -> Result<()> {
        self.load_redactor().await?;
        self.prove_live(cx, &[When::Verify]).await
    }

    pub(super) async fn post_deploy_tests(&mut self, cx: &Context) -> Result<()> {
        self.load_redactor().await?;
        let release = self.release().await?;
        let checks = self.parts.named_checks(&release, &[When::Post])?;
        let proof = self
            .parts
            .look_at(cx, checks, Role::Live, &release, Patience::FailFast, Some(&self.log))
            .await?;
        proof.into_result()?;
        self.tests(cx, When::Post).await
    }

    /// Every check must stay well for the whole window.
    pub(super) async fn watch(&mut self, cx: &Context) -> Result<()> {
        let release = self.release().await?;
        let mut checks = self.parts.deployer.declared_checks(&release)?;
        checks.extend(self.parts.named_checks(&release, &[When::Verify])?);
        for check in &mut checks {
            check.timing.stability = check.timing.stability.max(self.parts.policy.watch);
            check.timing.deadline = Some(self.parts.policy.watch + check.timing.failing_for());
        }
        let patience = Patience::FailFast;
        self.parts
            .look_at(cx, checks, Role::Live, &release, patience, Some(&self.log))
            .await?
            .into_result()
    }

    async fn prove_live(&self, cx: &Context, whens: &[When]) -> Result<()> {
        let release = self.release().await?;
        let proof = self
            .parts
            .prove(cx, &release, Role::Live, whens, Patience::FailFast, Some(&self.log))
            .await?;
        proof.into_result()
    }

    /// Retires the old release. From its intent on there is no way back, so nothing fails here
    /// any more: what cannot be removed is named in a note.
    pub(super) async fn finalise(&mut self, _cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        if !state.is_done(Step::Retire)
            && let Err(error) = self.step(Step::Retire).await
        {
            if self.log.is_broken().await || !self.log.state().await.is_past_return() {
                return Err(error);
            }
            let message = format!("the old release was not removed: {}", Chain(&error));
            self.log.record(Event::Note { message }).await?;
        }
        self.clean_tasks().await?;
        self.note_cancellation().await?;
        self.prune().await
    }

    /// Performs a step: reads what undo will need, makes the intent durable, acts, records.
    pub(super) async fn step(&self, step: Step) -> Result<()> {
        let state = self.log.state().await;
        let attempt = state.next_attempt(step);
        let goes_on = matches!(step, Step::Retire | Step::Rollback);
        let cx =
            if goes_on { self.uncancelled(step.as_str()) } else { self.context(step.as_str()) };
        let cx =
            cx.for_step(step.as_str(), attempt).with_timeout(self.parts.policy.step_deadline(step));
        let scene = self.scene(step, &state).await?;
        let record = cx.bounded(self.parts.deployer.prepare(&cx, step, &scene.work())).await?;
        self.log.record(Event::Intent { step, attempt, record: record.clone() }).await?;
        let result = self.act(&cx, step, &scene, &record).await;
        if self.log.is_broken().await {
            return Err(result.err().unwrap_or_else(|| {
                Error::new(ErrorKind::Fenced, "go on", "the lease or the journal was lost")
            }));
        }
        match result {
            Ok(()) => self.log.record(Event::StepDone { step }).await,
            Err(error) => {
                self.log.record(Event::StepFailed { step, failure: failure(&error) }).await?;
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
        let acting = async {
            match step {
                Step::Stage => deployer.stage(cx, &work, record).await,
                Step::Switch => deployer.switch(cx, &work, record).await,
                Step::Retire => deployer.retire(cx, &work, record).await,
                Step::Rollback => deployer.rollback(cx, &work, record).await,
            }
        };
        let deadline =
            cx.deadline().unwrap_or_else(|| Instant::now() + self.parts.policy.step_deadline(step));
        tokio::time::timeout_at(deadline, acting).await.unwrap_or_else(|_elapsed| {
            Err(Error::new(
                ErrorKind::Timeout,
                "finish in time",
                format!("the deadline of {step} is over"),
            ))
        })
    }

    /// Finds out what became of a step that another driver began.
    pub(super) async fn reconcile(&self, step: Step) -> Result<()> {
        let state = self.log.state().await;
        let Some(open) = state.open_attempt() else { return Ok(()) };
        let settle = self.parts.policy.settle;
        let cx = self.uncancelled(step.as_str()).for_step(step.as_str(), open.number);
        let scene = self.scene(step, &state).await?;
        let give_up = Instant::now() + settle;
        let mut observation;
        loop {
            let look = cx.clone().with_timeout(settle);
            let work = scene.work();
            let asked = self.parts.deployer.observe(&look, step, &work, &open.record);
            observation = look.bounded(asked).await?;
            if observation != Observation::InProgress {
                break;
            }
            if Instant::now() >= give_up {
                observation = Observation::Partial;
                break;
            }
            tokio::time::sleep(settle / 60).await;
        }
        self.log.record(Event::Reconciled { step, observation }).await
    }

    /// Everything that a step works on.
    pub(super) async fn scene(&self, step: Step, state: &State) -> Result<Scene> {
        let release = self.release().await?;
        let previous = self.previous().await?;
        let plan = state.plan().cloned().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "read the plan", "the run has not made one")
        })?;
        let records =
            state.attempts().iter().map(|attempt| (attempt.step, attempt.record.clone())).collect();
        let (from, to) = match step {
            Step::Rollback => (Some(release), previous),
            Step::Stage | Step::Switch | Step::Retire => (previous, Some(release)),
        };
        Ok(Scene { from, to, plan, records })
    }
}

/// What a step works on, owned.
#[derive(Debug)]
pub(super) struct Scene {
    from: Option<Release>,
    to: Option<Release>,
    plan: Plan,
    records: Vec<(Step, StepRecord)>,
}

impl Scene {
    pub(super) fn work(&self) -> Work<'_> {
        Work {
            from: self.from.as_ref(),
            to: self.to.as_ref(),
            plan: &self.plan,
            records: &self.records,
        }
    }
}
