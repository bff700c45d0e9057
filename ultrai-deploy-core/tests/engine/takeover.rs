//! Runs that are left, taken over, and drivers that find out that they were.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    deployer::Step,
    journal::{Event, Record},
    lease::{Holder, Lease, Wait},
    memory,
    name::RunId,
    observer::Observer,
    pipeline::{DeployRequest, OnUnfinished, Run},
    stage::Stage,
    verification::When,
};

use crate::{
    failures::faulty,
    faults::{Call, How, Rule},
    journals::{At, Deadly, Kill},
    lab::{Lab, Parts, ended, fails, shop, target, with_test},
    scenarios::switching,
};

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
        let journal = Deadly::new(&lab, Some((At::Event(at), Kill::Stop)));
        let parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
        let old = parts.start();
        let run: Run = old.deploy(DeployRequest::new(shop("1.1.0", json!({}))));
        let id = run.id().clone();
        let mut old_run = Box::pin(run.join());
        tokio::select! {
            _ = &mut old_run => panic!("{case}: it ended"),
            () = journal.happened() => {}
        }
        // Nobody polls the old driver now: it is stopped, and does not renew.
        let mut next = DeployRequest::new(shop("2.0.0", json!({})));
        next.wait = Wait::AtMost(Duration::from_mins(1));
        let new = lab.process();
        let report = new.deploy(next).join().await.unwrap();
        assert_eq!(ended(&report), "succeeded", "{case}: {report}");
        let (world, records) = (lab.stamps(), lab.records(&id).await);

        journal.go_on();
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
    let mut parts = lab.parts();
    let staging = |event: &Event| matches!(event, Event::Intent { step: Step::Stage, .. });
    parts.observers.push(Thief::new(&lab, staging));
    let run = parts.start().deploy(DeployRequest::new(shop("1.1.0", json!({}))));
    let error = run.join().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(lab.stamps(), before);
}

/// Takes the lease by force at a record of somebody else, and keeps it as long as it lives.
#[derive(Debug)]
pub(crate) struct Thief {
    lease: memory::Lease,
    at: fn(&Event) -> bool,
    taken: Mutex<bool>,
}

impl Thief {
    pub(crate) fn new(lab: &Lab, at: fn(&Event) -> bool) -> Arc<Self> {
        Arc::new(Self { lease: lab.lease.clone(), at, taken: Mutex::default() })
    }
}

impl Observer for Thief {
    fn on_record(&self, run: &RunId, record: &Record) {
        if (self.at)(&record.event) && !std::mem::replace(&mut *self.taken.lock().unwrap(), true) {
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
    second.wait = Wait::AtMost(Duration::from_mins(10));
    // With a fresh budget the first one comes to the lease before the second one begins.
    tokio::task::yield_now().await;
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
    // While it waited, not only after.
    let waiting = format!("waiting for run {} of somebody (process ", first.run);
    assert!(second.notes[0].starts_with(&waiting), "{:?}", second.notes);
    let records = lab.records(&second.run).await;
    let is_at = |is: fn(&Event) -> bool| records.iter().position(|record| is(&record.event));
    let told = is_at(|event| matches!(event, Event::Note { .. }));
    assert!(told < is_at(|event| matches!(event, Event::Locked { .. })));
    assert_eq!(third.unwrap().cause().unwrap().kind, ErrorKind::Fenced);
    lab.assert_settled().await;
}

/// What to deploy is known to the process that was asked only, until the release is sealed.
#[tokio::test(start_paused = true)]
async fn a_run_that_died_before_it_sealed_is_closed() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let at = At::Event(|event| matches!(event, Event::StageFinished { stage: Stage::Lock }));
    let journal = Deadly::new(&lab, Some((at, Kill::After)));
    let parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
    let request = DeployRequest::new(shop("1.1.0", json!({})));
    assert!(journal.drive(parts.start().deploy(request)).await.is_none());
    let report = lab.resume().await.unwrap();
    assert_eq!(ended(&report), "refused");
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Unavailable);
    assert!(cause.message.contains("deploy again"), "{cause}");
    assert_eq!(report.backup, None, "nothing more was begun");
    lab.assert_settled().await;
}

/// `--no-resume`, and a driver that still lives.
#[tokio::test(start_paused = true)]
async fn an_unfinished_run_is_left_alone_when_asked() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let pipeline = lab.process();
    let slow = shop("1.1.0", json!({ "healthy_after": 200 }));
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
    let older = pipeline.deploy(DeployRequest::new(shop("1.1.0", json!({ "healthy_after": 200 }))));
    let newer = lab.deploy(shop("1.0.1", json!({}))).await;
    assert!(*older.id() < newer.run);
    let id = older.id().clone();
    let left = tokio::time::timeout(Duration::from_secs(2), older.join()).await;
    assert!(left.is_err());
    drop(pipeline);
    assert_eq!(lab.process().unfinished().await.unwrap().unwrap().run, id);
    let last = lab.resume().await.unwrap();
    assert_eq!(ended(&last), "succeeded");
    let proven = lab.process().proven().await.unwrap();
    assert_eq!(proven[..2], [last.release.unwrap(), newer.release.unwrap()], "newest first");
    lab.assert_settled().await;
}

/// A run that died while it was finishing another one is closed, and the other one is finished.
#[tokio::test(start_paused = true)]
async fn a_takeover_that_died_hides_nothing() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let slow = || shop("1.1.0", json!({ "healthy_after": 200 }));
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
        let journal = Deadly::new(&lab, Some((switching(), Kill::After)));
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

/// A deadline may drop an append half-way; the next record brings it to its end, once.
#[tokio::test(start_paused = true)]
async fn an_append_that_was_dropped_is_settled() {
    for kill in [Kill::Before, Kill::After] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.picture().await;
        let journal = Deadly::new(&lab, Some((switching(), kill)));
        let mut parts = Parts { journal, ..lab.parts() };
        // The lease is not renewed while an append hangs, and nobody else wants it.
        parts.policy.set_deadlines(Duration::from_secs(90));
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
    let lab = Lab::new();
    let spec = with_test(shop("1.0.0", fails(When::Pre)), When::Pre);
    let journal = Deadly::new(&lab, Some((At::Append(6), Kill::DiskBefore)));
    let parts = Parts { journal, ..lab.parts() };
    let error = parts.start().deploy(DeployRequest::new(spec)).join().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(lab.lease.holder(&target()).await.unwrap(), None, "it gave the lease up");
    assert_eq!(lab.world.instances(), []);
}

/// Whoever goes back does not want the deploy that was on its way: it is undone, not finished.
#[tokio::test(start_paused = true)]
async fn a_rollback_undoes_what_was_left_unfinished() {
    let ats: [fn(&Event) -> bool; 3] = [
        |event| matches!(event, Event::Sealed { .. }),
        |event| matches!(event, Event::Intent { step: Step::Switch, .. }),
        |event| matches!(event, Event::StageStarted { stage: Stage::PostDeployTests }),
    ];
    for at in ats {
        let lab = Lab::new();
        let first = lab.deploy(shop("1.0.0", json!({}))).await.release.unwrap();
        let second = lab.deploy(shop("1.1.0", json!({}))).await.release;
        let journal = Deadly::new(&lab, Some((At::Event(at), Kill::After)));
        let pipeline = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() }.start();
        let run = pipeline.deploy(DeployRequest::new(shop("1.2.0", json!({}))));
        let killed = run.id().clone();
        assert!(journal.drive(run).await.is_none());
        drop(pipeline);

        let report = lab.roll_back(&first).await;
        assert_eq!(ended(&report), "succeeded", "{report}");
        assert_eq!(report.previous, second, "it was undone first");
        let records = lab.records(&killed).await;
        let retired =
            records.iter().any(|one| matches!(one.event, Event::Intent { step: Step::Retire, .. }));
        assert!(!retired, "the unwanted release was finished");
        assert_eq!(lab.serving().await, Some(first));
        lab.assert_settled().await;
    }
}
