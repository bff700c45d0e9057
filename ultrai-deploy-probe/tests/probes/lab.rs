//! What all tests of probes need.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use ultrai_deploy_core::{
    Chain, Context, Result,
    health::{Endpoint, Health, Role, Timing},
    name::{EnvironmentName, ProjectName, RunId, SecretName, ServiceName, Target},
    secret::{Secret, Secrets},
    verification::{CheckSpec, ProbeSource},
};
use ultrai_deploy_http as http;
use ultrai_deploy_probe::Probes;

/// Long enough for any machine; tests that reach it fail.
pub(crate) const LONG: Duration = Duration::from_mins(1);
/// For looks that are meant to run out of time.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
/// A secret of every context here, which nothing may show.
pub(crate) const CANARY: &str = "canary-4f1d-hunter2";

/// Probes over those of HTTP and TCP.
pub(crate) fn probes() -> Probes {
    let client = http::Client::new(http::Config::default()).unwrap();
    Probes::new(client.clone(), Arc::new(http::Probes::new(client)))
}

/// A context with the secrets `SECRET`, which is the canary, and `WRONG`.
pub(crate) fn context() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    let secrets = [("SECRET", CANARY), ("WRONG", "wrong-hunter2")];
    let secrets: Secrets = secrets
        .into_iter()
        .map(|(name, value)| (SecretName::new(name).unwrap(), Secret::new(value)))
        .collect();
    Context::detached(target, RunId::generate()).with_timeout(LONG).with_secrets(secrets)
}

pub(crate) fn check(probe: Value, timeout: Duration) -> CheckSpec {
    CheckSpec::new("c", probe)
        .of(ServiceName::new("db").unwrap())
        .with_timing(Timing { timeout, ..Timing::default() })
}

/// Where the service of [`check`] is: nowhere yet.
pub(crate) fn nowhere() -> Endpoint {
    Endpoint::new(Role::Live, ServiceName::new("db").unwrap(), "db-1")
}

/// One look, which shows no secret, whatever it comes to.
pub(crate) async fn look(probes: &Probes, probe: Value, timeout: Duration) -> Result<Health> {
    let probe = probes.probe(&check(probe, timeout)).unwrap();
    let found = probe.check(&context(), &nowhere()).await;
    let shown = match &found {
        Ok(health) => format!("{health:?}"),
        Err(error) => format!("{error:?} {} {:?}", Chain(error), error.evidence()),
    };
    let shown = format!("{shown} {probe:?} {probes:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    found
}

/// The evidence of a look that found all well.
pub(crate) async fn healthy(probes: &Probes, probe: Value) -> String {
    match look(probes, probe.clone(), LONG).await.unwrap() {
        Health::Healthy(evidence) => evidence[0].text.clone(),
        other => panic!("{probe}: {other:?}"),
    }
}

/// Why a look found it unhealthy; the evidence says it, too.
pub(crate) async fn unhealthy(probes: &Probes, probe: Value) -> String {
    match look(probes, probe.clone(), LONG).await.unwrap() {
        Health::Unhealthy { why, evidence } => {
            assert!(!evidence[0].text.is_empty(), "{evidence:?}");
            why
        }
        other => panic!("{probe}: {other:?}"),
    }
}

/// Why a look found it pending.
pub(crate) async fn pending(probes: &Probes, probe: Value) -> String {
    match look(probes, probe.clone(), LONG).await.unwrap() {
        Health::Pending { why, .. } => why,
        other => panic!("{probe}: {other:?}"),
    }
}

/// Serves connections on a free port of 127.0.0.1 until it is dropped.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Listening {
    pub(crate) async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Self { address, _accepting: accepting }
    }
}
