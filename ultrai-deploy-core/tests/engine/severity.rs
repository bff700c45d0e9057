//! What follows from a check that does not pass: its severity, and what is said of each verdict.

use std::time::Duration;

use serde_json::{Value, json};
use ultrai_deploy_core::{
    ErrorKind,
    consequence::{Consequences, Reaction, Severity},
    journal::Event,
    pipeline::{DeployRequest, Policy},
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
    verification::{CheckSpec, When},
};

use crate::lab::{Lab, Parts, ended, service, shop};

fn with(
    mut spec: ReleaseSpec,
    name: &str,
    probe: Value,
    consequences: Consequences,
) -> ReleaseSpec {
    let mut check = CheckSpec::new(name, probe).with_consequences(consequences);
    check.timing.deadline = Some(Duration::ZERO);
    spec.verification.checks.push(check);
    spec
}

fn bad() -> Value {
    json!({ "healthy": false, "says": "no answer" })
}

async fn deploy(lab: &Lab, spec: ReleaseSpec) -> Report {
    lab.deploy(shop("1.0.0", json!({}))).await;
    lab.deploy(spec).await
}

#[tokio::test(start_paused = true)]
async fn the_severity_decides_what_happens() {
    for (severity, ending) in [
        (Severity::Critical, "rolled back"),
        (Severity::Major, "held"),
        (Severity::Minor, "succeeded"),
    ] {
        let lab = Lab::new();
        let spec = with(shop("1.1.0", json!({})), "chat", bad(), Consequences::of(severity));
        let report = deploy(&lab, spec).await;
        let is_held = report.held_until.is_some();
        let seen = if is_held { "held" } else { ended(&report) };
        assert_eq!(seen, ending, "{severity:?}: {report}");
        let chat = report.checks.iter().find(|check| check.check == "chat").unwrap();
        assert_eq!((chat.severity, chat.why.as_deref()), (severity, Some("told so: no answer")));
        let first = report.to_string().lines().next().unwrap().to_owned();
        assert_eq!(first.contains("told so: no answer"), ending != "succeeded", "{first}");
        let is_warned = report.to_string().contains("warning: check chat (minor): told so");
        assert_eq!(is_warned, severity == Severity::Minor, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_verdict_has_a_policy_of_its_own() {
    let (error, unsure) = (json!({ "verdict": "error" }), json!({ "verdict": "inconclusive" }));
    let own = Consequences {
        on_error: Some(Reaction::Note),
        on_inconclusive: Some(Reaction::Hold),
        ..Consequences::default()
    };
    for (probe, consequences, ending) in [
        (&error, Consequences::default(), "rolled back"),
        (&unsure, Consequences::default(), "rolled back"),
        (&error, own, "succeeded"),
        (&unsure, own, "held"),
    ] {
        let lab = Lab::new();
        let spec = with(shop("1.1.0", json!({})), "load", probe.clone(), consequences);
        let report = deploy(&lab, spec).await;
        let seen = if report.held_until.is_some() { "held" } else { ended(&report) };
        assert_eq!(seen, ending, "{probe}: {report}");
    }
}

/// What is critical is not kept waiting by what is not, and weighs more.
#[tokio::test(start_paused = true)]
async fn the_worst_check_decides() {
    let lab = Lab::new();
    let spec = with(shop("1.1.0", json!({})), "a", bad(), Consequences::of(Severity::Minor));
    let spec = with(spec, "b", bad(), Consequences::of(Severity::Major));
    let slow = json!({ "healthy": false, "says": "the worst" });
    let spec = with(spec, "c", slow, Consequences::default());
    let report = deploy(&lab, spec).await;
    assert_eq!(ended(&report), "rolled back", "{report}");
    assert!(report.cause().unwrap().message.contains("check `c`: told so: the worst"), "{report}");
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_time_box_ends_with_a_rollback_or_with_the_release_that_mends_it() {
    let lab = Lab::new();
    let major = Consequences::of(Severity::Major);
    deploy(&lab, with(shop("1.1.0", json!({})), "chat", bad(), major)).await;
    let fixed = with(shop("1.1.1", json!({})), "chat", json!({ "healthy": true }), major);
    let report = lab.deploy(fixed).await;
    assert_eq!(ended(&report), "succeeded", "{report}");

    let lab = Lab::new();
    let held = deploy(&lab, with(shop("1.1.0", json!({})), "chat", bad(), major)).await;
    let late = Parts { later: Duration::from_mins(16), ..lab.parts() }.start();
    let report = late.overdue().await.unwrap().unwrap().join().await.unwrap();
    assert_eq!((&report.run, ended(&report)), (&held.run, "rolled back"), "{report}");
    lab.assert_settled().await;
}

/// While it is watched, too: a check that is made for that alone, and one that is held for.
#[tokio::test(start_paused = true)]
async fn a_watch_heeds_severities() {
    for (severity, ending) in [
        (Severity::Critical, "rolled back"),
        (Severity::Major, "held"),
        (Severity::Minor, "succeeded"),
    ] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let mut spec = shop("1.1.0", json!({}));
        let check = CheckSpec::new("errors", json!({ "healthy": true, "sick": [30] }));
        let check = check.with_when(When::Watch).with_consequences(Consequences::of(severity));
        spec.verification.checks.push(check);
        let mut gate = CheckSpec::new("load", json!({ "healthy": true }));
        gate.timing.deadline = Some(Duration::ZERO);
        spec.verification.checks.push(gate);
        let policy = Policy { watch: Duration::from_mins(10), ..Policy::default() };
        let pipeline = Parts { policy, ..lab.parts() }.start();
        let report = pipeline.deploy(DeployRequest::new(spec)).join().await.unwrap();
        let seen = if report.held_until.is_some() { "held" } else { ended(&report) };
        assert_eq!(seen, ending, "{severity:?}: {report}");
        let looks = |name: &str| report.checks.iter().filter(|one| one.check == name).count();
        assert_eq!((looks("errors"), looks("load")), (1, 1), "the one while watching only");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_well_before_is_told_and_is_no_place_to_go_back_to() {
    let lab = crashed().await;
    let report = lab.deploy(shop("1.1.0", json!({}))).await;
    assert_eq!(ended(&report), "succeeded", "a fix can be shipped: {report}");
    assert!(report.to_string().contains("before the run: check backend health:"), "{report}");

    let lab = crashed().await;
    let spec = with(shop("1.1.0", json!({})), "chat", bad(), Consequences::default());
    let report = lab.deploy(spec).await;
    assert_eq!(ended(&report), "stuck", "{report}");
    assert!(report.to_string().contains("was not well before the run either"), "{report}");
}

/// 1.0.0 serves, its backend has crashed, and starting it again does not help.
async fn crashed() -> Lab {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({ "healthy": "once" }))).await;
    let backend = service("backend");
    let found = lab.world.live().into_iter().find(|one| one.service == backend).unwrap();
    lab.world.crash(&found.id);
    lab
}

#[tokio::test(start_paused = true)]
async fn the_release_before_is_measured_right_before_it_is_replaced() {
    for (measures, ending) in [("p95 20 ms", "rolled back"), ("p95 30 ms", "succeeded")] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let mut spec = shop("1.1.0", json!({}));
        let probe = json!({ "healthy": true, "measures": measures, "beats": "p95 20 ms" });
        let mut check = CheckSpec::new("load", probe).with_when(When::Post);
        check.compares = true;
        spec.verification.checks.push(check);
        let report = lab.deploy(spec).await;
        assert_eq!(ended(&report), ending, "{report}");
        let records = lab.records(&report.run).await;
        let at = |wanted: &dyn Fn(&Event) -> bool| {
            records.iter().position(|record| wanted(&record.event)).unwrap()
        };
        let measured =
            at(&|event| matches!(event, Event::Checked { check, .. } if check == "load"));
        let deploys = at(&|event| *event == Event::StageStarted { stage: Stage::Deploy });
        let intent = at(&|event| matches!(event, Event::Intent { .. }));
        assert!(deploys < measured && measured < intent, "{deploys} {measured} {intent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_has_nothing_to_compare_with() {
    let lab = Lab::new();
    let mut spec = shop("1.0.0", json!({}));
    let probe = json!({ "healthy": true, "measures": "m", "beats": "m" });
    spec.verification.checks.push(CheckSpec { compares: true, ..CheckSpec::new("load", probe) });
    let report = lab.deploy(spec).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_a_release_needs_is_looked_at_before_anything_else() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    let check = |name: &str, probe: Value, severity| {
        let mut check = CheckSpec::new(name, probe).with_when(When::Preflight);
        check.timing.deadline = Some(Duration::ZERO);
        check.with_consequences(Consequences::of(severity))
    };
    let mut spec = shop("1.1.0", json!({}));
    spec.verification.checks = vec![
        check(
            "database",
            json!({ "healthy": true, "says": "12 of 100 connections" }),
            Severity::Critical,
        ),
        check("key", bad(), Severity::Critical),
        check("monitoring", json!({ "verdict": "error" }), Severity::Major),
        check("mirror", bad(), Severity::Minor),
    ];
    let report = lab.deploy(spec.clone()).await;
    assert_eq!(ended(&report), "refused", "{report}");
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Refused);
    assert!(cause.message.contains("key: told so: no answer"), "{cause}");
    assert!(cause.message.contains("monitoring: "), "{cause}");
    assert!(!cause.message.contains("mirror"), "{cause}");
    assert_eq!(report.checklist.len(), 4);
    assert_eq!(report.checklist[0].found.what, "12 of 100 connections");
    assert_eq!(lab.picture().await, before);

    spec.verification.checks.truncate(1);
    let report = lab.deploy(spec).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    let looked = report.checks.iter().any(|check| check.check == "database");
    assert!(!looked, "it is not a check of the release");
}
