//! One receiver, with what it wants to know and how much of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ultrai_deploy_core::{consequence::Severity, name::EnvironmentName};

use crate::{
    notice::{Name, Notice},
    sender::Sender,
};

/// A receiver of notices.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(crate) name: String,
    pub(crate) sender: Arc<dyn Sender>,
    pub(crate) filter: Filter,
    pub(crate) limits: Limits,
}

impl Channel {
    /// A receiver that is told everything but starts. `name` is what warnings and the
    /// [`Ledger`](crate::Ledger) call it; no two channels of a program have the same.
    pub fn new(name: impl Into<String>, sender: Arc<dyn Sender>) -> Self {
        Self { name: name.into(), sender, filter: Filter::default(), limits: Limits::default() }
    }

    /// Sets what it wants to know.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets how much of it, and how hard it is tried.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a channel wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What has to have happened: everything but [`Name::Started`].
    pub on: BTreeSet<Name>,
    /// How bad it has to be: minor. What is not bad at all, such as a success, is left out by `on`
    /// only.
    pub min_severity: Severity,
    /// Where it has to have happened; empty: everywhere.
    pub environments: BTreeSet<EnvironmentName>,
}

impl Filter {
    /// Whether it wants to know of this.
    pub fn wants(&self, notice: &Notice) -> bool {
        let environment = &notice.target.environment;
        self.on.contains(&notice.what.name())
            && notice.what.severity().is_none_or(|severity| severity >= self.min_severity)
            && (self.environments.is_empty() || self.environments.contains(environment))
    }
}

impl Default for Filter {
    fn default() -> Self {
        let on = Name::ALL.into_iter().filter(|name| *name != Name::Started).collect();
        Self { on, min_severity: Severity::Minor, environments: BTreeSet::new() }
    }
}

/// How much a channel is told, and how hard it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time of one attempt: 3 s.
    pub timeout: Duration,
    /// How often it is tried: 4 times.
    pub attempts: u32,
    /// The pause after the first failure: half a second. It doubles for each further one; a receiver
    /// that asks for a longer one gets it.
    pub pause: Duration,
    /// Longest time for one notice, pauses included: 30 s. A receiver that asks for more is not
    /// waited for.
    pub patience: Duration,
    /// How many may wait to be sent: 64. More are left out.
    pub queue: usize,
    /// How many alerts and starts may be sent at once: 20. What ends a run is always sent.
    pub burst: u32,
    /// How often one more may be sent after that: every 3 s. What is left out is counted in the next
    /// message.
    pub every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            attempts: 4,
            pause: Duration::from_millis(500),
            patience: Duration::from_secs(30),
            queue: 64,
            burst: 20,
            every: Duration::from_secs(3),
        }
    }
}
