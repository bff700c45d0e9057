//! Rollbacks that fail: a person has to act, and nobody else does.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    Ending, ErrorKind, deployer::Step, lease::Wait, pipeline::DeployRequest, report::Report,
};

use crate::{
    failures::{faulty, intents},
    faults::{Call, Faulty, How, Rule},
    lab::{Lab, Parts, ended, shop},
};

/// An environment whose rollback failed, and the report of that.
async fn stuck(rule: Rule) -> (Lab, Report) {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let spec = shop("1.1.0", json!({ "healthy": "staged" }));
    let parts = faulty(&lab, rule);
    let report = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap();
    (lab, report)
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_tried_three_times() {
    let rules: [(Rule, usize); 4] = [
        (|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before), 3),
        (|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Clean), 3),
        (|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Hangs), 3),
        // It fails before its intent, which leaves no record; the attempts count all the same.
        (|_, call| (call == Call::Prepare(Step::Rollback)).then_some(How::Before), 0),
    ];
    for (rule, attempts) in rules {
        let (lab, report) = stuck(rule).await;
        assert_eq!(ended(&report), "stuck");
        assert_eq!(intents(&lab, &report.run, Step::Rollback).await, attempts);
        let Some(Ending::Stuck { cause, undo }) = &report.ending else { panic!("not stuck") };
        assert_eq!(cause.kind, ErrorKind::Unhealthy);
        assert!(matches!(undo.kind, ErrorKind::Unavailable | ErrorKind::Timeout), "{undo}");
        assert!(report.to_string().contains("ultrai resume --retry"), "{report}");
    }
}

/// The policy says how often and after which pauses; chance takes at most half of each.
#[tokio::test(start_paused = true)]
async fn attempts_and_pauses_are_those_of_the_policy() {
    for (chance, seconds) in [(1.0, 1 + 2 + 3 + 3), (0.0, 4)] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let mut parts =
            faulty(&lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Clean));
        parts.chance = chance;
        parts.policy.retry.attempts = 5;
        parts.policy.retry.longest = Duration::from_secs(3);
        let began = tokio::time::Instant::now();
        let request = DeployRequest::new(shop("1.1.0", json!({ "starts": false })));
        let report = parts.start().deploy(request).join().await.unwrap();
        assert_eq!(ended(&report), "stuck");
        assert_eq!(intents(&lab, &report.run, Step::Rollback).await, 5);
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_once_succeeds() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    for (version, step, how) in [
        ("1.1.0", Call::Prepare(Step::Rollback), How::Before),
        ("1.1.1", Call::Act(Step::Rollback), How::Before),
        ("1.1.2", Call::Act(Step::Rollback), How::After),
    ] {
        let deployer = Arc::new(Faulty::once(lab.deployer(), step, how));
        let parts = Parts { deployer, ..lab.parts() };
        let spec = shop(version, json!({ "healthy": "staged" }));
        let report = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap();
        assert_eq!(ended(&report), "rolled back", "{step:?} {how:?}");
        assert_eq!(lab.picture().await, before);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_run_keeps_others_out_until_it_is_mended() {
    let (lab, report) =
        stuck(|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before)).await;
    let world = lab.stamps();

    let next = lab.deploy(shop("1.2.0", json!({}))).await;
    assert_eq!(ended(&next), "refused");
    let cause = next.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Stuck);
    assert!(cause.message.contains("ultrai resume --retry"), "{cause}");
    let refused = lab.process().resume(false, Wait::No).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Stuck);
    assert_eq!(lab.stamps(), world, "nobody touched anything");

    // Still broken: three more attempts, and stuck again.
    let parts = faulty(&lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before));
    let pipeline = parts.start();
    let again = pipeline.resume(true, Wait::No).await.unwrap().unwrap().join().await.unwrap();
    assert_eq!(ended(&again), "stuck");
    assert_eq!(intents(&lab, &report.run, Step::Rollback).await, 6);

    let pipeline = lab.process();
    let mended = pipeline.resume(true, Wait::No).await.unwrap().unwrap().join().await.unwrap();
    assert_eq!(mended.run, report.run);
    assert_eq!(ended(&mended), "rolled back");
    lab.assert_settled().await;
    assert_eq!(ended(&lab.deploy(shop("1.2.0", json!({}))).await), "succeeded");
    lab.assert_settled().await;
}

/// Back to the very same release, which was not well before: nobody goes round in circles.
#[tokio::test(start_paused = true)]
async fn the_same_release_is_no_way_back_when_it_was_down() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({ "healthy": "once" }))).await;
    let live = lab.world.live();
    lab.world.crash(&live.iter().find(|one| one.service.as_str() == "backend").unwrap().id);
    let parts =
        faulty(&lab, |_, call| (call == Call::Act(Step::Switch)).then_some(How::HangsAfter));
    let request = DeployRequest::new(shop("1.0.0", json!({ "healthy": "once" })));
    let report = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "stuck", "{report}");
    assert_eq!(intents(&lab, &report.run, Step::Rollback).await, 1);
    assert!(report.to_string().contains("the release before is the same one"), "{report}");
}

/// A deploy takes over what another one has left, and cannot get it back either.
#[tokio::test(start_paused = true)]
async fn a_run_that_gets_stuck_while_it_is_taken_over_refuses_the_next() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let pipeline = lab.process();
    let run = pipeline.deploy(DeployRequest::new(shop("1.1.0", json!({ "healthy": false }))));
    let left = tokio::time::timeout(Duration::from_secs(2), run.join()).await;
    assert!(left.is_err());
    drop(pipeline);
    let parts = faulty(&lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before));
    let request = DeployRequest::new(shop("1.2.0", json!({})));
    let next = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&next), "refused");
    let cause = next.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Stuck);
    assert!(cause.message.contains("ultrai resume --retry"), "{cause}");
    assert!(lab.process().unfinished().await.unwrap().unwrap().is_stuck());
}

#[tokio::test(start_paused = true)]
async fn a_stuck_run_can_be_abandoned() {
    let (lab, report) =
        stuck(|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before)).await;
    let world = lab.stamps();
    assert_eq!(lab.process().abandon("mended by hand").await.unwrap(), report.run);
    assert_eq!(lab.stamps(), world, "nothing is touched by that");
    let abandoned = lab.process().report(&report.run).await.unwrap();
    assert_eq!(abandoned.ending, Some(Ending::Abandoned { reason: "mended by hand".into() }));
    let error = lab.process().abandon("twice").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let next = lab.deploy(shop("1.2.0", json!({}))).await;
    assert_eq!(ended(&next), "succeeded");
}
