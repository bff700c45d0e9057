//! Prometheus checks against servers that answer as Prometheus does, and as it does not.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    evidence::EvidenceKind,
    health::{Endpoint, Health, Role, Timing, Verdict},
    name::{EnvironmentName, ProjectName, RunId, SecretName, Target},
    preflight::PreflightCheck as _,
    secret::{Secret, SecretSource},
    verification::{CheckSpec, ProbeSource},
};
use ultrai_deploy_http::{Client, Config, Probes, prometheus::Ping};
use ultrai_deploy_testkit::server::{Answer, Server};

/// Long enough for any machine; tests that reach it fail.
const LONG: Duration = Duration::from_mins(1);
const QUERY: &str = "sum(rate(http_requests_total{code=~\"5..\"}[2m]))";

fn context() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Context::detached(target, RunId::generate()).with_timeout(LONG)
}

fn spec(server: &Server, more: &Value) -> Value {
    let mut spec = json!({"url": server.url("/prom"), "query": QUERY, "fails_when": "> 0.05"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

async fn look(server: &Server, more: &Value, timeout: Duration) -> Result<Health> {
    let check = CheckSpec::new("error rate", json!({"prometheus": spec(server, more)}))
        .with_timing(Timing { timeout, ..Timing::default() });
    let probes = Probes::new(Client::new(Config::default()).unwrap());
    let probes = probes.with_secrets(Arc::new(OneSecret));
    probes.probe(&check)?.check(&context(), &Endpoint::none(Role::Live)).await
}

fn vector(values: &[&str]) -> Answer {
    let series: Vec<_> = values
        .iter()
        .map(|value| json!({"metric": {"job": "api"}, "value": [1_700_000_000.5, value]}))
        .collect();
    success(&json!({"resultType": "vector", "result": series}))
}

fn success(data: &Value) -> Answer {
    let body = json!({"status": "success", "data": data, "warnings": ["slow store"]});
    Answer::json(200, body.to_string())
}

fn failure(status: u16, kind: &str, error: &str) -> Answer {
    let body = json!({"status": "error", "errorType": kind, "error": error});
    Answer::json(status, body.to_string())
}

#[derive(Debug)]
struct OneSecret;

#[async_trait]
impl SecretSource for OneSecret {
    async fn get(&self, _: &SecretName) -> Result<Option<Secret>> {
        Ok(Some(Secret::new("Bearer hunter2-token")))
    }
}

#[tokio::test]
async fn the_query_is_sent_as_a_form_and_kept_with_its_values() {
    let server = Server::start(|_| vector(&["0.25"])).await.unwrap();
    let more =
        json!({"secret_headers": {"authorization": "PROM"}, "headers": {"x-scope-orgid": "a"}});
    let Health::Unhealthy { why, evidence } = look(&server, &more, LONG).await.unwrap() else {
        panic!()
    };
    assert_eq!(why, format!("{QUERY}: {{job=\"api\"}} is 0.25 (it must not be > 0.05)"));
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/prom/api/v1/query"));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("authorization"), Some("Bearer hunter2-token"));
    assert_eq!(request.header("x-scope-orgid"), Some("a"));
    let form = String::from_utf8_lossy(&request.body).into_owned();
    assert!(form.starts_with("query=sum%28rate%28http_requests_total%7Bcode%3D%7E"), "{form}");
    assert_eq!(evidence[0].kind, EvidenceKind::Measurement);
    let kept: Value = serde_json::from_str(&evidence[0].text).unwrap();
    assert_eq!(
        kept,
        json!({
            "query": QUERY, "time": 1_700_000_000.5, "series_left_out": 0, "warnings": ["slow store"],
            "series": [{"labels": {"job": "api"}, "value": 0.25}],
        })
    );
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let scalar = |value: &str| success(&json!({"resultType": "scalar", "result": [1, value]}));
    for (answer, more, meant) in [
        (vector(&["0.01"]), json!({}), "healthy"),
        (vector(&["0.01", "0.2"]), json!({}), "unhealthy"),
        (vector(&["0.01", "0.2"]), json!({"bad_series": "all"}), "healthy"),
        (scalar("0.2"), json!({}), "unhealthy"),
        (scalar("0"), json!({}), "healthy"),
        (vector(&[]), json!({}), "inconclusive"),
        (vector(&[]), json!({"no_data": "pass"}), "healthy"),
        (vector(&["NaN"]), json!({}), "inconclusive"),
        (vector(&["NaN"]), json!({"nan": "fail"}), "unhealthy"),
        (vector(&["+Inf"]), json!({}), "unhealthy"),
        (success(&json!({"resultType": "matrix", "result": []})), json!({}), "Invalid"),
        (success(&json!({"resultType": "string", "result": [1, "x"]})), json!({}), "Invalid"),
        (failure(400, "bad_data", "parse error"), json!({"unreachable": "pass"}), "Invalid"),
        (failure(503, "timeout", "query timed out"), json!({}), "Unavailable"),
        (failure(503, "timeout", "query timed out"), json!({"unreachable": "fail"}), "unhealthy"),
        (failure(422, "execution", "too many samples"), json!({"unreachable": "pass"}), "healthy"),
        (Answer::text(502, "bad gateway"), json!({}), "Unavailable"),
        (Answer::text(502, ""), json!({"unreachable": "inconclusive"}), "inconclusive"),
        (Answer::text(200, "<html>"), json!({"unreachable": "pass"}), "Unexpected"),
        (Answer::text(404, "no"), json!({"unreachable": "pass"}), "Unexpected"),
        (Answer::text(401, "who"), json!({"unreachable": "pass"}), "Denied"),
        (Answer::close(), json!({}), "Unavailable"),
        (Answer::close(), json!({"unreachable": "pass"}), "healthy"),
        (vector(&["0.01"]).cut_in_half(), json!({}), "Unavailable"),
        (Answer::json(200, " ".repeat(1_100_000)), json!({"unreachable": "pass"}), "Invalid"),
    ] {
        let server = Server::queue([answer.clone()]).await.unwrap();
        let found = match look(&server, &more, LONG).await {
            Ok(Health::Healthy(_)) => "healthy".to_owned(),
            Ok(Health::Unhealthy { .. }) => "unhealthy".to_owned(),
            Ok(Health::Inconclusive { .. }) => "inconclusive".to_owned(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => format!("{:?}", error.kind()),
        };
        assert_eq!(found, meant, "{more}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_ends_in_time() {
    for answer in [Answer::hang(), vector(&["0.01"]).stalling_after(10)] {
        let server = Server::queue([answer]).await.unwrap();
        let more = json!({});
        let bounded =
            tokio::time::timeout(LONG / 2, look(&server, &more, Duration::from_millis(200)));
        let error = bounded.await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_that_comes_back_is_not_kept() {
    let server = Server::start(|_| failure(500, "internal", "token hunter2-token")).await.unwrap();
    let more = json!({"secret_headers": {"authorization": "PROM"}});
    let error = look(&server, &more, LONG).await.unwrap_err();
    let shown = format!("{error:?} {}", ultrai_deploy_core::Chain(&error));
    assert!(shown.contains("internal") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn preflight_finds_what_would_fail_after_the_switch() {
    for (answer, verdict, told, remedy) in [
        (vector(&["0.5"]), Verdict::Pass, "finds 1 series", None),
        (vector(&[]), Verdict::Pass, "finds no data yet", None),
        (
            failure(400, "bad_data", "parse error: x"),
            Verdict::Fail,
            "parse error: x",
            Some("/graph"),
        ),
        (Answer::text(404, ""), Verdict::Fail, "not Prometheus's API", Some("/api/v1/query")),
        (Answer::text(403, ""), Verdict::Fail, "403", Some("secret_headers")),
        (Answer::close(), Verdict::Fail, "no HTTP answer", Some("start Prometheus")),
    ] {
        let server = Server::queue([answer]).await.unwrap();
        let spec = serde_json::from_value(spec(&server, &json!({}))).unwrap();
        let client = Client::new(Config::default()).unwrap();
        let ping = Ping::new("error rate", spec, client, None).unwrap();
        assert_eq!(ping.name(), "monitoring for `error rate`");
        let found = ping.check(&context()).await.unwrap();
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.what.contains(told), "{found:?}");
        assert_eq!(found.remedy.is_some(), remedy.is_some(), "{found:?}");
        assert!(found.remedy.unwrap_or_default().contains(remedy.unwrap_or_default()));
    }
}
