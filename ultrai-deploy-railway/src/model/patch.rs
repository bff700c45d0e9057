//! Changes of an environment that are made in one go and deploy each service once.

use std::collections::BTreeMap;

use serde::Serialize;
use ultrai_deploy_core::secret::Secret;

use super::{id::ServiceId, variable::Exposed};

/// What changes in an environment. What is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// What changes in its services.
    pub services: BTreeMap<ServiceId, ServicePatch>,
    /// Shared variables that get a value.
    pub shared_variables: BTreeMap<String, Secret>,
}

/// What changes in a service. What is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ServicePatch {
    /// The image that it runs.
    pub image: Option<String>,
    /// Variables that get a value.
    pub variables: BTreeMap<String, Secret>,
    /// Variables that are removed.
    pub removed_variables: Vec<String>,
    /// The path that has to answer 200 before traffic is led to a new deployment.
    pub healthcheck_path: Option<String>,
    /// What is run instead of the image's own command.
    pub start_command: Option<String>,
    /// How many of it run.
    pub num_replicas: Option<u32>,
}

impl Patch {
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let own = self.services.values().flat_map(|service| service.variables.values());
        self.shared_variables.values().chain(own)
    }

    pub(crate) fn wire(&self) -> impl Serialize {
        let services = self.services.iter().map(|(id, service)| (id, service.wire()));
        Wire { services: services.collect(), shared_variables: wire(&self.shared_variables) }
    }
}

impl ServicePatch {
    fn wire(&self) -> WireService<'_> {
        let Self {
            image,
            variables,
            removed_variables,
            healthcheck_path,
            start_command,
            num_replicas,
        } = self;
        let deploy = WireDeploy {
            healthcheck_path: healthcheck_path.as_deref(),
            start_command: start_command.as_deref(),
            num_replicas: *num_replicas,
        };
        let has_deploy =
            healthcheck_path.is_some() || start_command.is_some() || num_replicas.is_some();
        WireService {
            source: image.as_deref().map(|image| WireSource { image }),
            variables: wire(variables)
                .into_iter()
                .map(|(name, value)| (name, Some(value)))
                .chain(removed_variables.iter().map(|name| (name.as_str(), None)))
                .collect(),
            deploy: has_deploy.then_some(deploy),
        }
    }
}

/// Railway's own form of it, which its schema leaves open: that of the official CLI.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    services: BTreeMap<&'a ServiceId, WireService<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    shared_variables: BTreeMap<&'a str, WireVariable<'a>>,
}

#[derive(Serialize)]
struct WireService<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<WireSource<'a>>,
    /// Null removes one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    variables: BTreeMap<&'a str, Option<WireVariable<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deploy: Option<WireDeploy<'a>>,
}

#[derive(Serialize)]
struct WireSource<'a> {
    image: &'a str,
}

#[derive(Serialize)]
struct WireVariable<'a> {
    value: Exposed<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireDeploy<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_replicas: Option<u32>,
}

fn wire(variables: &BTreeMap<String, Secret>) -> BTreeMap<&str, WireVariable<'_>> {
    let pairs = variables.iter();
    pairs.map(|(name, value)| (name.as_str(), WireVariable { value: Exposed(value) })).collect()
}
