//! Runs that nothing disturbs: first deploy, upgrade, the same again, adoption, rollback.

use std::sync::{Arc, Mutex};

use serde_json::json;
use ultrai_deploy_core::{
    Ending, ErrorKind,
    backup::BackupStore,
    history::Query,
    journal::{Event, Kind, Record},
    name::{ReleaseId, RunId},
    observer::Observer,
    pipeline::{DeployRequest, RollbackRequest, Run},
    release_store::ReleaseStore,
    report::StageStatus,
    stage::Stage,
    verification::When,
};

use crate::faults::FailingTasks;
use crate::journals::Paper;
use crate::lab::{
    Lab, durable, ended, fails, only_last, service, shop, spec, target, with_check, with_test,
};

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test(start_paused = true)]
async fn first_deploy_upgrade_and_the_same_again() {
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await;
    assert_eq!(ended(&first), "succeeded");
    assert_eq!(first.previous, None);
    lab.assert_settled().await;

    let second = lab.deploy(shop("1.1.0", json!({}))).await;
    assert_eq!(second.ending, Some(Ending::Succeeded { changed: true }));
    assert_eq!(second.previous, first.release);
    assert!(second.previous_proven);
    assert!(second.backup.is_some());
    assert_eq!(lab.serving().await, second.release);
    lab.assert_settled().await;

    let before = lab.stamps();
    let mut elsewhere = shop("1.1.0", json!({}));
    elsewhere.provenance = json!({ "working_dir": "/another/checkout" });
    let again = lab.deploy(elsewhere).await;
    assert_eq!(again.ending, Some(Ending::Succeeded { changed: false }));
    assert_eq!(lab.stamps(), before, "nothing was touched");
    assert!(
        !lab.records(&again.run)
            .await
            .iter()
            .any(|record| matches!(record.event, Event::Intent { .. } | Event::Effect { .. })),
        "nothing was even begun"
    );

    let history = lab.process().history(&Query::default()).await.unwrap();
    let seen: Vec<_> = history.iter().map(|entry| entry.ending.as_ref().unwrap()).collect();
    assert_eq!(
        seen,
        [
            &Ending::Succeeded { changed: false },
            &Ending::Succeeded { changed: true },
            &Ending::Succeeded { changed: true }
        ]
    );
    assert_eq!(history[0].user.as_deref(), Some("somebody"));
    let proven = lab.process().proven().await.unwrap();
    assert_eq!(proven, [second.release.clone().unwrap(), first.release.clone().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn a_report_tells_every_stage_check_and_test() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let new = with_check(shop("1.1.0", json!({})), When::Verify, json!({ "healthy": true }));
    let new = with_test(with_test(new, When::Pre), When::Post);
    let report = lab.deploy(new).await;
    assert_eq!(report.stages.len(), Stage::ALL.len() - 1, "all but the report itself");
    for stage in &report.stages {
        let skipped = stage.stage == Stage::Watch;
        let expected = if skipped { StageStatus::Skipped } else { StageStatus::Done };
        assert_eq!(stage.status, expected, "{}", stage.stage);
    }
    let named = |name: &str| report.checks.iter().filter(|check| check.check == name).count();
    assert_eq!(named("Verify check"), 1);
    assert_eq!(named("frontend health"), 2, "staged and live");
    assert_eq!(named("backend health"), 1, "live only: it stops first");
    assert!(report.checks.iter().all(|check| check.release == report.release));
    let tests: Vec<_> = report.tests.iter().map(|test| test.test.as_str()).collect();
    assert_eq!(tests, ["Pre test", "Post test"]);
    let text = report.to_string();
    assert!(text.starts_with("deploy of 1.1.0 to shop/staging: succeeded ("), "{text}");
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["ending"], json!({ "kind": "succeeded", "changed": true }));
    assert_eq!(lab.process().report(&report.run).await.unwrap(), report);
}

#[derive(Debug)]
struct Seen(Paper, Mutex<Vec<Record>>);

impl Observer for Seen {
    fn on_record(&self, run: &RunId, record: &Record) {
        let mut seen = self.1.lock().unwrap();
        seen.push(record.clone());
        assert_eq!(*seen, durable(&self.0, run), "each once, and when it is durable");
    }
    fn on_output(&self, _: &RunId, _: &str, _: &str) {}
}

#[tokio::test(start_paused = true)]
async fn observers_see_every_record_once() {
    let lab = Lab::new();
    let seen = Arc::new(Seen(lab.journal.clone(), Mutex::default()));
    let mut parts = lab.parts();
    parts.observers.push(Arc::clone(&seen) as Arc<dyn Observer>);
    let run = parts.start().deploy(DeployRequest::new(shop("1.0.0", json!({}))));
    let report = assert_send(run.join()).await.unwrap();
    let records = lab.records(&report.run).await;
    assert_eq!(*seen.1.lock().unwrap(), records);
}

#[tokio::test(start_paused = true)]
async fn only_what_changed_is_replaced_and_what_is_gone_is_removed() {
    let lab = Lab::new();
    lab.deploy(spec("1.0.0", &[("a", json!({ "n": 1 }), &[]), ("b", json!({}), &[])])).await;
    let before = lab.picture().await;
    lab.deploy(spec("1.1.0", &[("a", json!({ "n": 1 }), &[]), ("c", json!({}), &[])])).await;
    lab.assert_settled().await;
    let after = lab.picture().await;
    assert_eq!(after.live[0].0, before.live[0].0, "a is the same instance");
    assert!(after.live[1].0.starts_with("c-"));
}

#[tokio::test(start_paused = true)]
async fn back_to_an_older_proven_release() {
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
    let second = lab.deploy(shop("1.1.0", json!({}))).await.release.unwrap();
    let report = lab.roll_back(&first).await;
    assert_eq!(ended(&report), "succeeded");
    assert_eq!(report.kind, Some(Kind::Rollback { to: first.clone(), data: None }));
    assert_eq!(report.version.as_ref().unwrap().as_str(), "1.0.0");
    assert_eq!((report.release.as_ref(), report.previous.as_ref()), (Some(&first), Some(&second)));
    assert!(report.backup.is_some(), "the present state is kept, too");
    assert_eq!(lab.serving().await, Some(first));
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_to_an_unknown_release_touches_nothing() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.stamps();
    let report = lab.roll_back(&ReleaseId::new("feedfeedfeedfeed").unwrap()).await;
    assert_eq!(ended(&report), "refused");
    assert_eq!(report.cause().unwrap().kind, ErrorKind::NotFound);
    assert_eq!(lab.stamps(), before);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_ends_where_it_began() {
    let lab = Lab::new();
    // It works as long as it is new, and not when it is started a second time.
    let first = lab.deploy(shop("1.0.0", json!({ "healthy": "once" }))).await;
    lab.deploy(shop("1.1.0", json!({}))).await;
    let before = lab.picture().await;
    let broken = lab.deploy(shop("1.2.0", json!({ "healthy": false }))).await;
    assert_eq!(ended(&broken), "rolled back");
    let mut request = RollbackRequest::new(broken.release.unwrap());
    let refused = lab.process().rollback(request.clone()).join().await.unwrap();
    assert_eq!(ended(&refused), "refused");
    // Never proven, but a person may ask for it by name.
    request.allow_failed = broken.version;
    let report = lab.process().rollback(request).join().await.unwrap();
    assert_eq!(ended(&report), "rolled back");
    assert_eq!(lab.picture().await, before);
    let report = lab.roll_back(first.release.as_ref().unwrap()).await;
    assert_eq!(ended(&report), "succeeded", "a new instance of it is well");
}

fn adopted() -> (Lab, Vec<String>) {
    let lab = Lab::new();
    let ids = ["backend", "db"]
        .map(|name| lab.world.add_unmanaged(service(name), json!({ "by": "hand" })));
    (lab, ids.to_vec())
}

#[tokio::test(start_paused = true)]
async fn what_others_started_is_adopted_and_replaced() {
    let (lab, _) = adopted();
    let report = lab.deploy(shop("1.0.0", json!({}))).await;
    assert_eq!(ended(&report), "succeeded");
    assert!(report.previous.is_some());
    assert!(!report.previous_proven);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_started_comes_back() {
    let (lab, ids) = adopted();
    let report = lab.deploy(shop("1.0.0", json!({ "healthy": "staged" }))).await;
    assert_eq!(ended(&report), "rolled back");
    let live: Vec<_> = lab.world.live().into_iter().map(|one| one.id).collect();
    assert_eq!(live, ids);
    assert_eq!(lab.serving().await, None);
    assert!(report.to_string().contains("which no run had proven"), "{report}");
    lab.assert_settled().await;
    // It can be taken over again, and this time for good.
    let report = lab.deploy(shop("1.0.1", json!({}))).await;
    assert_eq!(ended(&report), "succeeded");
    lab.assert_settled().await;
}

/// Deploying what serves already, when part of it has died, starts that part again.
#[tokio::test(start_paused = true)]
async fn the_same_release_mends_what_died() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let backend = lab.world.live().into_iter().find(|one| one.service == service("backend"));
    lab.world.crash(&backend.unwrap().id);
    let report = lab.deploy(shop("1.0.0", json!({}))).await;
    assert_eq!(ended(&report), "succeeded");
    assert_eq!(report.previous, report.release);
    lab.assert_settled().await;
}

/// There is no other release to return to, so what the run did is undone; then what was there
/// before passes its checks after all, or a person has to look.
#[tokio::test(start_paused = true)]
async fn the_same_release_that_fails_again_is_undone() {
    for (config, ending) in [(json!({}), "rolled back"), (json!({ "healthy": "once" }), "stuck")] {
        let lab = Lab::new();
        let release = with_test(shop("1.0.0", config), When::Post);
        lab.deploy(release.clone()).await;
        let before = lab.picture().await;
        let backend = lab.world.live().into_iter().find(|one| one.service == service("backend"));
        lab.world.crash(&backend.unwrap().id);
        let mut parts = lab.parts();
        parts.tasks = Arc::new(FailingTasks);
        let report = parts.start().deploy(DeployRequest::new(release)).join().await.unwrap();
        assert_eq!(ended(&report), ending, "{report}");
        assert_eq!(lab.picture().await, before, "the instances from before are back");
        assert_eq!(lab.world.leftovers(), []);
        if let Some(Ending::Stuck { undo, .. }) = &report.ending {
            assert!(undo.to_string().contains("is the same one"), "{undo}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_some_stages_may_be_left_out() {
    use ultrai_deploy_core::journal::Skip;
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
    for stage in Stage::ALL {
        let mut request = DeployRequest::new(with_test(shop("1.1.0", fails(When::Pre)), When::Pre));
        request.skips = vec![Skip { stage, why: "--skip".into() }];
        let report = lab.process().deploy(request).join().await.unwrap();
        let expected = match stage {
            Stage::PreDeployTests => "succeeded",
            _ => "refused",
        };
        assert_eq!(ended(&report), expected, "without {stage}");
        let optional = [Stage::Build, Stage::PreDeployTests, Stage::PostDeployTests, Stage::Watch];
        if !optional.contains(&stage) {
            assert_eq!(report.cause().unwrap().kind, ErrorKind::Invalid, "without {stage}");
        }
        lab.roll_back(&first).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pruning_keeps_what_a_rollback_could_need() {
    let lab = Lab::new();
    let mut released = Vec::new();
    for patch in 0..9 {
        let mut parts = lab.parts();
        parts.policy.keep_releases = 2;
        parts.policy.retention = only_last(3);
        let spec = shop(&format!("1.0.{patch}"), json!({}));
        // Refused and rolled back runs in between count for nothing.
        lab.deploy(shop("6.6.6", json!({ "supported": false }))).await;
        lab.deploy(shop("6.6.7", json!({ "starts": false }))).await;
        let report = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap();
        released.push(report.release.unwrap());
        assert_eq!(report.notes, Vec::<String>::new());
    }
    let kept = lab.releases.list().await.unwrap();
    let backups = lab.backups.list(&target()).await.unwrap();
    for id in released.iter().rev().take(3) {
        assert!(kept.contains(id), "one of the newest is gone");
    }
    for backup in &backups {
        assert!(kept.contains(backup.request.release.as_ref().unwrap()), "of a kept backup");
    }
    assert!(!kept.contains(&released[0]) && !kept.contains(&released[1]), "the old ones are gone");
    let report = lab.roll_back(&released[6]).await;
    assert_eq!(ended(&report), "succeeded");
}

/// The backups of one release count once, so an older one's may be kept long; its release is, too.
#[tokio::test(start_paused = true)]
async fn the_release_of_a_kept_backup_is_kept() {
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
    lab.deploy(shop("1.1.0", json!({}))).await;
    for _ in 0..4 {
        lab.deploy(shop("1.1.0", json!({}))).await;
    }
    let mut parts = lab.parts();
    parts.policy.keep_releases = 0;
    parts.policy.retention = only_last(2);
    let request = DeployRequest::new(shop("1.2.0", json!({})));
    parts.start().deploy(request).join().await.unwrap();
    let backups = lab.backups.list(&target()).await.unwrap();
    assert_eq!(backups[0].request.release.as_ref(), Some(&first), "{}", backups.len());
    assert_eq!(ended(&lab.roll_back(&first).await), "succeeded");
}

/// Looking from outside a run: what serves must be the release, the whole of it, nothing else.
#[tokio::test(start_paused = true)]
async fn verify_sees_what_is_wrong_and_changes_nothing() {
    let lab = Lab::new();
    let pipeline = lab.process();
    let error = pipeline.verify(&pipeline.look()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);

    lab.deploy(shop("1.0.0", json!({}))).await;
    let (_, proof) = pipeline.verify(&pipeline.look()).await.unwrap();
    assert!(proof.passed());

    lab.world.add_unmanaged(service("stray"), json!({}));
    let (_, proof) = pipeline.verify(&pipeline.look()).await.unwrap();
    let failed: Vec<_> = proof.outcomes.iter().filter_map(|one| one.why.as_deref()).collect();
    assert_eq!(failed, ["stray runs and is not of this release"]);

    for one in lab.world.live() {
        lab.world.crash(&one.id);
    }
    let stamps = lab.stamps();
    let (_, proof) = pipeline.verify(&pipeline.look()).await.unwrap();
    assert!(proof.outcomes.iter().all(|one| one.why.is_some()), "{:?}", proof.outcomes);
    assert_eq!(lab.stamps(), stamps);
    let histories = pipeline.history(&Query::default()).await.unwrap();
    assert_eq!(histories.len(), 1, "looking is not a run");
}

/// The join can be spawned by whoever wants to.
#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "this is what an embedder does")]
async fn a_run_can_be_spawned() {
    let lab = Lab::new();
    let run: Run = lab.process().deploy(DeployRequest::new(shop("1.0.0", json!({}))));
    let report = tokio::spawn(run.join()).await.unwrap().unwrap();
    assert_eq!(ended(&report), "succeeded");
    let missing = RollbackRequest::new(ReleaseId::new("0").unwrap());
    let run = lab.process().rollback(missing);
    assert_eq!(ended(&tokio::spawn(run.join()).await.unwrap().unwrap()), "refused");
}

/// Whoever looks in sees what is true now, at the latest when the run is over.
#[tokio::test(start_paused = true)]
async fn the_state_of_a_run_can_be_watched() {
    let lab = Lab::new();
    let pipeline = lab.process();
    let run = pipeline.deploy(DeployRequest::new(shop("1.0.0", json!({ "healthy_after": 12 }))));
    let mut state = run.watch();
    assert_eq!(state.borrow().phase().describe(), "not begun");
    let watched = async {
        state.wait_for(|state| state.phase().describe() == "in deploy").await.unwrap();
        let over = state.wait_for(|state| state.ending().is_some()).await.unwrap().clone();
        assert!(state.changed().await.is_err(), "nothing follows");
        over
    };
    let (report, over) = tokio::join!(run.join(), watched);
    assert_eq!(over.ending(), report.unwrap().ending.as_ref());
}
