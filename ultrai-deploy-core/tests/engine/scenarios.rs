//! What may go on in an environment while processes die.

use std::sync::Arc;

use serde_json::{Value, json};
use ultrai_deploy_core::{
    backup::{BackupStore, Selection},
    deployer::Step,
    journal::Event,
    name::ReleaseId,
    pipeline::{DataPolicy, DeployRequest, Pipeline, Policy, RollbackRequest},
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};

use crate::{
    disk::Disk,
    failures,
    faults::{Call, How},
    journals::{At, Deadly, Kill},
    lab::{
        CancelAt, Lab, Parts, Picture, ended, fails, service, shop, target, with_check, with_test,
    },
    migrations::with_migration,
    takeover::Thief,
};

/// The data before version 1.0.0 came, and that before the run.
pub(crate) const OLD: &str = "old";
pub(crate) const NOW: &str = "now";

/// What happens in the run that is killed.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Nothing serves before; otherwise version 1.0.0.
    pub(crate) first: bool,
    /// How many runs have changed nothing since.
    pub(crate) idle: u32,
    pub(crate) run: Wanted,
    pub(crate) cancel_at: Option<fn(&Event) -> bool>,
    /// Cancelled when this stage begins.
    pub(crate) cancel_in: Option<Stage>,
    /// What is done with data.
    pub(crate) policy: fn() -> Policy,
    /// What happens to the disk before the run.
    pub(crate) disk: fn(&Disk),
    /// The parts of the process that is killed; others have whole ones.
    pub(crate) parts: fn(&Lab) -> Parts,
}

pub(crate) enum Wanted {
    Deploy(ReleaseSpec),
    /// Back to 0.9.0, which served before 1.0.0.
    Rollback,
    /// The same, with the data of then.
    RollbackWithData,
    /// The data of then, and the release that serves.
    Restore,
    /// Finish a run that was killed in its switch, then deploy.
    TakeOver(ReleaseSpec),
    /// Go back once more in a run that is stuck.
    Retry,
}

/// An environment before the run.
pub(crate) struct Ready {
    pub(crate) lab: Lab,
    /// What a run that is rolled back returns to.
    pub(crate) serving: Option<ReleaseId>,
    pub(crate) picture: Picture,
}

pub(crate) fn deploy(name: impl Into<String>, spec: ReleaseSpec) -> Scenario {
    Scenario {
        name: name.into(),
        first: false,
        idle: 0,
        run: Wanted::Deploy(spec),
        cancel_at: None,
        cancel_in: None,
        policy: Policy::default,
        disk: |_| {},
        parts: Lab::parts,
    }
}

pub(crate) fn tested(backend: Value) -> ReleaseSpec {
    with_test(with_test(shop("1.1.0", backend), When::Pre), When::Post)
}

pub(crate) fn upgrades() -> Vec<Scenario> {
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

pub(crate) fn others() -> Vec<Scenario> {
    let next = || shop("1.2.0", json!({}));
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
        Scenario { run: Wanted::Rollback, ..deploy("rollback", next()) },
        Scenario { idle: 2, parts: forgetful, ..deploy("upgrade that forgets runs", next()) },
        Scenario { run: Wanted::TakeOver(next()), ..deploy("taking over", next()) },
    ]
}

/// A database that is changed on the way: once, whatever happens, and once more where that is fine.
pub(crate) fn migrating() -> Vec<Scenario> {
    let spec = |backend: Value| {
        let once = with_migration(shop("1.1.0", backend), "once", false);
        with_migration(once, "repeatable", true)
    };
    vec![
        deploy("migrations", spec(json!({}))),
        Scenario { first: true, ..deploy("first migrations", spec(json!({}))) },
        deploy("migrations, then a failing verify", spec(json!({ "healthy": "staged" }))),
        Scenario {
            first: true,
            ..deploy("first migrations, then a failing switch", spec(json!({ "starts": false })))
        },
        Scenario {
            cancel_at: Some(|event| matches!(event, Event::MigrationStarted { .. })),
            ..deploy("migrations, cancelled", spec(json!({})))
        },
    ]
}

/// A failure at each stage, in each way that the engine tells apart.
pub(crate) fn failing() -> Vec<Scenario> {
    let cases = failures::cases().into_iter();
    cases
        .map(|case| {
            let name = format!("failure: {}", case.name);
            Scenario { parts: case.parts, ..deploy(name, case.spec) }
        })
        .collect()
}

pub(crate) fn cancelled() -> Vec<Scenario> {
    Stage::ALL
        .into_iter()
        .filter(|stage| *stage != Stage::Report)
        .map(|stage| Scenario {
            cancel_in: Some(stage),
            ..deploy(format!("cancelled in {stage}"), tested(json!({})))
        })
        .collect()
}

/// Keeps no more runs than it needs.
fn forgetful(lab: &Lab) -> Parts {
    Parts { policy: Policy { keep_runs: 1, ..Policy::default() }, ..lab.parts() }
}

/// A release whose check is sick for these seconds of the watch.
fn flapping(name: &str, sick: &Value) -> Scenario {
    let probe = json!({ "healthy": true, "sick": sick });
    let spec = with_check(shop("1.1.0", json!({ "healthy_after": 3 })), When::Verify, probe);
    let watching = |lab: &Lab| {
        let policy = Policy { watch: std::time::Duration::from_mins(10), ..Policy::default() };
        Parts { policy, ..lab.parts() }
    };
    Scenario { parts: watching, ..deploy(name, spec) }
}

/// The lease goes to somebody else, who does nothing with it.
fn robbed(name: &str, parts: fn(&Lab) -> Parts) -> Scenario {
    Scenario { parts, ..deploy(name, tested(json!({}))) }
}

fn with_thief(lab: &Lab, at: fn(&Event) -> bool) -> Parts {
    let mut parts = lab.parts();
    parts.observers.push(Thief::new(lab, at));
    parts
}

/// A rollback that fails as often as it is tried.
fn without_return(lab: &Lab) -> Parts {
    failures::faulty(lab, |_, call| (call == Call::Act(Step::Rollback)).then_some(How::Before))
}

pub(crate) fn troubled() -> Vec<Scenario> {
    let bad = || shop("1.1.0", json!({ "healthy": "staged" }));
    vec![
        deploy("nothing to change", shop("1.0.0", json!({}))),
        flapping("health that flaps", &json!([100, 105])),
        flapping("health that goes", &json!([100])),
        Scenario { parts: without_return, ..deploy("failing rollback", bad()) },
        Scenario { run: Wanted::Retry, ..deploy("failed rollback, tried again", bad()) },
        robbed("lease lost while it stages", |lab| {
            with_thief(lab, |event| matches!(event, Event::Intent { step: Step::Stage, .. }))
        }),
        robbed("lease lost in the switch", |lab| {
            with_thief(lab, |event| matches!(event, Event::Effect { step, .. } if step == "switch"))
        }),
        robbed("lease lost before it retires", |lab| {
            with_thief(lab, |event| matches!(event, Event::StageStarted { stage: Stage::Finalise }))
        }),
    ]
}

impl Scenario {
    /// The environment before the run.
    pub(crate) async fn prepare(&self) -> Ready {
        let lab = Lab { policy: (self.policy)(), ..Lab::new() };
        if !self.first {
            if let Wanted::Rollback | Wanted::RollbackWithData | Wanted::Restore = self.run {
                lab.deploy(shop("0.9.0", json!({}))).await;
                lab.disk.write(OLD);
            }
            lab.deploy(shop("1.0.0", json!({}))).await;
        }
        for _ in 0..self.idle {
            lab.deploy(shop("1.0.0", json!({}))).await;
        }
        let (serving, picture) = (lab.serving().await, lab.picture().await);
        match &self.run {
            Wanted::TakeOver(_) => {
                let journal = Deadly::new(&lab, Some((switching(), Kill::After)));
                let parts = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() };
                let run = parts.start().deploy(DeployRequest::new(shop("1.1.0", json!({}))));
                assert!(journal.drive(run).await.is_none());
            }
            Wanted::Retry => {
                let bad = DeployRequest::new(shop("1.1.0", json!({ "healthy": "staged" })));
                let report = without_return(&lab).start().deploy(bad).join().await.unwrap();
                assert_eq!(ended(&report), "stuck");
            }
            Wanted::Deploy(_) | Wanted::Rollback | Wanted::RollbackWithData | Wanted::Restore => {}
        }
        lab.disk.write(NOW);
        (self.disk)(&lab.disk);
        Ready { lab, serving, picture }
    }

    /// The process of the run, with this journal.
    pub(crate) fn start(&self, lab: &Lab, journal: &Arc<Deadly>) -> (Pipeline, Arc<CancelAt>) {
        let (at, stage) = (self.cancel_at, self.cancel_in);
        let canceller = CancelAt::new(move |event| {
            let begins = matches!(event, Event::StageStarted { stage: one } if Some(*one) == stage);
            begins || at.is_some_and(|at| at(event))
        });
        let mut parts = Parts { journal: Arc::clone(journal) as _, ..(self.parts)(lab) };
        parts.observers.push(Arc::clone(&canceller) as _);
        (parts.start(), canceller)
    }

    /// Runs it until it ends or dies.
    pub(crate) async fn process(&self, lab: &Lab, journal: &Arc<Deadly>) -> Option<Report> {
        let oldest = lab.process().proven().await.unwrap().pop();
        let (pipeline, canceller) = self.start(lab, journal);
        let run = match &self.run {
            Wanted::Deploy(spec) | Wanted::TakeOver(spec) => {
                pipeline.deploy(DeployRequest::new(spec.clone()))
            }
            Wanted::Rollback => pipeline.rollback(RollbackRequest::new(oldest.unwrap())),
            Wanted::RollbackWithData => {
                let request = RollbackRequest::new(oldest.unwrap());
                pipeline.rollback(request.with_data(old_data(lab).await))
            }
            Wanted::Restore => {
                let request = RollbackRequest::new(lab.serving().await.unwrap());
                pipeline.rollback(request.with_data(old_data(lab).await))
            }
            Wanted::Retry => return journal.drive_resumed(&pipeline, true).await,
        };
        canceller.watch(&run);
        journal.drive(run).await
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel_at.is_some() || self.cancel_in.is_some_and(|stage| stage < Stage::Finalise)
    }
}

/// Everything in the backup that was taken before version 1.0.0 came.
pub(crate) async fn old_data(lab: &Lab) -> Selection {
    let oldest = lab.backups.list(&target()).await.unwrap().remove(0);
    Selection::all(target(), oldest.request.id)
}

/// Data that goes back, on request or with the release.
pub(crate) fn restoring() -> Vec<Scenario> {
    fn restore() -> Policy {
        Policy { data: DataPolicy::Restore, ..Policy::default() }
    }
    let bad = || shop("1.1.0", json!({ "healthy": "staged" }));
    let on_request = |name, run, disk| Scenario { run, disk, ..deploy(name, bad()) };
    let once = |disk: &Disk| disk.fail_restores(1);
    let thrice = |disk: &Disk| disk.fail_restores(3);
    let at_restore: fn(&Event) -> bool = |event| {
        matches!(event, Event::Effect { action, object, .. }
            if action == "restore" && object == "disk/users")
    };
    vec![
        Scenario { policy: restore, ..deploy("failing verify, data", bad()) },
        Scenario {
            policy: restore,
            ..deploy("failing switch, data", shop("1.1.0", json!({ "starts": false })))
        },
        Scenario {
            policy: || Policy { backup_max_age: std::time::Duration::ZERO, ..restore() },
            disk: once,
            ..deploy("failing verify, data that is kept again", bad())
        },
        Scenario { policy: restore, ..deploy("upgrade, data", shop("1.1.0", json!({}))) },
        Scenario {
            policy: restore,
            ..deploy(
                "failing migration, data",
                with_migration(shop("1.1.0", json!({ "healthy": "staged" })), "once", false),
            )
        },
        on_request("rollback with data", Wanted::RollbackWithData, |_| {}),
        on_request("restore", Wanted::Restore, |_| {}),
        on_request("restore that fails once", Wanted::Restore, once),
        on_request("restore that fails and goes back", Wanted::Restore, thrice),
        on_request("rollback with data that fails", Wanted::RollbackWithData, thrice),
        Scenario {
            cancel_at: Some(at_restore),
            ..on_request("restore, cancelled", Wanted::Restore, |_| {})
        },
        Scenario {
            cancel_at: Some(at_restore),
            ..on_request("rollback with data, cancelled", Wanted::RollbackWithData, |_| {})
        },
    ]
}

/// The first effect of a switch.
pub(crate) fn switching() -> At {
    At::Event(|event| matches!(event, Event::Effect { step, .. } if step == "switch"))
}
