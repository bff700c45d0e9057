//! Render's published description, held against the client by a program that nobody here wrote.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod between;
#[path = "../platform/fake.rs"]
mod fake;
mod prism;
mod round;

use between::Between;
use prism::Prism;
use serde_json::{Value, json};
use ultrai_deploy_core::ErrorKind;
use ultrai_deploy_http::api::Call;
use ultrai_deploy_testkit::{hosted, hosted::Lab, peer};

fn is_left_out() -> bool {
    let left_out = peer::left_out();
    if let Some(why) = &left_out {
        println!("{why}");
    }
    left_out.is_some()
}

#[tokio::test]
async fn every_request_is_accepted() {
    if is_left_out() {
        return;
    }
    let (strict, lenient) = tokio::join!(Prism::mock(true), Prism::mock(false));
    let client = strict.client("rnd_hunter2");
    let (services, exports) = (round::deploys(&client).await, round::exports(&client).await);
    let failures = [services.failures, exports.failures].concat();
    assert_eq!((failures, strict.violations()), Default::default());
    let calls = services.calls + exports.calls;
    assert_eq!(strict.requests(), calls);
    println!("Prism accepted {calls} requests, and answered as described");

    let client = lenient.client("rnd_hunter2");
    let round::Round { calls, failures } = round::odd(&client).await;
    let violations = lenient.violations();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(violations.iter().all(|one| one.starts_with("response")), "{violations:#?}");
    println!("Prism accepted {calls} requests, and answered with Render's own wrong examples");

    // And of the settings of a service, whose description nothing can meet.
    let (cx, details) = (round::context(), round::details());
    assert!(client.update_service(&cx, &"srv-1".into(), &details).await.is_err());
    let violations: Vec<_> = lenient.violations().split_off(violations.len());
    assert_eq!(violations, [prism::OVERLAP]);
}

/// It does refuse what is not as described.
#[tokio::test]
async fn a_wrong_request_is_refused() {
    if is_left_out() {
        return;
    }
    let prism = Prism::mock(true).await;
    let (client, cx) = (prism.client("rnd_hunter2"), round::context());
    let wrong: [(&str, Value); 4] = [
        ("deploys", json!({ "clearCache": true })),
        ("rollback", json!({})),
        ("jobs", json!({ "command": "migrate" })),
        ("scale", json!({ "numInstances": "2" })),
    ];
    for (what, body) in &wrong {
        let call = Call::post("try", ["services", "srv-1", *what]).with_json(body).unwrap();
        let error = client.api().send(&cx, &call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}: {}", round::told(&error));
    }
    let call = Call::get("try", ["service", "srv-1"]);
    let error = client.api().send(&cx, &call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", round::told(&error));
    println!("Prism refused {} requests", wrong.len() + 1);
}

/// The whole pipeline, with Prism between it and a Render with a memory: a first deploy, upgrades,
/// failures with the way back, and a rollback.
#[tokio::test]
async fn the_pipeline_and_the_fake_say_what_is_described() {
    if is_left_out() {
        return;
    }
    let lab = Lab::new(Between::new().await);
    let sick = [("sick", "update_failed"), ("sick-build", "build_failed")];
    hosted::story(&lab, &sick).await;
    let prism = &lab.fake.prism;
    let mut kinds = std::collections::BTreeMap::<_, usize>::new();
    for violation in prism.violations() {
        *kinds.entry(violation).or_default() += 1;
    }
    println!("Prism passed on {} requests; {kinds:#?}", prism.requests());
}
