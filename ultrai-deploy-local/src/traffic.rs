//! Which instance of each service has the traffic, published for clients.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Result, name::ServiceName};

use crate::disk::{self, failure};

/// The file in the state directory.
pub(crate) const FILE: &str = "current-ports.json";

/// The content of `current-ports.json`: where to find each service now.
///
/// The file is replaced as a whole, so a reader sees either the old or the new one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CurrentPorts(pub BTreeMap<ServiceName, Published>);

/// Where a service is found now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Published {
    /// The instance that has the traffic.
    pub instance: String,
    /// The port on 127.0.0.1, for services that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl CurrentPorts {
    pub(crate) fn instance(&self, service: &ServiceName) -> Option<&str> {
        self.0.get(service).map(|one| one.instance.as_str())
    }

    pub(crate) fn holds(&self, id: &str) -> bool {
        self.0.values().any(|one| one.instance == id)
    }
}

/// The published file of an environment.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    path: PathBuf,
}

impl Traffic {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn read(&self) -> Result<CurrentPorts> {
        Ok(disk::read_json(&self.path)?.unwrap_or_default())
    }

    /// Gives a service's traffic to an instance, or to none.
    pub(crate) fn give(&self, service: &ServiceName, to: Option<Published>) -> Result<()> {
        let mut ports = self.read()?;
        match to {
            Some(published) => ports.0.insert(service.clone(), published),
            None => ports.0.remove(service),
        };
        disk::write_json(&self.path, &ports)
            .map_err(|error| failure("publish a port", &self.path, error))
    }
}
