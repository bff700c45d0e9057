//! Watching a release that already serves.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    ErrorKind,
    consequence::{Consequences, Severity},
    health::Timing,
    lease::{Holder, Lease, Wait},
    memory,
    name::RunId,
    pipeline::{DeployRequest, Told, WatchRequest, Watched, Watcher},
    verification::{CheckSpec, When},
};

use crate::lab::{Lab, Parts, ended, image, shop, target};

/// Keeps what it is told, a word each.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Watcher for Notes {
    fn told(&self, told: &Told) {
        let word = match told {
            Told::Alert(outcome) => {
                format!("alert {} {}", outcome.severity.as_str(), outcome.check)
            }
            Told::Recovered { check } => format!("recovered {check}"),
            Told::Boxed { .. } => "boxed".to_owned(),
            Told::Unboxed => "unboxed".to_owned(),
            Told::GoingBack { .. } => "going back".to_owned(),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(word);
    }
}

impl Notes {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// 1.1.0 serves after 1.0.0, with a check for watching.
async fn serving(probe: Value, severity: Severity) -> Lab {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let mut spec = shop("1.1.0", json!({}));
    let second = Duration::from_secs(1);
    let timing = Timing { interval: second, timeout: second, ..Timing::default() };
    let check = CheckSpec::new("errors", probe).with_when(When::Watch).with_timing(timing);
    spec.verification.checks.push(check.with_consequences(Consequences::of(severity)));
    assert_eq!(ended(&lab.deploy(spec).await), "succeeded");
    lab
}

fn sick() -> Value {
    json!({ "healthy": false, "says": "6 % of requests fail" })
}

fn within(minutes: u64) -> WatchRequest {
    WatchRequest { window: Some(Duration::from_mins(minutes)), ..WatchRequest::default() }
}

async fn watch(lab: &Lab, request: &WatchRequest) -> (Watched, Vec<String>) {
    let notes = Notes::default();
    let watched = lab.process().watch(request, &notes).await.unwrap();
    (watched, notes.all())
}

#[tokio::test(start_paused = true)]
async fn what_is_well_is_watched_to_the_end() {
    let lab = serving(json!({ "healthy": true }), Severity::Critical).await;
    let began = tokio::time::Instant::now();
    let (watched, notes) = watch(&lab, &within(3)).await;
    assert_eq!((watched, notes), (Watched::Over(Vec::new()), Vec::new()));
    let took = began.elapsed();
    assert!(took >= Duration::from_mins(3) && took < Duration::from_secs(190), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_critical_is_gone_back_from_at_once_and_proven() {
    let lab = serving(sick(), Severity::Critical).await;
    let (watched, notes) = watch(&lab, &within(60)).await;
    let Watched::WentBack(report) = watched else { panic!("{watched:?}") };
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(report.version.as_ref().unwrap().as_str(), "1.0.0");
    let reason = report.initiator.as_ref().and_then(|one| one.reason.clone()).unwrap();
    assert!(reason.contains("check `errors`: told so: 6 % of requests fail"), "{reason}");
    assert_eq!(notes, ["alert critical errors", "going back"]);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_major_gets_its_time_and_then_goes_back() {
    let lab = serving(sick(), Severity::Major).await;
    let began = tokio::time::Instant::now();
    let (watched, notes) = watch(&lab, &within(60)).await;
    let Watched::WentBack(report) = watched else { panic!("{watched:?}") };
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(notes, ["alert major errors", "boxed", "going back"]);
    let took = began.elapsed();
    assert!(took >= Duration::from_mins(15) && took < Duration::from_mins(17), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fix_in_time_ends_the_watch() {
    let lab = serving(sick(), Severity::Major).await;
    let (notes, request) = (Notes::default(), within(60));
    let pipeline = lab.process();
    let fix = async {
        while notes.all().len() < 2 {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        lab.deploy(shop("1.1.1", json!({}))).await
    };
    let (watched, fixed) = tokio::join!(pipeline.watch(&request, &notes), fix);
    assert_eq!(ended(&fixed), "succeeded", "{fixed}");
    assert_eq!(watched.unwrap(), Watched::Replaced { by: fixed.release });
}

#[tokio::test(start_paused = true)]
async fn what_recovers_closes_its_time_box() {
    let sick = json!({ "healthy": true, "sick": [20, 60] });
    let lab = serving(sick, Severity::Major).await;
    let (watched, notes) = watch(&lab, &within(5)).await;
    assert_eq!(watched, Watched::Over(Vec::new()));
    assert_eq!(notes, ["alert major errors", "boxed", "recovered errors", "unboxed"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_minor_is_told_once() {
    let lab = serving(sick(), Severity::Minor).await;
    let (watched, notes) = watch(&lab, &within(5)).await;
    let Watched::Over(outcomes) = watched else { panic!("{watched:?}") };
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!(notes, ["alert minor errors"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_place_to_go_back_to_or_leave_to_act_it_says_so() {
    let lab = Lab::new();
    let mut spec = shop("1.0.0", json!({}));
    spec.verification.checks.push(CheckSpec::new("errors", sick()).with_when(When::Watch));
    lab.deploy(spec).await;
    let (watched, _) = watch(&lab, &within(5)).await;
    let Watched::Unwell { outcomes, refusal: Some(why) } = watched else { panic!("{watched:?}") };
    assert!(outcomes[0].check == "errors" && why.contains("nothing was proven"), "{why}");

    let lab = serving(sick(), Severity::Critical).await;
    let request = WatchRequest { acts: false, ..within(5) };
    let (watched, notes) = watch(&lab, &request).await;
    assert!(matches!(watched, Watched::Unwell { refusal: None, .. }), "{watched:?}");
    assert_eq!(notes, ["alert critical errors"]);
}

/// What cannot be gone back to is said, and the release is left alone.
#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_refused_is_no_rollback() {
    let lab = Lab::new();
    lab.deploy(image("1.0.0", "app:1", None)).await;
    let mut spec = image("1.1.0", "app:2", None);
    spec.verification.checks.push(CheckSpec::new("errors", sick()).with_when(When::Watch));
    let images = memory::Images::new().with("app:1").with("app:2");
    let with_both = Parts { images: Arc::new(images), ..lab.parts() }.start();
    with_both.deploy(DeployRequest::new(spec)).join().await.unwrap();
    let before = lab.picture().await;
    let without = memory::Images::new().with("app:2");
    let pipeline = Parts { images: Arc::new(without), ..lab.parts() }.start();
    let watched = pipeline.watch(&within(5), &Notes::default()).await.unwrap();
    let Watched::Unwell { refusal: Some(why), .. } = watched else { panic!("{watched:?}") };
    assert!(why.contains("app:1"), "{why}");
    assert_eq!(lab.picture().await, before);
}

/// The other run may well be the fix.
#[tokio::test(start_paused = true)]
async fn while_another_run_has_the_environment_it_goes_on_watching() {
    let lab = serving(sick(), Severity::Critical).await;
    let holder = Holder {
        run: RunId::generate(),
        host: "elsewhere".into(),
        process: 1,
        user: "somebody".into(),
        since: jiff::Timestamp::now(),
    };
    let fence = lab.lease.acquire(&target(), &holder, Wait::No).await.unwrap();
    let (pipeline, notes, request) = (lab.process(), Notes::default(), within(60));
    let other = async {
        tokio::time::advance(Duration::from_mins(2)).await;
        lab.lease.release(&target(), fence).await.unwrap();
    };
    let (watched, ()) = tokio::join!(pipeline.watch(&request, &notes), other);
    assert!(matches!(watched.unwrap(), Watched::WentBack(_)));
    assert_eq!(notes.all(), ["alert critical errors", "going back"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_ends_it_and_nothing_to_watch_is_an_error() {
    let lab = serving(json!({ "healthy": true }), Severity::Critical).await;
    let request = WatchRequest::default();
    request.cancel.cancel();
    assert_eq!(watch(&lab, &request).await.0, Watched::Over(Vec::new()));

    let error = Lab::new().process().watch(&within(1), &Notes::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
