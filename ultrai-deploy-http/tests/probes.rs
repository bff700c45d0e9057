//! Probes against a real server that answers as it should not.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Cancel, Context, Error, ErrorKind, Result,
    health::{Endpoint, Health, Role, Timing},
    name::{EnvironmentName, ProjectName, RunId, SecretName, ServiceName, Target},
    secret::{Secret, SecretSource},
    verification::{CheckSpec, ProbeSource},
};
use ultrai_deploy_http::{Client, Config, Probes};
use ultrai_deploy_testkit::server::{Answer, Server};

/// Long enough for any machine; tests that reach it fail.
const LONG: Duration = Duration::from_mins(1);
/// For looks that are meant to run out of time.
const SHORT: Duration = Duration::from_millis(200);

fn context() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Context::detached(target, RunId::generate()).with_timeout(LONG)
}

fn check(probe: Value, timeout: Duration) -> CheckSpec {
    CheckSpec::new("c", probe)
        .of(ServiceName::new("web").unwrap())
        .with_timing(Timing { timeout, ..Timing::default() })
}

fn endpoint(ports: &[(u16, SocketAddr)]) -> Endpoint {
    ports.iter().fold(
        Endpoint::new(Role::Live, ServiceName::new("web").unwrap(), "web-1"),
        |endpoint, (port, address)| endpoint.with_address(*port, *address),
    )
}

fn probes() -> Probes {
    Probes::new(Client::new(Config::default()).unwrap())
}

async fn look_at(probes: &Probes, spec: &CheckSpec, endpoint: &Endpoint) -> Result<Health> {
    probes.probe(spec)?.check(&context(), endpoint).await
}

async fn look(server: &Server, expect: Value, timeout: Duration) -> Health {
    let probe = json!({"http": {"at": {"url": server.url("/health")}, "expect": expect}});
    look_at(&probes(), &check(probe, timeout), &endpoint(&[])).await.unwrap()
}

fn unhealthy(health: Health) -> (String, String) {
    match health {
        Health::Unhealthy { why, evidence } => (why, evidence[0].text.clone()),
        other => panic!("{other:?}"),
    }
}

/// A port on which nothing listens: the listener is gone again.
async fn free_address() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn as_declared() {
    let body = r#"{"status":"healthy","version":"v1.2.0"}"#;
    let server = Server::start(move |_| Answer::json(200, body)).await.unwrap();
    let expect = json!({
        "json": {"/status": "healthy"},
        "version": {"at": "/version", "is": "1.2.0"},
        "header": {"content-type": "application/json"},
        "max_latency": {"secs": 60, "nanos": 0},
    });
    let Health::Healthy(evidence) = look(&server, expect, LONG).await else { panic!() };
    assert!(evidence[0].text.contains("200 after"), "{evidence:?}");
    assert!(evidence[0].text.ends_with(body), "{evidence:?}");
    let agent = server.requests()[0].header("user-agent").unwrap().to_owned();
    assert_eq!(agent, concat!("ultrai-deploy/", env!("CARGO_PKG_VERSION")));
}

/// A platform routes requests to a service itself: where that is known, a path is looked at there.
#[tokio::test]
async fn a_service_is_looked_at_where_its_platform_routes_to_it() {
    let server = Server::start(|_| Answer::json(200, "{}")).await.unwrap();
    let at =
        |port: Value| json!({"http": {"at": {"service": {"port": port, "path": "/up?full=1"}}}});
    let routed = endpoint(&[]).with_url(server.url("/shop"));
    let spec = check(at(Value::Null), LONG);
    let health = look_at(&probes(), &spec, &routed).await.unwrap();
    assert!(matches!(health, Health::Healthy(_)), "{health:?}");
    assert_eq!(server.requests()[0].path, "/shop/up?full=1");
    // A port is one of the instances, and those are not known.
    let health = look_at(&probes(), &check(at(json!(80)), LONG), &routed).await.unwrap();
    assert!(matches!(health, Health::Pending { .. }), "{health:?}");
}

#[tokio::test]
async fn what_comes_over_the_wire_is_never_an_error_of_the_probe() {
    let long = "x".repeat(4096);
    for (answer, expect, told) in [
        (Answer::text(500, "no database"), json!({}), "answered 500, not 200 to 299"),
        (Answer::text(200, "<html>"), json!({"json_exists": ["/a"]}), "the body is not JSON"),
        (Answer::text(200, &long).cut_after(100), json!({}), "the body broke off after 100 bytes"),
        (Answer::text(200, &long).claiming(5000), json!({}), "the body broke off after 4096 bytes"),
        (Answer::json(200, r#"{"a":1}"#).claiming(3), json!({"json": {"/a": 1}}), "is not JSON"),
        (Answer::raw("SSH-2.0-OpenSSH_9.6\r\n"), json!({}), "no HTTP answer"),
        (Answer::raw([0xff; 64]), json!({}), "no HTTP answer"),
        (Answer::close(), json!({}), "no HTTP answer"),
        (Answer::reset(), json!({}), "no HTTP answer"),
    ] {
        let server = Server::queue([answer.clone()]).await.unwrap();
        let (why, evidence) = unhealthy(look(&server, expect, LONG).await);
        assert!(why.contains(told), "{answer:?}: {why}");
        assert!(why.contains(&server.url("/health")), "{why}");
        assert!(!evidence.is_empty());
    }
}

#[tokio::test]
async fn every_look_ends_in_time() {
    let slow = Answer::text(200, "late").after(LONG);
    let stalling = Answer::text(200, "0123456789").stalling_after(4);
    for (answer, told, seen) in [
        (Answer::hang(), "no answer within 150ms", "no answer within 150ms"),
        (slow, "no answer within 150ms", "no answer within 150ms"),
        (stalling, "the body had not ended after 150ms", ": 200 after"),
    ] {
        let server = Server::queue([answer.clone()]).await.unwrap();
        let bounded = tokio::time::timeout(LONG / 2, look(&server, json!({}), SHORT));
        let (why, evidence) = unhealthy(bounded.await.unwrap());
        assert!(why.contains(told), "{answer:?}: {why}");
        assert!(evidence.contains(seen), "{evidence}");
    }
}

#[tokio::test]
async fn a_late_answer_is_told_with_its_latency() {
    let delay = Duration::from_millis(30);
    let server = Server::start(move |_| Answer::text(200, "").after(delay)).await.unwrap();
    let expect = json!({"max_latency": {"secs": 0, "nanos": 1_000_000}});
    let (why, _) = unhealthy(look(&server, expect, LONG).await);
    assert!(why.contains("longer than 1ms"), "{why}");
}

#[tokio::test]
async fn nothing_listens() {
    let address = free_address().await;
    let http = json!({"http": {"at": {"url": format!("http://{address}/health")}}});
    let tcp = json!({"tcp": {"at": {"address": address.to_string()}}});
    for probe in [http, tcp] {
        let health = look_at(&probes(), &check(probe, LONG), &endpoint(&[])).await.unwrap();
        let (why, evidence) = unhealthy(health);
        assert!(why.contains("could not connect") && why.contains("refused"), "{why}");
        assert!(why.contains(&address.port().to_string()), "{why}");
        assert_eq!(evidence, why);
    }
}

#[tokio::test]
async fn a_service_is_found_at_its_endpoint() {
    let server = Server::start(|_| Answer::text(200, "")).await.unwrap();
    let path = json!({"http": {"at": {"service": {"port": 8085, "path": "/health?full=1"}}}});
    let any = json!({"http": {"at": {"service": {"path": "/"}}}});
    let tcp = json!({"tcp": {"at": {"service": {"port": 8085}}}});
    let here = endpoint(&[(8085, server.address())]);
    for probe in [&path, &any, &tcp] {
        let health = look_at(&probes(), &check(probe.clone(), LONG), &here).await.unwrap();
        assert!(matches!(health, Health::Healthy(_)), "{health:?}");
    }
    assert_eq!(server.requests()[0].path, "/health?full=1");

    let nowhere = look_at(&probes(), &check(path.clone(), LONG), &endpoint(&[])).await.unwrap();
    assert!(matches!(nowhere, Health::Pending { .. }), "{nowhere:?}");

    let other = endpoint(&[(80, server.address()), (443, server.address())]);
    for probe in [path, any] {
        let error = look_at(&probes(), &check(probe, LONG), &other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.advice().unwrap().contains("80, 443"), "{error}");
    }
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked_and_only_at_home() {
    let other = Server::start(|_| Answer::text(200, "other")).await.unwrap();
    let away = other.url("/");
    let server = Server::start(move |request| match request.path.as_str() {
        "/health" => Answer::text(302, "").with_header("Location", "/ready"),
        "/away" => Answer::text(302, "").with_header("Location", &away),
        _ => Answer::text(200, "ready"),
    })
    .await
    .unwrap();

    let (why, evidence) = unhealthy(look(&server, json!({}), LONG).await);
    assert!(why.contains("answered 302"), "{why}");
    assert!(evidence.contains("location: /ready"), "{evidence}");

    let following = Client::new(Config { redirects: 3, ..Config::default() }).unwrap();
    let following = Probes::new(following);
    let at = |path| check(json!({"http": {"at": {"url": server.url(path)}}}), LONG);
    let home = look_at(&following, &at("/health"), &endpoint(&[])).await.unwrap();
    assert!(matches!(home, Health::Healthy(_)), "{home:?}");
    unhealthy(look_at(&following, &at("/away"), &endpoint(&[])).await.unwrap());
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_body_is_read_up_to_the_limit() {
    let server = Server::start(|_| Answer::json(200, "1".repeat(5000))).await.unwrap();
    let client = Client::new(Config { body_limit: 1000, ..Config::default() }).unwrap();
    let probe = |expect: Value| {
        check(json!({"http": {"at": {"url": server.url("/")}, "expect": expect}}), LONG)
    };
    let probes = Probes::new(client);
    let health = look_at(&probes, &probe(json!({})), &endpoint(&[])).await.unwrap();
    assert!(matches!(health, Health::Healthy(_)), "{health:?}");
    let wanted = probe(json!({"json_exists": [""]}));
    let (why, _) = unhealthy(look_at(&probes, &wanted, &endpoint(&[])).await.unwrap());
    assert!(why.contains("longer than 1000 bytes"), "{why}");
}

#[derive(Debug)]
struct OneSecret(Secret);

#[async_trait]
impl SecretSource for OneSecret {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        Ok((name.as_str() == "API_AUTH").then(|| self.0.clone()))
    }
}

#[tokio::test]
async fn a_secret_header_is_sent_and_not_shown() {
    let server = Server::start(|request| {
        let sent = request.header("authorization").unwrap_or_default();
        Answer::json(200, json!({"you sent": sent}).to_string())
    })
    .await
    .unwrap();
    let probe = |secret: &str| {
        let http = json!({
            "at": {"url": server.url("/")},
            "secret_headers": {"Authorization": secret},
            "expect": {"json": {"/you sent": "nothing"}},
        });
        check(json!({"http": http}), LONG)
    };
    let with = probes().with_secrets(Arc::new(OneSecret(Secret::new("Bearer hunter2"))));
    let health = look_at(&with, &probe("API_AUTH"), &endpoint(&[])).await.unwrap();
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer hunter2"));
    assert!(!format!("{health:?} {with:?}").contains("hunter2"), "{health:?}");
    unhealthy(health);

    let missing = look_at(&with, &probe("OTHER"), &endpoint(&[])).await.unwrap_err();
    assert!(missing.to_string().contains("secret OTHER"), "{missing}");
    let broken = probes().with_secrets(Arc::new(OneSecret(Secret::new("hunter2\r\nX-Evil: 1"))));
    let error = look_at(&broken, &probe("API_AUTH"), &endpoint(&[])).await.unwrap_err();
    let shown = ultrai_deploy_core::Chain(&error).to_string();
    assert!(!format!("{shown} {error:?}").contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_check_that_cannot_be_made_is_an_error_before_any_request() {
    let open = json!({"http": {
        "at": {"url": "http://127.0.0.1:1/"},
        "request_headers": {"Authorization": "Bearer x"},
    }});
    let no_source = json!({"http": {
        "at": {"url": "http://127.0.0.1:1/"},
        "secret_headers": {"Authorization": "API_AUTH"},
    }});
    let no_service = CheckSpec {
        service: None,
        ..check(json!({"tcp": {"at": {"service": {"port": 1}}}}), LONG)
    };
    for spec in [check(open, LONG), check(no_source, LONG), no_service] {
        let error: Error = probes().probe(&spec).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
    }
}

#[tokio::test]
async fn a_cancelled_look_ends_at_once() {
    let server = Server::start(|_| Answer::hang()).await.unwrap();
    let probe =
        probes().probe(&check(json!({"http": {"at": {"url": server.url("/")}}}), LONG)).unwrap();
    let cancel = Cancel::new();
    let cx = context().with_cancel(cancel.clone());
    cancel.cancel();
    let error = probe.check(&cx, &endpoint(&[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
