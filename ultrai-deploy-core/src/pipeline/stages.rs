//! The stages that change nothing on the platform: preflight, lock, backup, tests.

use std::sync::Arc;

use super::{
    BackupPolicy, DeployRequest, Driver, OnUnfinished, Parts,
    deadline::{GRACE, cut_off},
    driver::Job,
};
use crate::{
    backup::BackupRequest,
    context::{Cancel, Context},
    current::Serving,
    error::{Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    history,
    journal::{Event, Kind},
    lease::Wait,
    name::{BackupId, ReleaseId, Target},
    preview::SavedPlan,
    secret::Secrets,
    spec::ReleaseSpec,
    stage::Stage,
    state::State,
    verification::When,
};

impl Driver {
    /// Why a stage is left out, if it is.
    pub(super) fn reason_to_skip(&self, stage: Stage, before: &State) -> Option<String> {
        let facts = before.facts()?;
        if let Some(skip) = facts.skips.iter().find(|skip| skip.stage == stage)
            && may_be_skipped(stage)
        {
            return Some(skip.why.clone());
        }
        let is_rollback = matches!(facts.kind, Kind::Rollback { .. });
        let unchanged = before.plan().is_some_and(|plan| plan.unchanged);
        let nothing_before = before.supersedes().is_none()
            && before.baseline().is_some_and(|baseline| baseline.release.is_none());
        let why = match stage {
            Stage::Backup if self.parts.policy.backup == BackupPolicy::Off => {
                "the policy asks for none"
            }
            Stage::Backup if nothing_before => "nothing runs yet",
            Stage::Configure | Stage::Build if is_rollback => "the release is stored",
            Stage::PreDeployTests if is_rollback => "the release was tested before",
            Stage::PreDeployTests | Stage::Deploy if unchanged => "nothing changes",
            Stage::Watch if self.parts.policy.watch.is_zero() => "the policy asks for none",
            Stage::Watch | Stage::Finalise if unchanged => "nothing changed",
            _ => return None,
        };
        Some(why.to_owned())
    }

    /// Everything that can be known before.
    pub(super) async fn preflight(&self, cx: &Context) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        if let Some(skip) = job.skips().iter().find(|skip| !may_be_skipped(skip.stage)) {
            let message = format!("{} cannot be left out ({})", skip.stage, skip.why);
            return Err(Error::new(ErrorKind::Invalid, "begin", message).without_effect());
        }
        match job {
            Job::Deploy(request) => self.preflight_deploy(cx, request).await,
            Job::Rollback(request) => self.preflight_rollback(cx, &request.to).await,
        }
    }

    async fn preflight_deploy(&self, cx: &Context, request: &DeployRequest) -> Result<()> {
        if let Some(plan) = &request.plan
            && *plan.target() != self.parts.target
        {
            return Err(foreign_plan(plan, &self.parts.target));
        }
        self.parts.check_spec(&request.spec)?;
        self.secrets_of(cx, &request.spec).await?;
        cx.bounded(self.parts.deployer.preflight(cx, &request.spec)).await
    }

    async fn preflight_rollback(&self, cx: &Context, to: &ReleaseId) -> Result<()> {
        let release = self.parts.releases.get(to).await?;
        self.refuse_bad("go back to it", &release).await?;
        let Some(images) = &self.parts.images else { return Ok(()) };
        for (name, service) in &release.services {
            let Some(image) = &service.image else { continue };
            if !cx.bounded(images.is_obtainable(cx, image)).await? {
                let message = format!("image {} of {name} ({}) is gone", image.reference, image.id);
                return Err(Error::new(ErrorKind::NotFound, "check the rollback target", message)
                    .with_advice("choose another release from `ultrai history`")
                    .without_effect());
            }
        }
        Ok(())
    }

    /// Takes the lease, finishes what others left, reads what serves.
    pub(super) async fn lock(&self, cx: &Context) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        let limit = self.parts.policy.deadline(Stage::Lock);
        let patience = match job.wait() {
            Wait::No => limit,
            Wait::AtMost(wait) => limit.saturating_add(wait),
        };
        let holder = self.parts.holder(self.run());
        let taking = self.parts.lease.acquire(&self.parts.target, &holder, job.wait());
        let fence = cx.clone().with_timeout(patience).bounded(taking).await?;
        self.log.record(Event::Locked { fence, holder: holder.clone() }).await?;

        let held = match job {
            Job::Deploy(request) => {
                if request.plan.is_some() {
                    self.refuse_unfinished().await?;
                }
                self.finish_others(fence, &holder, request.unfinished, &self.cancel).await?
            }
            Job::Rollback(_) => {
                // Who goes back does not want what was on its way: it is undone if it still can be.
                let undo = Cancel::new();
                undo.cancel();
                self.finish_others(fence, &holder, OnUnfinished::Finish, &undo).await?
            }
        };

        let cx = cx.clone().with_timeout(limit);
        let current = cx.bounded(self.parts.deployer.current(&cx)).await?;
        let moved = self.expected().map_or(Ok(()), |expected| expected.check_world(&current));
        let (release, proven) = match current.serving {
            Serving::Nothing => (None, false),
            Serving::Release(id) => {
                self.redact_release(&id).await?;
                let proven = history::is_proven(self.parts.journal.as_ref(), &id).await?;
                (Some(self.parts.releases.get(&id).await?), proven)
            }
            Serving::Unmanaged(release) => {
                self.parts.releases.put(&release, &Secrets::new()).await?;
                (Some(Arc::from(release)), false)
            }
        };
        let (serving, version) =
            release.map(|release| (release.id.clone(), release.version.clone())).unzip();
        let observed = match held {
            None => Event::Observed { serving, version, proven, supersedes: None },
            // What is held is no place to go back to: what served before it is.
            Some(held) => {
                let Some(before) = held.state.baseline().cloned() else {
                    let message = format!("run {} is held and has no baseline", held.run);
                    return Err(Error::new(ErrorKind::Corrupt, "take its place", message));
                };
                if let Some(release) = &before.release {
                    self.redact_release(release).await?;
                }
                Event::Observed {
                    serving: before.release,
                    version: before.version,
                    proven: before.proven,
                    supersedes: Some(held.run),
                }
            }
        };
        self.log.record(observed).await?;
        moved
    }

    /// Keeps what would be lost.
    pub(super) async fn backup(&self, cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        let (Some(store), Some(baseline)) = (&self.parts.backups, state.baseline()) else {
            return Ok(());
        };
        let at = self.parts.clock.now();
        let stamp = at.strftime("%Y%m%dT%H%M%SZ");
        let id = BackupId::new(format!("{stamp}-{}", self.run().short()))?;
        let version = state.facts().and_then(|facts| facts.version.clone());
        let request = BackupRequest {
            id: id.clone(),
            target: self.parts.target.clone(),
            run: self.run().clone(),
            at,
            release: baseline.release.clone(),
            version: baseline.version.clone(),
            reason: match (state.facts().map(|facts| &facts.kind), version) {
                (Some(Kind::Rollback { .. }), Some(version)) => {
                    format!("before rollback to {version}")
                }
                (_, Some(version)) => format!("before deploy of {version}"),
                (_, None) => "before a run".to_owned(),
            },
        };
        let backup = cx.bounded(store.create(cx, &request, &self.parts.sources)).await?;
        cx.bounded(store.verify(&self.parts.target, &id)).await?;
        let bytes = backup.parts.iter().map(|part| part.size).sum();
        self.log.record(Event::BackedUp { backup: id, parts: backup.parts.len(), bytes }).await
    }

    /// Runs the tests of one moment, in order.
    pub(super) async fn tests(&self, cx: &Context, when: When) -> Result<()> {
        let release = self.release().await?;
        let tasks = release.verification.tasks.iter().filter(|task| task.when == when);
        for task in tasks {
            let Some(runner) = &self.parts.tasks else { return Ok(()) };
            let output = self.log.output(&task.name).await;
            let cx = cx.clone().with_timeout(task.timeout);
            let running = runner.run(&cx, &release, task, &output);
            let end = cut_off(&cx, GRACE, running).await?;
            let (exit_code, tail) = (end.exit_code, end.tail);
            let ended = Event::TaskEnded { task: task.name.clone(), exit_code, tail: tail.clone() };
            self.log.record(ended).await?;
            if exit_code != 0 {
                return Err(Error::new(
                    ErrorKind::Unhealthy,
                    "pass the tests",
                    format!("`{}` ended with exit code {exit_code}", task.name),
                )
                .with_evidence([Evidence::new(
                    EvidenceKind::Log,
                    &task.name,
                    tail,
                )]));
            }
        }
        Ok(())
    }

    /// What the tests needed beside them is gone before the release itself comes.
    pub(super) async fn pre_deploy_tests(&self, cx: &Context) -> Result<()> {
        self.tests(cx, When::Pre).await?;
        self.clean_tasks().await
    }
}

impl Parts {
    /// Checks that the parts of this pipeline can carry `spec` out.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for what needs a part that is missing, [`ErrorKind::Invalid`] for
    /// a check that is not understood.
    pub(super) fn check_spec(&self, spec: &ReleaseSpec) -> Result<()> {
        for check in &spec.verification.checks {
            self.probes.probe(check)?;
        }
        let unsupported = |message: &str| {
            Error::new(ErrorKind::Unsupported, "check the release", message).without_effect()
        };
        if !spec.verification.tasks.is_empty() && self.tasks.is_none() {
            return Err(unsupported("it has test commands, but this backend runs none"));
        }
        let has_images = spec.services.values().any(|service| service.image.is_some());
        if has_images && self.images.is_none() {
            return Err(unsupported("it has images, but this backend knows none"));
        }
        Ok(())
    }
}

/// A plan is applied where it was made.
fn foreign_plan(plan: &SavedPlan, target: &Target) -> Error {
    let message = format!("field `target` is {}, not {target}", plan.target());
    Error::new(ErrorKind::Invalid, "read the plan", message)
        .with_advice("apply it to the environment that it was made for")
        .without_effect()
}

/// Whether a person may ask to leave a stage out: no other stage holds one of the engine's
/// promises.
fn may_be_skipped(stage: Stage) -> bool {
    matches!(stage, Stage::Build | Stage::PreDeployTests | Stage::PostDeployTests | Stage::Watch)
}
