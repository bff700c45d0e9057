//! Platforms that show what they were sent, and answers that are none.

use std::{fmt::Write as _, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{ErrorKind, pipeline::RollbackRequest, stage::Stage};

use super::{Fake, Fault, Lab, SECRET, ok};
use crate::{
    server::{Answer, Server},
    trace,
};

/// A fake that answers as it is told to.
pub trait Hostile: Fake {
    /// The next call that is about this fails so.
    fn fail_next(&self, call: &str, fault: Fault);

    /// A line that the services write.
    fn write(&self, line: &str);
}

/// Parts of what the calls of a platform are about that these suites let fail.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// Sets the variable `SECRET` of the service `api`.
    pub variable: &'static str,
    /// Starts the deploy of another version of it.
    pub deploy: &'static str,
    /// Lists its deploys.
    pub list: &'static str,
}

/// Answers that repeat what they were sent, also so that a text that is cut off ends within it.
fn echoes(token: &str) -> Vec<Fault> {
    let mut echoes = Vec::new();
    for status in [200, 400, 401, 403, 500] {
        for before in [0, 470, 495] {
            let text = format!("{}{SECRET} and {token}", "x".repeat(before));
            let error = json!({ "message": text, "extensions": { "code": "BAD_USER_INPUT" } });
            for body in [
                json!({ "message": text }).to_string(),
                json!({ "data": null, "errors": [error] }).to_string(),
                json!(text).to_string(),
                text,
            ] {
                echoes.push(Fault::Instead(Answer::json(status, body)));
            }
        }
    }
    echoes
}

/// Deploys, fails and goes back while calls are answered with what they carried, and looks for it in
/// everything that is logged, told and kept. The token has `hunter2` in it. Returns how much that was.
///
/// # Panics
/// When a secret is found.
pub async fn nothing_secret_is_shown<F: Hostile>(
    lab: &Lab<F>,
    token: &str,
    calls: Calls,
) -> String {
    lab.fake.write(&format!("the program writes {SECRET}"));
    let mut shown = format!("{:?} {:?}", lab.fake.platform(), lab.fake);
    let (ran, log) = trace::of(async {
        let mut reports = vec![lab.deploy("1.0.0").await, lab.deploy("1.1.0").await];
        reports.push(lab.deploy_tags("1.2.0", ["1.2.0", "sick"]).await);
        let first = ok(reports[0].release.clone().ok_or("no release"));
        let run = lab.process().rollback(RollbackRequest::new(first));
        reports.push(ok(run.join().await));
        for call in [calls.variable, calls.deploy, calls.list] {
            for fault in echoes(token).into_iter().step_by(7) {
                if call == calls.variable {
                    // Or it would not be set anew.
                    lab.fake.set_variable("api", "SECRET", "another");
                }
                lab.fake.fail_next(call, fault);
                reports.push(lab.deploy("1.3.0").await);
                reports.push(lab.deploy("1.0.0").await);
            }
        }
        for fault in [Answer::close(), Answer::reset(), Answer::raw("no HTTP\r\n\r\n")] {
            lab.fake.fail_next(calls.deploy, Fault::Instead(fault));
            reports.push(lab.deploy("1.3.0").await);
        }
        reports
    })
    .await;
    for report in &ran {
        write!(shown, "{report} {report:?} {}", lab.records(report).await)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(log.contains("called an API"), "{log}");
    let (logged, told) = (log.len() / 1024, shown.len() / 1024);
    for (name, text) in [("log", log), ("reports", shown)] {
        if let Some(at) = text.find("hunter2") {
            let around: String = text[..at + 40].chars().rev().take(400).collect();
            panic!("in the {name}: {}", around.chars().rev().collect::<String>());
        }
    }
    format!("{} runs, {logged} kB of log, {told} kB of reports and journals", ran.len())
}

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
///
/// # Panics
/// When it is not so, or anybody else is asked.
pub async fn no_answer_is_no_success<F: Hostile>(make: impl AsyncFn() -> F, calls: Calls) {
    let other = Server::start(|_| Answer::json(200, "{}")).await;
    let other = ok(other);
    for call in [calls.deploy, calls.list] {
        for (told, answer) in answers(&other.url("/elsewhere")) {
            let lab = Lab::new(make().await);
            lab.deploy("1.0.0").await;
            lab.fake.fail_next(call, Fault::Instead(answer));
            let report = lab.deploy("1.1.0").await;
            let text = report.to_string();
            let cause = report.cause().unwrap_or_else(|| panic!("{call}: {text}"));
            let message = format!("{} {}", cause.message, cause.causes.join(" "));
            assert!(message.contains(told), "{call}: no `{told}`: {text}");
            lab.assert_serves("1.0.0");
        }
    }
    assert_eq!(other.requests(), [], "nobody else is asked, let alone with a token");
}

/// What never ends does not hold a run for ever.
///
/// # Panics
/// When it does.
pub async fn what_does_not_end_is_given_up<F: Hostile>(lab: &mut Lab<F>, calls: Calls) {
    lab.deploy("1.0.0").await;
    lab.policy.stage_deadlines.insert(Stage::Deploy, Duration::from_millis(700));
    for answer in [Answer::hang(), Answer::json(200, "{\"a\":1}").stalling_after(2)] {
        lab.fake.fail_next(calls.deploy, Fault::Instead(answer));
        let report = lab.deploy("1.1.0").await;
        assert!(report.to_string().contains("rolled back"), "{report}");
        let cause = report.cause();
        let kind = cause.map(|cause| cause.kind);
        assert_eq!(kind, Some(ErrorKind::Timeout), "{report}");
        lab.assert_serves("1.0.0");
    }
}
