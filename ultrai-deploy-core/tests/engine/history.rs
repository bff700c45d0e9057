//! What the journals tell, and how long they are kept.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    error::{Error, Result},
    history::{Outcome, Query},
    journal::{Event, Initiator, Journal, Kind, Record},
    lease::Fence,
    name::{ReleaseId, RunId},
    pipeline::{DeployRequest, Policy},
    release_store::ReleaseStore as _,
    report::Report,
    verification::When,
    version::Version,
};

use crate::{
    journals::Paper,
    lab::{Lab, ended, fails, only_last, shop, target, with_check, with_test},
};

fn version(number: usize) -> String {
    format!("{number}.0.0")
}

/// A process that keeps few runs.
async fn deploy(lab: &Lab, journal: Arc<dyn Journal>, keep_runs: usize, number: usize) -> Report {
    let mut parts = lab.parts();
    parts.journal = journal;
    parts.policy =
        Policy { keep_runs, keep_releases: 2, retention: only_last(3), ..Policy::default() };
    let request = DeployRequest::new(shop(&version(number), json!({})));
    parts.start().deploy(request).join().await.unwrap()
}

async fn found(lab: &Lab, query: Query) -> Vec<RunId> {
    let entries = lab.process().history(&query).await.unwrap();
    entries.into_iter().map(|entry| entry.run).collect()
}

#[tokio::test(start_paused = true)]
async fn runs_are_found_by_what_they_were_and_how_they_came_out() {
    let lab = Lab::new();
    let first = lab.deploy(shop("1.0.0", json!({}))).await;
    let refused = lab.deploy(with_test(shop("2.0.0", fails(When::Pre)), When::Pre)).await;
    let sick = with_check(shop("2.0.0", json!({})), When::Verify, json!({ "says": "no" }));
    let rolled_back = lab.deploy(sick).await;
    let back = lab.roll_back(first.release.as_ref().unwrap()).await;
    assert_eq!([ended(&refused), ended(&rolled_back)], ["refused", "rolled back"]);

    let all = found(&lab, Query::default()).await;
    assert_eq!(all, [&back, &rolled_back, &refused, &first].map(|report| report.run.clone()));
    let two = Some(Version::parse("2.0.0").unwrap());
    let query = Query { version: two.clone(), ..Query::default() };
    assert_eq!(found(&lab, query).await, all[1..3]);
    let query = Query { outcome: Some(Outcome::Succeeded), ..Query::default() };
    assert_eq!(found(&lab, query).await, [all[0].clone(), all[3].clone()]);
    let query = Query { outcome: Some(Outcome::Refused), version: two, ..Query::default() };
    assert_eq!(found(&lab, query).await, all[2..3]);
    let query = Query { release: first.release.clone(), ..Query::default() };
    assert_eq!(found(&lab, query).await, [all[0].clone(), all[3].clone()]);
    let query = Query { limit: Some(2), ..Query::default() };
    assert_eq!(found(&lab, query).await, all[..2]);

    let at = |report: &Report| report.started;
    let query = Query { since: at(&rolled_back), ..Query::default() };
    assert_eq!(found(&lab, query).await, all[..2], "its own time is in");
    let query = Query { until: at(&rolled_back), ..Query::default() };
    assert_eq!(found(&lab, query).await, all[2..], "its own time is out");
}

/// Nobody can say what it would have been, so it is never left out.
#[tokio::test(start_paused = true)]
async fn a_damaged_journal_is_listed_as_such() {
    let lab = Lab::new();
    let report = lab.deploy(shop("1.0.0", json!({}))).await;
    let run = RunId::generate();
    lab.journal.append(&run, &note(1)).await.unwrap();
    let query = Query {
        version: Some(Version::parse("1.0.0").unwrap()),
        limit: Some(1),
        ..Query::default()
    };
    let entries = lab.process().history(&query).await.unwrap();
    assert_eq!(entries.iter().map(|entry| &entry.run).collect::<Vec<_>>(), [&run, &report.run]);
    let damage = entries[0].damage.as_ref().unwrap();
    assert_eq!((damage.kind, entries[0].outcome()), (ErrorKind::Corrupt, None));
    assert_eq!(entries[1].damage, None);
}

#[tokio::test(start_paused = true)]
async fn old_runs_are_removed_and_a_rollback_misses_nothing() {
    let lab = Lab::new();
    let journal = Arc::new(lab.journal.clone());
    // One that died before it had the lease: nobody can tell whether it still waits for it.
    let waiting = RunId::new("0").unwrap();
    lab.journal.append(&waiting, &created()).await.unwrap();
    for number in 1..=9 {
        deploy(&lab, Arc::clone(&journal) as _, 3, number).await;
    }
    let process = lab.process();
    let target = process.release_before(&process.look()).await.unwrap();
    let left = lab.runs().await;
    assert!(left.contains(&waiting));
    assert!((4..=8).contains(&left.len()), "{left:?}");

    // Every release that is kept still has its proof.
    let proven: BTreeSet<ReleaseId> = process.proven().await.unwrap().into_iter().collect();
    for id in lab.parts().releases.list().await.unwrap() {
        assert!(proven.contains(&id), "{id}");
    }
    assert_eq!(ended(&lab.roll_back(&target).await), "succeeded");
    let serving = lab.parts().releases.get(&target).await.unwrap();
    assert_eq!(serving.version.as_str(), "8.0.0");
    lab.assert_settled().await;
}

/// Runs that change nothing come often; they are not kept for ever either.
#[tokio::test(start_paused = true)]
async fn runs_that_changed_nothing_are_removed_too() {
    let lab = Lab::new();
    let journal = Arc::new(lab.journal.clone());
    for _ in 0..9 {
        let report = deploy(&lab, Arc::clone(&journal) as _, 2, 1).await;
        assert_eq!(ended(&report).split(',').next(), Some("succeeded"));
    }
    assert_eq!(lab.runs().await.len(), 2);
    assert_eq!(lab.process().proven().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_is_a_note() {
    let lab = Lab::new();
    let journal = Arc::new(Sticky(lab.journal.clone()));
    for number in 1..=3 {
        let report = deploy(&lab, Arc::clone(&journal) as _, 1, 1).await;
        assert_eq!(ended(&report).split(',').next(), Some("succeeded"));
        let told = report.notes.iter().any(|note| note.contains("journals were not removed"));
        assert_eq!(told, number == 3, "{:?}", report.notes);
    }
    assert_eq!(lab.runs().await.len(), 3);
}

fn record(seq: u64, event: Event) -> Record {
    let at = "2026-01-31T12:00:00Z".parse().unwrap();
    Record { seq, at, fence: Fence(0), event }
}

fn note(seq: u64) -> Record {
    record(seq, Event::Note { message: "out of order".into() })
}

fn created() -> Record {
    record(
        1,
        Event::Created {
            format: 1,
            engine: "0".into(),
            target: target(),
            kind: Kind::Deploy,
            version: None,
            skips: Vec::new(),
            plan: None,
            initiator: Initiator::default(),
        },
    )
}

/// A journal whose runs cannot be removed.
#[derive(Debug)]
struct Sticky(Paper);

#[async_trait]
impl Journal for Sticky {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        self.0.append(run, record).await
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.0.load(run).await
    }
    async fn repair(&self, run: &RunId) -> Result<()> {
        self.0.repair(run).await
    }
    async fn remove(&self, _: &RunId) -> Result<()> {
        Err(Error::new(ErrorKind::Denied, "remove the journal", "it is read-only"))
    }
    async fn runs(&self) -> Result<Vec<RunId>> {
        self.0.runs().await
    }
}

/// Two releases of a version that differ in a secret are told apart by its name, as long as both are
/// stored.
#[tokio::test(start_paused = true)]
async fn a_secret_that_was_rotated_is_named() {
    let lab = Lab::new();
    let mut reports = Vec::new();
    for secret in ["hunter2-one", "hunter2-one", "hunter2-two"] {
        let pipeline = lab.parts().build_as(target(), secret).unwrap();
        let request = DeployRequest::new(shop("1.0.0", json!({})));
        reports.push(pipeline.deploy(request).join().await.unwrap());
    }
    assert_ne!(reports[0].release, reports[2].release, "{}", reports[2]);
    let names = async || {
        let entries = lab.process().history(&Query::default()).await.unwrap();
        let names = entries.iter().map(|entry| entry.secrets_changed.clone());
        let text = serde_json::to_string(&entries).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        names
            .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["TOKEN", "", ""]);
    lab.releases.remove(reports[0].release.as_ref().unwrap()).await.unwrap();
    assert_eq!(names().await, ["", "", ""]);
}
