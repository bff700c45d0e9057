//! A Render that shows what it was sent, and answers that are none.

use ultrai_deploy_testkit::hosted::{self, Calls, Lab};

use crate::fake::{Render, TOKEN};

const CALLS: Calls = Calls {
    variable: "PUT /v1/services/srv-0/env-vars/SECRET",
    deploy: "POST /v1/services/srv-0/deploys",
    list: "GET /v1/services/srv-0/deploys",
};

#[tokio::test]
async fn nothing_secret_is_shown_anywhere() {
    let lab = Lab::new(Render::new().await);
    println!("render: {}", hosted::nothing_secret_is_shown(&lab, TOKEN, CALLS).await);
}

#[tokio::test]
async fn what_is_no_answer_is_no_success() {
    hosted::no_answer_is_no_success(Render::new, CALLS).await;
}

#[tokio::test]
async fn what_does_not_end_is_given_up() {
    hosted::what_does_not_end_is_given_up(&mut Lab::new(Render::new().await), CALLS).await;
}
