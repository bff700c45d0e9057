//! Which versions a deploy may bring.

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    journal::Event,
    pipeline::{DeployRequest, PreReleases},
    report::Report,
};

use crate::{
    hold,
    lab::{Lab, ended, service, shop},
};

async fn plan(lab: &Lab, request: &DeployRequest) -> ultrai_deploy_core::Result<()> {
    let pipeline = lab.process();
    pipeline.plan(&pipeline.look(), request).await.map(drop)
}

fn request(version: &str) -> DeployRequest {
    DeployRequest::new(shop(version, json!({})))
}

/// Nothing was built, nothing is left, and nothing was backed up.
fn assert_refused_early(report: &Report, why: &str) {
    assert_eq!(ended(report), "refused", "{report}");
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Refused);
    assert!(cause.to_string().contains(why), "{cause}");
    assert_eq!((&report.backup, &report.release), (&None, &None), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_lower_version_is_refused_until_it_is_allowed() {
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
    lab.deploy(shop("1.1.0", json!({}))).await;
    let before = lab.stamps();
    for lower in ["1.0.0", "1.1.0-rc.1"] {
        let report = lab.deploy(shop(lower, json!({}))).await;
        assert_refused_early(&report, &format!("{lower} is lower than 1.1.0, which serves"));
        let told = report.cause().unwrap().to_string();
        assert!(told.contains(&format!("`ultrai rollback --to {lower}`")), "{told}");
        assert!(told.contains("--allow-downgrade"), "{told}");
        let planned = plan(&lab, &request(lower)).await.unwrap_err();
        assert!(planned.to_string().contains("is lower than 1.1.0"), "{planned}");
    }
    assert_eq!(lab.stamps(), before);

    let other = lab.deploy(shop("1.1.0+2", json!({ "replicas": 2 }))).await;
    assert_eq!(ended(&other), "succeeded", "the same version with other content: {other}");
    let mut allowed = request("1.0.0");
    allowed.allow_downgrade = true;
    plan(&lab, &allowed).await.unwrap();
    let report = lab.process().deploy(allowed).join().await.unwrap();
    assert_eq!((ended(&report), report.release.as_ref()), ("succeeded", Some(&first)), "{report}");
    lab.assert_settled().await;
}

/// A rollback leads to lower versions, and what is lower than what it left is no downgrade any more.
#[tokio::test(start_paused = true)]
async fn a_rollback_is_no_downgrade() {
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
    lab.deploy(shop("2.0.0", json!({}))).await;
    assert_eq!(ended(&lab.roll_back(&first).await), "succeeded");
    assert_eq!(ended(&lab.deploy(shop("1.0.1", json!({}))).await), "succeeded");
}

/// 1.1.0 is held: a fix of 1.0.0 may take its place, and nothing lower than that may.
#[tokio::test(start_paused = true)]
async fn what_is_held_is_not_what_counts() {
    let (lab, ..) = hold::held().await;
    let refused = lab.deploy(shop("0.9.0", json!({}))).await;
    assert_refused_early(&refused, "0.9.0 is lower than 1.0.0");
    assert!(plan(&lab, &request("0.9.0")).await.is_err());
    plan(&lab, &request("1.0.1")).await.unwrap();
    assert_eq!(ended(&lab.deploy(shop("1.0.1", json!({}))).await), "succeeded");
    lab.assert_settled().await;
}

/// Nobody knows what version it has that others started.
#[tokio::test(start_paused = true)]
async fn what_others_started_is_not_compared() {
    let lab = Lab::new();
    lab.world.add_unmanaged(service("web"), json!({}));
    plan(&lab, &request("0.0.0-a")).await.unwrap();
    let report = lab.deploy(shop("0.0.0-a", json!({}))).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_pre_release_is_refused_by_the_policy() {
    let lab = Lab::new();
    let strict = || {
        let mut parts = lab.parts();
        parts.policy.pre_releases = PreReleases::Refused;
        parts.start()
    };
    let run = strict().deploy(request("1.0.0-rc.1"));
    let id = run.id().clone();
    let report = run.join().await.unwrap();
    assert_refused_early(&report, "1.0.0-rc.1 is a pre-release");
    assert!(report.to_string().contains("--allow-pre-release"), "{report}");
    let locked = |event: &Event| matches!(event, Event::Locked { .. });
    assert!(!lab.records(&id).await.iter().any(|record| locked(&record.event)));
    let pipeline = strict();
    let planned = pipeline.plan(&pipeline.look(), &request("1.0.0-rc.1")).await.unwrap_err();
    assert!(planned.to_string().contains("pre-release"), "{planned}");

    let mut allowed = request("1.0.0-rc.1");
    allowed.allow_pre_release = true;
    pipeline.plan(&pipeline.look(), &allowed).await.unwrap();
    assert_eq!(ended(&strict().deploy(allowed).join().await.unwrap()), "succeeded");
    assert_eq!(ended(&strict().deploy(request("1.0.0")).join().await.unwrap()), "succeeded");
}
