//! What is done in order, called again, undone.

use futures_util::{FutureExt, future::BoxFuture};
use ultrai_deploy_core::{
    Context, Result,
    deployer::{Capabilities, Observation, Step},
    health::Role,
    plan::Action,
};

use super::{
    DB, Environment, Part, Platform, SIDE, Variant, WEB,
    drive::{Run, View, assert_healthy, checks, deploy},
    inherit, named, service,
};
use crate::{
    conformance::{Cases, ok},
    crash::Death,
};

pub(super) type Case = for<'a> fn(&'a dyn Environment) -> BoxFuture<'a, ()>;

const CASES: &[(&str, Case)] = &[
    ("nothing runs at first", |e| Box::pin(nothing_runs_at_first(e))),
    ("a first deploy serves", |e| Box::pin(a_first_deploy_serves(e))),
    ("what is staged has no traffic", |e| Box::pin(staged_has_no_traffic(e))),
    ("the same release changes nothing", |e| Box::pin(the_same_changes_nothing(e))),
    ("an unchanged service is kept", |e| Box::pin(unchanged_is_kept(e))),
    ("everything can change at once", |e| Box::pin(everything_changes(e))),
    ("every step may be repeated", |e| Box::pin(every_step_may_be_repeated(e))),
    ("a rollback brings the same instances back", |e| Box::pin(rollback_brings_back(e))),
    ("a rollback of nothing touches nothing", |e| Box::pin(rollback_of_nothing(e))),
    ("a rollback of what was staged touches nothing", |e| Box::pin(rollback_of_stage(e))),
    ("a rollback of an unfinished switch", |e| Box::pin(rollback_of_intents(e))),
    ("a rollback of the same release touches nothing", |e| Box::pin(rollback_of_same(e))),
    ("a first deploy goes back to nothing", |e| Box::pin(first_goes_back_to_nothing(e))),
    ("a removed service comes back", |e| Box::pin(removed_comes_back(e))),
    ("a removed service goes", |e| Box::pin(removed_goes(e))),
    ("a sick service is found and taken back", |e| Box::pin(sick_is_taken_back(e))),
    ("what does not start is taken back", |e| Box::pin(unstartable_is_taken_back(e))),
    ("a sick first deploy goes back to nothing", |e| Box::pin(sick_first_goes_back(e))),
    ("a step is observed", |e| Box::pin(a_step_is_observed(e))),
    ("a cancelled run begins nothing", |e| Box::pin(cancelled_begins_nothing(e))),
];

/// Only for those that can bring back a release that is no longer kept.
const REDEPLOY: &[(&str, Case)] =
    &[("an older release comes again", |e| Box::pin(an_older_release_comes_again(e)))];

/// Only for those that keep what is replaced until it is retired.
const KEEPING: &[(&str, Case)] = &[
    ("the old one is kept until retire", |e| Box::pin(old_is_kept_until_retire(e))),
    ("retiring is observed", |e| Box::pin(retiring_is_observed(e))),
];

pub(super) fn parts(platform: &dyn Platform) -> Vec<Part<'_>> {
    let all = CASES.iter().chain(inherit::CASES);
    let all = all.map(|(name, case)| one(platform, name, *case, |_all| true).boxed());
    let redeploy = REDEPLOY.iter();
    let some = redeploy.map(|(name, case)| one(platform, name, *case, |can| can.redeploy).boxed());
    let keeping = KEEPING.iter();
    let kept = keeping.map(|(name, case)| one(platform, name, *case, |can| can.keeping).boxed());
    all.chain(some).chain(kept).collect()
}

/// Runs a case if it is for a deployer that can do what this one can; what did not run, does not
/// count.
async fn one(
    platform: &dyn Platform,
    name: &str,
    case: Case,
    is_for: fn(&Capabilities) -> bool,
) -> usize {
    let mut cases = Cases::new("deployer");
    let environment = platform.environment(name).await;
    if is_for(&environment.deployer().capabilities()) {
        cases.run(name, named(name, case(environment.as_ref()))).await;
    }
    environment.close().await;
    cases.ran
}

async fn nothing_runs_at_first(environment: &dyn Environment) {
    View::of(environment).await.assert_nothing();
}

async fn a_first_deploy_serves(environment: &dyn Environment) {
    let mut run = Run::begin(environment, Variant::First).await;
    assert_eq!(run.plan.from, None);
    assert_eq!(run.plan.with_action(Action::Create).count(), 3, "{:?}", run.plan);
    run.step(Step::Stage).await;
    let staged = View::of(environment).await;
    assert_eq!((staged.serving, staged.link), (None, None));
    assert!(staged.services.is_empty(), "traffic before the switch: {:?}", staged.services);
    run.step(Step::Switch).await;
    View::of(environment).await.assert_only(&run.release);
    assert_healthy(environment, &run.release).await;
    run.step(Step::Retire).await;
    View::of(environment).await.assert_only(&run.release);
}

async fn staged_has_no_traffic(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::Web).await;
    run.step(Step::Stage).await;
    let staged = View::of(environment).await;
    assert_eq!((&staged.services, &staged.link), (&before.services, &before.link));
    assert_healthy(environment, &first).await;

    let cx = Context::detached(environment.target(), run.id.clone());
    let deployer = environment.deployer();
    let endpoints = ok(deployer.endpoints(&cx, &run.release, Role::Staged).await);
    let has_staging = deployer.capabilities().staging;
    let starts_first = has_staging && run.plan.with_action(Action::StartFirst).count() > 0;
    assert_eq!(!endpoints.is_empty(), starts_first, "{endpoints:?}");
    for endpoint in &endpoints {
        assert_eq!(endpoint.service, Some(service(WEB)));
        let old = before.of_service(WEB).map(|web| web.instances.clone()).unwrap_or_default();
        assert!(!old.contains(&endpoint.instance), "{endpoint:?} is the old one");
    }
    for (name, result) in checks(environment, run.id.clone(), &run.release, Role::Staged).await {
        assert!(result.passed(), "{name}: {result:?}");
    }
    run.step(Step::Switch).await;
    let switched = View::of(environment).await;
    for endpoint in endpoints {
        let web = switched.of_service(WEB).map(|web| web.instances.clone()).unwrap_or_default();
        assert!(web.contains(&endpoint.instance), "what was staged is not what serves");
    }
}

async fn the_same_changes_nothing(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin_with(environment, first).await;
    assert!(run.plan.unchanged, "{:?}", run.plan);
    run.set_death(Death::never());
    run.steps(&[Step::Stage, Step::Switch, Step::Retire]).await;
    assert_eq!(run.death().points(), 0, "effects though nothing changes");
    assert_eq!(View::of(environment).await, before);
}

async fn unchanged_is_kept(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::Web).await;
    assert!(!run.plan.unchanged);
    assert_eq!(run.plan.services[&service(DB)].action, Action::Keep);
    assert_eq!(run.plan.services[&service(SIDE)].action, Action::Keep);
    run.steps(&[Step::Stage, Step::Switch, Step::Retire]).await;
    let after = View::of(environment).await;
    after.assert_only(&run.release);
    for name in [DB, SIDE] {
        assert_eq!(after.of_service(name), before.of_service(name), "{name} was touched");
    }
    assert_ne!(after.of_service(WEB), before.of_service(WEB));
    assert_healthy(environment, &run.release).await;
}

async fn old_is_kept_until_retire(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let mut run = Run::begin(environment, Variant::Web).await;
    run.steps(&[Step::Stage, Step::Switch]).await;
    let switched = View::of(environment).await;
    switched.assert_serves(&run.release);
    assert!(!switched.leftovers.is_empty(), "the old web is gone before retire");
    run.step(Step::Retire).await;
    View::of(environment).await.assert_only(&run.release);
}

async fn everything_changes(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::All).await;
    run.steps(&[Step::Stage, Step::Switch]).await;
    View::of(environment).await.assert_serves(&run.release);
    assert_healthy(environment, &run.release).await;
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await.without_times(), before.without_times());
}

async fn an_older_release_comes_again(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    deploy(environment, Variant::All).await;
    let mut run = Run::begin_with(environment, first).await;
    run.steps(&[Step::Stage, Step::Switch, Step::Retire]).await;
    View::of(environment).await.assert_only(&run.release);
    assert_healthy(environment, &run.release).await;
}

async fn every_step_may_be_repeated(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let mut run = Run::begin(environment, Variant::All).await;
    for step in [Step::Stage, Step::Switch, Step::Retire] {
        run.step(step).await;
        let once = View::of(environment).await;
        ok(run.act(step).await);
        assert_eq!(View::of(environment).await, once, "{step} with the same record");
        run.step(step).await;
        assert_eq!(View::of(environment).await, once, "{step} as another attempt");
    }
    View::of(environment).await.assert_only(&run.release);
}

async fn rollback_brings_back(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::Web).await;
    run.steps(&[Step::Stage, Step::Switch, Step::Rollback]).await;
    let back = View::of(environment).await;
    back.assert_only(&first);
    for name in [DB, SIDE] {
        assert_eq!(back.of_service(name), before.of_service(name), "{name} was touched");
    }
    assert_eq!(back.clone().without_times(), before.without_times());
    assert_healthy(environment, &first).await;
    ok(run.act(Step::Rollback).await);
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await, back, "a second rollback touched something");
}

async fn rollback_of_nothing(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    Run::begin(environment, Variant::All).await.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await, before);
}

async fn rollback_of_stage(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    for variant in [Variant::Web, Variant::All] {
        let mut run = Run::begin(environment, variant).await;
        run.steps(&[Step::Stage, Step::Rollback]).await;
        assert_eq!(View::of(environment).await, before, "{variant:?}");
    }
}

async fn rollback_of_intents(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::All).await;
    run.prepare(Step::Stage).await;
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await, before, "after the intent of stage");
    let mut run = Run::begin(environment, Variant::All).await;
    run.step(Step::Stage).await;
    run.prepare(Step::Switch).await;
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await, before, "after the intent of switch");
}

async fn rollback_of_same(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin_with(environment, first).await;
    run.steps(&[Step::Stage, Step::Switch, Step::Rollback]).await;
    assert_eq!(View::of(environment).await, before);
}

async fn first_goes_back_to_nothing(environment: &dyn Environment) {
    for steps in [&[][..], &[Step::Stage], &[Step::Stage, Step::Switch]] {
        let mut run = Run::begin(environment, Variant::First).await;
        run.steps(steps).await;
        run.step(Step::Rollback).await;
        View::of(environment).await.assert_nothing();
        run.step(Step::Rollback).await;
        View::of(environment).await.assert_nothing();
    }
}

async fn removed_comes_back(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::Fewer).await;
    assert_eq!(run.plan.services[&service(SIDE)].action, Action::Remove);
    run.steps(&[Step::Stage, Step::Switch]).await;
    let switched = View::of(environment).await;
    switched.assert_serves(&run.release);
    assert_eq!(switched.of_service(SIDE), None);
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await.without_times(), before.without_times());
    assert_healthy(environment, &first).await;
}

async fn removed_goes(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let fewer = deploy(environment, Variant::Fewer).await;
    View::of(environment).await.assert_only(&fewer);
}

async fn sick_is_taken_back(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::Unhealthy).await;
    assert_sick(environment, &mut run).await;
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await.without_times(), before.without_times());
    assert_healthy(environment, &first).await;
}

async fn sick_first_goes_back(environment: &dyn Environment) {
    let mut run = Run::begin(environment, Variant::Unhealthy).await;
    assert_sick(environment, &mut run).await;
    run.step(Step::Rollback).await;
    View::of(environment).await.assert_nothing();
}

/// A step says so, or the checks find it.
async fn assert_sick(environment: &dyn Environment, run: &mut Run<'_>) {
    if let Err(error) = stage_and_switch(run).await {
        assert!(error.to_string().contains(WEB), "{error}");
        return;
    }
    let cx = Context::detached(environment.target(), run.id.clone());
    let results = checks(environment, run.id.clone(), &run.release, Role::Live).await;
    let sick: Vec<_> = results.iter().filter(|(_, result)| !result.passed()).collect();
    assert_eq!(sick.len(), 1, "{results:?}");
    assert_eq!(sick[0].0, service(WEB));
    assert!(!sick[0].1.evidence.is_empty(), "no evidence of what was seen");
    let deployer = environment.deployer();
    for endpoint in ok(deployer.endpoints(&cx, &run.release, Role::Live).await) {
        assert!(!deployer.evidence(&cx, &endpoint).await.is_empty(), "{endpoint:?}");
    }
}

async fn unstartable_is_taken_back(environment: &dyn Environment) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::Unstartable).await;
    if stage_and_switch(&mut run).await.is_ok() {
        let results = checks(environment, run.id.clone(), &run.release, Role::Live).await;
        let web = results.iter().find(|(name, _)| *name == service(WEB));
        assert!(web.is_none_or(|(_, result)| !result.passed()), "{results:?}");
    }
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await.without_times(), before.without_times());
    assert_healthy(environment, &first).await;
}

async fn stage_and_switch(run: &mut Run<'_>) -> Result<()> {
    run.try_step(Step::Stage).await?;
    run.try_step(Step::Switch).await
}

async fn a_step_is_observed(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let mut run = Run::begin(environment, Variant::All).await;
    run.prepare(Step::Stage).await;
    let nothing_to_stage = run.observe(Step::Stage).await == Observation::Done;
    if !nothing_to_stage {
        assert_eq!(run.observe(Step::Stage).await, Observation::NotDone);
    }
    let before = View::of(environment).await;
    ok(run.act(Step::Stage).await);
    assert_eq!(run.observe(Step::Stage).await, Observation::Done);
    assert_eq!(nothing_to_stage, View::of(environment).await == before);
    for step in [Step::Switch, Step::Rollback] {
        run.prepare(step).await;
        assert_eq!(run.observe(step).await, Observation::NotDone, "{step}");
        ok(run.act(step).await);
        let seen = View::of(environment).await;
        assert_eq!(run.observe(step).await, Observation::Done, "{step}");
        assert_eq!(View::of(environment).await, seen, "observing {step} changed something");
    }
}

async fn retiring_is_observed(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let mut run = Run::begin(environment, Variant::All).await;
    run.steps(&[Step::Stage, Step::Switch]).await;
    run.prepare(Step::Retire).await;
    assert_eq!(run.observe(Step::Retire).await, Observation::NotDone);
    ok(run.act(Step::Retire).await);
    assert_eq!(run.observe(Step::Retire).await, Observation::Done);
}

async fn cancelled_begins_nothing(environment: &dyn Environment) {
    deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, Variant::All).await;
    run.cancel();
    let error = run.try_step(Step::Switch).await;
    crate::conformance::fails(error, ultrai_deploy_core::ErrorKind::Cancelled);
    assert_eq!(View::of(environment).await, before);
}
