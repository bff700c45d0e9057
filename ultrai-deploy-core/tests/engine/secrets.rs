//! No secret value leaves the engine, however careless a platform is.

use std::sync::{Arc, Mutex};

use serde_json::json;
use ultrai_deploy_core::{
    Chain, deployer::Step, history::Query, journal::Record, lease::Wait, name::RunId,
    observer::Observer, pipeline::DeployRequest, release_store::ReleaseStore, verification::When,
};

use crate::{
    faults::{Call, FailingTasks, Faulty, How},
    journals::{Deadly, Kill},
    lab::{Lab, Parts, SECRET, ended, shop, with_check, with_test},
    scenarios::switching,
};

/// Everything that those who watch get to see.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Observer for Told {
    fn on_record(&self, _: &RunId, record: &Record) {
        self.0.lock().unwrap().push(format!("{record:?}"));
    }
    fn on_output(&self, _: &RunId, subject: &str, line: &str) {
        self.0.lock().unwrap().push(format!("{subject}: {line}"));
    }
}

fn assert_clean(what: &str, text: &str) {
    let around = text.find(SECRET).map(|at| &text[..at + SECRET.len()]);
    let end = around.map(|text| text.chars().rev().take(200).collect::<Vec<_>>());
    assert!(
        end.is_none(),
        "{what}: {:?}",
        end.map(|end| end.into_iter().rev().collect::<String>())
    );
}

async fn assert_clean_lab(what: &str, lab: &Lab) {
    let pipeline = lab.process();
    for run in lab.runs().await {
        let records = lab.records(&run).await;
        assert_clean(what, &serde_json::to_string(&records).unwrap());
        assert_clean(what, &format!("{records:?}"));
        let report = pipeline.report(&run).await.unwrap();
        assert_clean(what, &serde_json::to_string(&report).unwrap());
        assert_clean(what, &format!("{report} {report:?}"));
    }
    assert_clean(
        what,
        &serde_json::to_string(&pipeline.history(&Query::default()).await.unwrap()).unwrap(),
    );
}

/// The wrapper's errors, evidence and causes all quote the value.
#[tokio::test(start_paused = true)]
async fn what_a_platform_quotes_is_cut_out() {
    let calls = [
        Call::Preflight,
        Call::Current,
        Call::Endpoints,
        Call::Prepare(Step::Stage),
        Call::Act(Step::Stage),
        Call::Act(Step::Switch),
        Call::Act(Step::Retire),
        Call::Act(Step::Rollback),
    ];
    let mut quoted = 0;
    for call in calls {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let told = Arc::new(Told::default());
        let deployer = Arc::new(Faulty::once(lab.deployer(), call, How::Before));
        let mut parts = Parts { deployer, ..lab.parts() };
        parts.observers.push(Arc::clone(&told) as _);
        let backend = match call {
            Call::Act(Step::Rollback) => json!({ "healthy": "staged" }),
            _ => json!({}),
        };
        let pipeline = parts.start();
        let run = pipeline.deploy(DeployRequest::new(shop("1.1.0", backend)));
        assert_clean("a run", &format!("{run:?}"));
        run.join().await.unwrap();
        let what = format!("{call:?}");
        assert_clean_lab(&what, &lab).await;
        assert_clean(&what, &format!("{:?} {:?}", lab.process(), lab.releases));
        assert_clean(&what, &told.text());
        quoted += usize::from(told.text().contains("***"));
    }
    assert_eq!(quoted, calls.len(), "every fault was told, without the value");
}

#[tokio::test(start_paused = true)]
async fn probes_and_tests_that_say_it_are_cut() {
    let lab = Lab::new();
    let told = Arc::new(Told::default());
    let says = json!({ "healthy": true, "says": format!("auth={SECRET}") });
    let spec = with_check(shop("1.0.0", json!({})), When::Verify, says);
    let mut parts = Parts { tasks: Arc::new(FailingTasks), ..lab.parts() };
    parts.observers.push(Arc::clone(&told) as _);
    let request = DeployRequest::new(with_test(spec.clone(), When::Post));
    let report = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "rolled back");
    assert_clean_lab("a failing test", &lab).await;
    assert_clean("output", &told.text());
    assert!(told.text().contains("Post test: token *** was refused"));

    assert_eq!(ended(&lab.deploy(spec).await), "succeeded");
    let pipeline = lab.process();
    let (_, proof) = pipeline.verify(&pipeline.look()).await.unwrap();
    let text = format!("{proof:?} {}", serde_json::to_string(&proof).unwrap());
    assert!(text.contains("auth=***"), "{text}");
    assert_clean("a proof", &text);
}

/// A process that takes over knows the values from the release store.
#[tokio::test(start_paused = true)]
async fn a_process_that_takes_over_cuts_them_out_too() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let journal = Deadly::new(&lab, Some((switching(), Kill::After)));
    let parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
    let request = DeployRequest::new(shop("1.1.0", json!({})));
    assert!(journal.drive(parts.start().deploy(request)).await.is_none());

    let deployer = Arc::new(Faulty::once(lab.deployer(), Call::Observe, How::Before));
    let blind = Parts { deployer, ..lab.parts() }.start();
    let run = blind.resume(false, Wait::No).await.unwrap().unwrap();
    let error = run.join().await.unwrap_err();
    let text = format!("{} {error:?}", Chain(&error));
    assert!(text.contains("***"), "{text}");
    assert_clean("an error", &text);

    let deployer = Arc::new(Faulty::once(lab.deployer(), Call::Act(Step::Switch), How::Before));
    let failing = Parts { deployer, ..lab.parts() }.start();
    let run = failing.resume(false, Wait::No).await.unwrap().unwrap();
    assert_eq!(ended(&run.join().await.unwrap()), "rolled back");
    assert_clean_lab("a takeover", &lab).await;
}

/// A release says which secrets it uses, not what they are.
#[tokio::test(start_paused = true)]
async fn a_release_holds_fingerprints_only() {
    let lab = Lab::new();
    let report = lab.deploy(shop("1.0.0", json!({}))).await;
    let release = lab.releases.get(report.release.as_ref().unwrap()).await.unwrap();
    assert_eq!(release.secret_names().len(), 1);
    assert_clean("a release", &serde_json::to_string(&*release).unwrap());
}
