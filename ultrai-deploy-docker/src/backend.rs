//! What all parts of the deployer share.

use std::sync::Arc;

use ultrai_deploy_core::{
    error::Result,
    name::{ReleaseId, SecretName},
    redact::Redactor,
    release_store::ReleaseStore,
    secret::{Secret, Secrets},
};

use crate::{config::Config, engine::Engine};

/// The engine, the releases and the settings.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) engine: Engine,
    pub(crate) releases: Arc<dyn ReleaseStore>,
    pub(crate) config: Config,
}

impl Backend {
    /// The secrets of a release; none for one that is not stored.
    pub(crate) async fn secrets(&self, release: Option<&ReleaseId>) -> Result<Secrets> {
        match release {
            Some(release) => crate::engine::ignore_missing(self.releases.secrets(release).await),
            None => Ok(Secrets::new()),
        }
    }

    /// Cuts the secrets of a release out of what its containers say.
    pub(crate) async fn redactor(&self, release: Option<&ReleaseId>) -> Result<Redactor> {
        Ok(Redactor::new(&self.secrets(release).await?))
    }

    /// What tells this state from every other one: known only to who holds its key.
    pub(crate) async fn state_id(&self) -> Result<String> {
        let key = self.releases.fingerprint_key().await?;
        let print = key.fingerprint(&SecretName::new("engine-guard")?, &Secret::new(""));
        Ok(serde_json::to_value(&print)
            .ok()
            .and_then(|value| value.as_str().map(ToOwned::to_owned))
            .unwrap_or_default())
    }
}
