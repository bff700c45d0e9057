//! The probes against servers of this process and the real k6. The clock runs: there are sockets.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod form;
mod gate;
mod hostile;
mod k6;
mod keeping;
mod rule;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Result,
    evidence::EvidenceKind,
    health::{Endpoint, Health, HealthProbe, Role, Timing},
    name::{EnvironmentName, ProjectName, RunId, ServiceName, Target},
    verification::{CheckSpec, NoProbes, ProbeSource},
};
use ultrai_deploy_load::Probes;

fn check(probe: Value) -> CheckSpec {
    let timing = Timing { timeout: Duration::from_mins(1), ..Timing::default() };
    let mut check = CheckSpec::new("gate", probe).with_timing(timing);
    check.service = Some(ServiceName::new("web").unwrap());
    check
}

fn probe(check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
    Probes::new(Arc::new(NoProbes)).probe(check)
}

fn context() -> Context {
    let shop = ProjectName::new("shop").unwrap();
    let target = Target::new(shop, EnvironmentName::new("test").unwrap());
    Context::detached(target, RunId::generate())
}

/// One look of a load at `url`, with `own` fields besides.
async fn load(url: &str, own: &Value) -> Health {
    let mut fields = json!({"url": url, "path": "/", "warm_up": "0s", "timeout": "2s"});
    for (name, value) in own.as_object().unwrap() {
        fields[name] = value.clone();
    }
    let probe = probe(&check(json!({"load": fields}))).unwrap();
    probe.check(&context(), &Endpoint::none(Role::Live)).await.unwrap()
}

fn is_inconclusive(health: &Health) -> bool {
    matches!(health, Health::Inconclusive { .. })
}

/// Why it is not healthy; panics when it is.
fn why(health: &Health) -> &str {
    match health {
        Health::Unhealthy { why, .. } | Health::Inconclusive { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

/// What was measured.
fn measured(health: &Health) -> Value {
    let evidence = match health {
        Health::Healthy(evidence)
        | Health::Unhealthy { evidence, .. }
        | Health::Inconclusive { evidence, .. } => evidence,
        other => panic!("{other:?}"),
    };
    let found = evidence.iter().find(|piece| piece.kind == EvidenceKind::Measurement).unwrap();
    serde_json::from_str(&found.text).unwrap()
}
