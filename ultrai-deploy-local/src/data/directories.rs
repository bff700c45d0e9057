//! Directories of this machine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::name::ServiceName;

use crate::deployer::Deployer;

/// A directory to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Directory {
    /// The name of its part, so that it can come back at another place.
    pub name: String,
    /// Where it is; absolute.
    pub path: PathBuf,
    /// The services that write to it. They are stopped while it is put back, whatever `state` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
    /// What these do while it is read.
    #[serde(rename = "while")]
    pub state: While,
}

/// What the services that write to a directory do while it is read. There is no default: files of a
/// service that writes may not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum While {
    /// They are stopped, and start again when it has been read. Nobody is served for so long.
    Stopped,
    /// They go on: right for files that are only added, or replaced as a whole.
    Running,
}

impl Directory {
    /// A directory that no service is known to write to.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, state: While) -> Self {
        Self { name: name.into(), path: path.into(), services: Vec::new(), state }
    }

    /// Adds a service that writes to it.
    pub fn with_service(mut self, service: ServiceName) -> Self {
        self.services.push(service);
        self
    }
}

/// Directories of this machine; each is a part: a tar archive of its files with their modes and times.
#[derive(Clone, Debug)]
pub struct Directories {
    name: String,
    deployer: Deployer,
    directories: Vec<Directory>,
}

impl Directories {
    /// Directories of services of a deployer; `name` is the source's, unique among those of an
    /// environment.
    pub fn new(deployer: Deployer, name: impl Into<String>, directories: Vec<Directory>) -> Self {
        Self { name: name.into(), deployer, directories }
    }
}
