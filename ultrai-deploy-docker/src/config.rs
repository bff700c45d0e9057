//! How the engine is reached and how patient the deployer is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The socket that is used when no host is named.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Settings of the Docker backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The engine's address in the form of `DOCKER_HOST`: `unix:///path` or `tcp://host:port`.
    /// [`DEFAULT_HOST`] when nothing is named. The environment is not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Longest time of one request that does not itself wait for something; 2 minutes by default.
    pub request_timeout: Duration,
    /// How long a request waits for an engine that has answered before and went away, within the
    /// deadline of the step that it is for; 2 minutes by default.
    pub absence: Duration,
    /// How long the old container of a service that is replaced without downtime goes on serving
    /// after the new one has the traffic, so that proxies can notice; 1 s by default.
    pub drain: Duration,
    /// How long a service without a health check must go on running; 2 s by default.
    pub stability: Duration,
    /// Longest wait for a service's first successful health check, in place of the one that the
    /// check implies ([`Timing::boot_deadline`](ultrai_deploy_core::health::Timing::boot_deadline)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_deadline: Option<Duration>,
    /// Longest time of a service that others wait for to complete; 10 minutes by default.
    pub completion_timeout: Duration,
    /// How many services are worked on at the same time; 16 by default.
    pub parallel: usize,
}

impl Config {
    /// The defaults with another engine.
    pub fn at(host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: None,
            request_timeout: Duration::from_mins(2),
            absence: Duration::from_mins(2),
            drain: Duration::from_secs(1),
            stability: Duration::from_secs(2),
            boot_deadline: None,
            completion_timeout: Duration::from_mins(10),
            parallel: 16,
        }
    }
}
