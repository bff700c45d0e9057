//! Data: what comes back with a rollback, what comes back on request, and what does not.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    backup::{BackupStore, Content, Selection},
    history::Query,
    journal::{Event, Kind},
    lease::Wait,
    name::{BackupId, ReleaseId},
    pipeline::{
        BackupPolicy, DataPolicy, DeployRequest, FailureAction, Policy, RollbackRequest, Run,
    },
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};
use ultrai_deploy_testkit::faulty::{Fault, Faulty, Method};

use crate::{
    disk::{Other, SPOILED},
    lab::{CancelAt, Lab, Parts, ended, fails, shop, target, with_test},
    scenarios::{NOW, OLD, old_data},
};

fn restoring() -> Policy {
    Policy { data: DataPolicy::Restore, ..Policy::default() }
}

/// 0.9.0 served with the old data, and 1.0.0 serves.
async fn lab(policy: Policy) -> Lab {
    let lab = Lab { policy, ..Lab::new() };
    lab.deploy(shop("0.9.0", json!({}))).await;
    lab.disk.write(OLD);
    lab.deploy(shop("1.0.0", json!({}))).await;
    lab.disk.write(NOW);
    lab
}

fn bad() -> ReleaseSpec {
    shop("1.1.0", json!({ "healthy": "staged" }))
}

async fn run(parts: Parts, spec: ReleaseSpec) -> Report {
    parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap()
}

/// The data of then, and the release that serves.
async fn restore(lab: &Lab) -> RollbackRequest {
    RollbackRequest::new(lab.serving().await.unwrap()).with_data(old_data(lab).await)
}

async fn back(parts: Parts, request: RollbackRequest) -> Report {
    parts.start().rollback(request).join().await.unwrap()
}

/// What a release that failed made of the data is never taken for that of the release before it.
#[tokio::test(start_paused = true)]
async fn the_newest_data_of_a_release_are_not_what_a_failed_one_left() {
    let lab = lab(restoring()).await;
    let report = lab.deploy(bad()).await;
    assert_eq!(report.data.replaced.len(), 1, "{report}");
    let found = lab.process().newest_data(&serving(&lab).await).await.unwrap();
    assert_eq!(found.map(|(backup, _)| backup), report.backup);
    let [.., backup] = &lab.backups.list(&target()).await.unwrap()[..] else { panic!() };
    assert!(lab.process().untaken(backup).is_empty());
    let mut other = backup.clone();
    other.parts[0].source = "removed".to_owned();
    assert_eq!(lab.process().untaken(&other).into_iter().collect::<Vec<_>>(), ["removed"]);
}

/// What a backup has of the disk.
async fn kept(lab: &Lab, backup: &BackupId) -> String {
    let copy = crate::disk::Disk::default();
    let cx = lab.process().look();
    let what = Selection::all(target(), backup.clone());
    lab.backups.restore(&cx, &what, &copy).await.unwrap();
    copy.content().unwrap()
}

async fn serving(lab: &Lab) -> ReleaseId {
    lab.serving().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn data_comes_back_with_a_rollback_where_the_policy_says_so() {
    let lab = lab(restoring()).await;
    let report = lab.deploy(bad()).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    let restored = report.data.restored.as_ref().unwrap();
    assert_eq!(Some(&restored.backup), report.backup.as_ref());
    assert_eq!(restored.parts, ["disk/orders", "disk/users"]);
    assert!(restored.went_back);
    // What was written since is not lost.
    let [since] = &report.data.replaced[..] else { panic!("{report}") };
    assert_eq!(kept(&lab, since).await, SPOILED);
    let told = report.to_string();
    assert!(told.contains("Data was rolled back, too, to backup"), "{told}");
    assert!(told.contains(&format!("What was written since is in backup {since}.")), "{told}");
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn data_stays_where_the_policy_says_nothing_and_the_report_says_so() {
    let lab = lab(Policy::default()).await;
    let report = lab.deploy(bad()).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(SPOILED));
    let backup = report.backup.as_ref().unwrap();
    let told = report.to_string();
    assert!(told.contains("Data was NOT rolled back"), "{told}");
    assert!(
        told.contains(&format!("`ultrai backup restore {backup} -e staging` brings that back.")),
        "{told}"
    );
    assert_eq!(report.data.restored, None);

    // And that is what it does.
    let request = RollbackRequest::new(serving(&lab).await)
        .with_data(Selection::all(target(), backup.clone()));
    let report = back(lab.parts(), request).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    assert_eq!(kept(&lab, report.backup.as_ref().unwrap()).await, SPOILED);
    lab.assert_settled().await;
}

/// The release before served all the time, so what was written meanwhile is its own.
#[tokio::test(start_paused = true)]
async fn data_stays_when_the_new_release_never_had_the_traffic() {
    let lab = lab(restoring()).await;
    let mut sick = shop("1.1.0", json!({}));
    sick.services.retain(|name, _| name.as_str() != "backend");
    if let Some(frontend) = sick.services.get_mut(&crate::lab::service("frontend")) {
        frontend.config = json!({ "version": "1.1.0", "healthy": false });
        frontend.depends_on.clear();
    }
    let report = lab.deploy(sick).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(report.data.restored, None, "{report}");
    assert_eq!(lab.disk.restores(), 0);
    assert!(report.to_string().contains("Data was not touched."), "{report}");
}

#[tokio::test(start_paused = true)]
async fn data_on_request_touches_nothing_else() {
    let lab = lab(Policy::default()).await;
    let (before, serves) = (lab.stamps(), serving(&lab).await);
    let request = restore(&lab).await;
    let report = back(lab.parts(), request.clone()).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(report.kind, Some(Kind::Rollback { to: serves, data: request.data.clone() }));
    assert_eq!(lab.disk.content().as_deref(), Some(OLD));
    assert_eq!(lab.stamps(), before, "nothing was restarted");
    assert_eq!(kept(&lab, report.backup.as_ref().unwrap()).await, NOW);
    let told = report.to_string();
    assert!(told.contains("Data was restored from backup"), "{told}");
    let since = format!("What it took the place of is in backup {}", report.backup.unwrap());
    assert!(told.contains(&since), "{told}");
    let entries = lab.process().history(&Query::default()).await.unwrap();
    assert_eq!(entries[0].data_restored, request.data.map(|data| data.backup));
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_single_part_comes_back_and_the_others_stay() {
    let lab = lab(Policy::default()).await;
    let mut request = restore(&lab).await;
    request.data.as_mut().unwrap().parts = vec!["disk/users".to_owned()];
    let report = back(lab.parts(), request.clone()).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!((lab.disk.part("users").as_str(), lab.disk.part("orders").as_str()), (OLD, NOW));

    // Where it fails, what was replaced comes back and nothing else.
    lab.disk.write(NOW);
    lab.disk.write("written since");
    lab.disk.fail_restores(3);
    let report = back(lab.parts(), request).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some("written since"));
    assert_eq!(report.data.restored.unwrap().parts, ["disk/users"]);
}

#[tokio::test(start_paused = true)]
async fn data_that_nobody_has_or_takes_is_refused_before_anything() {
    let lab = lab(Policy::default()).await;
    let before = lab.stamps();
    let good = old_data(&lab).await;
    let with = |parts: &[&str]| Selection {
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        ..good.clone()
    };
    let absent = BackupId::new("20200101T000000Z-absent").unwrap();
    for (what, kind) in [
        (Selection::all(target(), absent), ErrorKind::NotFound),
        (with(&["disk/nothing"]), ErrorKind::NotFound),
        (with(&["disk", "nothing"]), ErrorKind::NotFound),
    ] {
        let request = RollbackRequest::new(serving(&lab).await).with_data(what);
        let report = back(lab.parts(), request).await;
        assert_eq!(ended(&report), "refused", "{report}");
        assert_eq!(report.cause().unwrap().kind, kind, "{report}");
    }
    // A source that is declared no more.
    let parts = Parts { source: Arc::new(Other(Content::Data)), ..lab.parts() };
    let report = back(parts, restore(&lab).await).await;
    assert_eq!(report.cause().unwrap().kind, ErrorKind::Unsupported, "{report}");
    // A backup that is damaged.
    let damaged: Arc<dyn BackupStore> =
        Arc::new(Faulty::new(Arc::new(lab.backups.clone())).with(Fault::of(Method::Verify).at(2)));
    let report = back(Parts { backups: damaged, ..lab.parts() }, restore(&lab).await).await;
    assert_eq!(ended(&report), "refused", "{report}");
    // A release that was retired and forgotten.
    let gone = RollbackRequest::new(ReleaseId::new("gone").unwrap()).with_data(good);
    let report = back(lab.parts(), gone).await;
    assert_eq!(ended(&report), "refused", "{report}");
    assert_eq!((lab.stamps(), lab.disk.content().as_deref()), (before, Some(NOW)));
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_fails_once_is_tried_again() {
    let lab = lab(restoring()).await;
    lab.disk.fail_restores(2);
    let report = lab.deploy(bad()).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    let records = lab.records(&report.run).await;
    let failed = |event: &Event| matches!(event, Event::DataRestoreFailed { .. });
    assert_eq!(records.iter().filter(|record| failed(&record.event)).count(), 2);
    let kept = |event: &Event| matches!(event, Event::BackedUp { .. });
    assert_eq!(records.iter().filter(|record| kept(&record.event)).count(), 2, "none of the half");
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_always_fails_is_stuck_and_named_until_it_is_mended() {
    let lab = lab(restoring()).await;
    lab.disk.fail_restores(u32::MAX);
    let report = lab.deploy(bad()).await;
    assert_eq!(ended(&report), "stuck", "{report}");
    assert_eq!(lab.disk.content(), None, "half of it is written");
    let told = report.to_string();
    assert!(told.contains("Data is HALF RESTORED"), "{told}");
    assert!(told.contains(report.backup.as_ref().unwrap().as_str()), "{told}");
    assert!(told.contains("`ultrai resume --retry` does it again"), "{told}");
    let entries = lab.process().history(&Query::default()).await.unwrap();
    assert_eq!(entries[0].data_half_restored, report.backup);
    assert_eq!(kept(&lab, &report.data.replaced[0]).await, SPOILED);
    // Nobody deploys on top of it.
    let refused = lab.deploy(shop("1.2.0", json!({}))).await;
    assert_eq!(refused.cause().unwrap().kind, ErrorKind::Stuck, "{refused}");

    lab.disk.fail_restores(0);
    let retried = lab.process().resume(true, Wait::No).await.unwrap().unwrap();
    let report = retried.join().await.unwrap();
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    assert_eq!(report.data.replaced.len(), 1, "what is half restored is not kept");
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_overwritten_that_cannot_be_kept() {
    let lab = lab(restoring()).await;
    let store = Faulty::new(Arc::new(lab.backups.clone()))
        .with(Fault::of(Method::Create).at(2).times(u64::MAX));
    let report = run(Parts { backups: Arc::new(store), ..lab.parts() }, bad()).await;
    assert_eq!(ended(&report), "stuck", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(SPOILED), "as it was found");
    assert!(!report.to_string().contains("HALF"), "{report}");
    assert!(report.to_string().contains("Data was NOT rolled back"), "{report}");
    let retried = lab.process().resume(true, Wait::No).await.unwrap().unwrap();
    assert_eq!(ended(&retried.join().await.unwrap()), "rolled back");
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
}

/// It says that it gave the part back, and did not.
#[tokio::test(start_paused = true)]
async fn a_backup_that_is_damaged_or_missing_overwrites_nothing() {
    for fault in
        [Fault::of(Method::Verify).at(2).times(u64::MAX), Fault::of(Method::List).times(u64::MAX)]
    {
        let lab = lab(restoring()).await;
        let store = Faulty::new(Arc::new(lab.backups.clone())).with(fault);
        let report = run(Parts { backups: Arc::new(store), ..lab.parts() }, bad()).await;
        assert_eq!(ended(&report), "stuck", "{report}");
        assert_eq!(lab.disk.content().as_deref(), Some(SPOILED), "as it was found");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restore_without_an_answer_is_waited_out_and_done_again() {
    let lab = lab(restoring()).await;
    lab.disk.hang_restores(1);
    let began = tokio::time::Instant::now();
    let report = lab.deploy(bad()).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    assert!(began.elapsed() >= lab.policy.restore_deadline + lab.policy.settle);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_restore_puts_back_what_it_has_overwritten() {
    let lab = lab(Policy::default()).await;
    lab.disk.hang_restores(1);
    let canceller = CancelAt::new(|event| matches!(event, Event::DataRestoreStarted { .. }));
    let mut parts = lab.parts();
    parts.observers.push(Arc::clone(&canceller) as _);
    let run: Run = parts.start().rollback(restore(&lab).await);
    canceller.watch(&run);
    let report = run.join().await.unwrap();
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert!(report.cancelled);
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    lab.assert_settled().await;
}

/// Its data is what was there before the first of both.
#[tokio::test(start_paused = true)]
async fn what_takes_the_place_of_a_held_run_goes_back_to_the_data_before_both() {
    let lab = lab(restoring()).await;
    let parts = |lab: &Lab| {
        let mut parts = lab.parts();
        let hold = (Stage::PostDeployTests, FailureAction::Hold);
        parts.policy.failure_actions = [hold].into();
        parts
    };
    let failing = with_test(shop("1.1.0", fails(When::Post)), When::Post);
    let held = run(parts(&lab), failing).await;
    assert!(held.held_until.is_some(), "{held}");
    lab.disk.write("written by what is held");
    let report = run(parts(&lab), shop("1.2.0", json!({ "healthy": "staged" }))).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    assert_eq!(report.data.restored.as_ref().map(|data| &data.backup), held.backup.as_ref());
    assert_ne!(report.backup, held.backup);
    let own = report.backup.as_ref().unwrap();
    assert_eq!(kept(&lab, own).await, "written by what is held");
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn old_data_is_kept_again_right_before_the_first_effect() {
    for (age, times) in [(Duration::ZERO, 2), (Duration::from_mins(5), 1)] {
        let lab = lab(Policy { backup_max_age: age, ..restoring() }).await;
        let report = lab.deploy(bad()).await;
        let records = lab.records(&report.run).await;
        let at =
            |is: fn(&Event) -> bool| records.iter().position(|record| is(&record.event)).unwrap();
        let before = &records[..at(|event| matches!(event, Event::Intent { .. }))];
        let kept = |event: &Event| matches!(event, Event::BackedUp { .. });
        assert_eq!(before.iter().filter(|one| kept(&one.event)).count(), times, "{report}");
        if times == 2 {
            let last = before.iter().rev().find(|one| kept(&one.event)).unwrap();
            let Event::BackedUp { data, parts, backup, .. } = &last.event else { panic!() };
            assert_eq!((data.len(), *parts), (2, 2), "data only");
            assert_eq!(report.data.restored.as_ref().map(|data| &data.backup), Some(backup));
            assert_ne!(report.backup.as_ref(), Some(backup));
        }
        assert_eq!(lab.disk.content().as_deref(), Some(NOW));
    }
}

/// A refresh that fails is a failure before anything was touched.
#[tokio::test(start_paused = true)]
async fn nothing_is_deployed_on_data_that_cannot_be_kept_again() {
    let lab = lab(Policy { backup_max_age: Duration::ZERO, ..Policy::default() }).await;
    let before = lab.stamps();
    let store = Faulty::new(Arc::new(lab.backups.clone())).with(Fault::of(Method::Verify).at(2));
    let report = run(Parts { backups: Arc::new(store), ..lab.parts() }, bad()).await;
    assert_eq!(ended(&report), "refused", "{report}");
    assert_eq!((lab.stamps(), lab.disk.content().as_deref()), (before, Some(NOW)));
    lab.disk.fail_reads(1);
    assert_eq!(ended(&lab.deploy(bad()).await), "refused");
}

#[tokio::test(start_paused = true)]
async fn data_on_request_is_kept_before_also_where_the_policy_asks_for_no_backups() {
    let lab = lab(Policy::default()).await;
    let mut parts = lab.parts();
    parts.policy.backup = BackupPolicy::Off;
    let report = back(parts, restore(&lab).await).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(kept(&lab, report.backup.as_ref().unwrap()).await, NOW);
}

/// Whoever goes back without the data is told so.
#[tokio::test(start_paused = true)]
async fn a_rollback_without_data_says_that_it_was_not_rolled_back() {
    let lab = lab(Policy::default()).await;
    let oldest = lab.process().proven().await.unwrap().pop().unwrap();
    let told = back(lab.parts(), RollbackRequest::new(oldest)).await.to_string();
    assert!(told.contains("Data was NOT rolled back, nor what migrations made of it"), "{told}");
    let told = lab.deploy(shop("1.2.0", json!({}))).await.to_string();
    assert!(!told.contains("rolled back"), "{told}");
}

/// What was written between the backup and the switch is in a backup of its own.
#[tokio::test(start_paused = true)]
async fn a_rollback_with_data_keeps_what_was_written_until_then() {
    let lab = lab(Policy::default()).await;
    let oldest = lab.process().proven().await.unwrap().pop().unwrap();
    let request = RollbackRequest::new(oldest.clone()).with_data(old_data(&lab).await);
    let report = back(lab.parts(), request).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(serving(&lab).await, oldest);
    assert_eq!(lab.disk.content().as_deref(), Some(OLD));
    assert_eq!(kept(&lab, report.backup.as_ref().unwrap()).await, NOW);
    assert_eq!(kept(&lab, &report.data.replaced[0]).await, SPOILED);
}
