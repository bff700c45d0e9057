//! Which release a rollback without a target returns to.

use std::sync::Arc;

use serde_json::json;
use ultrai_deploy_core::{
    Ending, ErrorKind, Result,
    deployer::Step,
    memory,
    name::ReleaseId,
    pipeline::{DeployRequest, RollbackRequest},
    release_store::ReleaseStore,
    version::Version,
};

use crate::{
    failures::faulty,
    faults::{Call, How},
    lab::{Lab, Parts, ended, image, service, shop},
};

async fn deploy(lab: &Lab, version: &str) -> ReleaseId {
    let report = lab.deploy(shop(version, json!({}))).await;
    assert!(ended(&report).starts_with("succeeded"), "{report}");
    report.release.unwrap()
}

async fn target(lab: &Lab) -> Result<ReleaseId> {
    let pipeline = lab.process();
    pipeline.release_before(&pipeline.look()).await
}

/// Rolls back as the command does.
async fn roll_back(lab: &Lab) -> ReleaseId {
    let to = target(lab).await.unwrap();
    let report = lab.roll_back(&to).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    to
}

#[tokio::test(start_paused = true)]
async fn each_rollback_leads_further_back() {
    let lab = Lab::new();
    let a = deploy(&lab, "1.0.0").await;
    let b = deploy(&lab, "1.1.0").await;
    deploy(&lab, "1.2.0").await;
    assert_eq!(roll_back(&lab).await, b);
    assert_eq!(roll_back(&lab).await, a);
    let error = target(&lab).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("nothing was proven in shop/staging before"), "{error}");
    // And from there on.
    let d = deploy(&lab, "1.3.0").await;
    deploy(&lab, "1.4.0").await;
    assert_eq!([roll_back(&lab).await, roll_back(&lab).await], [d, a]);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_deployed_again_comes_after_what_it_replaced() {
    let lab = Lab::new();
    let a = deploy(&lab, "1.0.0").await;
    let b = deploy(&lab, "1.1.0").await;
    assert_eq!(lab.downgrade(shop("1.0.0", json!({}))).await.release.unwrap(), a);
    assert_eq!(deploy(&lab, "1.0.0").await, a, "nothing changes");
    assert_eq!([roll_back(&lab).await, roll_back(&lab).await], [b, a]);
    assert!(target(&lab).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_failed_or_is_gone_is_passed_over() {
    let lab = Lab::new();
    assert_eq!(target(&lab).await.unwrap_err().kind(), ErrorKind::Invalid);
    let a = deploy(&lab, "1.0.0").await;
    let b = deploy(&lab, "1.1.0").await;
    let sick = lab.deploy(shop("1.2.0", json!({ "healthy": "staged" }))).await;
    assert_eq!(ended(&sick), "rolled back");
    assert_eq!(target(&lab).await.unwrap(), a);
    deploy(&lab, "1.3.0").await;
    assert_eq!(target(&lab).await.unwrap(), b);
    lab.releases.remove(&b).await.unwrap();
    assert_eq!(target(&lab).await.unwrap(), a);
}

/// What serves is no release that was proven: the last one that was is the one to return to.
#[tokio::test(start_paused = true)]
async fn what_nobody_has_proven_is_left_for_the_last_that_was() {
    let lab = Lab::new();
    deploy(&lab, "1.0.0").await;
    let b = deploy(&lab, "1.1.0").await;
    let parts = faulty(&lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before));
    let spec = shop("1.2.0", json!({ "healthy": "staged" }));
    let stuck = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap();
    assert!(stuck.ending.as_ref().is_some_and(Ending::is_stuck));
    lab.process().abandon("we go back by hand").await.unwrap();
    assert_eq!(lab.serving().await, stuck.release);
    assert_eq!(target(&lab).await.unwrap(), b);

    let lab = Lab::new();
    let a = deploy(&lab, "1.0.0").await;
    for one in lab.world.live() {
        lab.world.crash(&one.id);
    }
    lab.releases.set_current(None).await.unwrap();
    lab.world.add_unmanaged(service("web"), json!({}));
    assert_eq!(target(&lab).await.unwrap(), a);
}

#[tokio::test(start_paused = true)]
async fn a_version_is_its_newest_proven_release_that_is_stored() {
    let lab = Lab::new();
    let of = async |version: &str| {
        lab.process().release_of_version(&Version::parse(version).unwrap()).await
    };
    let none = of("1.0.0").await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Invalid);
    assert!(none.to_string().contains("nothing was proven there yet"), "{none}");

    let first = deploy(&lab, "1.0.0").await;
    deploy(&lab, "1.1.0").await;
    let again = lab.downgrade(shop("1.0.0", json!({ "n": 2 }))).await.release.unwrap();
    lab.deploy(shop("1.0.0", json!({ "healthy": "staged" }))).await;
    lab.deploy(shop("1.2.0", json!({ "healthy": "staged" }))).await;
    assert_eq!(of("v1.0.0").await.unwrap(), again, "not what failed, and the later one");

    // Only what was proven is known.
    let unknown = of("1.2.0").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Invalid);
    assert!(unknown.to_string().contains("the proven ones are 1.0.0, 1.1.0"), "{unknown}");

    deploy(&lab, "1.3.0").await;
    lab.releases.remove(&again).await.unwrap();
    assert_eq!(of("1.0.0").await.unwrap(), first);
    lab.releases.remove(&first).await.unwrap();
    assert_eq!(of("1.0.0").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_version_whose_image_is_gone_changes_nothing() {
    let lab = Lab::new();
    let images = memory::Images::new().with("app:1").with("app:2");
    let process = || Parts { images: Arc::new(images.clone()), ..lab.parts() }.start();
    for (version, reference) in [("1.0.0", "app:1"), ("2.0.0", "app:2")] {
        let run = process().deploy(DeployRequest::new(image(version, reference, None)));
        assert_eq!(ended(&run.join().await.unwrap()), "succeeded");
    }
    let before = (lab.stamps(), lab.serving().await);
    images.remove("app:1");
    let to = process().release_of_version(&Version::parse("1.0.0").unwrap()).await.unwrap();
    let report = process().rollback(RollbackRequest::new(to)).join().await.unwrap();
    assert_eq!(ended(&report), "refused", "{report}");
    assert_eq!(report.cause().unwrap().kind, ErrorKind::NotFound, "{report}");
    assert_eq!((lab.stamps(), lab.serving().await), before);
}
