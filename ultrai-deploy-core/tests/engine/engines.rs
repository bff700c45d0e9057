//! Runs that another version of the engine began.

use serde_json::json;
use ultrai_deploy_core::{
    deployer::Step,
    journal::{Event, Journal, Record},
    lease::Wait,
    pipeline::DeployRequest,
    state::State,
};

use crate::{
    hold,
    journals::{At, Deadly, Kill, Paper},
    lab::{Lab, Parts, ended, shop},
};

/// Begun by an engine that did everything up to here, and is another one than this.
async fn begun_by_another(lab: &mut Lab) {
    let journal = Paper::default();
    for run in lab.runs().await {
        for record in lab.records(&run).await {
            let event = match record.event {
                Event::Created {
                    format, target, kind, version, skips, plan, initiator, ..
                } => {
                    let engine = "0.0.7".to_owned();
                    Event::Created { format, engine, target, kind, version, skips, plan, initiator }
                }
                event => event,
            };
            journal.append(&run, &Record { event, ..record }).await.unwrap();
        }
    }
    lab.journal = journal;
}

/// Killed after each of its records in turn: before the old release is being retired, another
/// engine takes it back, from what the journal says; after that it finishes it.
#[tokio::test(start_paused = true)]
async fn what_another_engine_began_goes_back() {
    let mut endings = Vec::new();
    for at in 1.. {
        let mut lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.picture().await;
        let journal = Deadly::new(&lab, Some((At::Append(at), Kill::After)));
        let parts = Parts { journal: std::sync::Arc::clone(&journal) as _, ..lab.parts() };
        let request = DeployRequest::new(shop("1.1.0", json!({})));
        if journal.drive(parts.start().deploy(request)).await.is_some() {
            break;
        }
        begun_by_another(&mut lab).await;
        let run = lab.runs().await.pop().unwrap();
        let found = State::replay(&lab.records(&run).await).unwrap();
        let Some(report) = lab.resume().await else {
            assert!(!found.was_locked() || found.is_final(), "record {at}");
            continue;
        };
        let is_over = found.attempts().iter().any(|attempt| attempt.step == Step::Retire);
        let expected = if is_over {
            "succeeded"
        } else if found.touched() {
            "rolled back"
        } else {
            "refused"
        };
        let ending = ended(&report);
        // What is not known yet may turn out to have done nothing, or something.
        let may_be_either = found.open_attempt().is_some() && !is_over && ending != "succeeded";
        assert!(ending == expected || may_be_either, "record {at}: {report}");
        if ending == "succeeded" {
            assert_eq!(lab.serving().await, report.release);
        } else {
            assert_eq!(lab.picture().await, before, "record {at}");
            let told = report.to_string();
            // Before the release is sealed nobody else could have gone on either.
            let sealed = found.release().is_some();
            assert_eq!(told.contains("version 0.0.7 of ultrai-deploy began"), sealed, "{told}");
        }
        lab.assert_settled().await;
        endings.push(ending);
    }
    endings.dedup();
    assert_eq!(endings, ["refused", "rolled back", "succeeded"]);
}

/// That a person accepted it counts for more.
#[tokio::test(start_paused = true)]
async fn what_a_person_accepts_goes_on_with_another_engine() {
    let (mut lab, _, held) = hold::held().await;
    begun_by_another(&mut lab).await;
    let accepted = lab.process().accept(Wait::No).await.unwrap().join().await.unwrap();
    assert_eq!(accepted.run, held.run);
    assert_eq!(ended(&accepted), "succeeded", "{accepted}");
    lab.assert_settled().await;
}
