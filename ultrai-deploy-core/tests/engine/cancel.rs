//! Runs that somebody asks to stop.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Ending, ErrorKind,
    deployer::Step,
    journal::{Event, Record},
    name::RunId,
    observer::Observer,
    pipeline::DeployRequest,
    report::Report,
    verification::When,
};

use crate::{
    failures::faulty,
    faults::{Call, How},
    lab::{CancelAt, Lab, ended, shop, with_test},
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

/// The second signal: the run is left as it is, in a call that does not listen. What was asked
/// with the first signal is not forgotten by whoever goes on.
#[tokio::test(start_paused = true)]
async fn left_at_once_and_resumed() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    let pipeline =
        faulty(&lab, |_, call| (call == Call::Act(Step::Switch)).then_some(How::HangsAfter))
            .start();
    let run = pipeline.deploy(DeployRequest::new(shop("1.1.0", json!({}))));
    let cancel = run.cancel();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cancel.cancel();
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    let error = run.join_until(stop).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    drop(pipeline);
    let report = lab.resume().await.unwrap();
    assert_eq!(ended(&report), "rolled back", "it was cancelled before: {report}");
    assert_eq!(lab.picture().await, before);
    lab.assert_settled().await;
}
