//! Cancelled, taken over, stuck: runs that somebody stops, and what comes after.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Ending, ErrorKind,
    deployer::Step,
    error::{Error, Result},
    journal::{Event, Journal, Record},
    lease::{Holder, Lease, Wait},
    memory,
    name::RunId,
    observer::Observer,
    pipeline::{DeployRequest, OnUnfinished, Run},
    report::Report,
    stage::Stage,
    verification::When,
};

use crate::{
    failures::intents,
    faults::{Call, Faulty, How},
    lab::{CancelAt, Lab, Parts, ended, fails, shop, target, with_test},
};

async fn cancelled_at(lab: &Lab, backend: Value, at: fn(&Event) -> bool) -> Report {
    let canceller = CancelAt::new(at);
    let mut parts = lab.parts();
    parts.observers.push(Arc::clone(&canceller) as _);
    let spec = with_test(with_test(shop("1.1.0", backend), When::Pre), When::Post);
    let run = parts.start().deploy(DeployRequest::new(spec));
    canceller.watch(&run);
    run.join().await.unwrap()
}

/// At every single record of an upgrade: before it holds the traffic, while and after.
#[tokio::test(start_paused = true)]
async fn cancelled_at_every_record() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let whole = cancelled_at(&lab, json!({}), |_| false).await;
    let records = lab.records(&whole.run).await;
    let retires =
        |record: &Record| matches!(record.event, Event::Intent { step: Step::Retire, .. });
    let retire = records.iter().find(|record| retires(record)).unwrap().seq;
    let (mut refused, mut back, mut too_late) = (0, 0, 0);
    for at in 1..records.len() as u64 {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.picture().await;
        let counter = Arc::new(CancelAfter { left: Mutex::new(at), run: Mutex::default() });
        let mut parts = lab.parts();
        parts.observers.push(Arc::clone(&counter) as _);
        let spec = with_test(with_test(shop("1.1.0", json!({})), When::Pre), When::Post);
        let run = parts.start().deploy(DeployRequest::new(spec));
        *counter.run.lock().unwrap() = Some(run.cancel());
        let report = run.join().await.unwrap();
        assert!(report.cancelled, "{at}: it is recorded");
        match &report.ending {
            Some(Ending::Succeeded { .. }) => {
                // A step that has begun its intent is not torn out of it.
                assert!(at + 2 >= retire, "{at} of {retire}: {report}");
                too_late += 1;
            }
            ending => {
                assert!(at < retire, "{at} of {retire}: {report}");
                assert_eq!(report.cause().unwrap().kind, ErrorKind::Cancelled, "{at}: {report}");
                assert_eq!(lab.picture().await, before, "{at}");
                match ending {
                    Some(Ending::Refused { .. }) => refused += 1,
                    Some(Ending::RolledBack { .. }) => back += 1,
                    other => panic!("{at}: {other:?}"),
                }
            }
        }
        lab.assert_settled().await;
    }
    assert!(refused > 10 && back > 10 && too_late > 3, "{refused} {back} {too_late}");
}

#[derive(Debug)]
struct CancelAfter {
    left: Mutex<u64>,
    run: Mutex<Option<ultrai_deploy_core::Cancel>>,
}

impl Observer for CancelAfter {
    fn on_record(&self, _: &RunId, _: &Record) {
        let mut left = self.left.lock().unwrap();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.run.lock().unwrap().as_ref().unwrap().cancel();
        }
    }
    fn on_output(&self, _: &RunId, _: &str, _: &str) {}
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_does_not_stop_a_rollback() {
    let ats: [fn(&Event) -> bool; 4] = [
        |event| matches!(event, Event::RollbackDecided { .. }),
        |event| matches!(event, Event::Intent { step: Step::Rollback, .. }),
        |event| matches!(event, Event::Effect { step, .. } if step == "rollback"),
        |event| matches!(event, Event::StepDone { step: Step::Rollback }),
    ];
    for at in ats {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.picture().await;
        let report = cancelled_at(&lab, json!({ "healthy": "staged" }), at).await;
        assert_eq!(ended(&report), "rolled back");
        assert!(report.cancelled);
        assert_eq!(report.cause().unwrap().kind, ErrorKind::Unhealthy, "the first cause stays");
        assert_eq!(lab.picture().await, before);
        lab.assert_settled().await;
    }
}

/// A wait is cut short by a cancellation, and it is journaled while the stage still runs.
#[tokio::test(start_paused = true)]
async fn a_cancellation_ends_a_wait_at_once() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let pipeline = lab.process();
    let run = pipeline.deploy(DeployRequest::new(shop("1.1.0", json!({ "healthy": false }))));
    let (cancel, id) = (run.cancel(), run.id().clone());
    let began = tokio::time::Instant::now();
    let (report, ()) = tokio::join!(run.join(), async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        cancel.cancel();
    });
    assert_eq!(ended(&report.unwrap()), "rolled back");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let records = lab.records(&id).await;
    let at = |wanted: fn(&Event) -> bool| {
        records.iter().position(|record| wanted(&record.event)).unwrap()
    };
    let requested = at(|event| matches!(event, Event::CancelRequested { .. }));
    assert!(requested < at(|event| matches!(event, Event::StageFailed { .. })));
}

/// The second signal: the run is left as it is, and whoever comes next finishes it. What was
/// asked with the first signal is not forgotten.
#[tokio::test(start_paused = true)]
async fn left_at_once_and_resumed() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    let pipeline = lab.process();
    let run = pipeline.deploy(DeployRequest::new(shop("1.1.0", json!({ "healthy_after": 99 }))));
    let cancel = run.cancel();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Both signals at once: there is no time to go back.
        cancel.cancel();
        tokio::time::sleep(Duration::ZERO).await;
    };
    let error = run.join_until(stop).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    drop(pipeline);
    let report = lab.resume().await.unwrap();
    assert_eq!(ended(&report), "rolled back", "it was cancelled before: {report}");
    assert_eq!(lab.picture().await, before);
    lab.assert_settled().await;
}

/// Dropping the future is a crash; the next process takes the lease at once.
#[tokio::test(start_paused = true)]
async fn a_dropped_join_is_resumed() {
    for seconds in 1..12 {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let pipeline = lab.process();
        let spec = shop("1.1.0", json!({ "healthy_after": 12 }));
        let run = pipeline.deploy(DeployRequest::new(spec));
        let limit = Duration::from_secs(seconds);
        let finished = tokio::time::timeout(limit, run.join()).await.is_ok();
        drop(pipeline);
        let resumed = lab.resume().await;
        if let Some(report) = &resumed {
            assert_eq!(ended(report), "succeeded");
        }
        assert_eq!(resumed.is_none(), finished, "after {seconds} s");
        lab.assert_settled().await;
    }
}

/// A journal that tells when it got a record and waits until it may write it.
#[derive(Debug)]
struct Paused {
    inner: memory::Journal,
    at: fn(&Event) -> bool,
    reached: tokio::sync::watch::Sender<bool>,
    go_on: tokio::sync::watch::Sender<bool>,
}

#[async_trait]
impl Journal for Paused {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        if (self.at)(&record.event) {
            self.reached.send_replace(true);
            self.go_on.subscribe().wait_for(|go_on| *go_on).await.unwrap();
        }
        self.inner.append(run, record).await
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.inner.load(run).await
    }
    async fn repair(&self, run: &RunId) -> Result<()> {
        self.inner.repair(run).await
    }
    async fn runs(&self) -> Result<Vec<RunId>> {
        self.inner.runs().await
    }
}

/// A driver that was stopped for long and taken over writes and changes nothing any more.
#[tokio::test(start_paused = true)]
async fn a_driver_that_was_taken_over_stops() {
    let ats: [fn(&Event) -> bool; 5] = [
        |event| matches!(event, Event::StageFinished { stage: Stage::Backup }),
        |event| matches!(event, Event::Intent { step: Step::Switch, .. }),
        |event| matches!(event, Event::Effect { step, .. } if step == "switch"),
        |event| matches!(event, Event::StepDone { step: Step::Switch }),
        |event| matches!(event, Event::Intent { step: Step::Retire, .. }),
    ];
    for (case, at) in ats.into_iter().enumerate() {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let journal = Arc::new(Paused {
            inner: lab.journal.clone(),
            at,
            reached: tokio::sync::watch::Sender::new(false),
            go_on: tokio::sync::watch::Sender::new(false),
        });
        let parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
        let old = parts.start();
        let run: Run = old.deploy(DeployRequest::new(shop("1.1.0", json!({}))));
        let id = run.id().clone();
        let mut old_run = Box::pin(run.join());
        let mut reached = journal.reached.subscribe();
        tokio::select! {
            _ = &mut old_run => panic!("{case}: it ended"),
            _ = reached.wait_for(|reached| *reached) => {}
        }
        // Nobody polls the old driver now: it is stopped, and does not renew.
        let mut next = DeployRequest::new(shop("2.0.0", json!({})));
        next.wait = Wait::AtMost(Duration::from_secs(60));
        let new = lab.process();
        let report = new.deploy(next).join().await.unwrap();
        assert_eq!(ended(&report), "succeeded", "{case}: {report}");
        let (world, records) = (lab.stamps(), lab.records(&id).await);

        journal.go_on.send_replace(true);
        let error = old_run.await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Conflict), "{case}: {error}");
        assert_eq!(lab.stamps(), world, "{case}: it changed something");
        assert_eq!(lab.records(&id).await, records, "{case}: it wrote something");
        drop(new);
        lab.assert_settled().await;
    }
}

/// The lease is lost although nobody has adopted the run yet: the driver stops before its next
/// effect.
#[tokio::test(start_paused = true)]
async fn without_the_lease_nothing_is_changed() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.stamps();
    let thief = lab.lease.clone();
    let mut parts = lab.parts();
    parts.observers.push(Arc::new(Thief { lease: thief, taken: Mutex::default() }));
    let run = parts.start().deploy(DeployRequest::new(shop("1.1.0", json!({}))));
    let error = run.join().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(lab.stamps(), before);
}

/// Takes the lease by force as soon as somebody else has staged something.
#[derive(Debug)]
struct Thief {
    lease: memory::Lease,
    taken: Mutex<bool>,
}

impl Observer for Thief {
    fn on_record(&self, run: &RunId, record: &Record) {
        use futures_util::FutureExt;
        let begun = matches!(record.event, Event::Intent { step: Step::Stage, .. });
        if begun && !std::mem::replace(&mut *self.taken.lock().unwrap(), true) {
            let fence = record.fence;
            self.lease.release(&target(), fence).now_or_never().unwrap().unwrap();
            let holder = Holder {
                run: run.clone(),
                host: "elsewhere".into(),
                process: 2,
                user: "Eve".into(),
                since: jiff::Timestamp::UNIX_EPOCH,
            };
            self.lease.acquire(&target(), &holder, Wait::No).now_or_never().unwrap().unwrap();
        }
    }
    fn on_output(&self, _: &RunId, _: &str, _: &str) {}
}

/// Two deploys at the same time: one waits or is refused, and both see a whole world.
#[tokio::test(start_paused = true)]
async fn two_drivers_take_turns() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let slow = shop("1.1.0", json!({ "healthy_after": 5 }));
    let (one, two) = (lab.process(), lab.process());
    let mut second = DeployRequest::new(shop("1.2.0", json!({})));
    second.wait = Wait::AtMost(Duration::from_secs(600));
    let (first, second, third) = tokio::join!(
        one.deploy(DeployRequest::new(slow)).join(),
        two.deploy(second).join(),
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            lab.process().deploy(DeployRequest::new(shop("1.3.0", json!({})))).join().await
        },
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(ended(&first), "succeeded");
    assert_eq!(ended(&second), "succeeded");
    assert_eq!(second.previous, first.release);
    assert_eq!(third.unwrap().cause().unwrap().kind, ErrorKind::Fenced);
    lab.assert_settled().await;
}

fn faulty(lab: &Lab, how: fn(u32, Call) -> Option<How>) -> Parts {
    Parts { deployer: Arc::new(Faulty::new(lab.deployer(), how)), ..lab.parts() }
}

/// An environment whose rollback failed, and the report of that.
async fn stuck(how: fn(u32, Call) -> Option<How>) -> (Lab, Report) {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let spec = shop("1.1.0", json!({ "healthy": "staged" }));
    let parts = faulty(&lab, how);
    let report = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap();
    (lab, report)
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_tried_three_times() {
    type Rule = fn(u32, Call) -> Option<How>;
    let rules: [(Rule, usize); 4] = [
        (|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before), 3),
        (|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Clean), 3),
        (|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Hangs), 3),
        // It fails before its intent, which leaves no record; the attempts count all the same.
        (|_, call| (call == Call::Prepare(Step::Rollback)).then_some(How::Before), 0),
    ];
    for (rule, attempts) in rules {
        let (lab, report) = stuck(rule).await;
        assert_eq!(ended(&report), "stuck");
        assert_eq!(intents(&lab, &report.run, Step::Rollback).await, attempts);
        let Some(Ending::Stuck { cause, undo }) = &report.ending else { panic!("not stuck") };
        assert_eq!(cause.kind, ErrorKind::Unhealthy);
        assert!(matches!(undo.kind, ErrorKind::Unavailable | ErrorKind::Timeout), "{undo}");
        assert!(report.to_string().contains("ultrai resume --retry"), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_once_succeeds() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    for (step, how) in [
        (Call::Prepare(Step::Rollback), How::Before),
        (Call::Act(Step::Rollback), How::Before),
        (Call::Act(Step::Rollback), How::After),
    ] {
        let deployer = Arc::new(Faulty::once(lab.deployer(), step, how));
        let parts = Parts { deployer, ..lab.parts() };
        let spec = shop("1.1.0", json!({ "healthy": "staged" }));
        let report = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap();
        assert_eq!(ended(&report), "rolled back", "{step:?} {how:?}");
        assert_eq!(lab.picture().await, before);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_run_keeps_others_out_until_it_is_mended() {
    let (lab, report) =
        stuck(|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before)).await;
    let world = lab.stamps();

    let next = lab.deploy(shop("1.2.0", json!({}))).await;
    assert_eq!(ended(&next), "refused");
    let cause = next.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Fenced);
    assert!(cause.message.contains("ultrai resume --retry"), "{cause}");
    let refused = lab.process().resume(false, Wait::No).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    assert_eq!(lab.stamps(), world, "nobody touched anything");

    // Still broken: three more attempts, and stuck again.
    let parts = faulty(&lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before));
    let pipeline = parts.start();
    let again = pipeline.resume(true, Wait::No).await.unwrap().unwrap().join().await.unwrap();
    assert_eq!(ended(&again), "stuck");
    assert_eq!(intents(&lab, &report.run, Step::Rollback).await, 6);

    let pipeline = lab.process();
    let mended = pipeline.resume(true, Wait::No).await.unwrap().unwrap().join().await.unwrap();
    assert_eq!(mended.run, report.run);
    assert_eq!(ended(&mended), "rolled back");
    lab.assert_settled().await;
    assert_eq!(ended(&lab.deploy(shop("1.2.0", json!({}))).await), "succeeded");
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_run_can_be_abandoned() {
    let (lab, report) =
        stuck(|_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before)).await;
    let world = lab.stamps();
    assert_eq!(lab.process().abandon("mended by hand").await.unwrap(), report.run);
    assert_eq!(lab.stamps(), world, "nothing is touched by that");
    let abandoned = lab.process().report(&report.run).await.unwrap();
    assert_eq!(abandoned.ending, Some(Ending::Abandoned { reason: "mended by hand".into() }));
    let error = lab.process().abandon("twice").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let next = lab.deploy(shop("1.2.0", json!({}))).await;
    assert_eq!(ended(&next), "succeeded");
}

/// `--no-resume`, and a driver that still lives.
#[tokio::test(start_paused = true)]
async fn an_unfinished_run_is_left_alone_when_asked() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let pipeline = lab.process();
    let slow = shop("1.1.0", json!({ "healthy_after": 50 }));
    let run = pipeline.deploy(DeployRequest::new(slow));
    let left = tokio::time::timeout(Duration::from_secs(2), run.join()).await;
    assert!(left.is_err());

    let living = lab.process().resume(false, Wait::No).await.unwrap_err();
    assert_eq!(living.kind(), ErrorKind::Fenced, "its process still has the lease");
    assert_eq!(lab.process().abandon("no").await.unwrap_err().kind(), ErrorKind::Fenced);
    drop(pipeline);

    let mut request = DeployRequest::new(shop("1.2.0", json!({})));
    request.unfinished = OnUnfinished::Refuse;
    let report = lab.process().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "refused");
    assert_eq!(report.cause().unwrap().kind, ErrorKind::Fenced);

    let report = lab.deploy(shop("1.2.0", json!({}))).await;
    assert_eq!(ended(&report), "succeeded");
    assert!(report.notes[0].starts_with("finished run"), "{:?}", report.notes);
    lab.assert_settled().await;
}

/// The run that is older by its id may be the one that took the lease last.
#[tokio::test(start_paused = true)]
async fn the_order_of_ids_is_not_the_order_of_taking() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let pipeline = lab.process();
    let older = pipeline.deploy(DeployRequest::new(shop("1.1.0", json!({ "healthy_after": 50 }))));
    let newer = lab.deploy(shop("1.0.1", json!({}))).await;
    assert!(*older.id() < newer.run);
    let id = older.id().clone();
    let left = tokio::time::timeout(Duration::from_secs(2), older.join()).await;
    assert!(left.is_err());
    drop(pipeline);
    assert_eq!(lab.process().unfinished().await.unwrap().unwrap().run, id);
    assert_eq!(ended(&lab.resume().await.unwrap()), "succeeded");
    lab.assert_settled().await;
}

/// A run that died while it was finishing another one is closed, and the other one is finished.
#[tokio::test(start_paused = true)]
async fn a_takeover_that_died_hides_nothing() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let slow = || shop("1.1.0", json!({ "healthy_after": 50 }));
    let mut runs = Vec::new();
    for _ in 0..3 {
        let pipeline = lab.process();
        let run = pipeline.deploy(DeployRequest::new(slow()));
        runs.push(run.id().clone());
        let left = tokio::time::timeout(Duration::from_secs(2), run.join()).await;
        assert!(left.is_err());
    }
    let resumed = lab.resume().await.unwrap();
    assert_eq!(resumed.run, runs[0], "the one with work to finish");
    assert_eq!(ended(&resumed), "succeeded");
    for run in &runs[1..] {
        assert_eq!(ended(&lab.process().report(run).await.unwrap()), "refused");
    }
    lab.assert_settled().await;
}

/// A call of a dead process may still take effect: it gets its time before anything is repeated.
#[tokio::test(start_paused = true)]
async fn a_call_in_flight_gets_time_to_settle() {
    type Rule = fn(u32, Call) -> Option<How>;
    let rules: [(Rule, u64, u64); 3] = [
        (|_, _| None, 0, 0),
        // Two answers that it is too early.
        (|n, call| (call == Call::Observe && n < 3).then_some(How::TooEarly), 2, 3),
        // It is never known: after the time to settle it counts as half done.
        (|_, call| (call == Call::Observe).then_some(How::TooEarly), 60, 62),
    ];
    for (rule, least, most) in rules {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let journal = Arc::new(Slow {
            inner: lab.journal.clone(),
            writes: true,
            at: |event| matches!(event, Event::Effect { step, .. } if step == "switch"),
            hung: Mutex::default(),
        });
        let dying = Parts { journal, ..lab.parts() }.start();
        let run = dying.deploy(DeployRequest::new(shop("1.1.0", json!({}))));
        let left = tokio::time::timeout(Duration::from_secs(2), run.join()).await;
        assert!(left.is_err());
        drop(dying);

        let began = tokio::time::Instant::now();
        let resumed = faulty(&lab, rule).start();
        let run = resumed.resume(false, Wait::No).await.unwrap().unwrap();
        assert_eq!(ended(&run.join().await.unwrap()), "succeeded");
        let took = began.elapsed();
        let span = Duration::from_secs(least)..=Duration::from_secs(most);
        assert!(span.contains(&took), "{took:?}");
        lab.assert_settled().await;
    }
}

/// A journal that hangs in the middle of one append, whose caller gives up.
#[derive(Debug)]
struct Slow {
    inner: memory::Journal,
    /// Whether the record is written before it hangs.
    writes: bool,
    at: fn(&Event) -> bool,
    hung: Mutex<bool>,
}

#[async_trait]
impl Journal for Slow {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        if (self.at)(&record.event) && !std::mem::replace(&mut *self.hung.lock().unwrap(), true) {
            if self.writes {
                self.inner.append(run, record).await?;
            }
            std::future::pending::<()>().await;
        }
        self.inner.append(run, record).await
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.inner.load(run).await
    }
    async fn repair(&self, run: &RunId) -> Result<()> {
        self.inner.repair(run).await
    }
    async fn runs(&self) -> Result<Vec<RunId>> {
        self.inner.runs().await
    }
}

/// A deadline may drop an append half-way; the next record brings it to its end, once.
#[tokio::test(start_paused = true)]
async fn an_append_that_was_dropped_is_settled() {
    for writes in [false, true] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.picture().await;
        let journal = Arc::new(Slow {
            inner: lab.journal.clone(),
            writes,
            at: |event| matches!(event, Event::Effect { step, .. } if step == "switch"),
            hung: Mutex::default(),
        });
        let mut parts = Parts { journal, ..lab.parts() };
        // The lease is not renewed while an append hangs, and nobody else wants it.
        parts.policy.stage_deadline = Some(Duration::from_secs(90));
        let run = parts.start().deploy(DeployRequest::new(shop("1.1.0", json!({}))));
        let report = run.join().await.unwrap();
        assert_eq!(ended(&report), "rolled back", "{report}");
        assert_eq!(report.cause().unwrap().kind, ErrorKind::Timeout);
        assert_eq!(lab.picture().await, before);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_stops_the_run() {
    #[derive(Debug)]
    struct Full(memory::Journal);
    #[async_trait]
    impl Journal for Full {
        async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
            if record.seq > 5 {
                return Err(Error::new(ErrorKind::Io, "append", "the disk is full"));
            }
            self.0.append(run, record).await
        }
        async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
            self.0.load(run).await
        }
        async fn repair(&self, run: &RunId) -> Result<()> {
            self.0.repair(run).await
        }
        async fn runs(&self) -> Result<Vec<RunId>> {
            self.0.runs().await
        }
    }
    let lab = Lab::new();
    let spec = with_test(shop("1.0.0", fails(When::Pre)), When::Pre);
    let parts = Parts { journal: Arc::new(Full(lab.journal.clone())), ..lab.parts() };
    let error = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(lab.lease.holder(&target()).await.unwrap(), None, "it gave the lease up");
    assert_eq!(lab.world.instances(), []);
}
