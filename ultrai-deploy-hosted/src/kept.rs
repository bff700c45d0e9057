//! Values that were set before a run and that no release knows. A run that changes one keeps it with
//! its own release, so that the way back can set it again; once the run is proven they are dropped.

use serde_json::json;
use ultrai_deploy_core::{
    Result, digest,
    name::{RunId, SecretName},
    secret::Secrets,
};

const PREFIX: &str = "before-run-";

/// What a value is kept of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Variable,
    File,
}

/// What a setting is kept as.
pub(crate) const SETTING: &str = "setting";

/// What it is kept as that a variable had a value which nobody can read; without the value.
pub(crate) const SEALED: &str = "sealed";

impl Kind {
    /// What it is kept as.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Variable => "variable",
            Self::File => "file",
        }
    }
}

/// Under which name `run` keeps what `value` was in a slot.
pub(crate) fn key(run: &RunId, slot: &str, kind: &str, value: &str) -> Result<SecretName> {
    let digest = digest::of_json(&json!([run, slot, kind, value]));
    SecretName::new(format!("{PREFIX}{digest}"))
}

/// Drops what runs kept; whether there was something.
pub(crate) fn drop_all(secrets: &mut Secrets) -> bool {
    let before = secrets.len();
    secrets.retain(|name, _| !name.as_str().starts_with(PREFIX));
    secrets.len() < before
}
