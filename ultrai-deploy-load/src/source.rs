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
    k6::{K6, K6Probe, K6Spec},
    probe::LoadProbe,
    sending::secret_names,
    spec::{LoadSpec, TrafficSpec},
    traffic::TrafficProbe,
};

/// Makes loads, rules on traffic and runs of k6, and has all other probes made by another source.
#[derive(Clone, Debug)]
pub struct Probes {
    others: Arc<dyn ProbeSource>,
    k6: Option<K6>,
    secrets: Option<Arc<dyn SecretSource>>,
}

impl Probes {
    /// Those of this crate, and of `others`.
    pub fn new(others: Arc<dyn ProbeSource>) -> Self {
        Self { others, k6: None, secrets: None }
    }

    /// Sets which k6 runs scripts.
    pub fn with_k6(mut self, k6: K6) -> Self {
        self.k6 = Some(k6);
        self
    }

    /// Sets where the values of secrets come from that the context of a look does not have; asked anew
    /// at each look.
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(secrets);
        self
    }
}

impl ProbeSource for Probes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        let (name, secrets) = (&check.name, self.secrets.clone());
        if let Some(spec) = LoadSpec::of(check)? {
            return Ok(Arc::new(LoadProbe::new(name, spec, secrets)));
        }
        if let Some(spec) = TrafficSpec::of(check)? {
            return Ok(Arc::new(TrafficProbe::new(name, spec, secrets)?));
        }
        if let Some(spec) = K6Spec::of(check)? {
            if check.service.is_none() && spec.port.is_some() {
                let message = format!("`{name}` names the port of a service, and no service");
                return Err(Error::new(ErrorKind::Invalid, "read a check", message)
                    .with_advice("name the service, or give a whole url")
                    .without_effect());
            }
            return Ok(Arc::new(K6Probe::new(name, spec, self.k6.clone(), secrets)));
        }
        self.others.probe(check)
    }

    fn secrets(&self, check: &CheckSpec) -> Result<Vec<SecretName>> {
        if let Some(spec) = LoadSpec::of(check)? {
            return Ok(secret_names(&spec.requesting));
        }
        if let Some(spec) = TrafficSpec::of(check)? {
            return Ok(secret_names(&spec.requesting));
        }
        if let Some(spec) = K6Spec::of(check)? {
            return Ok(spec.secret_env.into_values().collect());
        }
        self.others.secrets(check)
    }
}
