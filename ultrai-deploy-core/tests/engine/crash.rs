//! Killed at every record, before and after it is durable, and killed again on the way back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;
use ultrai_deploy_core::{
    Ending, ErrorKind,
    deployer::Step,
    error::{Error, Result},
    journal::{Event, Journal, Record},
    lease::Wait,
    memory,
    name::{ReleaseId, RunId},
    pipeline::{DeployRequest, Pipeline, RollbackRequest, Run},
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};

use crate::lab::{CancelAt, Lab, Parts, ended, fails, service, shop, with_test};

/// How a process ends at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// Killed before the record is durable: after an effect, before its result.
    Before,
    /// Killed after the record is durable: after an intent, before its effect.
    After,
    /// The disk fails before the record is on it.
    DiskBefore,
    /// The disk fails after the record is on it.
    DiskAfter,
}

const KILLS: [(Kill, Recovery); 6] = [
    (Kill::Before, Recovery::Resume),
    (Kill::After, Recovery::Resume),
    (Kill::DiskBefore, Recovery::Resume),
    (Kill::DiskAfter, Recovery::Resume),
    (Kill::Before, Recovery::NextDeploy),
    (Kill::After, Recovery::NextDeploy),
];

/// A journal whose process dies at one of its appends.
#[derive(Debug)]
pub struct Deadly {
    inner: memory::Journal,
    appends: AtomicU64,
    at: Option<(u64, Kill)>,
    dead: watch::Sender<bool>,
}

impl Deadly {
    pub fn new(lab: &Lab, at: Option<(u64, Kill)>) -> Arc<Self> {
        Arc::new(Self {
            inner: lab.journal.clone(),
            appends: AtomicU64::new(0),
            at,
            dead: watch::Sender::new(false),
        })
    }

    async fn die(&self) {
        self.dead.send_replace(true);
        std::future::pending::<()>().await;
    }

    /// Takes over what is unfinished, and drives it.
    pub async fn drive_resumed(&self, pipeline: &Pipeline) -> Option<Report> {
        let mut dead = self.dead.subscribe();
        let resumed = tokio::select! {
            biased;
            run = pipeline.resume(false, Wait::No) => run.ok().flatten(),
            _ = dead.wait_for(|dead| *dead) => None,
        };
        self.drive(resumed?).await
    }

    /// Drives `run` until it ends or its process dies. Nothing says whether it ended in an error.
    pub async fn drive(&self, run: Run) -> Option<Report> {
        let mut dead = self.dead.subscribe();
        tokio::select! {
            biased;
            report = run.join() => report.ok(),
            _ = dead.wait_for(|dead| *dead) => None,
        }
    }
}

#[async_trait]
impl Journal for Deadly {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        let number = self.appends.fetch_add(1, Ordering::Relaxed) + 1;
        let kill = self.at.filter(|(at, _)| *at == number).map(|(_, kill)| kill);
        let disk = || Err(Error::new(ErrorKind::Io, "append", "the disk is gone"));
        match kill {
            None => self.inner.append(run, record).await,
            Some(Kill::Before) => {
                self.die().await;
                Ok(())
            }
            Some(Kill::After) => {
                self.inner.append(run, record).await?;
                self.die().await;
                Ok(())
            }
            Some(Kill::DiskBefore) => disk(),
            Some(Kill::DiskAfter) => {
                self.inner.append(run, record).await?;
                disk()
            }
        }
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

/// What happens in the run that is killed.
pub struct Scenario {
    pub name: &'static str,
    /// What serves before: nothing, or version 1.0.0.
    pub first: bool,
    pub run: Wanted,
    pub cancel_at: Option<fn(&Event) -> bool>,
}

pub enum Wanted {
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
    pub async fn prepare(&self) -> (Lab, Option<ReleaseId>) {
        let lab = Lab::new();
        if self.first {
            return (lab, None);
        }
        if let Wanted::Rollback = self.run {
            lab.deploy(shop("0.9.0", json!({}))).await;
        }
        lab.deploy(shop("1.0.0", json!({}))).await;
        if let Wanted::TakeOver(_) = self.run {
            let journal = Deadly::new(&lab, Some((switching().await, Kill::After)));
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
    pub async fn process(&self, lab: &Lab, at: Option<(u64, Kill)>) -> (Option<Report>, u64) {
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
        (report, journal.appends.load(Ordering::Relaxed))
    }
}

/// The number of the append with the first effect of the switch, on an upgrade of the shop.
pub async fn switching() -> u64 {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let report = lab.deploy(shop("1.1.0", json!({}))).await;
    let records = lab.records(&report.run).await;
    let begins = |event: &Event| matches!(event, Event::Effect { step, .. } if step == "switch");
    records.iter().find(|record| begins(&record.event)).unwrap().seq
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
