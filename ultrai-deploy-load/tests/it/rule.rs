//! A rule on traffic, over several looks.

use serde_json::json;
use ultrai_deploy_core::health::{Endpoint, Health, Role};

use crate::{
    check, context,
    keeping::{Act, Server},
    probe,
};

#[tokio::test]
async fn a_window_fills_and_then_fails_when_the_share_of_errors_grows() {
    // Good for 150 requests, then every second one fails.
    let server = Server::start(|number| {
        Act::Status(if number >= 150 && number % 2 == 0 { 500 } else { 200 })
    })
    .await;
    let probe = probe(&check(json!({"traffic": {
        "url": server.url(), "path": "/", "rate": 250, "slice": "200ms",
        "fails_when": "error_rate > 0.1", "min_requests": 100, "window": "1m",
    }})))
    .unwrap();
    let endpoint = Endpoint::none(Role::Live);
    for (look, expected) in
        [("0 of 50", "judged when there are 100"), ("0 of 100", ""), ("0 of 150", "")]
    {
        let health = probe.check(&context(), &endpoint).await.unwrap();
        let Health::Healthy(evidence) = &health else { panic!("{look}: {health:?}") };
        assert!(evidence[0].text.contains(expected), "{look}: {evidence:?}");
    }
    // 25 of 200.
    let health = probe.check(&context(), &endpoint).await.unwrap();
    let Health::Unhealthy { why, .. } = &health else { panic!("{health:?}") };
    assert!(why.starts_with("error_rate is 12.5%, a failure is error_rate > 0.1"), "{why}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_not_waited_for() {
    let server = Server::start(|_| Act::Status(200)).await;
    let url = server.url();
    drop(server);
    let probe = probe(&check(json!({"traffic": {
        "url": url, "path": "/", "rate": 20, "slice": "100ms", "fails_when": "error_rate > 5%",
        "min_requests": 2,
    }})))
    .unwrap();
    let health = probe.check(&context(), &Endpoint::none(Role::Live)).await.unwrap();
    assert!(
        matches!(&health, Health::Unhealthy { why, .. } if why.contains("accepted")),
        "{health:?}"
    );
}
