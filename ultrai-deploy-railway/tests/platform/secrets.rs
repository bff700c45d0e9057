//! Neither the token nor the value of a variable is anywhere but where it belongs.

use std::fmt::Write as _;

use serde_json::json;
use ultrai_deploy_core::pipeline::RollbackRequest;
use ultrai_deploy_testkit::{
    hosted::{Fake as _, Fault, Lab, SECRET},
    server::Answer,
    trace,
};

use crate::fake::{Railway, TOKEN};

const VARIABLE: &str = "variableCollectionUpsert";
const DEPLOY: &str = "environmentPatchCommit";
const LIST: &str = "deployments";

/// Answers that repeat what they were sent, also so that a text that is cut off ends within it.
fn echoes() -> Vec<Fault> {
    let mut echoes = Vec::new();
    for status in [200, 400, 401, 403, 500] {
        for before in [0, 470, 495] {
            let text = format!("{}{SECRET} and {TOKEN}", "x".repeat(before));
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

#[tokio::test]
async fn nothing_secret_is_shown_anywhere() {
    let lab = Lab::new(Railway::new().await);
    lab.fake.world().log.push(format!("the program writes {SECRET}"));
    let mut shown = format!("{:?} {:?}", lab.fake.platform(), lab.fake);
    let (ran, log) = trace::of(async {
        let mut reports = vec![lab.deploy("1.0.0").await, lab.deploy("1.1.0").await];
        reports.push(lab.deploy_tags("1.2.0", ["1.2.0", "sick"]).await);
        let first = reports[0].release.clone().unwrap();
        let run = lab.process().rollback(RollbackRequest::new(first));
        reports.push(run.join().await.unwrap());
        for call in [VARIABLE, DEPLOY, LIST] {
            for fault in echoes().into_iter().step_by(7) {
                if call == VARIABLE {
                    // Or it would not be set anew.
                    lab.fake.set_variable("api", "SECRET", "another");
                }
                lab.fake.world().traffic.fail_next(call, fault);
                reports.push(lab.deploy("1.3.0").await);
                reports.push(lab.deploy("1.0.0").await);
            }
        }
        for fault in [Answer::close(), Answer::reset(), Answer::raw("no HTTP\r\n\r\n")] {
            lab.fake.world().traffic.fail_next(DEPLOY, Fault::Instead(fault));
            reports.push(lab.deploy("1.3.0").await);
        }
        reports
    })
    .await;
    for report in &ran {
        write!(shown, "{report} {report:?} {}", lab.records(report).await).unwrap();
    }
    assert!(log.contains("called an API"), "{log}");
    println!(
        "railway: {} runs, {} kB of log, {} kB of reports and journals",
        ran.len(),
        log.len() / 1024,
        shown.len() / 1024
    );
    for (name, text) in [("log", log), ("reports", shown)] {
        if let Some(at) = text.find("hunter2") {
            let around: String = text[..at + 40].chars().rev().take(400).collect();
            panic!("in the {name}: {}", around.chars().rev().collect::<String>());
        }
    }
}
