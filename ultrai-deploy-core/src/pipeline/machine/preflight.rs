//! Everything that can be known before anything is changed.

use std::time::Duration;

use super::Definition;
use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    name::{ReleaseId, Target},
    pipeline::{DeployRequest, Driver, Parts, driver::Job, version_rules::refuse_pre_release},
    preview::SavedPlan,
    promotion,
    spec::ReleaseSpec,
};

pub(super) const STAGE: Definition = Definition {
    name: "preflight",
    deadline: |_| Duration::from_mins(2),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: |_, _| None,
    run: |driver, cx| Box::pin(driver.preflight(cx)),
};

impl Driver {
    /// Everything that can be known before.
    async fn preflight(&self, cx: &Context) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        if let Some(skip) = job.skips().iter().find(|skip| !skip.stage.definition().may_be_skipped)
        {
            let message = format!("{} cannot be left out ({})", skip.stage, skip.why);
            return Err(Error::new(ErrorKind::Invalid, "begin", message).without_effect());
        }
        match job {
            Job::Deploy(request) => self.preflight_deploy(cx, request).await,
            Job::Rollback(request) => {
                if let Some(data) = &request.data {
                    let store = self.parts.backup_store()?;
                    cx.bounded(self.parts.data_parts(store, data)).await?;
                }
                self.preflight_rollback(cx, &request.to).await
            }
        }
    }

    async fn preflight_deploy(&self, cx: &Context, request: &DeployRequest) -> Result<()> {
        if let Some(plan) = &request.plan
            && *plan.target() != self.parts.target
        {
            return Err(foreign_plan(plan, &self.parts.target));
        }
        refuse_pre_release(&self.parts.policy, request)?;
        self.parts.check_spec(&request.spec)?;
        let secrets = self.secrets_of(cx, &request.spec).await?;
        if let (Some(promotion), Some(images)) = (&request.promotion, &self.parts.images) {
            for (name, image) in promotion.images() {
                if !cx.bounded(images.is_obtainable(cx, image)).await? {
                    return Err(promotion::unobtainable(promotion, name, image));
                }
            }
        }
        cx.bounded(self.parts.deployer.preflight(cx, &request.spec)).await?;
        Box::pin(self.prepare(cx, &request.spec, secrets)).await
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
}

impl Parts {
    /// Checks that the parts of this pipeline can carry `spec` out.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for what needs a part that is missing, [`ErrorKind::Invalid`] for
    /// a check that is not understood.
    pub(in crate::pipeline) fn check_spec(&self, spec: &ReleaseSpec) -> Result<()> {
        for check in &spec.verification.checks {
            self.probes.probe(check)?;
        }
        let unsupported = |message: &str| {
            Error::new(ErrorKind::Unsupported, "check the release", message).without_effect()
        };
        for task in &spec.verification.tasks {
            let Some(runner) = &self.tasks else {
                let message = "it has test commands, but this backend runs none";
                return Err(unsupported(message).with_advice(
                    "leave them out, or have the platform run them itself, before each deploy",
                ));
            };
            runner.check(task)?;
        }
        self.check_migrations(&spec.migrations, &spec.services)?;
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
