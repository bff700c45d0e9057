//! What has to be remembered from run to run, because no platform does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use ultrai_deploy_core::{Error, ErrorKind, Result, release_store::ReleaseStore};

use crate::platform::{Artifact, Deploy, Pushes};

/// More than a platform has uploads that it could go back to.
const BROUGHT: usize = 100;

/// The note that the release store keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Slots whose deploys by the platform itself a rollback switched off, by id.
    #[serde(default)]
    pub(crate) held: BTreeMap<String, Held>,
    /// Uploads, newest last: the id of the deploy, and the digest of its source.
    #[serde(default)]
    brought: Vec<(String, String)>,
}

/// A slot whose pushes wait because of a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) name: String,
    /// What was done with them before.
    pub(crate) pushes: Pushes,
}

impl Note {
    pub(crate) async fn read(releases: &dyn ReleaseStore) -> Result<Self> {
        let Some(note) = releases.note().await? else { return Ok(Self::default()) };
        Self::deserialize(note).map_err(|source| {
            let message = "the backend's note is not that of a hosted platform";
            Error::new(ErrorKind::Corrupt, "read a note", message)
                .with_advice(
                    "remove note.json from the state directory; then switch the platform's own \
                     deploys on again where a rollback switched them off",
                )
                .without_effect()
                .with_source(source)
        })
    }

    pub(crate) async fn write(&self, releases: &dyn ReleaseStore) -> Result<()> {
        releases.set_note(&json!(self)).await
    }

    pub(crate) fn remember(&mut self, deploy: &str, source: &str) {
        self.brought.retain(|(id, _)| id != deploy);
        self.brought.push((deploy.to_owned(), source.to_owned()));
        let surplus = self.brought.len().saturating_sub(BROUGHT);
        self.brought.drain(..surplus);
    }

    /// Says what a deploy brings whose source was uploaded: the platform does not know its name.
    pub(crate) fn complete(&self, deploy: &mut Deploy) {
        if deploy.artifact.is_none() {
            let known = self.brought.iter().find(|(id, _)| *id == deploy.id);
            deploy.artifact = known.map(|(_, source)| Artifact::Source(source.clone()));
        }
    }
}
