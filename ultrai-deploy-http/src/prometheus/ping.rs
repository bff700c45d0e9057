//! The item of the pre-release checklist: monitoring is reached, and understands what it will be asked.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    preflight::{Found, PreflightCheck},
    secret::SecretSource,
};

use super::{
    PrometheusSpec,
    ask::{Asked, ask},
};
use crate::{client::Client, headers};

/// Longest time of the look: it is one small request, to a server that must be quick enough for checks.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks a check's query before the deploy begins: that its server cannot be reached, or does not
/// understand it, is better known before the switch than after. What the value is does not matter.
#[derive(Debug)]
pub struct Ping {
    name: String,
    spec: PrometheusSpec,
    client: Client,
    secrets: Option<Arc<dyn SecretSource>>,
}

impl Ping {
    /// A look at the server of the check `name`.
    ///
    /// # Errors
    /// As [`PrometheusProbe::new`](super::PrometheusProbe::new).
    pub fn new(
        name: &str,
        spec: PrometheusSpec,
        client: Client,
        secrets: Option<Arc<dyn SecretSource>>,
    ) -> Result<Self> {
        spec.check()?;
        headers::check(name, &spec.headers, &spec.secret_headers, secrets.is_some())?;
        Ok(Self { name: format!("monitoring for `{name}`"), spec, client, secrets })
    }
}

#[async_trait]
impl PreflightCheck for Ping {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let (spec, secrets) = (&self.spec, self.secrets.as_deref());
        let url = &spec.url;
        match ask(&self.name, spec, &self.client, secrets, cx, LIMIT).await {
            Ok(Asked::Samples(samples, _)) => Ok(Found::good(match samples.len() {
                0 => format!("{url} answers; the query finds no data yet"),
                some => format!("{url} answers; the query finds {some} series"),
            })),
            Ok(Asked::Unreachable(error)) => Ok(Found::bad(
                error.message(),
                format!("start Prometheus, or correct its address {url} in the check"),
            )),
            // Asked, and answered with what no check can use.
            Err(error) if is_answer(error.kind()) => Ok(Found::bad(
                error.message(),
                error.advice().unwrap_or("correct the check").to_owned(),
            )),
            Err(error) => Err(error),
        }
    }
}

fn is_answer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Invalid | ErrorKind::Unexpected | ErrorKind::Denied)
}
