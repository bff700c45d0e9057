//! Makes probes from their stored form.

use std::sync::Arc;

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    health::HealthProbe,
    name::SecretName,
    secret::SecretSource,
    verification::{CheckSpec, ProbeSource},
};

use crate::{
    client::Client,
    probe::{HttpProbe, TcpProbe},
    prometheus::PrometheusProbe,
    spec::{HttpAt, ProbeSpec, TcpAt},
    suite::{SuiteAt, SuiteProbe},
};

/// Makes HTTP and TCP probes, suites and queries of Prometheus, all with one client.
#[derive(Clone, Debug)]
pub struct Probes {
    client: Client,
    secrets: Option<Arc<dyn SecretSource>>,
}

impl Probes {
    /// Probes that use `client` and have no secrets.
    pub fn new(client: Client) -> Self {
        Self { client, secrets: None }
    }

    /// Sets where the values of secret headers come from that the context of a look does not have;
    /// asked anew at each look.
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(secrets);
        self
    }
}

impl ProbeSource for Probes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        let spec = ProbeSpec::of(check)?;
        let of_service = match &spec {
            ProbeSpec::Http(http) => matches!(http.at, HttpAt::Service(_)),
            ProbeSpec::Tcp(tcp) => matches!(tcp.at, TcpAt::Service(_)),
            ProbeSpec::Suite(suite) => matches!(suite.at, Some(SuiteAt::Service(_))),
            ProbeSpec::Prometheus(_) => false,
        };
        if of_service && check.service.is_none() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "make a check",
                format!("`{}` looks at a service and names none", check.name),
            )
            .with_advice("name the service, or give a whole address")
            .without_effect());
        }
        let timeout = check.timing.timeout;
        Ok(match spec {
            ProbeSpec::Http(http) => Arc::new(HttpProbe::new(
                &check.name,
                *http,
                self.client.clone(),
                self.secrets.clone(),
                timeout,
            )?),
            ProbeSpec::Tcp(tcp) => Arc::new(TcpProbe::new(&check.name, tcp, timeout)),
            ProbeSpec::Suite(suite) => Arc::new(SuiteProbe::new(
                &check.name,
                *suite,
                self.client.clone(),
                self.secrets.clone(),
                timeout,
            )?),
            ProbeSpec::Prometheus(spec) => Arc::new(PrometheusProbe::new(
                &check.name,
                *spec,
                self.client.clone(),
                self.secrets.clone(),
                timeout,
            )?),
        })
    }

    fn secrets(&self, check: &CheckSpec) -> Result<Vec<SecretName>> {
        Ok(match ProbeSpec::of(check)? {
            ProbeSpec::Http(http) => http.secret_headers.values().cloned().collect(),
            ProbeSpec::Tcp(_) => Vec::new(),
            ProbeSpec::Suite(suite) => suite.secrets().cloned().collect(),
            ProbeSpec::Prometheus(spec) => spec.secret_headers.values().cloned().collect(),
        })
    }
}
