//! Runs that wait for a person, and newer ones that take their place.

use std::{pin::Pin, sync::Arc, time::Duration};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Ending, ErrorKind,
    journal::Event,
    lease::{Lease, Wait},
    memory,
    name::RunId,
    pipeline::{DeployRequest, FailureAction, OnUnfinished, Pipeline, Run},
    report::Report,
    spec::ReleaseSpec,
    stage::Stage,
    verification::When,
};

use crate::{
    journals::{At, Deadly, Kill},
    lab::{Lab, Parts, ended, fails, shop, target, with_test},
    policies,
};

fn parts(lab: &Lab) -> Parts {
    policies::parts(lab, Stage::PostDeployTests, FailureAction::Hold)
}

/// A version whose test after the switch fails.
fn failing(version: &str) -> ReleaseSpec {
    with_test(shop(version, fails(When::Post)), When::Post)
}

async fn deploy(lab: &Lab, spec: ReleaseSpec) -> Report {
    parts(lab).start().deploy(DeployRequest::new(spec)).join().await.unwrap()
}

/// 1.0.0 served, and 1.1.0 is held.
pub(crate) async fn held() -> (Lab, crate::lab::Picture, Report) {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let before = lab.picture().await;
    let report = deploy(&lab, failing("1.1.0")).await;
    assert_is_held(&lab, &report.run).await;
    (lab, before, report)
}

async fn assert_is_held(lab: &Lab, run: &RunId) {
    let found = lab.process().unfinished().await.unwrap().unwrap();
    assert_eq!(found.run, *run);
    assert!(found.held_until().is_some(), "{}", found.state.phase().describe());
    assert_eq!(lab.lease.holder(&target()).await.unwrap(), None, "the lease is given up");
}

async fn superseded_by(lab: &Lab, held: &RunId) -> Option<RunId> {
    match lab.process().report(held).await.unwrap().ending {
        Some(Ending::Superseded { by }) => Some(by),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_release_serves_until_a_person_accepts_it() {
    let (lab, _, report) = held().await;
    assert_eq!(report.ending, None);
    assert!(report.held_until.is_some());
    assert!(report.to_string().contains("ultrai resume --proceed"), "{report}");
    assert_eq!(lab.serving().await, report.release);
    // To look at it decides nothing.
    assert_eq!(lab.resume().await.unwrap().ending, None);
    assert!(parts(&lab).start().overdue().await.unwrap().is_none());
    assert_is_held(&lab, &report.run).await;

    let accepted = parts(&lab).start().accept(Wait::No).await.unwrap().join().await.unwrap();
    assert_eq!(ended(&accepted), "succeeded", "{accepted}");
    let note = "somebody accepted the held release although it failed: cannot pass the tests";
    assert!(accepted.notes.iter().any(|said| said.starts_with(note)), "{accepted}");
    assert_eq!(lab.world.leftovers(), []);
    let nothing = parts(&lab).start().accept(Wait::No).await.unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::NotFound);
}

/// Failed checks can be accepted; something else than the held release cannot.
#[tokio::test(start_paused = true)]
async fn what_does_not_run_as_intended_is_not_accepted() {
    let (lab, before, report) = held().await;
    lab.world.crash(&lab.world.live()[0].id);
    let refused = lab.process().accept(Wait::No).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unhealthy, "{refused}");
    assert_is_held(&lab, &report.run).await;
    let run = lab.process().resume(false, Wait::No).await.unwrap().unwrap();
    run.cancel().cancel();
    assert_eq!(ended(&run.join().await.unwrap()), "rolled back");
    assert_eq!(lab.picture().await, before);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_after_the_deadline_takes_it_back() {
    for how in 0..4 {
        let (lab, before, report) = held().await;
        let late = || {
            let mut late = parts(&lab);
            late.later = Duration::from_mins(16);
            late.start()
        };
        let pipeline = late();
        let ended_as = match how {
            0 => pipeline.overdue().await.unwrap().unwrap().join().await.unwrap(),
            1 => pipeline.resume(false, Wait::No).await.unwrap().unwrap().join().await.unwrap(),
            2 => pipeline.accept(Wait::No).await.unwrap().join().await.unwrap(),
            _ => {
                let request = DeployRequest::new(shop("1.2.0", json!({ "supported": false })));
                pipeline.deploy(request).join().await.unwrap();
                let request =
                    DeployRequest::new(with_test(shop("1.2.0", fails(When::Pre)), When::Pre));
                let next = pipeline.deploy(request).join().await.unwrap();
                assert_eq!(ended(&next), "refused");
                pipeline.report(&report.run).await.unwrap()
            }
        };
        assert_eq!((ended(&ended_as), &ended_as.run), ("rolled back", &report.run), "{how}");
        assert_eq!(lab.picture().await, before);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_deploy_takes_its_place() {
    // Another version, and the same release tested again.
    for version in ["1.2.0", "1.1.0"] {
        let (lab, before, held) = held().await;
        let mut spec = failing(version);
        if version == "1.2.0" {
            spec = shop(version, json!({}));
        }
        let mut request = DeployRequest::new(spec);
        request.skips = vec![ultrai_deploy_core::journal::Skip {
            stage: Stage::PostDeployTests,
            why: "--skip-tests".into(),
        }];
        let report = parts(&lab).start().deploy(request).join().await.unwrap();
        assert_eq!(ended(&report), "succeeded", "{report}");
        assert_eq!(report.previous, before.serving);
        let note = format!("took the place of run {}, which was held", held.run);
        assert_eq!(report.notes, [note]);
        assert_eq!(superseded_by(&lab, &held.run).await, Some(report.run));
        lab.assert_settled().await;
    }
}

/// Its failure leads to what served before the held one, however many were held in between.
#[tokio::test(start_paused = true)]
async fn a_newer_deploy_that_fails_goes_back_before_the_held_one() {
    for (first, between) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1)] {
        let lab = Lab::new();
        if !first {
            lab.deploy(shop("1.0.0", json!({}))).await;
        }
        let before = lab.picture().await;
        let mut held = vec![deploy(&lab, failing("1.1.0")).await.run];
        for minor in 0..between {
            held.push(deploy(&lab, failing(&format!("1.2.{minor}"))).await.run);
        }
        assert_is_held(&lab, held.last().unwrap()).await;
        let report = deploy(&lab, shop("1.3.0", json!({ "healthy": "staged" }))).await;
        assert_eq!(ended(&report), "rolled back", "{report}");
        assert_eq!(lab.picture().await, before, "the very instances from before");
        for held in held {
            assert!(superseded_by(&lab, &held).await.is_some());
        }
        lab.assert_settled().await;
    }
}

/// A plan says what a deploy that takes the held run's place would do.
#[tokio::test(start_paused = true)]
async fn a_plan_beside_a_held_run_goes_back_before_it() {
    let (lab, before, held) = held().await;
    for spec in [shop("1.2.0", json!({})), failing("1.1.0")] {
        let pipeline = lab.process();
        let plan = pipeline.plan(&pipeline.look(), &DeployRequest::new(spec)).await.unwrap();
        assert_eq!(plan.rollback_point.as_ref().map(|point| point.release.clone()), before.serving);
        assert!(!plan.unchanged, "the held release is not left as it is");
        assert_eq!(plan.unfinished, Some(held.run.clone()));
        assert!(plan.to_saved().is_err());
    }
}

/// What changes nothing leaves the held run to the person.
#[tokio::test(start_paused = true)]
async fn a_newer_deploy_that_is_refused_leaves_it_held() {
    let (lab, before, held) = held().await;
    let spec = with_test(shop("1.2.0", fails(When::Pre)), When::Pre);
    let refused = deploy(&lab, spec).await;
    assert_eq!(ended(&refused), "refused");
    assert_eq!(refused.notes, [format!("run {} is still held", held.run)]);
    assert_is_held(&lab, &held.run).await;
    let mut request = DeployRequest::new(shop("1.2.0", json!({})));
    request.unfinished = OnUnfinished::Refuse;
    let report = lab.process().deploy(request).join().await.unwrap();
    assert_eq!(report.cause().unwrap().kind, ErrorKind::Fenced);
    assert_is_held(&lab, &held.run).await;
    // A rollback on request undoes it first.
    let report = lab.roll_back(before.serving.as_ref().unwrap()).await;
    assert_eq!(ended(&report), "succeeded, nothing changed", "{report}");
    assert_eq!(lab.picture().await, before);
    lab.assert_settled().await;
}

/// Killed at every record while it takes the place of a held run: one of the three releases serves
/// whole, and the held run is over, or still waits for a person.
#[tokio::test(start_paused = true)]
async fn taking_the_place_can_be_killed_at_every_record() {
    let backends: [(Value, &str); 2] =
        [(json!({}), "succeeded"), (json!({ "healthy": "staged" }), "rolled back")];
    for (backend, ending) in backends {
        for kill in [Kill::Before, Kill::After] {
            let mut endings = std::collections::BTreeSet::new();
            for at in 1.. {
                let (lab, before, held) = held().await;
                let journal = Deadly::new(&lab, Some((At::Append(at), kill)));
                let dying = Parts { journal: Arc::clone(&journal) as _, ..parts(&lab) }.start();
                let run = dying.deploy(DeployRequest::new(shop("1.2.0", backend.clone())));
                let finished = journal.drive(run).await.is_some();
                drop(dying);
                while let Some(found) = lab.process().unfinished().await.unwrap() {
                    if found.held_until().is_some() {
                        break;
                    }
                    lab.resume().await;
                }
                if superseded_by(&lab, &held.run).await.is_none() {
                    assert_is_held(&lab, &held.run).await;
                    let run = lab.process().resume(false, Wait::No).await.unwrap().unwrap();
                    run.cancel().cancel();
                    assert_eq!(ended(&run.join().await.unwrap()), "rolled back");
                    assert_eq!(lab.picture().await, before);
                    endings.insert("left held");
                } else {
                    let last = lab.runs().await.pop().unwrap();
                    let report = lab.process().report(&last).await.unwrap();
                    assert_eq!(ended(&report), ending, "{at} {kill:?} {report}");
                    endings.insert(ending);
                }
                lab.assert_settled().await;
                if finished {
                    break;
                }
            }
            assert_eq!(endings.len(), 2, "{endings:?}");
        }
    }
}

/// A run that was to take its place died before it did: the held one is still what is looked after,
/// in every way.
#[tokio::test(start_paused = true)]
async fn it_is_not_hidden_by_a_run_that_died_before_it_took_its_place() {
    let decide: [(&str, Decision); 5] = [
        ("overdue", |lab| Box::pin(async { late(lab).overdue().await.unwrap() })),
        ("accepted", |lab| Box::pin(async { lab.process().accept(Wait::No).await.ok() })),
        ("taken back", |lab| {
            Box::pin(async {
                let run = lab.process().resume(false, Wait::No).await.unwrap().unwrap();
                run.cancel().cancel();
                Some(run)
            })
        }),
        ("abandoned", |lab| {
            Box::pin(async {
                lab.process().abandon("seen to").await.unwrap();
                None
            })
        }),
        ("superseded", |lab| {
            let request = DeployRequest::new(shop("1.3.0", json!({})));
            Box::pin(async { Some(lab.process().deploy(request)) })
        }),
    ];
    let ats: [fn(&Event) -> bool; 3] = [
        |event| matches!(event, Event::Observed { .. }),
        |event| matches!(event, Event::Sealed { .. }),
        |event| matches!(event, Event::StageStarted { stage: Stage::Deploy }),
    ];
    for at in ats {
        for (how, decide) in decide {
            let (lab, before, held) = held().await;
            let journal = Deadly::new(&lab, Some((At::Event(at), Kill::After)));
            let dying = Parts { journal: Arc::clone(&journal) as _, ..parts(&lab) }.start();
            let run = dying.deploy(DeployRequest::new(shop("1.2.0", json!({}))));
            let died = run.id().clone();
            assert!(journal.drive(run).await.is_none());
            drop(dying);
            assert_is_held(&lab, &held.run).await;
            if let Some(run) = decide(&lab).await {
                let report = run.join().await.unwrap();
                let ending = match how {
                    "accepted" | "superseded" => "succeeded",
                    _ => "rolled back",
                };
                assert_eq!(ended(&report), ending, "{how}: {report}");
                assert_eq!(ending == "rolled back", lab.picture().await == before, "{how}");
            }
            let died = lab.process().report(&died).await.unwrap();
            assert_eq!(ended(&died), "refused", "{how}: {died}");
            assert!(lab.process().unfinished().await.unwrap().is_none(), "{how}");
            if how != "abandoned" {
                lab.assert_settled().await;
            }
        }
    }
}

type Decision = fn(&Lab) -> Pin<Box<dyn Future<Output = Option<Run>> + '_>>;

/// A process after the deadline.
fn late(lab: &Lab) -> Pipeline {
    Parts { later: Duration::from_hours(2), ..parts(lab) }.start()
}

/// While a run that is to take its place is under way, that one has the environment.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_under_way_is_shown_before_the_held_one() {
    let (lab, _, held) = held().await;
    let is_sealed = At::Event(|event| matches!(event, Event::Sealed { .. }));
    let journal = Deadly::new(&lab, Some((is_sealed, Kill::Stop)));
    let next = Parts { journal: Arc::clone(&journal) as _, ..parts(&lab) }.start();
    let run = next.deploy(DeployRequest::new(shop("1.2.0", json!({}))));
    let id = run.id().clone();
    let mut run = Box::pin(run.join());
    tokio::select! {
        _ = &mut run => panic!("it ended"),
        () = journal.happened() => {}
    }
    assert_eq!(lab.process().unfinished().await.unwrap().unwrap().run, id);
    assert!(late(&lab).overdue().await.unwrap().is_none(), "it has the environment");
    journal.go_on();
    assert_eq!(ended(&run.await.unwrap()), "succeeded");
    assert_eq!(superseded_by(&lab, &held.run).await, Some(id));
    lab.assert_settled().await;
}

/// Killed at every operation while it takes back a run whose time is over: it is taken back.
#[tokio::test(start_paused = true)]
async fn taking_it_back_can_be_killed_at_every_operation() {
    for kill in [Kill::Before, Kill::After, Kill::Torn, Kill::DiskBefore, Kill::DiskAfter] {
        for at in 1.. {
            let (lab, before, held) = held().await;
            let late = || Parts { later: Duration::from_mins(16), ..parts(&lab) };
            let journal = Deadly::new(&lab, Some((At::Operation(at), kill)));
            let dying = Parts { journal: Arc::clone(&journal) as _, ..late() }.start();
            let finished = journal.drive_resumed(&dying, false).await.is_some();
            drop(dying);
            if let Some(run) = late().start().resume(false, Wait::No).await.unwrap() {
                run.join().await.unwrap();
            }
            let report = lab.process().report(&held.run).await.unwrap();
            assert_eq!(ended(&report), "rolled back", "{at} {kill:?} {report}");
            assert_eq!(lab.picture().await, before);
            lab.assert_settled().await;
            if finished {
                assert!(at > 20, "only {at} operations");
                break;
            }
        }
    }
}

/// The world of the memory backends is one; this says what it means for a held run.
#[tokio::test(start_paused = true)]
async fn what_served_before_is_kept_while_it_is_held() {
    let (lab, before, _) = held().await;
    let kept: Vec<_> = lab.world.leftovers().into_iter().map(|one| (one.id, one.phase)).collect();
    assert!(kept.iter().all(|(_, phase)| *phase == memory::Phase::Kept), "{kept:?}");
    let replaced = |id: &str| kept.iter().any(|(one, _)| one == id);
    assert_eq!(before.live.iter().filter(|(id, _)| replaced(id)).count(), 2);
}
