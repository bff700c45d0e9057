//! Railway's published schema, served by programs that nobody here wrote.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "not all that tests share is used by each")]
mod support;
mod yoga;

use std::time::Duration;

use support::context;
use ultrai_deploy_core::{ErrorKind, secret::Secret};
use ultrai_deploy_railway::{
    Token,
    model::{DeploymentId, ServiceAt, ServiceId, Standing},
    subscribe::Log,
};
use ultrai_deploy_testkit::{
    hosted::{self, Lab},
    peer,
};
use yoga::{TOKEN, Yoga};

/// Long enough for any machine.
const LONG: Duration = Duration::from_mins(1);

fn is_left_out() -> bool {
    let left_out = peer::left_out();
    if let Some(why) = &left_out {
        println!("{why}");
    }
    left_out.is_some()
}

/// A first deploy, upgrades, failures with the way back, and a rollback.
#[tokio::test]
async fn the_pipeline_is_understood() {
    if is_left_out() {
        return;
    }
    let lab = Lab::new(Yoga::new().await);
    hosted::story(&lab, &[("sick", "FAILED")]).await;
    let seen = lab.fake.seen();
    assert_eq!(seen.refused, Vec::<String>::new());
    println!("Yoga answered {} requests of the pipeline, and refused none", seen.requests);
}

#[tokio::test]
async fn a_token_that_is_not_let_in_is_told_about() {
    if is_left_out() {
        return;
    }
    let yoga = Yoga::new().await;
    let id = DeploymentId::new("api-0");
    for token in [Token::Account(Secret::new("hunter2-wrong")), Token::Project(Secret::new("x"))] {
        let error = yoga.client(&token).deployment(&context(), &id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    for token in [Token::Account(Secret::new(TOKEN)), Token::Project(Secret::new(TOKEN))] {
        let error = yoga.client(&token).deployment(&context(), &id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    }
}

/// Over real `graphql-transport-ws`: a deployment, its events and both logs, and a token that is not
/// let in.
#[tokio::test]
async fn subscriptions_are_understood() {
    if is_left_out() {
        return;
    }
    let yoga = Yoga::new().await;
    let (cx, client) = (context(), yoga.client(&Token::Project(Secret::new(TOKEN))));
    client.set_source_image(&cx, &service("api"), "shop/api:1.0.0", None).await.unwrap();
    let id = client.deploy(&cx, &service("api"), None).await.unwrap();

    // Looked at only when there is something to see: once for each status.
    let before = yoga.seen().requests;
    let (mut changes, mut looks) = (client.changes(&id, LONG), 0);
    loop {
        let status = client.deployment(&cx, &id).await.unwrap().status;
        looks += 1;
        if status.standing() != Standing::InProgress {
            break;
        }
        changes.after(&cx, &status).await.unwrap();
    }
    let requests = yoga.seen().requests - before;
    assert!(looks <= 3 && requests == looks, "{looks} looks, {requests} requests");

    let id = client.deploy(&cx, &service("api"), None).await.unwrap();
    let (mut watch, mut statuses) = (client.watch_deployment(&id), Vec::new());
    while let Some(deployment) = watch.next(&cx).await.unwrap() {
        assert_eq!(deployment.id, id);
        statuses.push(deployment.status.to_string());
    }
    assert_eq!(statuses, ["INITIALIZING", "BUILDING", "DEPLOYING", "SUCCESS"]);

    let (mut events, mut steps) = (client.watch_events(&id), Vec::new());
    while let Some(event) = events.next(&cx).await.unwrap() {
        steps.push((event.step.to_string(), event.payload.error));
    }
    let failed = ("HEALTHCHECK".to_owned(), Some("exit code 1".to_owned()));
    assert_eq!(steps, [("BUILD_IMAGE".to_owned(), None), failed]);

    for (log, expected) in [(Log::Build, vec!["one", "two", "three"]), (Log::Deploy, vec!["up"])] {
        let (mut lines, mut all) = (client.follow_logs(&id, log), Vec::new());
        while let Some(line) = lines.next(&cx).await.unwrap() {
            all.push(line.message);
        }
        assert_eq!(all, expected, "{log:?}");
    }
    println!("graphql-ws served {} subscriptions", yoga.seen().subscriptions);

    let wrong = yoga.client(&Token::Account(Secret::new("hunter2-wrong")));
    let error = wrong.watch_deployment(&id).next(&cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(error.message().contains("4403"), "{error:?}");
    let missing = client.watch_deployment(&DeploymentId::new("none")).next(&cx).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing:?}");
}

fn service(name: &str) -> ServiceAt {
    ServiceAt { service: ServiceId::new(name), ..support::at() }
}
