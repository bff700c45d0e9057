//! The images that were not built are found, the release is sealed and stored, the plan is made.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::Definition;
use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    journal::Event,
    name::ServiceName,
    pipeline::{Driver, driver::Job, seal::Draft},
    release::{Image, Release},
    spec::ImageSpec,
};

pub(super) const STAGE: Definition = Definition {
    name: "push",
    deadline: |_| Duration::from_mins(30),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: |_, _| None,
    run: |driver, cx| Box::pin(driver.seal(cx)),
};

impl Driver {
    /// Finds the images that were not built, seals and stores the release, makes the plan.
    async fn seal(&mut self, cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        let release = match (&self.job, state.release()) {
            (_, Some(sealed)) => self.parts.releases.get(sealed).await?,
            (Some(Job::Rollback(request)), None) => {
                let release = self.parts.releases.get(&request.to).await?;
                self.redact_release(&release.id).await?;
                self.fetch(cx, &release).await?;
                self.log.record(Event::Sealed { release: release.id.clone() }).await?;
                release
            }
            _ => Arc::new(self.seal_spec(cx).await?),
        };
        let current = cx.bounded(self.parts.deployer.current(cx)).await?;
        let mut plan = self.parts.deployer.plan(&current, &release)?;
        // Also the very release that is held is brought again: its old one is still to be retired.
        plan.unchanged &= state.supersedes().is_none();
        if !state.is_rollback() {
            let ledger = self.parts.releases.migrations().await?;
            plan.add_migrations(&ledger.pending(&release.migrations)?);
        }
        plan.from = state.baseline().and_then(|baseline| baseline.release.clone());
        if let Some(expected) = self.expected() {
            expected.check_world(&current)?;
            expected.check_release(&release)?;
            expected.check_plan(&plan)?;
        }
        self.log.record(Event::Planned { plan }).await?;
        // From here on all that the run needs is stored.
        self.job = None;
        self.draft = Draft::default();
        Ok(())
    }

    /// Makes the images of a stored release ready that are there no more.
    async fn fetch(&self, cx: &Context, release: &Release) -> Result<()> {
        let Some(images) = self.parts.images.clone() else { return Ok(()) };
        for (name, service) in &release.services {
            let Some(image) = &service.image else { continue };
            let output = self.log.output(&image.reference).await;
            let wanted =
                ImageSpec { exact: Some(image.clone()), ..ImageSpec::new(&image.reference) };
            let found = cx.bounded(images.resolve(cx, &wanted, &output)).await?;
            if found.id != image.id {
                return Err(not_the_same(name, image, &found));
            }
        }
        Ok(())
    }

    async fn seal_spec(&mut self, cx: &Context) -> Result<Release> {
        let spec = self.spec()?.clone();
        if let Some(images) = self.parts.images.clone() {
            let mut pushed: BTreeMap<String, Image> = BTreeMap::new();
            for (name, service) in &spec.services {
                let Some(wanted) = &service.image else { continue };
                let push_to = wanted.push.as_ref().filter(|_| wanted.exact.is_none());
                let built = self.draft.seal.images.get(name).cloned();
                if built.is_some() && push_to.is_none() {
                    continue;
                }
                let output = self.log.output(&wanted.reference).await;
                let mut image = if let Some(built) = built {
                    built
                } else {
                    let found = cx.bounded(images.resolve(cx, wanted, &output)).await;
                    found.map_err(|error| error.at(spec.place(name, "image")))?
                };
                if let Some(to) = push_to {
                    image = match pushed.get(to) {
                        Some(pushed) => pushed.clone(),
                        None => cx.bounded(images.push(cx, name, wanted, &image, &output)).await?,
                    };
                    pushed.insert(to.clone(), image.clone());
                }
                self.log
                    .record(Event::ImageResolved {
                        service: name.clone(),
                        image: image.clone(),
                        built: false,
                    })
                    .await?;
                self.draft.seal.images.insert(name.clone(), image);
            }
        }
        let release = Release::seal(&spec, &self.draft.seal)?;
        if let Some(promotion) = self.promotion() {
            promotion.prove(&release)?;
        }
        self.refuse_bad("deploy it again", &release).await?;
        self.parts.releases.put(&release, &self.draft.secrets).await?;
        self.log.record(Event::Sealed { release: release.id.clone() }).await?;
        Ok(release)
    }
}

/// What a registry gave under a digest is not what was proven.
fn not_the_same(service: &ServiceName, wanted: &Image, found: &Image) -> Error {
    let message = format!(
        "the image of {service} is {}, and {} was proven ({})",
        found.id, wanted.id, wanted.reference
    );
    Error::new(ErrorKind::Conflict, "find the image that was proven", message).without_effect()
}
