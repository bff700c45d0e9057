//! Answers that are no answers of Railway: a clear error, and nothing is lost.

use std::time::Duration;

use ultrai_deploy_core::stage::Stage;
use ultrai_deploy_testkit::{
    hosted::{Fault, Lab},
    server::{Answer, Server},
};

use crate::fake::{Railway, TOKEN};

const DEPLOY: &str = "environmentPatchCommit";
const LIST: &str = "deployments";

fn answers(elsewhere: &str) -> Vec<(&'static str, Answer)> {
    let html = Answer::text(200, "<!doctype html><title>maintenance</title>");
    vec![
        ("HTML page", html.with_header("Content-Type", "text/html")),
        ("form", Answer::json(200, r#"{"id":7,"data":7,"errors":7}"#)),
        ("form", Answer::json(200, "[[[[")),
        ("form", Answer::raw(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"\xff\xfe\"".to_vec())),
        (
            "longer than 16777216 bytes",
            Answer::json(200, "x".repeat(17 * 1024 * 1024)).claiming(50 << 30),
        ),
        ("leads elsewhere", Answer::json(307, "{}").with_header("Location", elsewhere)),
        // It would be the packed form of something without end.
        ("form", Answer::json(200, "\u{1f}\u{8b}").with_header("Content-Encoding", "gzip")),
    ]
}

/// Of what cannot be told whether it was done it is told, and what served before serves again.
#[tokio::test]
async fn what_is_no_answer_is_no_success() {
    let other = Server::start(|_| Answer::json(200, "{}")).await.unwrap();
    for call in [DEPLOY, LIST] {
        for (told, answer) in answers(&other.url("/elsewhere")) {
            let lab = Lab::new(Railway::new().await);
            lab.deploy("1.0.0").await;
            lab.fake.world().traffic.fail_next(call, Fault::Instead(answer));
            let report = lab.deploy("1.1.0").await;
            let text = report.to_string();
            let cause = report.cause().unwrap_or_else(|| panic!("{call}: {text}"));
            let message = format!("{} {}", cause.message, cause.causes.join(" "));
            assert!(message.contains(told), "{call}: no `{told}`: {text}");
            lab.assert_serves("1.0.0");
        }
    }
    assert_eq!(other.requests(), [], "nobody else is asked, let alone with {TOKEN}");
}

/// What never ends does not hold a run for ever.
#[tokio::test]
async fn what_does_not_end_is_given_up() {
    let mut lab = Lab::new(Railway::new().await);
    lab.deploy("1.0.0").await;
    lab.policy.stage_deadlines.insert(Stage::Deploy, Duration::from_millis(700));
    for answer in [Answer::hang(), Answer::json(200, "{\"a\":1}").stalling_after(2)] {
        lab.fake.world().traffic.fail_next(DEPLOY, Fault::Instead(answer));
        let report = lab.deploy("1.1.0").await;
        assert!(report.to_string().contains("rolled back"), "{report}");
        let cause = report.cause().unwrap();
        assert_eq!(cause.kind, ultrai_deploy_core::ErrorKind::Timeout, "{report}");
        lab.assert_serves("1.0.0");
    }
}
