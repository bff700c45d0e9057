//! A Railway that shows what it was sent, and answers that are none.

use ultrai_deploy_testkit::hosted::{self, Calls, Lab};

use crate::fake::{Railway, TOKEN};

const CALLS: Calls = Calls {
    variable: "variableCollectionUpsert",
    deploy: "environmentPatchCommit",
    list: "deployments",
};

#[tokio::test]
async fn nothing_secret_is_shown_anywhere() {
    let lab = Lab::new(Railway::new().await);
    println!("railway: {}", hosted::nothing_secret_is_shown(&lab, TOKEN, CALLS).await);
}

#[tokio::test]
async fn what_is_no_answer_is_no_success() {
    hosted::no_answer_is_no_success(Railway::new, CALLS).await;
}

#[tokio::test]
async fn what_does_not_end_is_given_up() {
    hosted::what_does_not_end_is_given_up(&mut Lab::new(Railway::new().await), CALLS).await;
}
