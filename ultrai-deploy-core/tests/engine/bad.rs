//! Releases that failed are not brought again unless somebody names them.

use serde_json::{Value, json};
use ultrai_deploy_core::{
    ErrorKind,
    deployer::Step,
    lease::Wait,
    name::ReleaseId,
    pipeline::{DeployRequest, RollbackRequest},
    report::Report,
    stage::Stage,
    verification::When,
    version::Version,
};

use crate::{
    failures::faulty,
    faults::{Call, How},
    hold,
    lab::{Lab, Parts, ended, fails, shop, with_test},
};

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

async fn allowed(lab: &Lab, allow: &str, backend: Value) -> Report {
    let mut request = DeployRequest::new(shop("1.1.0", backend));
    request.allow_failed = Some(version(allow));
    lab.process().deploy(request).join().await.unwrap()
}

fn sick() -> Value {
    json!({ "healthy": "staged" })
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_refused_until_it_is_named() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let failed = lab.deploy(shop("1.1.0", sick())).await;
    assert_eq!(ended(&failed), "rolled back");
    let before = lab.stamps();
    for _ in 0..2 {
        let again = lab.deploy(shop("1.1.0", sick())).await;
        assert_eq!(ended(&again), "refused");
        let cause = again.cause().unwrap();
        assert_eq!(cause.kind, ErrorKind::Unhealthy);
        let told = cause.to_string();
        assert!(told.contains(failed.run.as_str()), "{told}");
        assert!(told.contains("it answers that it is not well"), "{told}");
        assert!(told.contains("--allow-failed 1.1.0"), "{told}");
    }
    assert_eq!(lab.stamps(), before);

    let other = allowed(&lab, "1.2.0", sick()).await;
    assert_eq!(other.cause().unwrap().kind, ErrorKind::Invalid, "another version is named");
    let named = allowed(&lab, "1.1.0", sick()).await;
    assert_eq!(ended(&named), "rolled back", "{named}");
    let again = lab.deploy(shop("1.1.0", sick())).await;
    assert!(again.cause().unwrap().message.contains(named.run.as_str()), "allowed only once");
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn another_content_of_the_version_is_another_release() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    lab.deploy(shop("1.1.0", sick())).await;
    let mended = lab.deploy(shop("1.1.0", json!({}))).await;
    assert_eq!(ended(&mended), "succeeded", "{mended}");
    lab.assert_settled().await;
}

/// Only a release that failed its checks is bad: it cannot help what the platform does.
#[tokio::test(start_paused = true)]
async fn a_failure_of_the_platform_is_not_the_release_s() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let parts =
        faulty(&lab, |_, call| (call == Call::Act(Step::Switch)).then_some(How::HangsAfter));
    let request = DeployRequest::new(shop("1.1.0", json!({})));
    let failed = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&failed), "rolled back");
    assert_eq!(ended(&lab.deploy(shop("1.1.0", json!({}))).await), "succeeded");
    lab.assert_settled().await;
}

/// A release that was proven once and failed since: not gone back to by itself, refused when it is
/// named without being allowed, and well again once it has proven itself.
#[tokio::test(start_paused = true)]
async fn a_rollback_does_not_go_to_what_failed() {
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
    let spec = with_test(shop("1.1.0", fails(When::Post)), When::Post);
    let deploy = |tested: bool| {
        let mut request = DeployRequest::new(spec.clone());
        let why = "--skip-tests".to_owned();
        if !tested {
            let stage = Stage::PostDeployTests;
            request.skips.push(ultrai_deploy_core::journal::Skip { stage, why });
        }
        request.allow_failed = Some(version("1.1.0"));
        request.allow_downgrade = true;
        lab.process().deploy(request).join()
    };
    let second = deploy(false).await.unwrap().release.unwrap();
    lab.deploy(shop("1.2.0", json!({}))).await;
    assert_eq!(target(&lab).await, second);
    assert_eq!(ended(&deploy(true).await.unwrap()), "rolled back");
    assert_eq!(target(&lab).await, first, "passed over");
    let refused = lab.roll_back(&second).await;
    assert_eq!(ended(&refused), "refused");
    assert_eq!(refused.cause().unwrap().kind, ErrorKind::Unhealthy);

    let mut request = RollbackRequest::new(second.clone());
    request.allow_failed = Some(version("1.1.0"));
    let stage = Stage::PostDeployTests;
    let why = "--skip-tests".to_owned();
    request.skips.push(ultrai_deploy_core::journal::Skip { stage, why });
    let report = lab.process().rollback(request).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    lab.deploy(shop("1.3.0", json!({}))).await;
    assert_eq!(target(&lab).await, second, "proven again");
}

/// What failed serves, because going back from it failed: a run that fails after it goes back to what
/// was there, and does not call that a rollback.
#[tokio::test(start_paused = true)]
async fn what_failed_is_no_end_of_an_automatic_rollback() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let spec = with_test(shop("1.1.0", fails(When::Post)), When::Post);
    let parts = faulty(&lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before));
    let bad = parts.start().deploy(DeployRequest::new(spec.clone())).join().await.unwrap();
    assert_eq!(ended(&bad), "stuck");
    let run = lab.process().resume(true, Wait::No).await.unwrap().unwrap();
    assert_eq!(ended(&run.join().await.unwrap()), "rolled back");
    let parts = faulty(&lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before));
    let mut request = DeployRequest::new(spec);
    request.allow_failed = Some(version("1.1.0"));
    let bad = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&bad), "stuck");
    lab.process().abandon("it has to do for now").await.unwrap();
    let before = lab.picture().await;
    assert_eq!(before.serving, bad.release);

    let stuck = lab.deploy(shop("1.2.0", sick())).await;
    assert_eq!(ended(&stuck), "stuck", "{stuck}");
    let told = stuck.to_string();
    assert!(
        told.contains("what ran before serves again and passes its checks, but 1.1.0"),
        "{told}"
    );
    assert_eq!(lab.picture().await, before);
    lab.process().abandon("it has to do for longer").await.unwrap();
    let well = lab.deploy(shop("1.3.0", json!({}))).await;
    assert_eq!(ended(&well), "succeeded", "{well}");
    lab.assert_settled().await;
}

/// Held, and not accepted: another took its place.
#[tokio::test(start_paused = true)]
async fn what_was_held_and_replaced_is_refused() {
    for backend in [json!({}), sick()] {
        let (lab, _, held) = hold::held().await;
        lab.deploy(shop("1.2.0", backend)).await;
        let spec = with_test(shop("1.1.0", fails(When::Post)), When::Post);
        let again = lab.downgrade(spec).await;
        assert_eq!(ended(&again), "refused", "{again}");
        assert!(again.cause().unwrap().message.contains(held.run.as_str()), "{again}");
        lab.assert_settled().await;
    }
}

async fn target(lab: &Lab) -> ReleaseId {
    let pipeline = Parts::start(lab.parts());
    pipeline.release_before(&pipeline.look()).await.unwrap()
}
