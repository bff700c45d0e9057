//! What Render measures of a service's requests.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use ultrai_deploy_core::{Context, Result};
use ultrai_deploy_hosted::metrics::{Measured, Metrics as Seam};

use crate::{
    Client,
    model::{DeployFilter, DeployStatus, GroupBy, MetricQuery, Point, Series},
};

/// What Render's edge measures of the requests to services.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: Client,
}

impl Metrics {
    /// As `client` is told.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Seam for Metrics {
    async fn serves_since(&self, cx: &Context, slot: &str) -> Result<Option<Timestamp>> {
        let filter = DeployFilter {
            statuses: vec![DeployStatus::Live],
            at_most: Some(1),
            ..DeployFilter::default()
        };
        let live = self.client.deploys(cx, &slot.into(), &filter).await?.into_iter().next();
        // Render leaves out what it does not know; what began earlier is on the safe side.
        Ok(live.and_then(|live| live.finished_at.or(live.updated_at).or(live.created_at)))
    }

    async fn measure(
        &self,
        cx: &Context,
        slot: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Measured> {
        let mut query = MetricQuery::new(slot);
        (query.start, query.end) = (Some(start), Some(end));
        let counts = self.client.http_requests(cx, &query, Some(GroupBy::StatusCode)).await?;
        let mut measured = Measured::default();
        for series in &counts {
            let count: f64 = values(series, start).sum();
            measured.requests += count;
            if series.label("statusCode").is_some_and(|status| status.starts_with('5')) {
                measured.errors += count;
            }
        }
        let times = self.client.http_latency(cx, &query, 0.95).await?;
        let longest = times.iter().filter_map(|series| {
            let unit = seconds(&series.unit)?;
            values(series, start).map(|value| value * unit).reduce(f64::max)
        });
        measured.p95 =
            longest.reduce(f64::max).and_then(|p95| Duration::try_from_secs_f64(p95).ok());
        Ok(measured)
    }
}

/// The values of a series from `start` on that are numbers of something.
fn values(series: &Series, start: Timestamp) -> impl Iterator<Item = f64> {
    let is_new = move |point: &&Point| point.timestamp.is_some_and(|at| at >= start);
    let values = series.values.iter().filter(is_new).filter_map(|point| point.value);
    values.filter(|value| value.is_finite() && *value >= 0.0)
}

/// How many seconds a unit is; nothing for one that is not known, for a verdict must not hang on a
/// guess.
fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "s" | "second" | "seconds" => Some(1.0),
        "ms" | "millisecond" | "milliseconds" => Some(0.001),
        _ => None,
    }
}
