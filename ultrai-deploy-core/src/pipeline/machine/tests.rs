mod migrations;

use proptest::prelude::*;

use super::*;
use crate::{
    deployer::StepRecord,
    error::ErrorKind,
    journal::{Initiator, Kind},
    name::{EnvironmentName, ProjectName, Target},
};

fn failure(effect: Effect) -> Failure {
    Failure {
        kind: ErrorKind::Unhealthy,
        effect,
        message: "sick".into(),
        causes: vec![],
        evidence: vec![],
    }
}

fn holder() -> Holder {
    Holder {
        run: RunId::new("r").unwrap(),
        host: "h".into(),
        process: 1,
        user: "u".into(),
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn created() -> Event {
    Event::Created {
        format: crate::journal::FORMAT,
        engine: "0".into(),
        target: Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap()),
        kind: Kind::Deploy,
        version: None,
        skips: vec![],
        plan: None,
        initiator: Initiator::default(),
    }
}

fn release(id: &str) -> ReleaseId {
    ReleaseId::new(id).unwrap()
}

fn intent(step: Step, attempt: u32) -> Event {
    Event::Intent { step, attempt, record: Arc::new(StepRecord::new(1, serde_json::Value::Null)) }
}

fn effect(number: u64) -> Event {
    Event::Effect {
        effect: number,
        step: "switch".into(),
        attempt: 1,
        action: "create".into(),
        object: "web".into(),
        detail: serde_json::Value::Null,
    }
}

/// All stages before Deploy done, the old release being `old`.
fn before_deploy() -> Vec<Event> {
    let mut events = vec![created()];
    for stage in Stage::ALL.into_iter().take_while(|stage| *stage != Stage::Deploy) {
        events.push(Event::StageStarted { stage });
        if stage == Stage::Lock {
            events.push(Event::Locked { fence: Fence(1), holder: holder() });
            events.push(Event::Observed {
                serving: Some(release("old")),
                version: None,
                proven: true,
                failed: None,
                supersedes: None,
            });
        }
        if stage == Stage::Push {
            events.push(Event::Sealed { release: release("new") });
        }
        events.push(Event::StageFinished { stage });
    }
    events.push(Event::StageStarted { stage: Stage::Deploy });
    events
}

fn run(events: &[Event]) -> State {
    let mut state = State::new();
    for event in events {
        state.apply(event).unwrap();
    }
    state
}

fn with(mut events: Vec<Event>, more: impl IntoIterator<Item = Event>) -> State {
    events.extend(more);
    run(&events)
}

#[test]
fn an_open_step_is_reconciled_before_anything_else() {
    let state = with(before_deploy(), [intent(Step::Switch, 1), effect(1)]);
    assert_eq!(state.next(), Next::Reconcile(Step::Switch));
    let stage_failed = Event::StageFailed {
        stage: Stage::Deploy,
        failure: failure(Effect::Unknown),
        reaction: None,
    };
    assert!(state.clone().apply(&stage_failed).is_err(), "a step without result is open");
}

#[test]
fn a_step_that_had_no_effect_leaves_the_environment_untouched() {
    let fail = |effect| {
        with(
            before_deploy(),
            [
                intent(Step::Switch, 1),
                Event::StepFailed { step: Step::Switch, failure: failure(effect) },
                Event::StageFailed {
                    stage: Stage::Deploy,
                    failure: failure(effect),
                    reaction: None,
                },
            ],
        )
    };
    assert_eq!(fail(Effect::None).next(), Next::Refuse);
    assert_eq!(fail(Effect::Unknown).next(), Next::GoBack);
}

#[test]
fn a_journaled_effect_counts_whatever_the_step_says() {
    let state = with(
        before_deploy(),
        [
            intent(Step::Switch, 1),
            effect(1),
            Event::StepFailed { step: Step::Switch, failure: failure(Effect::None) },
            Event::StageFailed {
                stage: Stage::Deploy,
                failure: failure(Effect::None),
                reaction: None,
            },
        ],
    );
    assert_eq!(state.next(), Next::GoBack);
}

#[test]
fn refused_is_impossible_once_something_was_touched() {
    let mut state = with(
        before_deploy(),
        [
            intent(Step::Switch, 1),
            Event::StepDone { step: Step::Switch },
            Event::StageFailed {
                stage: Stage::Deploy,
                failure: failure(Effect::None),
                reaction: None,
            },
        ],
    );
    let refused = Event::Ended { ending: Ending::Refused { cause: failure(Effect::None) } };
    assert!(state.apply(&refused).is_err());
}

#[test]
fn rolled_back_needs_a_rollback_and_a_proof() {
    let cause = failure(Effect::Unknown);
    let rolled_back = Event::Ended {
        ending: Ending::RolledBack { to: Some(release("old")), cause: cause.clone() },
    };
    let mut state = with(
        before_deploy(),
        [
            intent(Step::Switch, 1),
            Event::StepFailed { step: Step::Switch, failure: cause.clone() },
            Event::StageFailed { stage: Stage::Deploy, failure: cause.clone(), reaction: None },
        ],
    );
    assert!(state.apply(&rolled_back).is_err());
    let elsewhere =
        Event::RollbackDecided { cause: cause.clone(), to: Some(release("other")), data: None };
    assert!(state.apply(&elsewhere).is_err(), "only to what served before");
    state.apply(&Event::RollbackDecided { cause, to: Some(release("old")), data: None }).unwrap();
    assert_eq!(state.next(), Next::Undo);
    assert!(state.apply(&rolled_back).is_err());
    state.apply(&intent(Step::Rollback, 1)).unwrap();
    state.apply(&Event::StepDone { step: Step::Rollback }).unwrap();
    assert_eq!(state.next(), Next::Prove);
    state.apply(&rolled_back).unwrap();
    assert!(state.is_final());
}

#[test]
fn after_retire_began_there_is_no_failure() {
    let mut events = before_deploy();
    for stage in [Stage::Deploy, Stage::Verify, Stage::PostDeployTests, Stage::Watch] {
        events.push(Event::StageStarted { stage });
        events.push(Event::StageFinished { stage });
    }
    events.push(Event::StageStarted { stage: Stage::Finalise });
    events.push(intent(Step::Retire, 1));
    events.push(Event::StepFailed { step: Step::Retire, failure: failure(Effect::None) });
    let mut state = run(&events);
    let failed = Event::StageFailed {
        stage: Stage::Finalise,
        failure: failure(Effect::None),
        reaction: None,
    };
    assert!(state.apply(&failed).is_err());
    state.apply(&Event::StageFinished { stage: Stage::Finalise }).unwrap();
    assert_eq!(state.next(), Next::Conclude);
}

#[test]
fn only_what_adds_to_the_promise_can_be_ignored() {
    for stage in Stage::ALL.into_iter().skip(7) {
        let mut events = before_deploy();
        for before in Stage::ALL.into_iter().skip(8).take_while(|before| *before <= stage) {
            events.push(Event::StageFinished { stage: Stage::ALL[before as usize - 1] });
            events.push(Event::StageStarted { stage: before });
        }
        let mut state = run(&events);
        let ignored = Event::FailureIgnored { stage, failure: failure(Effect::Unknown) };
        let may = [Stage::PostDeployTests, Stage::Watch].contains(&stage);
        assert_eq!(state.apply(&ignored).is_ok(), may, "{stage}");
        if may {
            assert_eq!(state.next(), Next::Run(stage.next().unwrap()));
        }
    }
}

#[test]
fn a_stuck_run_can_be_retried_or_abandoned_and_nothing_else() {
    let cause = failure(Effect::Unknown);
    let stuck = Ending::Stuck { cause: cause.clone(), undo: cause.clone() };
    let state = with(
        before_deploy(),
        [
            intent(Step::Switch, 1),
            Event::StepFailed { step: Step::Switch, failure: cause.clone() },
            Event::StageFailed { stage: Stage::Deploy, failure: cause.clone(), reaction: None },
            Event::RollbackDecided { cause, to: Some(release("old")), data: None },
            intent(Step::Rollback, 1),
            Event::StepFailed { step: Step::Rollback, failure: failure(Effect::Unknown) },
            Event::Ended { ending: stuck },
        ],
    );
    assert!(!state.is_final());
    assert!(state.clone().apply(&Event::Note { message: "x".into() }).is_err());
    let retried = Event::RollbackRetried { initiator: Initiator::default() };
    let mut retried_state = state.clone();
    retried_state.apply(&retried).unwrap();
    assert_eq!(retried_state.next(), Next::Undo);
    assert_eq!(retried_state.next_attempt(Step::Rollback), 2);
    let mut abandoned = state;
    abandoned.apply(&Event::Ended { ending: Ending::Abandoned { reason: "r".into() } }).unwrap();
    assert!(abandoned.is_final());
    assert!(abandoned.apply(&retried).is_err());
}

#[test]
fn a_hold_can_go_back_go_on_or_be_superseded() {
    let cause = failure(Effect::Unknown);
    let held = || {
        with(
            before_deploy(),
            [
                intent(Step::Switch, 1),
                Event::StepDone { step: Step::Switch },
                Event::StageFailed { stage: Stage::Deploy, failure: cause.clone(), reaction: None },
                Event::Held { until: jiff::Timestamp::UNIX_EPOCH, cause: cause.clone() },
            ],
        )
    };
    assert_eq!(held().next(), Next::Wait);
    let mut back = held();
    back.apply(&Event::HoldReleased { proceed: false, initiator: None }).unwrap();
    assert_eq!(back.next(), Next::GoBack);
    let mut on = held();
    on.apply(&Event::HoldReleased { proceed: true, initiator: None }).unwrap();
    assert_eq!(on.next(), Next::Run(Stage::Verify));
    let by = RunId::new("next").unwrap();
    let mut superseded = held();
    superseded.apply(&Event::Ended { ending: Ending::Superseded { by } }).unwrap();
    assert!(superseded.is_final());
}

#[test]
fn an_adoption_needs_a_higher_fence() {
    let mut state = run(&before_deploy());
    assert!(state.apply(&Event::Adopted { fence: Fence(1), holder: holder() }).is_err());
    state.apply(&Event::Adopted { fence: Fence(2), holder: holder() }).unwrap();
    assert_eq!(state.fence(), Fence(2));
}

fn any_event() -> impl Strategy<Value = Event> {
    let step = prop::sample::select(vec![Step::Stage, Step::Switch, Step::Retire, Step::Rollback]);
    let stage = prop::sample::select(Stage::ALL.to_vec());
    let ignored = stage.clone();
    let effect_of = prop::sample::select(vec![Effect::None, Effect::Unknown]);
    let seen = prop::sample::select(vec![
        Observation::Done,
        Observation::InProgress,
        Observation::Partial,
        Observation::NotDone,
    ]);
    let to = prop::sample::select(vec![None, Some(release("old"))]);
    prop_oneof![
        Just(created()),
        stage.clone().prop_map(|stage| Event::StageStarted { stage }),
        stage.clone().prop_map(|stage| Event::StageFinished { stage }),
        (stage, effect_of.clone()).prop_map(|(stage, effect)| Event::StageFailed {
            stage,
            failure: failure(effect),
            reaction: None
        }),
        ignored.prop_map(|stage| Event::FailureIgnored { stage, failure: failure(Effect::None) }),
        (step.clone(), 1..4_u32).prop_map(|(step, attempt)| intent(step, attempt)),
        step.clone().prop_map(|step| Event::StepDone { step }),
        (step.clone(), effect_of)
            .prop_map(|(step, effect)| Event::StepFailed { step, failure: failure(effect) }),
        (step, seen).prop_map(|(step, observation)| Event::Reconciled { step, observation }),
        (1..4_u64).prop_map(effect),
        to.clone().prop_map(|to| Event::RollbackDecided {
            cause: failure(Effect::Unknown),
            to,
            data: None
        }),
        to.prop_map(|to| Event::Ended {
            ending: Ending::RolledBack { to, cause: failure(Effect::Unknown) }
        }),
        Just(Event::Ended { ending: Ending::Succeeded { changed: true } }),
        Just(Event::Ended { ending: Ending::Refused { cause: failure(Effect::None) } }),
    ]
}

proptest! {
    /// Whatever comes, illegal events change nothing, a final state stays final, success is only
    /// reached with every stage behind, and going back is decided once.
    #[test]
    fn whatever_comes_endings_keep_their_word(
        events in prop::collection::vec(any_event(), 0..120)
    ) {
        let mut state = run(&before_deploy());
        let mut decided = 0;
        for event in &events {
            let before = state.clone();
            match state.apply(event) {
                Err(_) => prop_assert_eq!(&state, &before),
                Ok(()) => prop_assert!(!before.is_final(), "{:?} after the end", event),
            }
            if state != before && matches!(event, Event::RollbackDecided { .. }) {
                decided += 1;
            }
            prop_assert!(decided <= 1, "it goes back twice");
            match state.ending() {
                Some(Ending::Refused { .. }) => prop_assert!(!state.touched()),
                Some(Ending::RolledBack { .. }) => prop_assert!(state.is_done(Step::Rollback)),
                Some(Ending::Succeeded { .. }) => prop_assert!(state.open_attempt().is_none()),
                _ => {}
            }
        }
    }
}
