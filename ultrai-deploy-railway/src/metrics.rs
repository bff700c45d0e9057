//! What Railway measures of a service's requests.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use ultrai_deploy_core::{Context, Result};
use ultrai_deploy_hosted::metrics::{Measured, Metrics as Seam};

use crate::{
    Client, Config, find,
    model::{EnvironmentId, ServiceAt, ServiceId, Standing, Window},
};

/// How many deployments are looked at for the one that serves.
const DEPLOYMENTS: usize = 20;
/// What one point stands for.
const STEP_SECONDS: u32 = 60;

/// What Railway's edge measures of the requests to the services of an environment.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: Client,
    config: Config,
    environment: Arc<OnceCell<EnvironmentId>>,
}

impl Metrics {
    /// As `client` is told.
    pub fn new(client: Client, config: Config) -> Self {
        Self { client, config, environment: Arc::default() }
    }

    async fn at(&self, cx: &Context, slot: &str) -> Result<ServiceAt> {
        let finding = async {
            let tree = self.client.project_tree(cx, &self.config.project).await?;
            let name = &self.config.environment;
            let found = find::exactly_one("environment", name, &tree.environments)?;
            Ok::<_, ultrai_deploy_core::Error>(found.id.clone())
        };
        Ok(ServiceAt {
            project: self.config.project.clone(),
            environment: self.environment.get_or_try_init(|| finding).await?.clone(),
            service: ServiceId::new(slot),
        })
    }
}

#[async_trait]
impl Seam for Metrics {
    async fn serves_since(&self, cx: &Context, slot: &str) -> Result<Option<Timestamp>> {
        let at = self.at(cx, slot).await?;
        let deployments = self.client.deployments(cx, &at, DEPLOYMENTS).await?;
        let live = deployments.iter().find(|one| one.status.standing() == Standing::Success);
        Ok(live.and_then(|live| live.status_updated_at.or(live.created_at)))
    }

    async fn measure(
        &self,
        cx: &Context,
        slot: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Measured> {
        let at = self.at(cx, slot).await?;
        let window = Window { start, end, step_seconds: Some(STEP_SECONDS) };
        let is_new = |second: i64| second >= start.as_second();
        let is_number = |value: &f64| value.is_finite() && *value >= 0.0;
        let mut measured = Measured::default();
        for status in self.client.http_by_status(cx, &at, &window).await? {
            let new = status.samples.iter().filter(|sample| is_new(sample.ts));
            let count: f64 = new.map(|sample| sample.value).filter(is_number).sum();
            measured.requests += count;
            if status.status_code >= 500 {
                measured.errors += count;
            }
        }
        let times = self.client.http_durations(cx, &at, &window).await?;
        let new = times.iter().filter(|sample| is_new(sample.ts));
        let longest = new.filter_map(|sample| sample.p95).filter(is_number).reduce(f64::max);
        measured.p95 = longest.and_then(|p95| Duration::try_from_secs_f64(p95 / 1000.0).ok());
        Ok(measured)
    }
}
