//! Random faults at random calls, and kills at random records: the invariants hold.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Ending,
    journal::Journal,
    lease::Wait,
    pipeline::{DeployRequest, Pipeline},
    report::Report,
    verification::When,
};

use crate::{
    faults::{Faulty, How},
    journals::{At, Deadly, Kill},
    lab::{Lab, Parts, ended, fails, shop, with_test},
};

/// One process: the calls of its deployer that fail, and the record at which it dies.
#[derive(Clone, Debug)]
struct Process {
    faults: Vec<(u32, How)>,
    dies: Option<(u64, Kill)>,
}

impl Process {
    fn start(&self, lab: &Lab, journal: &Arc<Deadly>) -> Pipeline {
        let deployer = Arc::new(Faulty::planned(lab.deployer(), self.faults.clone()));
        let journal: Arc<dyn Journal> = Arc::clone(journal) as _;
        Parts { deployer, journal, ..lab.parts() }.start()
    }
}

fn process() -> impl Strategy<Value = Process> {
    let how = prop::sample::select(vec![
        How::Clean,
        How::Before,
        How::After,
        How::Hangs,
        How::HangsAfter,
    ]);
    let kill = prop::sample::select(vec![
        Kill::Before,
        Kill::After,
        Kill::Torn,
        Kill::DiskBefore,
        Kill::DiskAfter,
    ]);
    let faults = prop::collection::vec((1..30_u32, how), 0..4);
    (faults, prop::option::of((1..90_u64, kill)))
        .prop_map(|(faults, dies)| Process { faults, dies })
}

fn backend() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({ "healthy_after": 3 }),
        json!({ "healthy": "staged" }),
        json!({ "starts": false }),
        json!({ "dead": true }),
        fails(When::Pre),
        fails(When::Post),
    ])
}

async fn play(backend: Value, first: bool, processes: Vec<Process>) -> &'static str {
    let lab = Lab::new();
    if !first {
        lab.deploy(shop("1.0.0", json!({}))).await;
    }
    let before = lab.picture().await;
    let spec = with_test(with_test(shop("1.1.0", backend), When::Pre), When::Post);
    let mut id = None;
    for process in processes {
        let dies = process.dies.map(|(at, kill)| (At::Append(at), kill));
        let journal = Deadly::new(&lab, dies);
        let pipeline = process.start(&lab, &journal);
        if id.is_none() {
            let run = pipeline.deploy(DeployRequest::new(spec.clone()));
            id = Some(run.id().clone());
            journal.drive(run).await;
        } else {
            journal.drive_resumed(&pipeline, false).await;
        }
        assert_keeps_others_out(&lab).await;
    }
    let mut left = 3;
    while let Some(run) = lab.process().resume(true, Wait::No).await.unwrap() {
        run.join().await.unwrap();
        left -= 1;
        assert!(left > 0, "it is never over");
    }
    let id = id.unwrap();
    if !lab.runs().await.contains(&id) {
        return "nothing was written";
    }
    let report: Report = lab.process().report(&id).await.unwrap();
    match &report.ending {
        Some(Ending::Succeeded { .. }) => {
            assert_eq!(lab.serving().await, report.release);
            // What a fault kept from being retired is named, and the only thing that is left.
            if report.notes.is_empty() {
                lab.assert_settled().await;
            }
        }
        Some(Ending::RolledBack { .. } | Ending::Refused { .. }) | None => {
            assert_eq!(lab.picture().await, before, "{report}");
            lab.assert_settled().await;
        }
        other => panic!("{other:?}"),
    }
    ended(&report)
}

/// A run that is stuck refuses the next one, which changes nothing.
async fn assert_keeps_others_out(lab: &Lab) {
    let pipeline = lab.process();
    if pipeline.unfinished().await.unwrap().is_some_and(|found| found.is_stuck()) {
        let world = lab.stamps();
        let refused = pipeline.deploy(DeployRequest::new(shop("3.0.0", json!({}))));
        assert_eq!(ended(&refused.join().await.unwrap()), "refused");
        assert_eq!(lab.stamps(), world);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was proven must be seen")]
fn whatever_fails_and_whenever_it_dies() {
    let cases = 300;
    let endings = Mutex::new(std::collections::BTreeMap::<_, u32>::new());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let processes = prop::collection::vec(process(), 1..4);
    proptest!(config, |(backend in backend(), first: bool, processes in processes)| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let ending = runtime.unwrap().block_on(play(backend, first, processes));
        *endings.lock().unwrap().entry(ending).or_default() += 1;
    });
    let endings = endings.into_inner().unwrap();
    println!("random faults and kills: {cases} cases ran; endings: {endings:?}");
    assert!(endings.len() > 3, "{endings:?}");
}
