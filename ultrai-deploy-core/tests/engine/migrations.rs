//! Migrations: once in an environment, never undone by themselves, and never guessed at.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Ending, ErrorKind,
    deployer::Step,
    journal::Event,
    migration::{Migration, Status},
    pipeline::DeployRequest,
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
};

use crate::{
    hold,
    journals::{At, Deadly, Kill},
    lab::{CancelAt, Lab, Parts, ended, only_last, service, shop},
};

/// Adds a migration in the backend, which may say how it ends by `{"tasks": {"<name>": 1}}`.
pub(crate) fn with_migration(mut spec: ReleaseSpec, name: &str, repeatable: bool) -> ReleaseSpec {
    spec.migrations.push(Migration {
        name: name.into(),
        service: service("backend"),
        command: vec!["migrate".into(), name.into()],
        reversible: repeatable,
        repeatable,
        timeout: Duration::from_mins(1),
    });
    spec
}

fn migrating(version: &str, backend: Value) -> ReleaseSpec {
    with_migration(with_migration(shop(version, backend), "one", false), "two", true)
}

fn runs(lab: &Lab) -> [u32; 2] {
    ["one", "two"].map(|name| lab.world.task_runs(name))
}

async fn status(lab: &Lab, name: &str) -> Status {
    lab.process().migrations().await.unwrap().status(name)
}

fn told(report: &Report) -> Vec<(&str, Status)> {
    report.migrations.iter().map(|one| (one.migration.as_str(), one.status)).collect()
}

/// Killed between the intent of a migration and its result, after the command itself.
fn after_the_command(first: bool) -> (At, Kill) {
    // In a first deploy, the first effect creates what it depends on.
    let is_it: fn(&Event) -> bool = if first {
        |event| matches!(event, Event::EffectDone { effect: 2, .. })
    } else {
        |event| matches!(event, Event::EffectDone { effect: 1, .. })
    };
    (At::Event(is_it), Kill::Before)
}

async fn killed(lab: &Lab, spec: ReleaseSpec, at: (At, Kill)) {
    let journal = Deadly::new(lab, Some(at));
    let parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
    assert!(journal.drive(parts.start().deploy(DeployRequest::new(spec))).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn each_runs_once_and_in_order_before_anything_changes() {
    for first in [true, false] {
        let lab = Lab::new();
        if !first {
            lab.deploy(shop("1.0.0", json!({}))).await;
        }
        let report = lab.deploy(migrating("1.1.0", json!({}))).await;
        assert_eq!(ended(&report), "succeeded", "{report}");
        assert_eq!(told(&report), [("one", Status::Applied), ("two", Status::Applied)]);
        assert_eq!(report.migrations[0].tail, "migrate one ended with 0");
        let records = lab.records(&report.run).await;
        let seq =
            |is: fn(&Event) -> bool| records.iter().find(|record| is(&record.event)).unwrap().seq;
        let (begun, staged) = (
            seq(
                |event| matches!(event, Event::MigrationEnded { migration, .. } if migration == "two"),
            ),
            seq(|event| matches!(event, Event::Intent { step: Step::Stage, .. })),
        );
        assert!(begun < staged);

        let again = lab.deploy(migrating("1.1.0", json!({}))).await;
        assert_eq!(again.ending, Some(Ending::Succeeded { changed: false }), "{again}");
        let next = lab.deploy(with_migration(migrating("1.2.0", json!({})), "three", false)).await;
        assert_eq!(told(&next), [("three", Status::Applied)]);
        assert_eq!((runs(&lab), lab.world.task_runs("three")), ([1, 1], 1));

        // A rollback runs none, and takes none back.
        let back = lab.roll_back(report.release.as_ref().unwrap()).await;
        assert_eq!((ended(&back), told(&back)), ("succeeded", vec![]), "{back}");
        assert_eq!(status(&lab, "three").await, Status::Applied);
        assert_eq!((runs(&lab), lab.world.task_runs("three")), ([1, 1], 1));
        lab.assert_settled().await;
    }
}

/// What was applied is known after every journal of it is gone.
#[tokio::test(start_paused = true)]
async fn it_is_known_for_longer_than_runs_are_kept() {
    let lab = Lab::new();
    let deploy = async |version: &str| {
        let mut parts = lab.parts();
        (parts.policy.keep_runs, parts.policy.keep_releases) = (1, 1);
        parts.policy.retention = only_last(1);
        let spec = migrating(version, json!({}));
        parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap()
    };
    let first = deploy("1.0.0").await;
    for version in ["1.1.0", "1.2.0", "1.3.0"] {
        assert_eq!(ended(&deploy(version).await), "succeeded");
    }
    assert!(!lab.runs().await.contains(&first.run), "pruned");
    assert_eq!(runs(&lab), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_goes_back_and_is_tried_again() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = (lab.picture().await, lab.stamps());
    let report = lab.deploy(migrating("1.1.0", json!({ "tasks": { "two": 7 } }))).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(told(&report), [("one", Status::Applied), ("two", Status::Failed)]);
    let cause = report.cause().unwrap();
    assert!(cause.message.contains("migration `two` failed with exit code 7"), "{cause}");
    assert_eq!(cause.evidence[0].text, "migrate two ended with 7");
    let text = report.to_string();
    for words in [
        "Migration `one` of this release stays applied: what it changed in the data was not rolled \
         back; it is declared not reversible.",
        "Migration `two` of this release failed: what it changed in the data before that stays.",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!((lab.picture().await, lab.stamps()), before, "nothing else was touched");

    // Not the release's fault: it may be deployed again.
    let mended = lab.deploy(migrating("1.1.0", json!({}))).await;
    assert_eq!((ended(&mended), told(&mended)), ("succeeded", vec![("two", Status::Applied)]));
    assert_eq!(runs(&lab), [1, 2]);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_after_them_says_that_they_stay() {
    for first in [true, false] {
        let lab = Lab::new();
        if !first {
            lab.deploy(shop("1.0.0", json!({}))).await;
        }
        let report = lab.deploy(migrating("1.1.0", json!({ "healthy": "staged" }))).await;
        assert_eq!(ended(&report), "rolled back", "{report}");
        let text = report.to_string();
        assert!(text.contains("Migration `one` of this release stays applied"), "{text}");
        assert!(text.contains("nothing reverses it by itself"), "{text}");
        assert!(text.contains("a rollback does not bring back: what migration `one`"), "{text}");
        let fixed = lab.deploy(migrating("1.1.1", json!({}))).await;
        assert_eq!((ended(&fixed), told(&fixed)), ("succeeded", vec![]));
        assert_eq!(runs(&lab), [1, 1]);
        lab.assert_settled().await;
    }
}

/// Nobody knows whether it took effect: it is not run again, not by this run and not by the next
/// one, until a person says so.
#[tokio::test(start_paused = true)]
async fn what_nobody_knows_waits_for_a_person() {
    for (mark, expected) in [(Status::Applied, 1), (Status::Pending, 2)] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.picture().await;
        killed(&lab, migrating("1.1.0", json!({})), after_the_command(false)).await;
        let report = lab.resume().await.unwrap();
        assert_eq!(ended(&report), "rolled back", "{report}");
        assert_eq!(told(&report), [("one", Status::Unknown)]);
        let text = report.to_string();
        assert!(text.contains("Nobody knows whether migration `one`"), "{text}");
        assert!(text.contains("`ultrai migrations --mark 'one=applied'`"), "{text}");
        assert_eq!(lab.picture().await, before);

        let next = migrating("1.2.0", json!({}));
        let pipeline = lab.process();
        let planned = pipeline.plan(&pipeline.look(), &DeployRequest::new(next.clone())).await;
        assert_eq!(planned.unwrap_err().kind(), ErrorKind::Refused);
        let refused = lab.deploy(next.clone()).await;
        assert_eq!((ended(&refused), &refused.release), ("refused", &None), "{refused}");
        let cause = refused.cause().unwrap().to_string();
        assert!(cause.contains(report.run.as_str()), "{cause}");
        let without = lab.deploy(shop("1.1.5", json!({}))).await;
        assert_eq!(ended(&without), "succeeded", "one that does not need it");

        let wrong = lab.process().mark_migration("one", Status::Failed).await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Invalid);
        lab.process().mark_migration("one", mark).await.unwrap();
        assert_eq!(ended(&lab.deploy(next).await), "succeeded");
        assert_eq!(runs(&lab), [expected, 1]);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_may_be_repeated_is() {
    let lab = Lab::new();
    let spec = || with_migration(shop("1.0.0", json!({})), "two", true);
    killed(&lab, spec(), after_the_command(true)).await;
    let report = lab.resume().await.unwrap();
    assert_eq!((ended(&report), told(&report)), ("succeeded", vec![("two", Status::Applied)]));
    assert_eq!(runs(&lab), [0, 2]);
    lab.assert_settled().await;
}

/// A person says what became of it while the run waits to be taken over.
#[tokio::test(start_paused = true)]
async fn a_person_may_say_so_before_the_run_goes_on() {
    let lab = Lab::new();
    killed(&lab, migrating("1.0.0", json!({})), after_the_command(true)).await;
    lab.process().mark_migration("one", Status::Applied).await.unwrap();
    let report = lab.resume().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(runs(&lab), [1, 1]);
    lab.assert_settled().await;
}

/// Before its command: what the ledger does not say was not begun.
#[tokio::test(start_paused = true)]
async fn a_kill_right_after_the_intent_leaves_no_doubt() {
    let lab = Lab::new();
    let started = |event: &Event| matches!(event, Event::MigrationStarted { .. });
    killed(&lab, migrating("1.0.0", json!({})), (At::Event(started), Kill::After)).await;
    let report = lab.resume().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(runs(&lab), [1, 1]);
    lab.assert_settled().await;
}

/// A stop is heard between migrations, not in the middle of one.
#[tokio::test(start_paused = true)]
async fn a_cancellation_waits_for_the_end_of_one() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    let mut parts = lab.parts();
    let cancel = CancelAt::new(|event| matches!(event, Event::MigrationStarted { .. }));
    parts.observers.push(Arc::clone(&cancel) as _);
    let run = parts.start().deploy(DeployRequest::new(migrating("1.1.0", json!({}))));
    cancel.watch(&run);
    let report = run.join().await.unwrap();
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert!(report.cancelled);
    assert_eq!(told(&report), [("one", Status::Applied)]);
    assert_eq!((runs(&lab), lab.picture().await), ([1, 0], before));
    lab.assert_settled().await;
}

/// The held one is replaced before its successor migrates: when that fails, what served before both
/// comes back.
#[tokio::test(start_paused = true)]
async fn a_held_run_is_replaced_before_its_successor_migrates() {
    let (lab, before, _) = hold::held().await;
    let report = lab.deploy(migrating("1.2.0", json!({ "tasks": { "one": 1 } }))).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert_eq!(lab.picture().await, before);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_run_is_refused_before_anything() {
    let lab = Lab::new();
    let mut nowhere = migrating("1.0.0", json!({}));
    nowhere.migrations[1].service = service("nowhere");
    let mut twice = migrating("1.0.0", json!({}));
    twice.migrations[1].name = "one".into();
    for (spec, why) in [(nowhere, "nowhere, which is no service"), (twice, "two migrations")] {
        let report = lab.deploy(spec).await;
        assert_eq!(ended(&report), "refused", "{report}");
        assert!(report.to_string().contains(why), "{report}");
        assert_eq!(report.stages.last().unwrap().stage, Stage::Preflight);
    }
}
