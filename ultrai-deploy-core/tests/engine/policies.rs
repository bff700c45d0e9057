//! What a failure after the switch leads to.

use std::sync::Arc;

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    journal::Event,
    pipeline::{DeployRequest, FailureAction},
    report::{Report, StageStatus},
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};

use crate::lab::{CancelAt, Lab, Parts, ended, fails, shop, with_check, with_test};

/// The parts of a process with an action for a stage.
pub(crate) fn parts(lab: &Lab, stage: Stage, action: FailureAction) -> Parts {
    let mut parts = lab.parts();
    parts.policy.failure_actions.insert(stage, action);
    parts
}

async fn deploy(lab: &Lab, stage: Stage, spec: ReleaseSpec) -> Report {
    let pipeline = parts(lab, stage, FailureAction::Ignore).start();
    pipeline.deploy(DeployRequest::new(spec)).join().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_failing_test_can_be_ignored_and_is_told() {
    let failing = [
        with_test(shop("1.1.0", fails(When::Post)), When::Post),
        with_check(shop("1.1.0", json!({})), When::Post, json!({ "healthy": false })),
    ];
    for spec in failing {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let report = deploy(&lab, Stage::PostDeployTests, spec).await;
        assert_eq!(ended(&report), "succeeded", "{report}");
        let stage = report.stages.iter().find(|one| one.stage == Stage::PostDeployTests).unwrap();
        assert_eq!(stage.status, StageStatus::Ignored);
        assert!(
            report.notes[0].starts_with("warning: post-deploy tests FAILED, which was ignored"),
            "{report}"
        );
        assert_eq!(lab.serving().await, report.release);
        assert_eq!(lab.world.leftovers(), []);
    }
}

/// What a success promises cannot be ignored, whatever the policy of another stage says.
#[tokio::test(start_paused = true)]
async fn verify_is_never_ignored() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    let sick = shop("1.1.0", json!({ "healthy": "staged" }));
    let report = deploy(&lab, Stage::PostDeployTests, sick).await;
    assert_eq!(ended(&report), "rolled back");
    assert_eq!(lab.picture().await, before);
    for stage in [Stage::Deploy, Stage::Verify, Stage::Finalise] {
        let refused = parts(&lab, stage, FailureAction::Ignore).build().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{stage}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_goes_back_all_the_same() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    let mut parts = parts(&lab, Stage::PostDeployTests, FailureAction::Ignore);
    let at = |event: &Event| matches!(event, Event::StageStarted { stage: Stage::PostDeployTests });
    let cancel = CancelAt::new(at);
    parts.observers.push(Arc::clone(&cancel) as _);
    let spec = with_test(shop("1.1.0", fails(When::Post)), When::Post);
    let run = parts.start().deploy(DeployRequest::new(spec));
    cancel.watch(&run);
    let report = run.join().await.unwrap();
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.picture().await, before);
    lab.assert_settled().await;
}
