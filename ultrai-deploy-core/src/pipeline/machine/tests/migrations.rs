//! Migrations in the machine.

use super::*;

fn started(name: &str) -> Event {
    Event::MigrationStarted { migration: name.into(), reversible: false }
}

fn ended(name: &str, exit_code: i64) -> Event {
    Event::MigrationEnded { migration: name.into(), exit_code, tail: String::new() }
}

fn found(name: &str, status: Status) -> Event {
    Event::MigrationFound { migration: name.into(), status }
}

fn stage_failed() -> Event {
    Event::StageFailed { stage: Stage::Deploy, failure: failure(Effect::None), reaction: None }
}

#[test]
fn one_is_begun_after_the_other_and_before_the_first_step() {
    let mut state = with(before_deploy(), [started("a")]);
    assert_eq!((state.open_migration(), state.next()), (Some("a"), Next::Run(Stage::Deploy)));
    for early in [started("b"), ended("b", 0), intent(Step::Stage, 1)] {
        assert!(state.apply(&early).is_err(), "{early:?}");
    }
    assert!(state.apply(&Event::StageFinished { stage: Stage::Deploy }).is_err());
    state.apply(&ended("a", 0)).unwrap();
    assert!(state.apply(&ended("a", 0)).is_err(), "it has ended");
    state.apply(&intent(Step::Stage, 1)).unwrap();
    state.apply(&Event::StepDone { step: Step::Stage }).unwrap();
    assert!(state.apply(&started("b")).is_err(), "the platform was changed");
}

#[test]
fn only_one_that_never_began_leaves_the_environment_untouched() {
    for (result, expected) in [
        (ended("a", 0), Next::GoBack),
        (ended("a", 1), Next::GoBack),
        (found("a", Status::Unknown), Next::GoBack),
        (found("a", Status::Applied), Next::GoBack),
        (found("a", Status::Pending), Next::Refuse),
    ] {
        let state = with(before_deploy(), [started("a"), result.clone(), stage_failed()]);
        assert_eq!(state.next(), expected, "{result:?}");
    }
    // Found out after the stage has failed.
    let mut state = with(before_deploy(), [started("a"), stage_failed()]);
    let decided = Event::RollbackDecided {
        cause: failure(Effect::None),
        to: Some(release("old")),
        data: None,
    };
    assert_eq!(state.next(), Next::GoBack);
    assert!(state.apply(&decided).is_err(), "what became of it is found out first");
    state.apply(&found("a", Status::Pending)).unwrap();
    assert_eq!(state.next(), Next::Refuse);
}

/// Nothing is to be undone on the platform: what serves is proven.
#[test]
fn going_back_from_migrations_alone_is_a_proof() {
    let cause = failure(Effect::None);
    let to = Some(release("old"));
    let decided = Event::RollbackDecided { cause: cause.clone(), to: to.clone(), data: None };
    let back = [started("a"), ended("a", 1), stage_failed(), decided];
    let mut state = with(before_deploy(), back);
    assert_eq!(state.next(), Next::Prove);
    assert!(state.apply(&intent(Step::Rollback, 1)).is_err());
    let mut retried = state.clone();
    let stuck = Ending::Stuck { cause: cause.clone(), undo: cause.clone() };
    retried.apply(&Event::Ended { ending: stuck }).unwrap();
    retried.apply(&Event::RollbackRetried { initiator: Initiator::default() }).unwrap();
    assert_eq!(retried.next(), Next::Prove);
    state.apply(&Event::Ended { ending: Ending::RolledBack { to, cause } }).unwrap();
    assert!(state.is_final());
}

#[test]
fn a_rollback_on_request_runs_none() {
    let mut events = before_deploy();
    if let Event::Created { kind, .. } = &mut events[0] {
        *kind = Kind::Rollback { to: release("new"), data: None };
    }
    assert!(run(&events).apply(&started("a")).is_err());
}
