//! Whether a deploy could be taken back, found out before it touches anything.

use std::sync::Arc;

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    flag::FlagState,
    journal::Event,
    memory,
    pipeline::{BackupPolicy, DeployRequest, ReadinessPolicy},
    readiness::{Aspect, Readiness},
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
};

use crate::{
    lab::{Lab, Parts, ended, image, shop},
    migrations::with_migration,
};

/// An environment whose release has the image `app:1`, with a store that can lose it.
struct Ground {
    lab: Lab,
    images: memory::Images,
}

impl Ground {
    async fn new() -> Self {
        let images = memory::Images::new().with("app:1").with("app:2");
        let ground = Self { lab: Lab::new(), images };
        let first = ground.deploy(ReadinessPolicy::Block, image("1.0.0", "app:1", None)).await;
        assert_eq!(ended(&first), "succeeded", "{first}");
        ground
    }

    fn parts(&self, readiness: ReadinessPolicy) -> Parts {
        let mut parts = self.lab.parts();
        parts.images = Arc::new(self.images.clone());
        parts.policy.readiness = readiness;
        parts
    }

    async fn deploy(&self, readiness: ReadinessPolicy, spec: ReleaseSpec) -> Report {
        let request = DeployRequest::new(spec);
        self.parts(readiness).start().deploy(request).join().await.unwrap()
    }
}

fn gaps(readiness: &Readiness) -> Vec<Aspect> {
    readiness.gaps().map(|gap| gap.aspect).collect()
}

fn of(report: &Report) -> &Readiness {
    report.readiness.as_ref().unwrap()
}

fn next() -> ReleaseSpec {
    image("1.1.0", "app:2", None)
}

/// A deploy with everything against it.
fn risky() -> ReleaseSpec {
    let mut spec = next();
    let mut migrations = with_migration(next(), "drop table", false).migrations;
    migrations[0].service = crate::lab::service("web");
    spec.migrations = migrations;
    spec.flags.insert("NEW_CART".into(), FlagState::NotConfigured);
    spec.flags.insert("OLD_CART".into(), FlagState::Off);
    spec
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_is_told_with_the_backup_that_was_taken() {
    let ground = Ground::new().await;
    let mut spec = next();
    spec.flags.insert("NEW_CART".into(), FlagState::On);
    let report = ground.deploy(ReadinessPolicy::Block, spec).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    let readiness = of(&report);
    let told: Vec<_> =
        readiness.findings.iter().map(|one| (one.aspect, one.ready, one.why.clone())).collect();
    let backup = format!("{} is whole", report.backup.as_ref().unwrap());
    assert_eq!(
        told,
        [
            (Aspect::Images, true, "all 1 can be had".to_owned()),
            (Aspect::Backup, true, backup),
            (Aspect::Migrations, true, "none is to run".to_owned()),
            (Aspect::Flags, true, "all 1 are switched on or off".to_owned()),
        ]
    );
    assert_eq!(readiness.to, report.previous);
    assert!(report.to_string().contains("  going back: ready\n"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_block_names_every_gap_before_anything_is_touched() {
    let ground = Ground::new().await;
    ground.images.remove("app:1");
    let before = ground.lab.stamps();
    let report = ground.deploy(ReadinessPolicy::Block, risky()).await;
    assert_eq!(ended(&report), "refused", "{report}");
    assert_eq!(gaps(of(&report)), [Aspect::Images, Aspect::Migrations, Aspect::Flags]);
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Refused);
    let told = cause.to_string();
    for words in [
        "previous images: not to be had any more: app:1 of web",
        "migrations: not reversible: `drop table`",
        "feature flags: NEW_CART is not configured",
        "give each a value",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("OLD_CART"), "{told}");
    assert_eq!(report.stages.last().unwrap().stage, Stage::Lock);
    assert_eq!((&report.backup, ground.lab.stamps()), (&None, before));
    assert_eq!(ground.lab.world.task_runs("drop table"), 0);

    let request = DeployRequest::new(risky());
    for (policy, blocked) in [(ReadinessPolicy::Block, true), (ReadinessPolicy::Warn, false)] {
        let pipeline = ground.parts(policy).start();
        let preview = pipeline.plan(&pipeline.look(), &request).await.unwrap();
        assert_eq!(preview.readiness.as_ref(), Some(of(&report)));
        assert_eq!(preview.blocked, blocked);
        let text = preview.to_string();
        assert!(text.contains("going back: NOT READY: feature flags: NEW_CART"), "{text}");
        assert_eq!(text.contains("a deploy is refused"), blocked, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_warning_is_in_the_report_and_the_deploy_goes_on() {
    let ground = Ground::new().await;
    let report = ground.deploy(ReadinessPolicy::Warn, risky()).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(gaps(of(&report)), [Aspect::Migrations, Aspect::Flags]);
    let text = report.to_string();
    assert!(text.contains("  going back: NOT READY: migrations: not reversible"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["readiness"]["findings"][2]["aspect"], "migrations", "{json}");
    // It was run, so it stands against nothing any more.
    let again = ground.deploy(ReadinessPolicy::Warn, risky()).await;
    assert_eq!(gaps(of(&again)), [Aspect::Flags]);
}

/// It was not looked at: no record says anything of it.
#[tokio::test(start_paused = true)]
async fn nothing_is_looked_at_where_the_policy_is_off() {
    let ground = Ground::new().await;
    ground.images.remove("app:1");
    let report = ground.deploy(ReadinessPolicy::Off, risky()).await;
    assert_eq!((ended(&report), &report.readiness), ("succeeded", &None), "{report}");
    let records = ground.lab.records(&report.run).await;
    assert!(!records.iter().any(|record| matches!(record.event, Event::Assessed { .. })));
}

/// A first deploy has nothing to go back to, and is not refused for it.
#[tokio::test(start_paused = true)]
async fn a_first_deploy_is_never_blocked() {
    let lab = Lab::new();
    let mut spec = with_migration(shop("1.0.0", json!({})), "drop table", false);
    spec.flags.insert("NEW_CART".into(), FlagState::Unclear);
    let mut parts = lab.parts();
    parts.policy.readiness = ReadinessPolicy::Block;
    let report = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!((of(&report).to.as_ref(), gaps(of(&report))), (None, vec![Aspect::Flags]));
    let text = report.to_string();
    assert!(text.contains("going back: nothing serves yet"), "{text}");
    assert!(text.contains("NEW_CART is neither on nor off"), "{text}");
    lab.assert_settled().await;
}

/// Without a backup of its own, the newest one of what serves counts, if it is whole.
#[tokio::test(start_paused = true)]
async fn without_a_new_backup_the_last_one_of_what_serves_counts() {
    let lab = Lab::new();
    let plan = async |version: &str| {
        let mut parts = lab.parts();
        parts.policy.backup = BackupPolicy::Off;
        let pipeline = parts.start();
        let request = DeployRequest::new(shop(version, json!({})));
        pipeline.plan(&pipeline.look(), &request).await.unwrap().readiness.unwrap()
    };
    let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
    assert_eq!(gaps(&plan("1.1.0").await), [Aspect::Backup]);
    lab.deploy(shop("1.1.0", json!({}))).await;
    assert_eq!(gaps(&plan("1.2.0").await), [Aspect::Backup], "one of 1.0.0 is none of 1.1.0");
    lab.roll_back(&first).await;
    assert_eq!(gaps(&plan("1.2.0").await), [], "what serves has one");
}
