//! A loaded compose project: resolved, typed, and stored with the release.
//!
//! Only what a container, network, volume or build is made from; no file positions and no secret
//! values (placeholders stand for those, see [`secret`](super::secret)).

mod mount;
mod network;
mod resources;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use self::{
    mount::{FileObject, FileReference, Mount, MountKind, Volume},
    network::{Attachment, Ipam, IpamPool, Network},
    resources::{Resources, Ulimit},
};

/// The engine's default distance between health checks (moby `daemon/health.go`).
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
/// The engine's default longest time of one health check (moby `daemon/health.go`).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The engine's default number of failures in a row (moby `daemon/health.go`).
pub const DEFAULT_RETRIES: u32 = 3;
/// The engine's default grace period between SIGTERM and SIGKILL.
pub const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(10);

/// A compose project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Project {
    /// Its normalised name.
    pub name: String,
    /// The absolute project directory.
    pub working_dir: PathBuf,
    /// The absolute paths of the files that it was read from.
    pub config_files: Vec<PathBuf>,
    /// The services by name, in the file's order.
    pub services: IndexMap<String, Service>,
    /// The networks by key, those that services use.
    pub networks: IndexMap<String, Network>,
    /// The named volumes by key.
    pub volumes: IndexMap<String, Volume>,
    /// The secrets by key.
    pub secrets: IndexMap<String, FileObject>,
    /// The configs by key.
    pub configs: IndexMap<String, FileObject>,
    /// Where fields of services are written, `file:line:column`, by service and field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, BTreeMap<String, String>>,
}

/// A service.
#[expect(clippy::struct_excessive_bools, reason = "the engine's own switches, one a key")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// The image reference; `<project>-<service>` when only built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How to build it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// When to pull it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// The platform, for example `linux/amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The container's name, in place of `<project>-<service>-<n>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Number of containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
    /// The command; nothing: the image's; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The entrypoint; nothing: the image's; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables; nothing: unset in the container.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, Option<String>>,
    /// Labels.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
    /// Published ports, ranges expanded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Ports that are exposed and not published: `8080`, `53/udp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<String>,
    /// Mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Mount>,
    /// tmpfs mounts as written: `/run`, `/run:size=64m`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// Mounted secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileReference>,
    /// Mounted configs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<FileReference>,
    /// What must be there before.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub depends_on: IndexMap<String, Dependency>,
    /// The health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
    /// The restart policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Networks by key, highest priority first; empty with a network mode.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub networks: IndexMap<String, Attachment>,
    /// `host`, `none`, `bridge`, `service:x`, `container:x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<String>,
    /// Logging.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Run an init process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// User, or user and group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Additional groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// Working directory in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Additional hosts as the engine takes them: `name:address`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Resolver options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_opt: Vec<String>,
    /// Size of /dev/shm, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<i64>,
    /// Limits by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The signal that stops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Time between that signal and SIGKILL; [`DEFAULT_STOP_GRACE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Duration>,
    /// Read-only root file system.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// All privileges.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// Keep standard input open.
    #[serde(skip_serializing_if = "is_false")]
    pub stdin_open: bool,
    /// A terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub tty: bool,
    /// Added capabilities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Security options; a seccomp profile is inlined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Kernel parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Process namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// IPC namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    /// UTS namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
    /// Limits and reservations, from `deploy.resources` and from `mem_*`, `cpu*`, `pids_limit`.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// The networks and volumes that it uses, by kind and name, with the digests of what they are:
    /// filled in for a release, so that other ones replace its containers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stands_on: BTreeMap<String, String>,
    /// It was written in a way that [`config_hash`](super::config_hash) does not reproduce.
    #[serde(skip_serializing_if = "is_false")]
    pub unhashable: bool,
}

impl Service {
    /// Number of containers; 1 unless said otherwise.
    pub fn replicas(&self) -> u32 {
        self.scale.unwrap_or(1)
    }

    /// Time between the stop signal and SIGKILL.
    pub fn stop_grace(&self) -> Duration {
        self.stop_grace_period.unwrap_or(DEFAULT_STOP_GRACE)
    }
}

/// How an image is built.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Build {
    /// The absolute context directory.
    pub context: PathBuf,
    /// The Dockerfile, relative to the context unless absolute; `Dockerfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The Dockerfile's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// Build arguments; those without a value anywhere are dropped.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub args: IndexMap<String, String>,
    /// The stage to build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
    /// Images whose layers may be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    /// Where to export the cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_to: Vec<String>,
    /// The network of RUN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Use no cache.
    #[serde(skip_serializing_if = "is_false")]
    pub no_cache: bool,
    /// Pull base images always.
    #[serde(skip_serializing_if = "is_false")]
    pub pull: bool,
    /// Platforms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Further tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Additional hosts of RUN.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// Size of /dev/shm of RUN, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<i64>,
    /// Limits of RUN.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The service has no `image:`; the image is named after project and service.
    #[serde(skip_serializing_if = "is_false")]
    pub unnamed: bool,
    /// Names of keys that were read and that no engine call here can carry out (`secrets`, `ssh`,
    /// `additional_contexts`, `privileged` …): refused by name in the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<String>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullPolicy {
    /// Always.
    Always,
    /// Never.
    Never,
    /// When it is not there; `if_not_present` means the same.
    Missing,
    /// It is built, never pulled.
    Build,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Port in the container.
    pub target: u16,
    /// Port or range on the host, as text; nothing: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Address on the host; nothing: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A dependency on another service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// What must hold.
    pub condition: Condition,
    /// Restart with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restart: bool,
    /// Whether it must exist.
    #[serde(default = "yes")]
    pub required: bool,
}

/// What must hold of a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// `service_started`.
    #[serde(rename = "service_started")]
    Started,
    /// `service_healthy`.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// `service_completed_successfully`.
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is run.
    pub test: HealthTest,
    /// Distance between looks; [`DEFAULT_INTERVAL`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Longest time of a look; [`DEFAULT_TIMEOUT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Failures in a row; [`DEFAULT_RETRIES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long failures are expected; 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Duration>,
    /// Distance between looks while starting; needs API 1.44.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
}

/// What a health check runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthTest {
    /// The image's own test, with other timing.
    Inherit,
    /// Nothing: the image's check is switched off.
    None,
    /// A command and its arguments.
    Command(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// A restart policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Restart {
    /// `no`.
    No,
    /// `always`.
    Always,
    /// `unless-stopped`.
    UnlessStopped,
    /// `on-failure`, at most so often; nothing: without end.
    OnFailure(Option<u32>),
}

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// The driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn yes() -> bool {
    true
}
