//! From a spec to a sealed, stored release and its binding plan: configure, build, push.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{Driver, Parts, driver::Job};
use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    history,
    journal::Event,
    name::{ReleaseId, SecretName},
    redact::Redactor,
    release::{Image, Release, Seal},
    secret::{Fingerprint, Secrets},
    spec::ReleaseSpec,
};

/// What is gathered for the release and not yet stored.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) seal: Seal,
    pub(super) secrets: Secrets,
}

impl Driver {
    fn spec(&self) -> Result<&ReleaseSpec> {
        match &self.job {
            Some(Job::Deploy(request)) => Ok(&request.spec),
            _ => Err(Error::new(ErrorKind::Unexpected, "seal", "there is no spec to seal")
                .without_effect()),
        }
    }

    /// The values of all secrets of `spec`, which no record shows from here on.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] naming every secret that no source has.
    pub(super) async fn secrets_of(&self, cx: &Context, spec: &ReleaseSpec) -> Result<Secrets> {
        let found = self.parts.find_secrets(cx, spec).await?;
        self.log.redact(Redactor::new(&found.secrets)).await;
        found.all()
    }

    /// Gathers files and secrets.
    pub(super) async fn configure(&mut self, cx: &Context) -> Result<()> {
        let spec = self.spec()?;
        let secrets = self.secrets_of(cx, spec).await?;
        let prints = self.parts.fingerprints(&secrets).await?;
        let mut seal = Seal { secrets: prints, ..Seal::default() };
        for (name, service) in &spec.services {
            if !service.files.is_empty() {
                cx.check()?;
                let stored = self.parts.releases.put_files(&service.files).await?;
                seal.files.insert(name.clone(), stored);
            }
        }
        seal.sources = self.parts.releases.put_files(&named(&spec.sources)).await?;
        self.draft = Draft { seal, secrets };
        Ok(())
    }

    /// Builds the images that are built; each one once, however many services share it.
    pub(super) async fn build(&mut self, cx: &Context) -> Result<()> {
        let Some(images) = self.parts.images.clone() else { return Ok(()) };
        let spec = self.spec()?.clone();
        let mut built: BTreeMap<String, Image> = BTreeMap::new();
        for (name, service) in &spec.services {
            let Some(wanted) = service.image.as_ref().filter(|image| image.build.is_some()) else {
                continue;
            };
            let image = if let Some(image) = built.get(&wanted.reference) {
                image.clone()
            } else {
                let output = self.log.output(name.as_str()).await;
                let built = cx.bounded(images.build(cx, name, wanted, &output)).await;
                built.map_err(|error| error.at(spec.place(name, "build")))?
            };
            built.insert(wanted.reference.clone(), image.clone());
            self.log
                .record(Event::ImageResolved {
                    service: name.clone(),
                    image: image.clone(),
                    built: true,
                })
                .await?;
            self.draft.seal.images.insert(name.clone(), image);
        }
        Ok(())
    }

    /// Finds the images that were not built, seals and stores the release, makes the plan.
    pub(super) async fn seal(&mut self, cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        let release = match (&self.job, state.release()) {
            (_, Some(sealed)) => self.parts.releases.get(sealed).await?,
            (Some(Job::Rollback(request)), None) => {
                let release = self.parts.releases.get(&request.to).await?;
                self.redact_release(&release.id).await?;
                self.log.record(Event::Sealed { release: release.id.clone() }).await?;
                release
            }
            _ => Arc::new(self.seal_spec(cx).await?),
        };
        let current = cx.bounded(self.parts.deployer.current(cx)).await?;
        let mut plan = self.parts.deployer.plan(&current, &release)?;
        // Also the very release that is held is brought again: its old one is still to be retired.
        plan.unchanged &= state.supersedes().is_none();
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

    async fn seal_spec(&mut self, cx: &Context) -> Result<Release> {
        let spec = self.spec()?.clone();
        if let Some(images) = self.parts.images.clone() {
            for (name, service) in &spec.services {
                let Some(wanted) = &service.image else { continue };
                if self.draft.seal.images.contains_key(name) {
                    continue;
                }
                let output = self.log.output(&wanted.reference).await;
                let found = cx.bounded(images.resolve(cx, wanted, &output)).await;
                let image = found.map_err(|error| error.at(spec.place(name, "image")))?;
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
        self.refuse_bad("deploy it again", &release).await?;
        self.parts.releases.put(&release, &self.draft.secrets).await?;
        self.log.record(Event::Sealed { release: release.id.clone() }).await?;
        Ok(release)
    }

    /// Refuses a release that failed and was taken back, unless it is allowed by name.
    ///
    /// # Errors
    /// [`ErrorKind::Unhealthy`] with the run and its cause; [`ErrorKind::Invalid`] when another
    /// version is allowed.
    pub(super) async fn refuse_bad(
        &self,
        operation: &'static str,
        release: &Release,
    ) -> Result<()> {
        let allowed = self.job.as_ref().and_then(Job::allow_failed);
        match allowed {
            Some(allowed) if *allowed == release.version => return Ok(()),
            Some(allowed) => {
                let message =
                    format!("{allowed} is allowed, and {} was asked for", release.version);
                return Err(Error::new(ErrorKind::Invalid, operation, message)
                    .with_advice(format!("write --allow-failed {}", release.version))
                    .without_effect());
            }
            None => {}
        }
        match history::bad(self.parts.journal.as_ref()).await?.get(&release.id) {
            Some(bad) => Err(bad.refusal(operation, release)),
            None => Ok(()),
        }
    }

    /// The release that the run brings.
    pub(super) async fn release(&self) -> Result<Arc<Release>> {
        let state = self.log.state().await;
        let id = state.release().ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "read the release", "the run has not sealed one")
        })?;
        self.parts.releases.get(id).await
    }

    /// The release that served before, if any.
    pub(super) async fn previous(&self) -> Result<Option<Arc<Release>>> {
        let state = self.log.state().await;
        match state.baseline().and_then(|baseline| baseline.release.as_ref()) {
            Some(id) => Ok(Some(self.parts.releases.get(id).await?)),
            None => Ok(None),
        }
    }

    /// From here on no record shows a secret value of `release`.
    pub(super) async fn redact_release(&self, release: &ReleaseId) -> Result<()> {
        let secrets = self.parts.releases.secrets(release).await?;
        self.log.redact(Redactor::new(&secrets)).await;
        Ok(())
    }

    /// The same for the releases of a run that another driver began.
    pub(super) async fn redact_releases(&self) -> Result<()> {
        let state = self.log.state().await;
        let previous = state.baseline().and_then(|baseline| baseline.release.as_ref());
        for id in state.release().into_iter().chain(previous) {
            self.redact_release(id).await?;
        }
        Ok(())
    }
}

/// What was found of the secrets of a spec.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) secrets: Secrets,
    missing: Vec<SecretName>,
}

impl Found {
    /// The values of all of them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] naming every secret that no source has.
    pub(super) fn all(self) -> Result<Secrets> {
        if self.missing.is_empty() {
            return Ok(self.secrets);
        }
        let names: Vec<_> = self.missing.iter().map(SecretName::as_str).collect();
        let message = format!("no source has {}", names.join(", "));
        Err(Error::new(ErrorKind::Invalid, "read the secrets", message)
            .with_advice("set them in the environment or in an env file")
            .without_effect())
    }
}

impl Parts {
    pub(super) async fn find_secrets(&self, cx: &Context, spec: &ReleaseSpec) -> Result<Found> {
        let mut found = Found { secrets: Secrets::new(), missing: Vec::new() };
        for name in spec.services.values().flat_map(|service| &service.secrets) {
            if found.secrets.contains_key(name) || found.missing.contains(name) {
                continue;
            }
            let value = match &self.secrets {
                Some(source) => cx.bounded(source.get(name)).await?,
                None => None,
            };
            match value {
                Some(value) => {
                    found.secrets.insert(name.clone(), value);
                }
                None => found.missing.push(name.clone()),
            }
        }
        Ok(found)
    }

    pub(super) async fn fingerprints(
        &self,
        secrets: &Secrets,
    ) -> Result<BTreeMap<SecretName, Fingerprint>> {
        let key = self.releases.fingerprint_key().await?;
        let prints = secrets.iter();
        Ok(prints.map(|(name, secret)| (name.clone(), key.fingerprint(name, secret))).collect())
    }
}

/// Source files by their names; a second one of a name gets a number.
pub(super) fn named(paths: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let taken = files.keys().filter(|known: &&String| known.ends_with(&name)).count();
        let name = if taken == 0 { name } else { format!("{taken}-{name}") };
        files.insert(name, path.clone());
    }
    files
}
