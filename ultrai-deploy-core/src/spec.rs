//! What somebody wants to run: the inputs of a release, before images are resolved.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    flag::FlagState,
    migration::Migration,
    name::{ProjectName, SecretName, ServiceName},
    release::Image,
    verification::Verification,
    version::Version,
};

/// The inputs of a release. Adapters make it from their own files (a compose file, deploy.toml).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReleaseSpec {
    /// The application.
    pub project: ProjectName,
    /// The version to deploy.
    pub version: Version,
    /// The services by name.
    pub services: BTreeMap<ServiceName, ServiceSpec>,
    /// What services share, in the backend's own form: networks, volumes.
    #[serde(default)]
    pub resources: Value,
    /// The checks and tests that prove it.
    #[serde(default)]
    pub verification: Verification,
    /// What runs once in each environment before this release, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Migration>,
    /// The feature flags that it declares, and what the environment's configuration says of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, FlagState>,
    /// Where it was described, in the backend's own form: directories, paths. No part of what is
    /// deployed.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub provenance: Value,
    /// Files that describe the deployment and are kept in backups: compose file, deploy.toml.
    #[serde(default)]
    pub sources: Vec<PathBuf>,
    /// Where fields of services are written, for errors: `file:line:column` by service and field.
    /// What is not known is not there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<ServiceName, BTreeMap<String, String>>,
}

impl ReleaseSpec {
    /// A spec without services.
    pub fn new(project: ProjectName, version: Version) -> Self {
        Self {
            project,
            version,
            services: BTreeMap::new(),
            resources: Value::Null,
            verification: Verification::default(),
            migrations: Vec::new(),
            flags: BTreeMap::new(),
            provenance: Value::Null,
            sources: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Where a field of a service is written, if that is known.
    pub fn place(&self, service: &ServiceName, field: &str) -> Option<&str> {
        self.places.get(service)?.get(field).map(String::as_str)
    }

    /// Adds a service.
    pub fn with_service(mut self, name: ServiceName, service: ServiceSpec) -> Self {
        self.services.insert(name, service);
        self
    }

    /// Sets the checks and tests.
    pub fn with_verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }
}

/// One service, as wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The image, for backends that run images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSpec>,
    /// The service's resolved definition in the backend's own form. Secret values are not in it;
    /// the backend puts placeholders and fills them in from the release's secrets.
    #[serde(default)]
    pub config: Value,
    /// Files and directories of the project that the service mounts: name in the release → source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, PathBuf>,
    /// Services that must be there before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ServiceName>,
    /// The secrets that the definition refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
}

/// The image of a service, before it is resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// The reference, for example `redis:6.2-alpine`.
    pub reference: String,
    /// How to build it, in the backend's own form; nothing when it is only pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Value>,
    /// When to pull it.
    #[serde(default)]
    pub pull: PullPolicy,
    /// Under which reference it is pushed to a registry once it is built; nothing when it stays
    /// where it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
    /// The very image, where it is known already: it is neither built nor looked for by its
    /// reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Image>,
}

impl ImageSpec {
    /// An image that is pulled when it is missing.
    pub fn new(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), ..Self::default() }
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullPolicy {
    /// When the engine does not have it (the default).
    #[default]
    Missing,
    /// Always.
    Always,
    /// Never: it must be there.
    Never,
}
