//! Drivers that are stopped at any record, taken over, and go on much later.

use std::sync::Arc;

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    journal::{Event, Record},
    lease::Wait,
    pipeline::{DeployRequest, RollbackRequest},
};

use crate::{
    journals::{At, Deadly, Kill},
    lab::{Lab, Parts, ended, shop},
    scenarios::{Scenario, Wanted, others, upgrades},
};

/// Who takes over while the driver is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    Resume,
    Deploy,
    /// A resume that dies after so many operations.
    Dies(u64),
}

async fn take_over(lab: &Lab, taker: Taker) {
    let at = match taker {
        Taker::Dies(at) => Some((At::Operation(at), Kill::After)),
        Taker::Resume | Taker::Deploy => None,
    };
    let journal = Deadly::new(lab, at);
    let pipeline = Parts { journal: Arc::clone(&journal) as _, ..lab.parts() }.start();
    if taker == Taker::Deploy {
        let mut request = DeployRequest::new(shop("2.0.0", json!({})));
        request.wait = Wait::AtMost(std::time::Duration::from_mins(1));
        let report = journal.drive(pipeline.deploy(request)).await;
        assert_eq!(ended(&report.unwrap()), "succeeded");
    } else {
        journal.drive_resumed(&pipeline, false).await;
    }
}

/// Stops the driver at operation `at`; false when the run has fewer.
async fn stopped_at(scenario: &Scenario, at: u64, taker: Taker) -> bool {
    let what = format!("{}, stopped at {at}, {taker:?}", scenario.name);
    let ready = scenario.prepare().await;
    let lab = &ready.lab;
    let oldest = lab.process().proven().await.unwrap().pop();
    let journal = Deadly::new(lab, Some((At::Operation(at), Kill::Stop)));
    let (old, _) = scenario.start(lab, &journal);
    let run = match &scenario.run {
        Wanted::Deploy(spec) => old.deploy(DeployRequest::new(spec.clone())),
        _ => old.rollback(RollbackRequest::new(oldest.unwrap())),
    };
    let id = run.id().clone();
    let mut old_run = Box::pin(run.join());
    tokio::select! {
        biased;
        _ = &mut old_run => return false,
        () = journal.happened() => {}
    }
    // Nobody polls the old driver now: it does not renew.
    let held = lab.holder().await.as_ref() == Some(&id);
    take_over(lab, taker).await;
    let still = lab.holder().await.as_ref() == Some(&id);
    let (world, known) = (lab.stamps(), lab.runs().await.contains(&id));
    let records = if known { lab.records(&id).await } else { Vec::new() };

    journal.go_on();
    let result = old_run.await;
    if held && !still {
        // A run that nobody has adopted yet it may still write to; that is all.
        let is_adoption = |record: &Record| matches!(record.event, Event::Adopted { .. });
        if records.iter().any(is_adoption) {
            let kind = result.map_err(|error| error.kind());
            let lost = matches!(kind, Err(ErrorKind::Fenced | ErrorKind::Conflict));
            assert!(lost, "{what}: {kind:?}");
            assert_eq!(lab.records(&id).await, records, "{what}: it wrote something");
        }
        assert_eq!(lab.stamps(), world, "{what}: it changed something");
    }
    drop(old);
    while lab.resume().await.is_some() {}
    lab.assert_settled().await;
    true
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "how much was proven must be seen")]
async fn stopped_everywhere_and_taken_over() {
    let mut runs = 0;
    let rollback = others().into_iter().filter(|one| matches!(one.run, Wanted::Rollback));
    for scenario in upgrades().into_iter().chain(rollback) {
        for at in 1.. {
            let taker = match at % 3 {
                0 => Taker::Resume,
                1 => Taker::Deploy,
                _ => Taker::Dies(at % 29 + 1),
            };
            if !stopped_at(&scenario, at, taker).await {
                break;
            }
            runs += 1;
        }
    }
    println!("drivers that were stopped and taken over: {runs} runs");
    assert!(runs > 300, "{runs}");
}
