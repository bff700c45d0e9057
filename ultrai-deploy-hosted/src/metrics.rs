//! What a platform measures of a service's requests, as a check.
//!
//! A platform counts the requests that pass its edge. Right after a deploy that says what no probe
//! sees: how the requests of real users end. A release carries such a check in its stored form,
//! `{"platform_metrics": {"max_error_share": 0.02}}`, and [`Probes`] makes it.

mod judge;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    clock::{Clock, SystemClock},
    health::{Endpoint, Health, HealthProbe},
    name::SecretName,
    verification::{CheckSpec, ProbeSource},
};

/// The key of the stored form.
const KEY: &str = "platform_metrics";
/// Shortest window: platforms measure by the minute.
const SHORTEST: Duration = Duration::from_mins(1);

/// A platform that measures requests.
#[async_trait]
pub trait Metrics: fmt::Debug + Send + Sync + 'static {
    /// Since when what serves in the slot with this id does so; nothing when nothing serves.
    async fn serves_since(&self, cx: &Context, slot: &str) -> Result<Option<Timestamp>>;

    /// What was measured from `start` to `end`; points of an earlier time are left out. A point that
    /// is not there yet, or has no value, is no point.
    async fn measure(
        &self,
        cx: &Context,
        slot: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Measured>;
}

/// What a platform measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// How many requests there were.
    pub requests: f64,
    /// How many of them were answered with a status of 500 or more.
    pub errors: f64,
    /// In what time 95 % of them were answered: the worst of all points. Nothing where it was not
    /// measured.
    pub p95: Option<Duration>,
}

/// What is asked of the requests to a service. At least one limit is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSpec {
    /// How far back is looked, and never further than to the deploy that serves; 5 minutes by
    /// default, 1 minute at least.
    pub window: Duration,
    /// Fewer requests say nothing, and are fine; 60 by default: of fewer, 95 % is a word for one or
    /// two.
    pub min_requests: u32,
    /// The largest share of requests that may be answered with a status of 500 or more, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_share: Option<f64>,
    /// The longest time in which 95 % of the requests may be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_p95: Option<Duration>,
}

impl Default for MetricsSpec {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(5),
            min_requests: 60,
            max_error_share: None,
            max_p95: None,
        }
    }
}

impl MetricsSpec {
    /// Reads the probe of a check; nothing when it is of another kind.
    fn of(check: &CheckSpec) -> Result<Option<Self>> {
        let Some(stored) = check.probe.get(KEY) else { return Ok(None) };
        let wrong = |why: &str| {
            let message = format!("the probe of `{}` {why}", check.name);
            Error::new(ErrorKind::Invalid, "read a check", message).without_effect()
        };
        if check.probe.as_object().is_some_and(|probe| probe.len() > 1) {
            return Err(wrong("is of two kinds at once"));
        }
        let spec = Self::deserialize(stored)
            .map_err(|source| wrong("is no platform_metrics probe").with_source(source))?;
        if check.service.is_none() {
            return Err(wrong("looks at a service and names none").with_advice("name the service"));
        }
        if spec.max_error_share.is_none() && spec.max_p95.is_none() {
            return Err(wrong("asks for nothing").with_advice("set max_error_share or max_p95"));
        }
        if spec.max_error_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(wrong("has a max_error_share that is no share")
                .with_advice("write 0.02 for two of a hundred"));
        }
        if spec.window < SHORTEST {
            return Err(wrong("looks back for less than a minute")
                .with_advice("platforms measure by the minute: set a longer window"));
        }
        Ok(Some(spec))
    }
}

/// Makes checks of a platform's measurements, and has all others made by another source.
#[derive(Clone, Debug)]
pub struct Probes {
    metrics: Arc<dyn Metrics>,
    others: Arc<dyn ProbeSource>,
    clock: Arc<dyn Clock>,
}

impl Probes {
    /// Probes of `metrics`, and those of `others`.
    pub fn new(metrics: Arc<dyn Metrics>, others: Arc<dyn ProbeSource>) -> Self {
        Self { metrics, others, clock: Arc::new(SystemClock) }
    }

    /// The same with another clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl ProbeSource for Probes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        let Some(spec) = MetricsSpec::of(check)? else { return self.others.probe(check) };
        let (metrics, clock) = (Arc::clone(&self.metrics), Arc::clone(&self.clock));
        Ok(Arc::new(Probe { name: check.name.clone(), metrics, clock, spec }))
    }

    fn secrets(&self, check: &CheckSpec) -> Result<Vec<SecretName>> {
        if MetricsSpec::of(check)?.is_some() {
            return Ok(Vec::new());
        }
        self.others.secrets(check)
    }
}

#[derive(Debug)]
struct Probe {
    name: String,
    metrics: Arc<dyn Metrics>,
    clock: Arc<dyn Clock>,
    spec: MetricsSpec,
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let slot = &endpoint.instance;
        let Some(since) = self.metrics.serves_since(cx, slot).await? else {
            let (why, evidence) = ("nothing serves".to_owned(), Vec::new());
            return Ok(Health::Pending { why, evidence });
        };
        let end = self.clock.now();
        let start = end.checked_sub(self.spec.window).unwrap_or(since).max(since);
        let measured = if start < end {
            self.metrics.measure(cx, slot, start, end).await?
        } else {
            // The platform's clock is ahead.
            Measured::default()
        };
        Ok(judge::judge(&self.name, &self.spec, &measured))
    }
}
