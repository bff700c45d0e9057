//! The new release is watched before the old one is removed.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{
    ErrorKind,
    journal::Event,
    name::ReleaseId,
    pipeline::{DeployRequest, Policy},
    report::Report,
    stage::Stage,
    verification::When,
};

use crate::lab::{Lab, Parts, Picture, ended, shop, with_check};

const WINDOW: Duration = Duration::from_mins(10);

/// An environment in which 1.0.0 serves.
struct Watched {
    lab: Lab,
    before: Picture,
    old: Option<ReleaseId>,
}

impl Watched {
    async fn new() -> Self {
        let lab = Lab::new();
        let old = lab.deploy(shop("1.0.0", json!({}))).await.release;
        Self { before: lab.picture().await, lab, old }
    }

    /// Deploys 1.1.0, whose check is sick for these seconds of the watch; tells how long it took.
    async fn deploy(&self, sick: &[u64], interval: u64) -> (Report, Duration) {
        let probe = json!({ "healthy": true, "sick": sick });
        let mut spec = with_check(shop("1.1.0", json!({})), When::Verify, probe);
        spec.verification.checks[0].timing.interval = Duration::from_secs(interval);
        let policy = Policy { watch: WINDOW, ..Policy::default() };
        let pipeline = Parts { policy, ..self.lab.parts() }.start();
        let began = Instant::now();
        let report = pipeline.deploy(DeployRequest::new(spec)).join().await.unwrap();
        self.lab.assert_settled().await;
        (report, began.elapsed())
    }

    async fn assert_back(&self, report: &Report) {
        assert_eq!(ended(report), "rolled back", "{report}");
        assert_eq!(self.lab.picture().await, self.before);
        assert_eq!(self.lab.serving().await, self.old);
    }
}

#[tokio::test(start_paused = true)]
async fn a_blip_is_told_and_not_fatal() {
    for sick in [[540, 545], [595, 601]] {
        let watched = Watched::new().await;
        let (report, took) = watched.deploy(&sick, 30).await;
        assert_eq!(ended(&report), "succeeded", "{report}");
        assert!(took >= WINDOW && took < WINDOW + Duration::from_secs(10), "{took:?}");
        assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
        assert!(report.notes[0].contains("check `Verify check` failed"), "{:?}", report.notes);
        assert!(report.notes[0].contains("it answers 503"), "{:?}", report.notes);
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_bad_goes_back_long_before_the_end() {
    let watched = Watched::new().await;
    let (report, took) = watched.deploy(&[60], 30).await;
    watched.assert_back(&report).await;
    assert_eq!(report.cause().unwrap().kind, ErrorKind::Unhealthy);
    // Three times 30 s and the timeout of 30 s.
    assert!(took >= Duration::from_mins(4) && took < Duration::from_secs(245), "{took:?}");
}

/// However long that takes: a stage that timed out would have told nothing about the release.
#[tokio::test(start_paused = true)]
async fn failures_at_the_end_are_decided() {
    let watched = Watched::new().await;
    let (report, took) = watched.deploy(&[595], 600).await;
    watched.assert_back(&report).await;
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Unhealthy, "{cause}");
    assert!(cause.message.contains("it answers 503"), "{cause}");
    assert!(took >= WINDOW + Duration::from_secs(3 * 630 - 10), "{took:?}");

    let (report, _) = Watched::new().await.deploy(&[595, 2000], 600).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_exits_ends_it_at_once() {
    let watched = Watched::new().await;
    let world = &watched.lab.world;
    let ((report, took), ()) = tokio::join!(watched.deploy(&[700], 30), async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        let web = world.live().into_iter().find(|one| one.service.as_str() == "frontend");
        world.crash(&web.unwrap().id);
    });
    watched.assert_back(&report).await;
    assert!(report.cause().unwrap().message.contains("exited"), "{report}");
    assert!(took < Duration::from_secs(110), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_ends_it_at_once() {
    let watched = Watched::new().await;
    let policy = Policy { watch: WINDOW, ..Policy::default() };
    let pipeline = Parts { policy, ..watched.lab.parts() }.start();
    let run = pipeline.deploy(DeployRequest::new(shop("1.1.0", json!({}))));
    let (cancel, id) = (run.cancel(), run.id().clone());
    let began = Instant::now();
    let (report, ()) = tokio::join!(run.join(), async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        cancel.cancel();
    });
    let report = report.unwrap();
    watched.assert_back(&report).await;
    assert_eq!(report.cause().unwrap().kind, ErrorKind::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(105), "{:?}", began.elapsed());
    let records = watched.lab.records(&id).await;
    let failed = |event: &Event| matches!(event, Event::StageFailed { stage: Stage::Watch, .. });
    assert!(records.iter().any(|record| failed(&record.event)));
    watched.lab.assert_settled().await;
}

/// What serves already was watched when it came.
#[tokio::test(start_paused = true)]
async fn nothing_new_is_not_watched() {
    let watched = Watched::new().await;
    let (first, took) = watched.deploy(&[], 30).await;
    assert_eq!(ended(&first), "succeeded");
    assert!(took >= WINDOW, "{took:?}");
    let (again, took) = watched.deploy(&[], 30).await;
    assert_eq!(ended(&again), "succeeded, nothing changed");
    assert!(took < WINDOW, "{took:?}");
}
