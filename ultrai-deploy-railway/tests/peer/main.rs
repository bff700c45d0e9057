//! Railway's published schema, served by programs that nobody here wrote.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;
mod yoga;

use support::context;
use ultrai_deploy_core::{ErrorKind, secret::Secret};
use ultrai_deploy_railway::{Token, model::DeploymentId};
use ultrai_deploy_testkit::{
    hosted::{self, Lab},
    peer,
};
use yoga::{TOKEN, Yoga};

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
