//! The probe.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    secret::SecretSource,
};

use super::{
    PrometheusSpec, Unreachable,
    ask::{Asked, ask},
    judge::{Judged, judge, measurement},
};
use crate::{client::Client, headers, probe::within};

/// Asks once and judges the result.
#[derive(Debug)]
pub struct PrometheusProbe {
    name: String,
    spec: PrometheusSpec,
    client: Client,
    secrets: Option<Arc<dyn SecretSource>>,
    timeout: Duration,
}

impl PrometheusProbe {
    /// A probe for the check `name`; one look takes at most `timeout`.
    ///
    /// # Errors
    /// As [`PrometheusSpec::check`]; [`ErrorKind::Invalid`](ultrai_deploy_core::ErrorKind) also when a
    /// header holds a credential in the open, or a secret is needed and `secrets` is nothing.
    pub fn new(
        name: impl Into<String>,
        spec: PrometheusSpec,
        client: Client,
        secrets: Option<Arc<dyn SecretSource>>,
        timeout: Duration,
    ) -> Result<Self> {
        let name = name.into();
        spec.check()?;
        headers::check(&name, &spec.headers, &spec.secret_headers, secrets.is_some())?;
        Ok(Self { name, spec, client, secrets, timeout })
    }
}

#[async_trait]
impl HealthProbe for PrometheusProbe {
    async fn check(&self, cx: &Context, _endpoint: &Endpoint) -> Result<Health> {
        let (spec, secrets) = (&self.spec, self.secrets.as_deref());
        let limit = within(self.timeout);
        let (samples, notes) = match ask(&self.name, spec, &self.client, secrets, cx, limit).await?
        {
            Asked::Samples(samples, notes) => (samples, notes),
            Asked::Unreachable(error) => return self.unreachable(error),
        };
        let text = measurement(spec, &samples, &notes);
        let evidence = vec![Evidence::new(EvidenceKind::Measurement, &self.name, text)];
        let why = |found: &str| format!("{}: {found}", crate::expect::shorten(&spec.query));
        Ok(match judge(spec, &samples) {
            Judged::Pass => Health::Healthy(evidence),
            Judged::Fail(found) => Health::Unhealthy { why: why(&found), evidence },
            Judged::Inconclusive(found) => Health::Inconclusive { why: why(&found), evidence },
        })
    }
}

impl PrometheusProbe {
    fn unreachable(&self, error: ultrai_deploy_core::Error) -> Result<Health> {
        let why = format!("Prometheus could not be asked: {}", error.message());
        let text = format!("{why}\nquery: {}", self.spec.query);
        let evidence = vec![Evidence::new(EvidenceKind::Probe, &self.name, text)];
        match self.spec.unreachable {
            Unreachable::Error => Err(error),
            Unreachable::Pass => Ok(Health::Healthy(evidence)),
            Unreachable::Fail => Ok(Health::Unhealthy { why, evidence }),
            Unreachable::Inconclusive => Ok(Health::Inconclusive { why, evidence }),
        }
    }
}
