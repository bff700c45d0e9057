//! Render's published description, held against the client by a program that nobody here wrote.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod between;
mod prism;
mod round;

use between::Between;
use prism::{Prism, Seen};
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
    assert_eq!(failures, Vec::<String>::new());
    let requests = services.calls + exports.calls;
    assert_eq!(strict.seen().await, Seen { requests, violations: Vec::new() });
    println!("Prism accepted {requests} requests, and answered as described");

    let client = lenient.client("rnd_hunter2");
    let round::Round { calls, failures } = round::odd(&client).await;
    assert_eq!(failures, Vec::<String>::new());
    // And the settings of a service, whose description nothing can meet.
    let (cx, details) = (round::context(), round::details());
    assert!(client.update_service(&cx, &"srv-1".into(), &details).await.is_err());
    let Seen { requests, mut violations } = lenient.seen().await;
    assert_eq!(requests, calls + 1);
    violations.retain(|one| !one.starts_with("response"));
    assert_eq!(violations, [prism::OVERLAP]);
    println!("Prism accepted {calls} requests, and answered with Render's own wrong examples");
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
    let Between { render, prism } = &lab.fake;
    let Seen { requests, violations } = prism.seen().await;
    let odd: Vec<_> = violations.iter().filter(|one| !prism::is_of_the_wire(one)).collect();
    assert!(odd.is_empty(), "{odd:#?}");
    // The last one comes through, too.
    assert_eq!(requests + 1, render.requests().len(), "some did not come through");
    println!(
        "Prism let {requests} requests of the pipeline through, and their answers, which differ from \
         the description {} times as those of Render do",
        violations.len()
    );
}
