//! Environment variables and secret files.

use serde::Deserialize;
use ultrai_deploy_core::secret::Secret;

use super::absent;

/// An environment variable of a service.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default = "nothing", deserialize_with = "absent::secret")]
    pub value: Secret,
}

/// A secret file of a service, found at `/etc/secrets/<name>`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct SecretFile {
    /// Its name.
    pub name: String,
    /// Its text.
    #[serde(default = "nothing", deserialize_with = "absent::secret")]
    pub content: Secret,
}

fn nothing() -> Secret {
    Secret::new("")
}
