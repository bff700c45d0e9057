//! The stages that change nothing on the platform: preflight, lock, backup.

use super::{BackupPolicy, Driver, OnUnfinished, driver::Job};
use crate::{
    backup::BackupRequest,
    context::Context,
    current::Serving,
    error::{Error, ErrorKind, Result},
    journal::{Event, Kind},
    lease::Holder,
    name::BackupId,
    stage::Stage,
    state::State,
    verification::When,
};

impl Driver {
    /// Why a stage is left out, if it is.
    pub(super) fn reason_to_skip(&self, stage: Stage, state: &State) -> Option<String> {
        let facts = state.facts()?;
        let asked = facts.skips.iter().find(|skip| skip.stage == stage);
        if let Some(skip) = asked {
            return Some(skip.why.clone());
        }
        let is_rollback = matches!(facts.kind, Kind::Rollback { .. });
        let unchanged = state.plan().is_some_and(|plan| plan.unchanged);
        let nothing_before = state.baseline().is_some_and(|baseline| baseline.release.is_none());
        let why = match stage {
            Stage::Backup if self.parts.policy.backup == BackupPolicy::Off => {
                "the policy asks for none"
            }
            Stage::Backup if nothing_before => "nothing runs yet",
            Stage::Configure | Stage::Build if is_rollback => "the release is stored",
            Stage::PreDeployTests if is_rollback => "the release was tested before",
            Stage::PreDeployTests | Stage::Deploy if unchanged => "nothing changes",
            Stage::Watch if self.parts.policy.watch.is_zero() => "the policy asks for none",
            Stage::Finalise if unchanged => "nothing changed",
            _ => return None,
        };
        Some(why.to_owned())
    }

    /// Everything that can be known before.
    pub(super) async fn preflight(&self, cx: &Context) -> Result<()> {
        match &self.job {
            None => Err(interrupted()),
            Some(Job::Deploy(request)) => {
                let spec = &request.spec;
                let verification = &spec.verification;
                for check in &verification.checks {
                    self.parts.probes.probe(check)?;
                }
                let unsupported = |message: &str| {
                    Error::new(ErrorKind::Unsupported, "check the release", message)
                        .without_effect()
                };
                if !verification.tasks.is_empty() && self.parts.tasks.is_none() {
                    return Err(unsupported("it has test commands, but this backend runs none"));
                }
                if spec.services.values().any(|service| service.image.is_some())
                    && self.parts.images.is_none()
                {
                    return Err(unsupported("it has images, but this backend knows none"));
                }
                self.secrets_of(spec).await?;
                cx.bounded(self.parts.deployer.preflight(cx, spec)).await
            }
            Some(Job::Rollback(request)) => {
                let release = self.parts.releases.get(&request.to).await?;
                if let Some(images) = &self.parts.images {
                    for (name, service) in &release.services {
                        let Some(image) = &service.image else { continue };
                        if !cx.bounded(images.is_obtainable(cx, image)).await? {
                            return Err(Error::new(
                                ErrorKind::NotFound,
                                "check the rollback target",
                                format!(
                                    "image {} of {name} ({}) is gone",
                                    image.reference, image.id
                                ),
                            )
                            .with_advice("choose another release from `ultrai history`")
                            .without_effect());
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes the lease, finishes what others left, reads what serves.
    pub(super) async fn lock(&mut self, cx: &Context) -> Result<()> {
        let Some(job) = &self.job else { return Err(interrupted()) };
        let holder = Holder {
            run: self.run().clone(),
            host: self.parts.initiator.host.clone(),
            process: self.parts.initiator.process,
            user: self.parts.initiator.user.clone(),
            since: self.parts.clock.now(),
        };
        let target = &self.parts.target;
        let fence = cx.bounded(self.parts.lease.acquire(target, &holder, job.wait())).await?;
        self.log.record(Event::Locked { fence, holder: holder.clone() }).await?;

        let unfinished = match job {
            Job::Deploy(request) => request.unfinished,
            Job::Rollback(_) => OnUnfinished::Finish,
        };
        self.finish_others(fence, &holder, unfinished).await?;

        let current = cx.bounded(self.parts.deployer.current(cx)).await?;
        let (serving, version, proven) = match current.serving {
            Serving::Nothing => (None, None, false),
            Serving::Release(id) => {
                let release = self.parts.releases.get(&id).await?;
                let proven = self.is_proven(&id).await?;
                (Some(id), Some(release.version), proven)
            }
            Serving::Unmanaged(release) => {
                self.parts.releases.put(&release, &crate::secret::Secrets::new()).await?;
                (Some(release.id), Some(release.version), false)
            }
        };
        self.log.record(Event::Observed { serving, version, proven }).await
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
            let output = super::recorder::Output {
                parts: &self.parts,
                run: self.run(),
                subject: &task.name,
                redactor: self.draft.redactor.clone(),
            };
            let cx = cx.clone().with_timeout(task.timeout);
            let end = runner.run(&cx, &release, task, &output).await?;
            let (exit_code, tail) = (end.exit_code, end.tail);
            let ended = Event::TaskEnded { task: task.name.clone(), exit_code, tail: tail.clone() };
            self.log.record(ended).await?;
            if exit_code != 0 {
                return Err(Error::new(
                    ErrorKind::Unhealthy,
                    "pass the tests",
                    format!("`{}` ended with exit code {exit_code}", task.name),
                )
                .with_evidence([crate::evidence::Evidence::new(
                    crate::evidence::EvidenceKind::Log,
                    &task.name,
                    tail,
                )]));
            }
        }
        Ok(())
    }

    pub(super) async fn pre_deploy_tests(&mut self, cx: &Context) -> Result<()> {
        self.load_redactor().await?;
        self.tests(cx, When::Pre).await
    }
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "go on",
        "the run was interrupted before its release was sealed",
    )
    .with_advice("deploy again")
    .without_effect()
}
