//! Killed at every record, before and after it is durable, and killed again on the way back.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Ending,
    deployer::Step,
    journal::Event,
    name::ReleaseId,
    pipeline::{DeployRequest, Pipeline, RollbackRequest, Run},
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};

use crate::{
    journals::{At, Deadly, Kill},
    lab::{CancelAt, Lab, Parts, ended, fails, service, shop, with_test},
};

const KILLS: [(Kill, Recovery); 6] = [
    (Kill::Before, Recovery::Resume),
    (Kill::After, Recovery::Resume),
    (Kill::DiskBefore, Recovery::Resume),
    (Kill::DiskAfter, Recovery::Resume),
    (Kill::Before, Recovery::NextDeploy),
    (Kill::After, Recovery::NextDeploy),
];

/// What happens in the run that is killed.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What serves before: nothing, or version 1.0.0.
    pub(crate) first: bool,
    pub(crate) run: Wanted,
    pub(crate) cancel_at: Option<fn(&Event) -> bool>,
}

pub(crate) enum Wanted {
    Deploy(ReleaseSpec),
    /// Back to 0.9.0, which served before 1.0.0.
    Rollback,
    /// Finish a run that was killed in its switch, then deploy.
    TakeOver(ReleaseSpec),
}

fn deploy(name: &'static str, spec: ReleaseSpec) -> Scenario {
    Scenario { name, first: false, run: Wanted::Deploy(spec), cancel_at: None }
}

fn tested(backend: Value) -> ReleaseSpec {
    with_test(with_test(shop("1.1.0", backend), When::Pre), When::Post)
}

fn upgrades() -> Vec<Scenario> {
    let mut removing = shop("1.1.0", json!({}));
    removing.services.remove(&service("frontend"));
    vec![
        deploy("upgrade", tested(json!({}))),
        deploy("upgrade that removes a service", removing),
        deploy("failing test before", tested(fails(When::Pre))),
        deploy("failing switch", shop("1.1.0", json!({ "starts": false }))),
        deploy("failing verify", shop("1.1.0", json!({ "healthy": "staged" }))),
        deploy("failing test after", tested(fails(When::Post))),
    ]
}

fn others() -> Vec<Scenario> {
    vec![
        Scenario {
            cancel_at: Some(|event| matches!(event, Event::Intent { step: Step::Switch, .. })),
            ..deploy("cancelled in the switch", tested(json!({})))
        },
        Scenario {
            cancel_at: Some(|event| matches!(event, Event::StageFinished { stage: Stage::Verify })),
            ..deploy("cancelled after verify", tested(json!({})))
        },
        Scenario { first: true, ..deploy("first deploy", tested(json!({}))) },
        Scenario {
            first: true,
            ..deploy("first deploy that fails", shop("1.1.0", json!({ "healthy": "staged" })))
        },
        Scenario { run: Wanted::Rollback, ..deploy("rollback", shop("0.9.0", json!({}))) },
        Scenario {
            run: Wanted::TakeOver(shop("1.2.0", json!({}))),
            ..deploy("taking over", shop("1.2.0", json!({})))
        },
    ]
}

impl Scenario {
    /// The environment before the run, and what serves in it.
    pub(crate) async fn prepare(&self) -> (Lab, Option<ReleaseId>) {
        let lab = Lab::new();
        if self.first {
            return (lab, None);
        }
        if let Wanted::Rollback = self.run {
            lab.deploy(shop("0.9.0", json!({}))).await;
        }
        lab.deploy(shop("1.0.0", json!({}))).await;
        if let Wanted::TakeOver(_) = self.run {
            let journal = Deadly::new(&lab, Some((switching(), Kill::After)));
            let parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
            let run = parts.start().deploy(DeployRequest::new(shop("1.1.0", json!({}))));
            assert!(journal.drive(run).await.is_none());
        }
        let serving = lab.serving().await;
        (lab, serving)
    }

    fn begin(&self, pipeline: &Pipeline, oldest: Option<ReleaseId>) -> Run {
        match &self.run {
            Wanted::Deploy(spec) | Wanted::TakeOver(spec) => {
                pipeline.deploy(DeployRequest::new(spec.clone()))
            }
            Wanted::Rollback => pipeline.rollback(RollbackRequest::new(oldest.unwrap())),
        }
    }

    /// One process that runs the scenario and dies at `at`.
    pub(crate) async fn process(
        &self,
        lab: &Lab,
        at: Option<(u64, Kill)>,
    ) -> (Option<Report>, u64) {
        let at = at.map(|(at, kill)| (At::Append(at), kill));
        let journal = Deadly::new(lab, at);
        let mut parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
        let canceller = self.cancel_at.map(CancelAt::new);
        if let Some(canceller) = &canceller {
            parts.observers.push(Arc::clone(canceller) as _);
        }
        let pipeline = parts.start();
        let oldest = pipeline.proven().await.unwrap().pop();
        let run = self.begin(&pipeline, oldest);
        if let Some(canceller) = &canceller {
            canceller.watch(&run);
        }
        let report = journal.drive(run).await;
        (report, journal.appends())
    }
}

/// The first effect of a switch.
pub(crate) fn switching() -> At {
    At::Event(|event| matches!(event, Event::Effect { step, .. } if step == "switch"))
}

/// How a killed run is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    Resume,
    NextDeploy,
}

#[expect(clippy::print_stdout, reason = "how much was proven must be seen")]
fn told(what: &str, cases: usize, endings: &BTreeMap<&'static str, usize>) {
    println!("{what}: {cases} cases ran; endings of the killed runs: {endings:?}");
    assert!(cases > 0);
}

/// One case: the scenario is killed at `at`, its recovery at `again`, and what then is done must
/// settle everything.
async fn case(
    scenario: &Scenario,
    at: (u64, Kill),
    again: Option<(u64, Kill)>,
    recovery: Recovery,
) -> &'static str {
    let (lab, before) = scenario.prepare().await;
    let picture = lab.picture().await;
    let what = format!("{}, killed at {at:?}, again at {again:?}, {recovery:?}", scenario.name);
    scenario.process(&lab, Some(at)).await;
    let killed = lab.runs().await.pop();

    let recover = async |journal: Arc<Deadly>| {
        let pipeline = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() }.start();
        match recovery {
            Recovery::Resume => journal.drive_resumed(&pipeline).await,
            Recovery::NextDeploy => {
                let next = DeployRequest::new(shop("2.0.0", json!({})));
                journal.drive(pipeline.deploy(next)).await
            }
        }
    };
    if again.is_some() {
        let again = again.map(|(at, kill)| (At::Append(at), kill));
        recover(Deadly::new(&lab, again)).await;
    }
    let report = recover(Deadly::new(&lab, None)).await;

    if recovery == Recovery::NextDeploy {
        assert!(ended(&report.unwrap()).starts_with("succeeded"), "{what}");
    }
    lab.assert_settled().await;
    let Some(run) = killed else { return "nothing was written" };
    let report = lab.process().report(&run).await.unwrap();
    let target = report.release.clone();
    if recovery == Recovery::Resume && !matches!(scenario.run, Wanted::TakeOver(_)) {
        match &report.ending {
            Some(Ending::Succeeded { .. }) => {
                assert_eq!(lab.serving().await, target, "{what}");
            }
            Some(Ending::RolledBack { to, .. }) => {
                assert_eq!(*to, before, "{what}");
                assert_eq!(lab.picture().await, picture, "{what}: the same instances serve");
            }
            // It died before it had the lease: there is nothing to take over.
            Some(Ending::Refused { .. }) | None => {
                assert_eq!(lab.picture().await, picture, "{what}: the same instances serve");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    if scenario.cancel_at.is_some() && report.cancelled {
        assert_ne!(ended(&report), "succeeded", "{what}: a cancelled run goes back");
    }
    ended(&report)
}

async fn killed_at_every_record(scenarios: Vec<Scenario>) {
    for scenario in scenarios {
        let (lab, _) = scenario.prepare().await;
        let (_, appends) = scenario.process(&lab, None).await;
        let (mut cases, mut endings) = (0, BTreeMap::new());
        for at in 1..=appends {
            for (kill, recovery) in KILLS {
                let ending = case(&scenario, (at, kill), None, recovery).await;
                *endings.entry(ending).or_default() += 1;
                cases += 1;
            }
        }
        told(&format!("{}, {appends} records", scenario.name), cases, &endings);
    }
}

async fn killed_again_during_recovery(scenarios: Vec<Scenario>) {
    for scenario in scenarios {
        let (lab, _) = scenario.prepare().await;
        let (_, appends) = scenario.process(&lab, None).await;
        let (mut cases, mut endings) = (0, BTreeMap::new());
        for at in (1..=appends).step_by(5) {
            for again in [1, 2, 3, 5, 8, 13, 21, 34] {
                for (kill, then, recovery) in [
                    (Kill::Before, Kill::After, Recovery::Resume),
                    (Kill::After, Kill::Before, Recovery::Resume),
                    (Kill::After, Kill::After, Recovery::NextDeploy),
                ] {
                    let again = Some((again, then));
                    let ending = case(&scenario, (at, kill), again, recovery).await;
                    *endings.entry(ending).or_default() += 1;
                    cases += 1;
                }
            }
        }
        told(&format!("{}, killed twice", scenario.name), cases, &endings);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_killed_at_every_record() {
    killed_at_every_record(upgrades()).await;
}

#[tokio::test(start_paused = true)]
async fn anything_else_killed_at_every_record() {
    killed_at_every_record(others()).await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_killed_again_during_recovery() {
    killed_again_during_recovery(upgrades()).await;
}

#[tokio::test(start_paused = true)]
async fn anything_else_killed_again_during_recovery() {
    killed_again_during_recovery(others()).await;
}
