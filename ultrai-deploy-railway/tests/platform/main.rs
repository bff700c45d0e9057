//! The whole pipeline on a Railway with a memory.
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

use fake::Railway;
use ultrai_deploy_testkit::hosted::{self, Fake as _, Lab, railway::Manners};

#[tokio::test]
async fn a_first_deploy_an_upgrade_failures_and_a_rollback() {
    for manners in [
        Manners::default(),
        Manners { last_word: "CANARY".to_owned(), ..Manners::default() },
        Manners { refuses: true, ..Manners::default() },
        Manners { forgets: true, ..Manners::default() },
    ] {
        let lab = Lab::new(Railway::with(manners).await);
        hosted::story(&lab, &[("sick", "FAILED")]).await;
        assert_eq!(lab.fake.world().unknown, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_run_that_dies_is_resumed() {
    let endings = hosted::drops(Railway::new).await;
    println!("railway, dropped and resumed: {endings:?}");
    assert!(endings.values().sum::<usize>() > 10, "{endings:?}");
}

#[tokio::test]
async fn calls_that_fail_end_in_a_known_state() {
    let endings = hosted::failures(Railway::new).await;
    println!("railway, with calls that fail: {endings:?}");
}

/// A success of Railway is none when the old image runs on.
#[tokio::test]
async fn the_old_image_is_no_success() {
    let lab = Lab::new(Railway::new().await);
    lab.deploy("1.0.0").await;
    lab.fake.world().manners.is_stubborn = true;
    let report = lab.deploy("1.1.0").await;
    let told = &report.cause().unwrap().message;
    assert!(told.contains("serves image shop/api:1.0.0 instead of image shop/api:1.1.0"), "{told}");
    lab.assert_serves("1.0.0");
}

/// What is seen of a deployment that failed is in the report, and nothing of the token is.
#[tokio::test]
async fn a_failure_is_told_and_the_token_is_not() {
    let lab = Lab::new(Railway::new().await);
    let report = lab.deploy_tags("1.0.0", ["sick", "1.0.0"]).await;
    let records = lab.records(&report).await;
    for told in ["a line of log", "HEALTHCHECK: exit code 1; it says no"] {
        assert!(records.contains(told), "{records}");
    }
    assert!(!records.contains("hunter2"), "{records}");
    assert_eq!(lab.fake.inside("api").image, None, "it was the first deploy");
}
