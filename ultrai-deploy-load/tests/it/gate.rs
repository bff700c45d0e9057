//! What a load counts, measures, and makes of it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{
    ErrorKind,
    health::{Endpoint, Health, Role},
    name::ServiceName,
};

use crate::{
    check, context, is_inconclusive,
    keeping::{Act, Server},
    load, measured, probe, why,
};

#[tokio::test]
async fn every_request_is_counted_and_the_failed_ones_are_named() {
    let server = Server::start(|number| Act::Status(if number % 4 == 3 { 503 } else { 200 })).await;
    let own = json!({"rate": 400, "duration": "500ms", "require": ["error_rate < 10%"]});
    let health = load(&server.url(), &own).await;
    let measured = measured(&health);
    assert!(matches!(health, Health::Unhealthy { .. }), "{health:?}");
    // It stops when 20 have failed, and what was under way then is not counted.
    let failed = measured["errors"]["status 503"].as_u64().unwrap();
    assert!((20..60).contains(&failed), "{measured}");
    assert!(why(&health).contains("expected error_rate < 10%"), "{}", why(&health));

    let own = json!({"rate": 400, "duration": "500ms", "require": ["error_rate < 30%"]});
    let server = Server::start(|number| Act::Status(if number % 4 == 3 { 503 } else { 200 })).await;
    let health = load(&server.url(), &own).await;
    let counted = crate::measured(&health);
    assert!(matches!(health, Health::Healthy(_)), "{health:?}");
    assert_eq!(counted["requests"], 200);
    assert_eq!(counted["errors"], json!({"status 503": 50}));
    assert_eq!(counted["statuses"], json!({"2xx": 150, "5xx": 50}));
    assert_eq!((&counted["bytes"], &counted["samples"]), (&json!(400), &json!(200)));
}

#[tokio::test]
async fn warm_up_is_sent_and_not_counted_and_connections_are_kept() {
    let server = Server::start(|number| Act::Status(if number < 50 { 500 } else { 200 })).await;
    let own = json!({
        "rate": 250, "warm_up": "200ms", "duration": "400ms",
        "require": ["error_rate < 5%"], "max_open": 8,
    });
    let health = load(&server.url(), &own).await;
    assert!(matches!(health, Health::Healthy(_)), "{health:?}");
    assert_eq!(measured(&health)["requests"], 100);
    assert!(server.connections() <= 8, "{}", server.connections());
    let own = json!({
        "rate": 100, "duration": "200ms", "fresh_connections": true,
        "require": ["error_rate < 50%"],
    });
    let before = server.connections();
    load(&server.url(), &own).await;
    assert_eq!(server.connections() - before, 20);
}

#[tokio::test]
async fn a_server_that_stalls_shows_in_the_percentiles() {
    let begin = Instant::now();
    let (from, to) = (begin + Duration::from_millis(200), begin + Duration::from_millis(700));
    let server = Server::start(move |_| {
        if (from..to).contains(&Instant::now()) { Act::At(to) } else { Act::Status(200) }
    })
    .await;
    // Few connections: those that wait for an answer send nothing meanwhile.
    let own = json!({
        "rate": 200, "duration": "1s", "max_open": 4, "require": ["p95_latency < 300ms"],
    });
    let health = load(&server.url(), &own).await;
    assert!(matches!(health, Health::Unhealthy { .. }), "{health:?}");
    let measured = measured(&health);
    // Half of all became due while it stalled, and waited for up to half a second.
    let steps = measured["histogram"].as_array().unwrap();
    let late: u64 = steps
        .chunks(2)
        .filter(|step| step[0].as_u64().unwrap() > 100_000)
        .map(|step| step[1].as_u64().unwrap())
        .sum();
    assert!(late >= 40, "only {late} waited for more than 100 ms: {measured}");
}

#[tokio::test]
async fn what_cannot_be_saved_is_not_gone_on_with() {
    let own = json!({"rate": 100, "duration": "20s", "require": ["error_rate < 1%"]});
    let began = Instant::now();
    let server = Server::start(|_| Act::Status(500)).await;
    let health = load(&server.url(), &own).await;
    assert!(why(&health).contains("whatever came after"), "{}", why(&health));
    assert!(why(&health).contains("status 500"), "{}", why(&health));

    let gone = server.address();
    drop(server);
    let health = load(&format!("http://{gone}"), &own).await;
    assert!(why(&health).contains("no connection was accepted: "), "{}", why(&health));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn too_few_latencies_are_inconclusive() {
    // Every second connection is closed without an answer, so that half of them have no latency.
    let server = ultrai_deploy_testkit::server::Server::start(|request| {
        use ultrai_deploy_testkit::server::Answer;
        if request.path == "/bad" { Answer::close() } else { Answer::text(200, "ok") }
    });
    let server = server.await.unwrap();
    let own = json!({
        "url": server.url("/"), "requests": [{"path": "/"}, {"path": "/bad"}],
        "rate": 200, "warm_up": "0s", "duration": "400ms", "require": ["p95_latency < 3s"],
    });
    let probe = probe(&check(json!({"load": own}))).unwrap();
    let health = probe.check(&context(), &Endpoint::none(Role::Live)).await.unwrap();
    assert!(is_inconclusive(&health), "{health:?}");
    assert!(why(&health).contains("needs 60 requests, 40 were seen"), "{}", why(&health));
    assert_eq!(measured(&health)["errors"], json!({"closed": 40}));
}

#[tokio::test]
async fn it_is_compared_with_the_release_before() {
    let server = Server::start(|_| Act::At(Instant::now() + Duration::from_millis(60))).await;
    let mut check = check(json!({"load": {
        "url": server.url(), "path": "/", "rate": 200, "warm_up": "0s", "duration": "400ms",
        "at_most_worse": {"p95_latency": "20%"},
    }}));
    check.compares = true;
    let probe = probe(&check).unwrap();
    let endpoint = Endpoint::none(Role::Live);
    let first = probe.check(&context(), &endpoint).await.unwrap();
    let Health::Healthy(evidence) = &first else { panic!("{first:?}") };
    assert!(evidence[0].text.contains("no release before to compare with"), "{evidence:?}");

    let mut before = measured(&first);
    for (p95, is_healthy) in [(1.0, true), (0.001, false)] {
        before["latency"]["p95_latency"] = json!(p95);
        let told = BTreeMap::from([("gate".to_owned(), before.to_string())]);
        let health = probe.check(&context().with_measured(told), &endpoint).await.unwrap();
        assert_eq!(matches!(health, Health::Healthy(_)), is_healthy, "{p95}: {health:?}");
    }
    before["samples"] = json!(59);
    let told = BTreeMap::from([("gate".to_owned(), before.to_string())]);
    let health = probe.check(&context().with_measured(told), &endpoint).await.unwrap();
    assert!(is_inconclusive(&health), "{health:?}");
    let told = BTreeMap::from([("gate".to_owned(), "nonsense".to_owned())]);
    let error = probe.check(&context().with_measured(told), &endpoint).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_service_is_found_by_its_endpoint() {
    let server = Server::start(|_| Act::Status(200)).await;
    let load = json!({"load": {
        "port": 80, "path": "/", "rate": 100, "warm_up": "0s", "duration": "200ms",
        "require": ["error_rate < 50%"],
    }});
    let probe = probe(&check(load)).unwrap();
    let web = Endpoint::new(Role::Live, ServiceName::new("web").unwrap(), "web-1");
    let health = probe.check(&context(), &web).await.unwrap();
    assert!(matches!(health, Health::Pending { .. }), "{health:?}");
    let health = probe.check(&context(), &web.with_address(80, server.address())).await.unwrap();
    assert!(matches!(health, Health::Healthy(_)), "{health:?}");
}

#[tokio::test]
async fn a_server_may_close_what_is_kept() {
    let server =
        Server::start(|number| if number % 5 == 4 { Act::Last } else { Act::Status(200) }).await;
    let own = json!({
        "rate": 100, "duration": "600ms", "max_open": 1, "require": ["error_rate < 5%"],
    });
    let health = load(&server.url(), &own).await;
    assert!(matches!(health, Health::Healthy(_)), "{health:?}");
    assert_eq!(server.connections(), 12);
}
