//! Health in the memory world.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::world::World;
use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    health::{Endpoint, Health, HealthProbe, Timing},
    name::ServiceName,
};

const PAUSE: Duration = Duration::from_millis(100);

/// Looks at an instance as its definition says.
#[derive(Debug)]
pub(super) struct Probe {
    world: World,
}

impl Probe {
    pub(super) fn shared(world: World) -> Arc<dyn HealthProbe> {
        Arc::new(Self { world })
    }
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, _cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let gone =
            || Health::Dead { why: format!("{} is gone", endpoint.instance), evidence: Vec::new() };
        Ok(self.world.look(&endpoint.instance)?.unwrap_or_else(gone))
    }
}

/// Waits until every live instance of a service that another one needs is healthy.
pub(super) async fn wait_until_healthy(
    cx: &Context,
    world: &World,
    name: &ServiceName,
) -> Result<()> {
    let cx = cx.clone().with_timeout(Timing::LEAST_BOOT);
    for one in world.live().into_iter().filter(|one| one.service == *name) {
        loop {
            match world.look(&one.id)? {
                None | Some(Health::Healthy(_)) => break,
                Some(Health::Pending { .. }) => {
                    cx.bounded(async {
                        tokio::time::sleep(PAUSE).await;
                        Ok(())
                    })
                    .await?;
                }
                Some(
                    Health::Unhealthy { why, evidence }
                    | Health::Inconclusive { why, evidence }
                    | Health::Dead { why, evidence },
                ) => {
                    return Err(Error::new(
                        ErrorKind::Unhealthy,
                        "switch",
                        format!("{name}, which others need, is not healthy: {why}"),
                    )
                    .with_evidence(evidence));
                }
            }
        }
    }
    Ok(())
}
