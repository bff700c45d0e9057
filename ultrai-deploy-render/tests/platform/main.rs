//! The whole pipeline on a Render with a memory.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod brings;
mod crashes;
mod fake;
mod hostile;
mod oddities;
mod requests;

use fake::Render;
use ultrai_deploy_testkit::hosted::{self, Fake as _, Lab, render::Manners};

#[tokio::test]
async fn a_first_deploy_an_upgrade_failures_and_a_rollback() {
    for manners in [
        Manners::default(),
        Manners { queues: true, last_word: "canary_in_progress".to_owned(), ..Manners::default() },
        Manners { forgets: true, ..Manners::default() },
    ] {
        let lab = Lab::new(Render::with(manners).await);
        let sick = [("sick", "update_failed"), ("sick-build", "build_failed")];
        hosted::story(&lab, &sick).await;
        assert_eq!(lab.fake.world().unknown, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_run_that_dies_is_resumed() {
    let endings = hosted::drops(Render::new).await;
    println!("render, dropped and resumed: {endings:?}");
    assert!(endings.values().sum::<usize>() > 10, "{endings:?}");
}

#[tokio::test]
async fn calls_that_fail_end_in_a_known_state() {
    let endings = hosted::failures(Render::new).await;
    println!("render, with calls that fail: {endings:?}");
}

/// What is seen of a deploy that failed is in the report, and nothing of the key is.
#[tokio::test]
async fn a_failure_is_told_and_the_key_is_not() {
    let lab = Lab::new(Render::new().await);
    let report = lab.deploy_tags("1.0.0", ["sick", "1.0.0"]).await;
    let records = lab.records(&report).await;
    assert!(records.contains("a line of log"), "{records}");
    assert!(!records.contains("hunter2"), "{records}");
    assert_eq!(lab.fake.inside("api").image, None, "it was the first deploy");
}
