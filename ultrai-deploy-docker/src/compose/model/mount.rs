//! Volumes, mounts, and files that are mounted as secrets and configs.

use std::{collections::BTreeMap, path::PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A mount.
#[expect(clippy::struct_excessive_bools, reason = "switches of different kinds of mounts")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What kind.
    pub kind: MountKind,
    /// Volume key or absolute host path; nothing: an anonymous volume, or tmpfs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Absolute path in the container.
    pub target: String,
    /// Read-only.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub read_only: bool,
    /// Bind: create a missing host path (short syntax does).
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub create_host_path: bool,
    /// Bind: `rprivate`, `rshared` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// Bind: `z` or `Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
    /// Volume: do not copy what the image has there.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub nocopy: bool,
    /// Volume: a directory in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
    /// tmpfs: size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs_size: Option<i64>,
    /// tmpfs: mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs_mode: Option<u32>,
    /// Written in the long form without `bind:` or `volume:`, which only the config hash shows.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub bare: bool,
}

/// What kind of mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MountKind {
    /// A named or anonymous volume.
    Volume,
    /// A host path.
    Bind,
    /// Memory.
    Tmpfs,
}

/// Use of a secret or config by a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileReference {
    /// The key in the project.
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    /// Owner in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Group in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
    /// Mode in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The target as written, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
}

/// A secret or config of the project: a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileObject {
    /// Its absolute path.
    pub file: PathBuf,
}

/// A named volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Volume {
    /// Its name on the engine.
    pub name: String,
    /// It exists already and is never created or removed.
    #[serde(skip_serializing_if = "super::is_false")]
    pub external: bool,
    /// The driver; `local` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
}
