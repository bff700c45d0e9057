//! What a sealed release says, in the form of the compose model.

use std::{collections::BTreeMap, path::PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    name::ServiceName,
    release::Release,
};

use crate::{
    claim::Claim,
    compose::model::{Condition, Dependency, MountKind, Network, Service, Volume},
    names,
    order::Dependencies,
};

/// What the services of a release share: the form of
/// [`Release::resources`](ultrai_deploy_core::release::Release::resources).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shared {
    /// The project's directory, in stored releases that have no [`Provenance`].
    #[serde(skip_serializing)]
    pub working_dir: PathBuf,
    /// The compose files, in stored releases that have no [`Provenance`].
    #[serde(skip_serializing)]
    pub config_files: Vec<PathBuf>,
    /// The networks by key.
    pub networks: IndexMap<String, Network>,
    /// The named volumes by key.
    pub volumes: IndexMap<String, Volume>,
    /// What is known of a service and makes no difference to its container.
    pub services: BTreeMap<ServiceName, Wiring>,
}

/// How a service is wired to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wiring {
    /// What must be there before.
    pub depends_on: IndexMap<String, Dependency>,
    /// Compose's hash, in stored releases that have no [`Provenance`].
    #[serde(skip_serializing)]
    pub config_hash: Option<String>,
}

/// Where a release was described, for the labels by which compose finds its containers: the form
/// of [`Release::provenance`](ultrai_deploy_core::release::Release::provenance).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// The project's directory.
    pub working_dir: PathBuf,
    /// The compose files.
    pub config_files: Vec<PathBuf>,
    /// The hashes by which compose knows whether it has to recreate a container. They cover the
    /// paths of mounted files, of which a release only has the content.
    pub config_hashes: BTreeMap<ServiceName, String>,
}

/// A release, read.
#[derive(Clone, Debug)]
pub(crate) struct Definition<'a> {
    pub(crate) release: &'a Release,
    pub(crate) shared: Shared,
    pub(crate) provenance: Provenance,
    pub(crate) services: BTreeMap<&'a ServiceName, Service>,
}

impl<'a> Definition<'a> {
    /// Reads a release.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not one of this backend.
    pub(crate) fn read(release: &'a Release) -> Result<Self> {
        let shared = read_shared(&release.resources)?;
        let provenance = read_provenance(&release.provenance, &shared)?;
        let mut services = BTreeMap::new();
        for (name, service) in &release.services {
            services.insert(name, read_service(name, &service.config)?);
        }
        Ok(Self { release, shared, provenance, services })
    }

    /// A service's definition.
    pub(crate) fn service(&self, name: &ServiceName) -> Result<&Service> {
        self.services.get(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "find a service",
                format!("release {} has no service {name}", self.release.id),
            )
            .without_effect()
        })
    }

    /// What `name` depends on, of what the release has.
    pub(crate) fn depends_on(
        &self,
        name: &ServiceName,
    ) -> impl Iterator<Item = (&'a ServiceName, Dependency)> {
        let wiring = self.shared.services.get(name).map(|wiring| &wiring.depends_on);
        let declared = wiring
            .into_iter()
            .flatten()
            .filter_map(|(needed, dependency)| Some((self.own_name(needed)?, dependency.clone())));
        let joined = self.services.get(name).and_then(joined_service).and_then(|needed| {
            let started =
                Dependency { condition: Condition::Started, restart: true, required: true };
            Some((self.own_name(needed)?, started))
        });
        declared.chain(joined).collect::<Vec<_>>().into_iter()
    }

    /// What must come before what.
    pub(crate) fn dependencies(&self) -> Dependencies {
        self.services
            .keys()
            .map(|name| {
                let needed = self.depends_on(name).map(|(needed, _)| needed.clone()).collect();
                ((*name).clone(), needed)
            })
            .collect()
    }

    /// Whether others wait for the service to complete.
    pub(crate) fn completes(&self, name: &ServiceName) -> bool {
        self.shared
            .services
            .values()
            .filter_map(|wiring| wiring.depends_on.get(name.as_str()))
            .any(|dependency| dependency.condition == Condition::Completed)
    }

    /// The name that the `number`th container of a service has when it serves.
    pub(crate) fn live_name(&self, name: &ServiceName, number: u32) -> String {
        let own = self.services.get(name).and_then(|service| service.container_name.clone());
        own.unwrap_or_else(|| names::live(&self.release.project, name, number))
    }

    /// What only the running container of a service can have, its name included.
    pub(crate) fn claims(&self, name: &ServiceName) -> Vec<Claim> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let mut claims = fixed(service, &self.shared);
        let numbers = 1..=service.replicas();
        claims.extend(numbers.map(|number| Claim::Name(self.live_name(name, number))));
        claims
    }

    fn own_name(&self, name: &str) -> Option<&'a ServiceName> {
        self.release.services.keys().find(|own| own.as_str() == name)
    }
}

/// Reads a service's definition.
pub(crate) fn read_service(name: &ServiceName, config: &Value) -> Result<Service> {
    Service::deserialize(config).map_err(|source| {
        Error::new(
            ErrorKind::Invalid,
            "read a service",
            format!("the definition of {name} is not one of the Docker backend"),
        )
        .without_effect()
        .with_source(source)
    })
}

/// Reads what services share.
pub(crate) fn read_shared(resources: &Value) -> Result<Shared> {
    if resources.is_null() {
        return Ok(Shared::default());
    }
    Shared::deserialize(resources).map_err(|source| {
        Error::new(
            ErrorKind::Invalid,
            "read a release",
            "its networks and volumes are not those of the Docker backend",
        )
        .without_effect()
        .with_source(source)
    })
}

fn read_provenance(provenance: &Value, shared: &Shared) -> Result<Provenance> {
    if provenance.is_null() {
        let hash = |(name, wiring): (&ServiceName, &Wiring)| {
            Some((name.clone(), wiring.config_hash.clone()?))
        };
        return Ok(Provenance {
            working_dir: shared.working_dir.clone(),
            config_files: shared.config_files.clone(),
            config_hashes: shared.services.iter().filter_map(hash).collect(),
        });
    }
    Provenance::deserialize(provenance).map_err(|source| {
        Error::new(
            ErrorKind::Invalid,
            "read a release",
            "its provenance is not that of the Docker backend",
        )
        .without_effect()
        .with_source(source)
    })
}

/// The service whose network, process or IPC namespace a service joins.
pub(crate) fn joined_service(service: &Service) -> Option<&str> {
    [&service.network_mode, &service.pid, &service.ipc]
        .into_iter()
        .flatten()
        .find_map(|mode| mode.strip_prefix("service:"))
}

/// Host ports and static addresses of a service.
pub(crate) fn fixed(service: &Service, shared: &Shared) -> Vec<Claim> {
    let mut claims = Vec::new();
    for port in &service.ports {
        // A range leaves the choice to the engine.
        let single = port.published.as_ref().and_then(|published| published.parse().ok());
        if let Some(number) = single.filter(|number| *number != 0) {
            let ip = port.host_ip.clone().unwrap_or_default();
            claims.push(Claim::Port { ip, port: number, protocol: port.protocol.clone() });
        }
    }
    for (key, attachment) in &service.networks {
        let network = shared.networks.get(key).map_or(key, |network| &network.name);
        for address in attachment.ipv4_address.iter().chain(&attachment.ipv6_address) {
            claims.push(Claim::Address { network: network.clone(), address: address.clone() });
        }
    }
    claims
}

/// Why a service cannot run twice at the same time; nothing when it can.
pub(crate) fn only_once(service: &Service, shared: &Shared) -> Option<String> {
    if service.container_name.is_some() {
        return Some("it has a container_name".to_owned());
    }
    match fixed(service, shared).into_iter().next() {
        Some(Claim::Port { port, .. }) => return Some(format!("it has host port {port}")),
        Some(Claim::Address { address, .. }) => return Some(format!("it has address {address}")),
        Some(Claim::Name(_)) | None => {}
    }
    if service.networks.values().any(|attachment| attachment.mac_address.is_some()) {
        return Some("it has a MAC address".to_owned());
    }
    if let Some(mode) = service.network_mode.as_deref().filter(|mode| !is_own_network(mode)) {
        return Some(format!("it has network_mode {mode}"));
    }
    let written = service.volumes.iter().find(|mount| {
        !mount.read_only && matches!(mount.kind, MountKind::Volume | MountKind::Bind)
    })?;
    let what = if written.kind == MountKind::Volume { "volume" } else { "directory" };
    Some(match &written.source {
        Some(source) => format!("it writes to {what} {source}"),
        None => format!("it writes to a volume at {}", written.target),
    })
}

/// Whether every container with this network mode has ports of its own.
fn is_own_network(mode: &str) -> bool {
    matches!(mode, "bridge" | "none" | "default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(value: Value) -> Service {
        serde_json::from_value(value).unwrap()
    }

    fn why(value: Value) -> Option<String> {
        only_once(&service(value), &Shared::default())
    }

    #[test]
    fn what_cannot_run_twice_is_told() {
        use serde_json::json;
        let port = |published| {
            json!({"ports": [
                {"target": 80, "published": published, "protocol": "tcp"}
            ]})
        };
        assert_eq!(why(port("8080")).unwrap(), "it has host port 8080");
        assert_eq!(why(port("8080-8090")), None);
        assert_eq!(why(json!({"ports": [{"target": 80, "protocol": "tcp"}]})), None);
        assert!(why(json!({"container_name": "x"})).is_some());
        assert!(why(json!({"network_mode": "host"})).is_some());
        assert!(why(json!({"network_mode": "none"})).is_none());
        let mount = |kind, read_only| {
            json!({"volumes": [
                {"kind": kind, "source": "data", "target": "/data", "read_only": read_only}
            ]})
        };
        assert_eq!(why(mount("volume", false)).unwrap(), "it writes to volume data");
        assert_eq!(why(mount("volume", true)), None);
        assert_eq!(why(mount("tmpfs", false)), None);
        let address = json!({"networks": {"default": {"ipv4_address": "10.0.0.9"}}});
        assert_eq!(why(address).unwrap(), "it has address 10.0.0.9");
    }
}
