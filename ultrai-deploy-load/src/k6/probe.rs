//! Runs a script and judges it by its thresholds.

use std::sync::Arc;

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    secret::SecretSource,
};

use super::{K6, K6Spec, summary::Summary};
use crate::place::{Place, place, redactor, secrets};

/// Runs a script with k6, and fails when k6 says that a threshold was crossed.
#[derive(Debug)]
pub struct K6Probe {
    name: String,
    spec: K6Spec,
    program: Option<K6>,
    secrets: Option<Arc<dyn SecretSource>>,
}

impl K6Probe {
    /// A probe for the check `name`; `secrets` has the values that the context of a look has not.
    /// Without a program each look is an error that says so.
    pub fn new(
        name: impl Into<String>,
        spec: K6Spec,
        program: Option<K6>,
        secrets: Option<Arc<dyn SecretSource>>,
    ) -> Self {
        Self { name: name.into(), spec, program, secrets }
    }
}

#[async_trait]
impl HealthProbe for K6Probe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let program = self.program.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "run k6", "nothing says where k6 is")
                .with_advice("install k6 and see that PATH leads to it")
                .without_effect()
        })?;
        let mut variables = self.spec.env.clone();
        if self.spec.url.is_some() || endpoint.service.is_some() {
            match place(self.spec.url.as_ref(), self.spec.port, endpoint)? {
                Place::At(url) => {
                    let url = url.to_string().trim_end_matches('/').to_owned();
                    variables.insert("BASE_URL".to_owned(), url);
                }
                Place::Nowhere(health) => return Ok(health),
            }
        }
        let work = async {
            let names = self.spec.secret_env.values().cloned();
            let secrets = secrets(cx, self.secrets.as_ref(), names).await?;
            for (variable, name) in &self.spec.secret_env {
                if let Some(value) = secrets.get(name) {
                    variables.insert(variable.clone(), value.expose().to_owned());
                }
            }
            let redactor = redactor(&secrets);
            let limit = self.spec.duration_limit;
            let ran = program.run(&self.spec.script, variables, limit, &redactor).await?;
            Ok((ran, redactor))
        };
        let (ran, redactor) = cx.bounded(Box::pin(work)).await?;
        let summary = Summary::parse(&ran.summary)?;
        let line = format!("k6 {}: {}", self.spec.name, summary.line());
        let mut evidence = vec![
            Evidence::new(EvidenceKind::Probe, &self.name, &line),
            Evidence::new(EvidenceKind::Measurement, &self.name, summary.text()),
        ];
        if ran.has_passed {
            redactor.evidence(&mut evidence);
            return Ok(Health::Healthy(evidence));
        }
        evidence.push(Evidence::new(EvidenceKind::Log, &self.name, ran.tail));
        redactor.evidence(&mut evidence);
        let crossed = match summary.crossed() {
            none if none.is_empty() => "thresholds were crossed".to_owned(),
            some => some.join("; "),
        };
        let why = redactor.text(&format!("{crossed}; {line}"));
        Ok(Health::Unhealthy { why, evidence })
    }
}
