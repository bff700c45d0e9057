//! What must not change an outcome, and what must not be mistaken for one.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Effect, ErrorKind,
    deployer::Step,
    error::{Error, Result},
    journal::{Event, Record},
    lease::{Fence, Holder, Lease, Wait},
    memory,
    name::{RunId, Target},
    observer::Observer,
    pipeline::DeployRequest,
    spec::{ImageSpec, PullPolicy},
    verification::When,
};

use crate::{
    failures::faulty,
    faults::{Call, How},
    journals::{At, Deadly, Kill},
    lab::{Lab, Parts, SECRET, ended, service, shop, with_check},
};

/// A release that was proven is not taken back because cleaning up after it cannot begin.
#[tokio::test(start_paused = true)]
async fn a_proven_release_stays_when_retiring_cannot_begin() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let parts =
        faulty(&lab, |_, call| (call == Call::Prepare(Step::Retire)).then_some(How::Before));
    let request = DeployRequest::new(shop("1.1.0", json!({})));
    let report = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert!(report.notes[0].contains("the old release was not removed"), "{:?}", report.notes);
    assert_eq!(lab.serving().await, report.release);

    // The next run collects what is left.
    assert_eq!(ended(&lab.deploy(shop("1.2.0", json!({}))).await), "succeeded");
    lab.assert_settled().await;
}

/// The state directory was lost: what an earlier deploy started is adopted with its marks, and is
/// the same when it comes back.
#[tokio::test(start_paused = true)]
async fn what_came_back_is_proven_though_its_release_is_forgotten() {
    let before = Lab::new();
    before.deploy(shop("1.0.0", json!({}))).await;
    let lab = Lab { world: before.world.clone(), ..Lab::new() };
    let live = lab.stamps();
    let sick = with_check(shop("1.1.0", json!({})), When::Verify, json!({ "healthy": false }));
    let report = lab.deploy(sick).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    let ids = |stamps: Vec<(String, _, _, _)>| -> Vec<String> {
        stamps.into_iter().map(|(id, ..)| id).collect()
    };
    assert_eq!(ids(lab.stamps()), ids(live));
}

/// A log driver that never answers keeps no run from its end.
#[tokio::test(start_paused = true)]
async fn evidence_that_does_not_come_is_not_waited_for() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let parts = faulty(&lab, |_, call| (call == Call::Evidence).then_some(How::Hangs));
    let request = DeployRequest::new(shop("1.1.0", json!({ "healthy": "staged" })));
    let report = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "rolled back");
    assert!(report.to_string().contains("did not tell within 10s"), "{report}");
    lab.assert_settled().await;
}

/// The watchman of the laboratory asserts that no secret reaches an observer.
#[tokio::test(start_paused = true)]
async fn what_a_builder_prints_is_redacted() {
    let lab = Lab::new();
    let mut spec = shop("1.0.0", json!({}));
    let build = Some(json!({ "says": format!("npm token {SECRET}") }));
    let web = spec.services.get_mut(&service("frontend")).unwrap();
    web.image = Some(ImageSpec {
        reference: "app:2".into(),
        build,
        pull: PullPolicy::Missing,
        ..ImageSpec::default()
    });
    assert_eq!(ended(&lab.deploy(spec).await), "succeeded");
}

/// A lease on a disk that fails for a while, in seconds since it was made.
#[derive(Debug)]
struct Unsteady {
    inner: memory::Lease,
    made: Instant,
    fails: Range<u64>,
}

#[async_trait]
impl Lease for Unsteady {
    async fn acquire(&self, target: &Target, holder: &Holder, wait: Wait) -> Result<Fence> {
        self.inner.acquire(target, holder, wait).await
    }
    async fn renew(&self, target: &Target, fence: Fence) -> Result<()> {
        if self.fails.contains(&self.made.elapsed().as_secs()) {
            return Err(Error::new(ErrorKind::Io, "renew the lease", "too many open files"));
        }
        self.inner.renew(target, fence).await
    }
    async fn release(&self, target: &Target, fence: Fence) -> Result<()> {
        self.inner.release(target, fence).await
    }
    async fn holder(&self, target: &Target) -> Result<Option<Holder>> {
        self.inner.holder(target).await
    }
}

/// Nobody else can have the lease before it has run out, so a renewal that fails is no reason to
/// leave a run half-way; when it may have run out, the run is left.
#[tokio::test(start_paused = true)]
async fn renewals_may_fail_for_a_while() {
    for (fails, goes_on) in [(4..8, true), (4..100, false)] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let lease = Unsteady { inner: lab.lease.clone(), made: Instant::now(), fails };
        let parts = Parts { lease: Arc::new(lease), ..lab.parts() };
        let slow = shop("1.1.0", json!({ "healthy_after": 400 }));
        let begun = Instant::now();
        let ended = parts.start().deploy(DeployRequest::new(slow)).join().await;
        if goes_on {
            assert!(begun.elapsed() > Duration::from_secs(8), "it was over before");
            assert_eq!(self::ended(&ended.unwrap()), "succeeded");
        } else {
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::Stuck);
            assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
            lab.resume().await;
        }
        lab.assert_settled().await;
    }
}

/// An error of the engine itself says whether something was left half-way.
#[tokio::test(start_paused = true)]
async fn a_journal_that_is_lost_tells_what_it_leaves() {
    let begun = At::Event(|event| matches!(event, Event::StepDone { step: Step::Switch }));
    let early = At::Event(|event| matches!(event, Event::StageFinished { .. }));
    for (at, kind, effect) in
        [(begun, ErrorKind::Stuck, Effect::Unknown), (early, ErrorKind::Io, Effect::None)]
    {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let journal = Deadly::new(&lab, Some((at, Kill::DiskBefore)));
        let parts = Parts { journal, ..lab.parts() };
        let run = parts.start().deploy(DeployRequest::new(shop("1.1.0", json!({}))));
        let error = run.join().await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, effect), "{error}");
        assert_eq!(lab.process().unfinished().await.unwrap().is_some(), kind == ErrorKind::Stuck);
        lab.resume().await;
        lab.assert_settled().await;
    }
}

/// Panics whenever it is told something.
#[derive(Debug)]
struct Panicking(AtomicUsize);

impl Observer for Panicking {
    fn on_record(&self, _: &RunId, record: &Record) {
        self.0.fetch_add(1, Ordering::Relaxed);
        quietly(format!("told of record {}", record.seq));
    }
    fn on_output(&self, _: &RunId, _: &str, line: &str) {
        quietly(format!("told {line}"));
    }
}

/// Those who watch change no outcome, whatever becomes of them.
#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_changes_no_outcome() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let panicking = Arc::new(Panicking(AtomicUsize::new(0)));
    let mut parts = lab.parts();
    parts.observers.insert(0, Arc::clone(&panicking) as _);
    let report =
        parts.start().deploy(DeployRequest::new(shop("1.1.0", json!({})))).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded");
    let records = lab.records(&report.run).await;
    assert_eq!(panicking.0.load(Ordering::Relaxed), records.len(), "told of every one");
    lab.assert_settled().await;
}

/// Panics without a word on standard error.
fn quietly(why: String) {
    std::panic::resume_unwind(Box::new(why));
}
