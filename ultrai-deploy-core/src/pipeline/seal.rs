//! From a spec to a sealed, stored release and its binding plan: configure, build, push.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::{Driver, Parts, driver::Job};
use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    history,
    name::{ReleaseId, SecretName},
    redact::Redactor,
    release::{Release, Seal},
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
    pub(super) fn spec(&self) -> Result<&ReleaseSpec> {
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
        let bad = history::bad(self.parts.journal.as_ref()).await?;
        let Some(bad) = bad.get(&release.id) else { return Ok(()) };
        match self.job.as_ref().and_then(Job::allow_failed) {
            Some(allowed) if *allowed == release.version => Ok(()),
            Some(allowed) => {
                let message = format!(
                    "{allowed} is allowed, and {}, which failed in run {}, was asked for",
                    release.version, bad.run
                );
                Err(Error::new(ErrorKind::Invalid, operation, message)
                    .with_advice(format!("write --allow-failed {}", release.version))
                    .without_effect())
            }
            None => Err(bad.refusal(operation, release)),
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
            .with_advice("set them in the environment, in a dotenv file or in a secret source")
            .without_effect())
    }
}

impl Parts {
    pub(super) async fn find_secrets(&self, cx: &Context, spec: &ReleaseSpec) -> Result<Found> {
        let mut found = Found { secrets: Secrets::new(), missing: Vec::new() };
        let of_services = spec.services.values().flat_map(|service| &service.secrets).cloned();
        let mut names: BTreeSet<SecretName> = of_services.collect();
        for check in &spec.verification.checks {
            names.extend(self.probes.secrets(check)?);
        }
        for name in names {
            let value = match &self.secrets {
                Some(source) => cx.bounded(source.get(&name)).await?,
                None => None,
            };
            match value {
                Some(value) => {
                    found.secrets.insert(name, value);
                }
                None => found.missing.push(name),
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
