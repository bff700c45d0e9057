//! What Render measures, as a check: points that are missing, old or empty, and calls that fail.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, ErrorKind,
    name::{EnvironmentName, ProjectName, RunId, Target},
    secret::Secret,
};
use ultrai_deploy_hosted::metrics::{Measured, Metrics as _};
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_render::{Client, Metrics};
use ultrai_deploy_testkit::server::{Answer, Server};

/// Deploys, counts and times, answered in this order whatever is asked first.
async fn render(deploys: Value, counts: Value, times: Value) -> (Server, Arc<Metrics>, Context) {
    let server = Server::start(move |request| {
        let path = request.path.split('?').next().unwrap();
        let body = match path {
            "/v1/services/srv-1/deploys" => &deploys,
            "/v1/metrics/http-requests" => &counts,
            "/v1/metrics/http-latency" => &times,
            other => panic!("nobody should ask {other}"),
        };
        match body.as_u64() {
            Some(status) => Answer::json(u16::try_from(status).unwrap(), "{}"),
            None => Answer::json(200, body.to_string()),
        }
    });
    let server = server.await.unwrap();
    let pause = Duration::from_millis(1);
    let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
    let base = HttpUrl::parse(&server.url("/v1")).unwrap();
    let client = Client::new(base, &Secret::new("rnd_key"), limits).unwrap();
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    let cx = Context::detached(target, RunId::generate()).with_timeout(Duration::from_mins(1));
    (server, Arc::new(Metrics::new(client)), cx)
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

fn series(status: &str, unit: &str, values: &[(&str, Value)]) -> Value {
    let values = values
        .iter()
        .map(|(time, value)| json!({ "timestamp": format!("2026-11-21T{time}Z"), "value": value }));
    let values: Vec<_> = values.collect();
    json!({ "labels": [{ "field": "statusCode", "value": status }], "values": values, "unit": unit })
}

async fn measure(counts: Value, times: Value) -> Measured {
    let (server, metrics, cx) = render(json!([]), counts, times).await;
    let measured = metrics.measure(&cx, "srv-1", at("12:00:30"), at("12:05:30")).await.unwrap();
    for request in server.requests() {
        assert!(request.path.contains("startTime=2026-11-21T12%3A00%3A30Z"), "{}", request.path);
        assert!(request.path.contains("endTime=2026-11-21T12%3A05%3A30Z"), "{}", request.path);
    }
    measured
}

#[tokio::test]
async fn requests_are_counted_from_the_deploy_on() {
    let counts = json!([
        series(
            "200",
            "requests",
            &[("12:00:00", json!(1000)), ("12:01:00", json!(90)), ("12:02:00", json!(null))]
        ),
        series("500", "requests", &[("12:00:00", json!(1000)), ("12:01:00", json!(6))]),
        series("503", "requests", &[("12:02:00", json!(4))]),
        series("404", "requests", &[]),
        json!({ "labels": null, "values": null }),
    ]);
    let times = json!([series(
        "",
        "ms",
        &[
            ("12:00:00", json!(9000)),
            ("12:01:00", json!(120)),
            ("12:02:00", json!(480.5)),
            ("12:03:00", json!(null)),
        ]
    )]);
    let measured = measure(counts, times).await;
    assert_eq!((measured.requests, measured.errors), (100.0, 10.0));
    assert_eq!(measured.p95, Some(Duration::from_micros(480_500)));
}

#[tokio::test]
async fn what_is_not_there_is_not_measured() {
    for (counts, times) in [(json!([]), json!([])), (json!(null), json!(null))] {
        assert_eq!(measure(counts, times).await, Measured::default());
    }
    // A unit that is not known would be a guess.
    let times = |unit| json!([series("", unit, &[("12:01:00", json!(2))])]);
    assert_eq!(measure(json!([]), times("fortnights")).await.p95, None);
    assert_eq!(measure(json!([]), times("s")).await.p95, Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn it_serves_since_its_deploy_was_over() {
    let live = |deploy: Value| json!([{ "cursor": "c", "deploy": deploy }]);
    for (deploys, since) in [
        (
            live(
                json!({ "id": "d", "status": "live", "createdAt": "2026-11-21T12:00:00Z", "finishedAt": "2026-11-21T12:01:00Z" }),
            ),
            Some("12:01:00"),
        ),
        (
            live(
                json!({ "id": "d", "status": "live", "createdAt": "2026-11-21T12:00:00Z", "finishedAt": null }),
            ),
            Some("12:00:00"),
        ),
        (json!([]), None),
    ] {
        let (server, metrics, cx) = render(deploys, json!([]), json!([])).await;
        assert_eq!(metrics.serves_since(&cx, "srv-1").await.unwrap(), since.map(at));
        assert!(server.requests()[0].path.contains("status=live"));
    }
}

#[tokio::test]
async fn a_call_that_fails_is_an_error_and_no_verdict() {
    for (deploys, counts, times) in [
        (json!(500), json!([]), json!([])),
        (json!([]), json!(503), json!([])),
        (json!([]), json!([]), json!(500)),
    ] {
        let (_server, metrics, cx) = render(deploys, counts, times).await;
        let since = metrics.serves_since(&cx, "srv-1").await.map(drop);
        let measured =
            metrics.measure(&cx, "srv-1", at("12:00:00"), at("12:05:00")).await.map(drop);
        let error = since.and(measured).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}
