//! Which backups are kept, and those that are taken outside of a run.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    backup::{Backup, BackupStore, Content, Selection},
    lease::{Holder, Lease, Wait},
    migration::Status,
    name::{BackupId, RunId},
    pipeline::{DataPolicy, DeployRequest, FailureAction, Policy, RollbackRequest},
    readiness::Aspect,
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};
use ultrai_deploy_testkit::faulty::{Fault, Faulty, Method};

use crate::{
    disk::Other,
    lab::{Lab, Parts, ended, fails, only_last, shop, target, with_test},
    migrations::with_migration,
};

async fn all(lab: &Lab) -> Vec<BackupId> {
    ids(lab.backups.list(&target()).await.unwrap())
}

fn ids(backups: Vec<Backup>) -> Vec<BackupId> {
    backups.into_iter().map(|backup| backup.request.id).collect()
}

/// Nothing is kept but what has to be.
fn forgetful(lab: &Lab) -> Parts {
    let mut parts = lab.parts();
    parts.policy.retention = only_last(0);
    parts.policy.keep_releases = 1;
    parts
}

#[tokio::test(start_paused = true)]
async fn a_backup_outside_of_a_run_has_everything_and_comes_back() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    lab.disk.write("by hand");
    let backup = lab.process().back_up("before I try something", Wait::No).await.unwrap();
    assert_eq!(backup.request.reason, "before I try something");
    assert_eq!(backup.request.release, lab.serving().await);
    assert_eq!(lab.holder().await, None, "the lease is given up");
    lab.disk.write("what I tried");
    let what = Selection::all(target(), backup.request.id);
    let request = RollbackRequest::new(lab.serving().await.unwrap()).with_data(what);
    let report = lab.process().rollback(request).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some("by hand"));
}

#[tokio::test(start_paused = true)]
async fn what_a_backup_stopped_runs_again_when_it_fails() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    lab.disk.fail_reads(1);
    let report = lab.deploy(shop("1.1.0", json!({}))).await;
    assert_eq!(ended(&report), "refused", "{report}");
    assert!(!lab.disk.is_stopped(), "after a run");
    lab.disk.fail_reads(1);
    lab.process().back_up("on request", Wait::No).await.unwrap_err();
    assert!(!lab.disk.is_stopped(), "after one that was asked for");
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_backup_stopped_runs_again_when_somebody_looks() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let (limit, patient) = (Duration::from_secs(30), Wait::AtMost(Duration::from_mins(2)));

    lab.disk.hang_reads(1);
    let run = lab.process().deploy(DeployRequest::new(shop("1.1.0", json!({}))));
    tokio::time::timeout(limit, run.join()).await.unwrap_err();
    assert!(lab.disk.is_stopped());
    let run = lab.process().resume(false, patient).await.unwrap().unwrap();
    assert_eq!(ended(&run.join().await.unwrap()), "refused");
    assert!(!lab.disk.is_stopped(), "taken over");

    lab.disk.hang_reads(1);
    let process = lab.process();
    tokio::time::timeout(limit, process.back_up("on request", Wait::No)).await.unwrap_err();
    assert!(lab.disk.is_stopped());
    lab.process().settle(patient).await.unwrap();
    assert!(!lab.disk.is_stopped(), "settled");
}

#[tokio::test(start_paused = true)]
async fn what_serves_and_what_proved_itself_keeps_its_newest_backup() {
    let lab = Lab::new();
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        lab.deploy(shop(version, json!({}))).await;
    }
    let pipeline = forgetful(&lab).start();
    let by_hand = pipeline.back_up("by hand", Wait::No).await.unwrap().request.id;
    let before = all(&lab).await;
    let [oldest, older, of_previous, last] = &before[..] else { panic!("{before:?}") };
    assert_eq!(*last, by_hand);
    // 1.3.0 serves, 1.2.0 served before; of 1.1.0 and 1.0.0 nobody needs one.
    let removable = ids(pipeline.removable_backups().await.unwrap());
    assert_eq!(removable, [oldest.clone(), older.clone()]);
    assert_eq!(all(&lab).await, before, "looking removes nothing");
    assert_eq!(ids(pipeline.prune_backups(Wait::No).await.unwrap()), removable);
    assert_eq!(all(&lab).await, [of_previous.clone(), last.clone()]);
    assert_eq!(lab.holder().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_newest_that_is_whole_is_kept_beside_damaged_ones() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    for _ in 0..3 {
        lab.process().back_up("by hand", Wait::No).await.unwrap();
    }
    let before = all(&lab).await;
    let damaged = Fault::of(Method::Verify).with_kind(ErrorKind::Corrupt);
    let store = Faulty::new(Arc::new(lab.backups.clone())).with(damaged);
    let parts = Parts { backups: Arc::new(store), ..forgetful(&lab) };
    let removable = ids(parts.start().removable_backups().await.unwrap());
    assert_eq!(removable, before[..1], "the newest, and the one before that can be read");
}

#[tokio::test(start_paused = true)]
async fn what_a_held_run_needs_is_kept() {
    let lab = Lab::new();
    lab.deploy(shop("0.9.0", json!({}))).await;
    lab.deploy(shop("1.0.0", json!({}))).await;
    let mut parts = lab.parts();
    parts.policy.failure_actions = [(Stage::PostDeployTests, FailureAction::Hold)].into();
    let failing = with_test(shop("1.1.0", fails(When::Post)), When::Post);
    let request = DeployRequest::new(failing);
    let held = parts.start().deploy(request).join().await.unwrap();
    assert!(held.held_until.is_some(), "{held}");
    for _ in 0..3 {
        lab.process().back_up("by hand", Wait::No).await.unwrap();
    }
    let needed = held.backup.unwrap();
    let removable = ids(forgetful(&lab).start().removable_backups().await.unwrap());
    assert!(!removable.contains(&needed) && !removable.is_empty(), "{removable:?}");
}

/// A migration that may be undone with the data is not taken for applied.
#[tokio::test(start_paused = true)]
async fn migrations_after_the_data_that_came_back_are_doubtful() {
    let lab =
        Lab { policy: Policy { data: DataPolicy::Restore, ..Policy::default() }, ..Lab::new() };
    lab.deploy(with_migration(shop("1.0.0", json!({})), "early", false)).await;
    let both = |version: &str, backend| -> ReleaseSpec {
        let early = with_migration(shop(version, backend), "early", false);
        with_migration(early, "late", false)
    };
    let report = lab.deploy(both("1.1.0", json!({ "healthy": "staged" }))).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    let ledger = lab.process().migrations().await.unwrap();
    assert_eq!((ledger.status("early"), ledger.status("late")), (Status::Applied, Status::Unknown));
    let told = report.to_string();
    assert!(told.contains("began before the data was put back"), "{told}");
    assert!(!told.contains("stays applied"), "{told}");
    // The next deploy does not guess.
    let next = || both("1.2.0", json!({}));
    assert_eq!(ended(&lab.deploy(next()).await), "refused");
    lab.process().mark_migration("late", Status::Pending).await.unwrap();
    assert_eq!(ended(&lab.deploy(next()).await), "succeeded");
    assert_eq!((lab.world.task_runs("early"), lab.world.task_runs("late")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn data_that_is_to_go_back_and_cannot_is_a_gap() {
    let lab =
        Lab { policy: Policy { data: DataPolicy::Restore, ..Policy::default() }, ..Lab::new() };
    lab.deploy(shop("1.0.0", json!({}))).await;
    let ready = lab.deploy(shop("1.1.0", json!({}))).await.readiness.unwrap();
    assert!(ready.is_ready(), "{ready}");
    let none = Parts { source: Arc::new(Other(Content::Evidence)), ..lab.parts() };
    let request = DeployRequest::new(shop("1.2.0", json!({})));
    let report = none.start().deploy(request).join().await.unwrap();
    let gaps: Vec<_> = report.readiness.as_ref().unwrap().gaps().map(|gap| gap.aspect).collect();
    assert_eq!(gaps, [Aspect::Data], "{report}");
}

#[tokio::test(start_paused = true)]
async fn no_backup_is_taken_while_a_run_has_the_environment() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let holder = Holder {
        run: RunId::generate(),
        host: "elsewhere".into(),
        process: 1,
        user: "somebody".into(),
        since: jiff::Timestamp::UNIX_EPOCH,
    };
    lab.lease.acquire(&target(), &holder, Wait::No).await.unwrap();
    let error = lab.process().back_up("by hand", Wait::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let error = lab.process().prune_backups(Wait::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
}
