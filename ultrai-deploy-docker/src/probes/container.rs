//! What the engine says of a service's container.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    context::Context,
    error::Result,
    health::{Endpoint, Health, HealthProbe},
};

use crate::{backend::Backend, evidence, probe::status, snapshot::Container};

/// The state of each container of the check's service, and how often the engine had to start it anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerSpec {
    /// How often the engine may have restarted it since it was created or started by hand; 0 by
    /// default.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_restarts: u32,
    /// A restart counts for so long: a container that has run for longer without one is well. By
    /// default restarts count for ever.
    #[serde(
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub within: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Probe {
    backend: Backend,
    spec: ContainerSpec,
}

impl Probe {
    pub(super) fn new(backend: &Backend, spec: ContainerSpec) -> Self {
        Self { backend: backend.clone(), spec }
    }

    /// For how long it runs by the engine's own clock; nothing where that cannot be told.
    async fn runs_for(&self, container: &Container) -> Result<Option<Duration>> {
        let now = self.backend.engine.info().await?.system_time;
        let now: Option<Timestamp> = now.and_then(|now| now.parse().ok());
        let since: Option<Timestamp> = container.state.started_at.parse().ok();
        let (Some(now), Some(since)) = (now, since) else { return Ok(None) };
        Ok(Some(Duration::try_from(now.duration_since(since)).unwrap_or_default()))
    }
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let look = async {
            let found = self.backend.engine.find_container(&endpoint.instance).await?;
            let restarts = found.as_ref().and_then(|found| found.restart_count).unwrap_or(0);
            let Some(container) = found.and_then(Container::new) else {
                let why = format!("there is no container {}", endpoint.instance);
                return Ok(Health::Dead { why, evidence: Vec::new() });
            };
            let runs_for = match self.spec.within {
                Some(_) if restarts > i64::from(self.spec.max_restarts) => {
                    self.runs_for(&container).await?
                }
                _ => None,
            };
            Ok(match self.spec.judge(&container, restarts, runs_for) {
                Health::Dead { why, .. } => {
                    Health::Dead { why, evidence: evidence::collect(&self.backend, endpoint).await }
                }
                other => other,
            })
        };
        cx.bounded(Box::pin(look)).await
    }
}

impl ContainerSpec {
    pub(super) fn judge(
        &self,
        container: &Container,
        restarts: i64,
        runs_for: Option<Duration>,
    ) -> Health {
        let state = &container.state;
        let evidence = vec![status(container)];
        let oom = if state.oom_killed { ", out of memory" } else { "" };
        let ended = format!("ended with exit code {}{oom}", state.exit_code);
        let forgiven = runs_for.zip(self.within).is_some_and(|(runs, within)| runs > within);
        if state.has_exited() {
            return Health::Dead { why: format!("it {ended}"), evidence };
        }
        if restarts > i64::from(self.max_restarts) && !forgiven {
            let last = if state.restarting { format!("; it last {ended}") } else { String::new() };
            let why = match self.within {
                None => format!(
                    "the engine restarted it {restarts} times, {} are allowed{last}",
                    self.max_restarts
                ),
                Some(within) => format!(
                    "the engine restarted it {restarts} times, the last time less than {within:?} \
                     ago; {} are allowed{last}",
                    self.max_restarts
                ),
            };
            // Without a time after which they are forgiven, waiting makes them no fewer.
            return match self.within {
                None => Health::Dead { why, evidence },
                Some(_) => Health::Unhealthy { why, evidence },
            };
        }
        if state.restarting {
            return Health::Unhealthy { why: format!("it {ended} and is started again"), evidence };
        }
        if !state.running {
            return Health::Pending { why: format!("it does not run: {}", state.status), evidence };
        }
        if state.status == "paused" {
            return Health::Unhealthy { why: "it is paused".to_owned(), evidence };
        }
        Health::Healthy(evidence)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(restarts: &u32) -> bool {
    *restarts == 0
}
