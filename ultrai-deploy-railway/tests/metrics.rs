//! What Railway measures, as a check: samples that are missing, old or empty, and calls that fail.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::{at, client, client_with, context};
use ultrai_deploy_core::{ErrorKind, secret::Secret};
use ultrai_deploy_hosted::metrics::{Measured, Metrics as _};
use ultrai_deploy_railway::{Config, Metrics, Token};
use ultrai_deploy_testkit::server::{Answer, Server};

/// How many calls find the environment.
const LOOKED: usize = 3;

/// Answers each operation by its name; one that is not among them fails as Railway does.
async fn railway(answers: Vec<(&'static str, Value)>) -> (Server, Metrics) {
    let server = Server::start(move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let query = body["query"].as_str().unwrap();
        let tree = json!({ "project": {
            "id": "project-1", "name": "shop",
            "environments": { "edges": [{ "node": { "id": "environment-1", "name": "production" } }], "pageInfo": { "hasNextPage": false } },
            "services": { "edges": [], "pageInfo": { "hasNextPage": false } },
        } });
        if query.contains("project(") {
            return Answer::json(200, json!({ "data": tree }).to_string());
        }
        let found = answers.iter().find(|(name, _)| query.contains(name));
        let answer = match found {
            Some((_, data)) => json!({ "data": data }),
            None => {
                json!({ "data": null, "errors": [{ "message": "Problem processing request" }] })
            }
        };
        Answer::json(200, answer.to_string())
    });
    let server = server.await.unwrap();
    let metrics = Metrics::new(client(&server), Config::new(at().project, "production"));
    (server, metrics)
}

fn time(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

fn ts(at: &str) -> i64 {
    time(at).as_second()
}

async fn measure(counts: Value, times: Value) -> Measured {
    let (server, metrics) = railway(vec![
        ("httpMetricsGroupedByStatus", json!({ "httpMetricsGroupedByStatus": counts })),
        ("httpDurationMetrics", json!({ "httpDurationMetrics": { "samples": times } })),
    ])
    .await;
    let (start, end) = (time("12:00:30"), time("12:05:30"));
    let measured = metrics.measure(&context(), "service-1", start, end).await.unwrap();
    for request in server.requests().iter().skip(LOOKED) {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body["variables"],
            json!({ "serviceId": "service-1", "environmentId": "environment-1", "stepSeconds": 60,
                "startDate": "2026-11-21T12:00:30Z", "endDate": "2026-11-21T12:05:30Z" })
        );
    }
    measured
}

#[tokio::test]
async fn requests_are_counted_from_the_deploy_on() {
    let counts = json!([
        { "statusCode": 200, "samples": [{ "ts": ts("12:00:00"), "value": 1000 }, { "ts": ts("12:01:00"), "value": 90 }, { "ts": ts("12:02:00"), "value": null }] },
        { "statusCode": 500, "samples": [{ "ts": ts("12:00:00"), "value": 1000 }, { "ts": ts("12:01:00"), "value": 6 }] },
        { "statusCode": 503, "samples": [{ "ts": ts("12:02:00"), "value": 4.0 }] },
        { "statusCode": 404, "samples": [] },
        { "statusCode": 499, "samples": null },
    ]);
    let times = json!([
        { "ts": ts("12:00:00"), "p95": 9000 },
        { "ts": ts("12:01:00"), "p95": 120 },
        { "ts": ts("12:02:00"), "p95": 480.5 },
        { "ts": ts("12:03:00"), "p95": null },
    ]);
    let measured = measure(counts, times).await;
    assert_eq!((measured.requests, measured.errors), (100.0, 10.0));
    assert_eq!(measured.p95, Some(Duration::from_micros(480_500)));
    assert_eq!(measure(json!([]), json!([])).await, Measured::default());
}

#[tokio::test]
async fn it_serves_since_its_status_changed() {
    let node = |status: &str, changed: Value| json!({ "node": { "id": "d", "status": status, "createdAt": "2026-11-21T12:00:00Z", "statusUpdatedAt": changed } });
    for (edges, since) in [
        (
            vec![node("BUILDING", json!(null)), node("SUCCESS", json!("2026-11-21T12:01:00Z"))],
            Some("12:01:00"),
        ),
        (vec![node("SLEEPING", json!(null))], Some("12:00:00")),
        (vec![node("FAILED", json!(null))], None),
        (vec![], None),
    ] {
        let list =
            json!({ "deployments": { "edges": edges, "pageInfo": { "hasNextPage": false } } });
        let (server, metrics) = railway(vec![("deployments(", list)]).await;
        for _twice in 0..2 {
            let told = metrics.serves_since(&context(), "service-1").await.unwrap();
            assert_eq!(told, since.map(time));
        }
        assert_eq!(server.requests().len(), LOOKED + 2, "the environment is looked for once");
    }
}

#[tokio::test]
async fn a_call_that_fails_is_an_error_and_no_verdict() {
    let counts = ("httpMetricsGroupedByStatus", json!({ "httpMetricsGroupedByStatus": [] }));
    for answers in [vec![], vec![counts]] {
        let (server, _) = railway(answers).await;
        let token = Token::Account(Secret::new("hunter2-token"));
        let config = Config::new(at().project, "production");
        let metrics = Metrics::new(client_with(&server, &token), config);
        let (start, end) = (time("12:00:00"), time("12:05:00"));
        let error = metrics.measure(&context(), "service-1", start, end).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unexpected), "{error}");
    }
}
