//! Checks: one look at a time, the engine owns the waiting.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{
    consequence::Consequences, context::Context, error::Result, evidence::Evidence,
    name::ServiceName,
};

/// One way of looking at something that runs.
#[async_trait]
pub trait HealthProbe: fmt::Debug + Send + Sync + 'static {
    /// One look at `endpoint`, without waiting for it to change. A look that takes long must end
    /// by itself within the check's [`Timing::timeout`]; the engine cuts it off there.
    ///
    /// # Errors
    /// Only when it could not look ("could not ask"); a sick service is a value.
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health>;
}

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// As declared.
    Healthy(Vec<Evidence>),
    /// Not yet: it is still coming up.
    Pending {
        /// Why, for people.
        why: String,
        /// What was seen.
        evidence: Vec<Evidence>,
    },
    /// Not as declared.
    Unhealthy {
        /// Why, for people.
        why: String,
        /// What was seen.
        evidence: Vec<Evidence>,
    },
    /// Too little was seen to tell, such as fewer requests than a percentile needs.
    Inconclusive {
        /// Why, for people.
        why: String,
        /// What was seen.
        evidence: Vec<Evidence>,
    },
    /// It will not become healthy by waiting: it exited, the platform gave it up.
    Dead {
        /// Why, for people.
        why: String,
        /// What was seen.
        evidence: Vec<Evidence>,
    },
}

/// Which of the releases an endpoint belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Brought up, without traffic.
    Staged,
    /// Has the traffic.
    Live,
    /// Kept of the release before.
    Previous,
}

/// Where a probe looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which release it belongs to.
    pub role: Role,
    /// The service; nothing for a check that names its own address.
    pub service: Option<ServiceName>,
    /// The container, process or deployment.
    pub instance: String,
    /// Addresses by the port that the service itself listens on.
    pub addresses: Vec<(u16, SocketAddr)>,
    /// Where the service is reached from everywhere, on platforms that route requests to it
    /// themselves: `https://shop.example.com`.
    pub url: Option<String>,
}

impl Endpoint {
    /// An endpoint of a service's instance.
    pub fn new(role: Role, service: ServiceName, instance: impl Into<String>) -> Self {
        Self {
            role,
            service: Some(service),
            instance: instance.into(),
            addresses: Vec::new(),
            url: None,
        }
    }

    /// For checks that name their own address.
    pub fn none(role: Role) -> Self {
        Self { role, service: None, instance: String::new(), addresses: Vec::new(), url: None }
    }

    /// Adds the address under which the service's `port` is reached from here.
    pub fn with_address(mut self, port: u16, address: SocketAddr) -> Self {
        self.addresses.push((port, address));
        self
    }

    /// Sets where the service is reached from everywhere.
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The address of the service's `port`, or the only one when no port is named.
    pub fn address(&self, port: Option<u16>) -> Option<SocketAddr> {
        match port {
            Some(port) => self.addresses.iter().find(|(own, _)| *own == port).map(|(_, at)| *at),
            None => self.addresses.first().map(|(_, at)| *at),
        }
    }
}

/// Tells when a look is worth it before its time.
///
/// What it tells is no verdict: the probe is asked, and it is asked without being told, too.
pub trait Changes: fmt::Debug + Send + Sync + 'static {
    /// An item for each change of `endpoint` from now on, also for those that happen before the
    /// stream is polled for the first time. It may end, and then nothing is told any more.
    fn follow(&self, endpoint: &Endpoint) -> BoxStream<'static, ()>;
}

/// A check: what to look at, how, how long, and what follows.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name in reports.
    pub name: String,
    /// The service that it looks at; nothing when it names its own address.
    pub service: Option<ServiceName>,
    /// How to look.
    pub probe: Arc<dyn HealthProbe>,
    /// How long.
    pub timing: Timing,
    /// What follows when it does not pass.
    pub consequences: Consequences,
    /// What tells that a look is worth it, where something does.
    pub changes: Option<Arc<dyn Changes>>,
}

impl Check {
    /// A critical check of `service`; of an address of its own where that is nothing.
    pub fn new(
        name: impl Into<String>,
        service: Option<ServiceName>,
        probe: Arc<dyn HealthProbe>,
        timing: Timing,
    ) -> Self {
        let (name, consequences) = (name.into(), Consequences::default());
        Self { name, service, probe, timing, consequences, changes: None }
    }

    /// Sets what follows when it does not pass.
    pub fn with_consequences(mut self, consequences: Consequences) -> Self {
        self.consequences = consequences;
        self
    }

    /// Sets what tells that a look is worth it.
    pub fn with_changes(mut self, changes: Arc<dyn Changes>) -> Self {
        self.changes = Some(changes);
        self
    }
}

/// How long to wait for a check, and how often it may fail.
///
/// The defaults are those of the Engine's health checks (30 s, 30 s, 3, 0 s; moby
/// `daemon/health.go`). The engine does not wait for `interval`: it looks at once and then often,
/// and uses these numbers to know when to give up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// The platform's own distance between looks.
    pub interval: Duration,
    /// Longest time of one look.
    pub timeout: Duration,
    /// How often it may fail in a row before it counts.
    pub retries: u32,
    /// How often it must pass in a row before it counts as well: 1.
    #[serde(skip_serializing_if = "is_once")]
    pub rise: u32,
    /// How long failures are expected after a start.
    pub start_period: Duration,
    /// Longest wait for the first success, in place of the computed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// How long it must stay well: for services without a declared check.
    pub stability: Duration,
}

impl Timing {
    /// Shortest time that a booting service gets, whatever it declares.
    pub const LEAST_BOOT: Duration = Duration::from_mins(1);

    /// Longest wait for the first success:
    /// `start_period + retries × (interval + timeout)`, at least [`Timing::LEAST_BOOT`],
    /// or `deadline` where one is set.
    pub fn boot_deadline(&self) -> Duration {
        self.deadline
            .unwrap_or_else(|| (self.start_period + self.failing_for()).max(Self::LEAST_BOOT))
    }

    /// How long failures must go on, after a success, before they count:
    /// `retries × (interval + timeout)`; no time at all where one failure counts and there is no
    /// interval.
    pub fn failing_for(&self) -> Duration {
        if self.retries <= 1 && self.interval.is_zero() {
            return Duration::ZERO;
        }
        (self.interval + self.timeout) * self.retries.max(1)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            retries: 3,
            rise: 1,
            start_period: Duration::ZERO,
            deadline: None,
            stability: Duration::ZERO,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_once(rise: &u32) -> bool {
    *rise == 1
}

/// The verdict on a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// As declared.
    Pass,
    /// Not as declared.
    Fail,
    /// It could not be measured.
    Error,
    /// Too little was seen to tell.
    Inconclusive,
}
