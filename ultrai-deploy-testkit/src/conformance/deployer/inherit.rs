//! A run that takes the place of one that is held: it answers for what both brought.

use ultrai_deploy_core::deployer::{Observation, Step};

use super::{
    Environment, Variant,
    cases::Case,
    drive::{Run, View, assert_healthy, deploy},
};
use crate::conformance::ok;

pub(super) const CASES: &[(&str, Case)] = &[
    ("a run retires what a held one left", |e| Box::pin(retires_both(e))),
    ("a run takes back what a held one brought", |e| Box::pin(takes_back_both(e))),
    ("a run takes back what a held one brought, before its own switch", |e| {
        Box::pin(takes_back_both_unswitched(e))
    }),
    ("a run takes back all it kept of a held one", |e| Box::pin(takes_back_what_it_kept(e))),
];

/// Deploys, leaves another release held over it, and begins a run that takes its place.
pub(super) async fn begin(
    environment: &dyn Environment,
    old: Option<Variant>,
    held: Variant,
    new: Variant,
) -> Run<'_> {
    if let Some(old) = old {
        deploy(environment, old).await;
    }
    let mut first = Run::begin(environment, held).await;
    first.steps(&[Step::Stage, Step::Switch]).await;
    let mut second = Run::begin(environment, new).await;
    second.take_place_of(&first);
    second
}

async fn retires_both(environment: &dyn Environment) {
    let mut run = begin(environment, Some(Variant::First), Variant::Web, Variant::All).await;
    run.steps(&[Step::Stage, Step::Switch]).await;
    View::of(environment).await.assert_serves(&run.release);
    run.step(Step::Retire).await;
    View::of(environment).await.assert_only(&run.release);
    assert_healthy(environment, &run.release).await;
}

async fn takes_back_both(environment: &dyn Environment) {
    take_back(environment, (Variant::Web, Variant::All), &[Step::Stage, Step::Switch]).await;
}

async fn takes_back_both_unswitched(environment: &dyn Environment) {
    take_back(environment, (Variant::Web, Variant::All), &[Step::Stage]).await;
}

/// `db` and `side` of the held release serve on in the new one.
async fn takes_back_what_it_kept(environment: &dyn Environment) {
    take_back(environment, (Variant::All, Variant::Fewer), &[Step::Stage, Step::Switch]).await;
}

async fn take_back(environment: &dyn Environment, (held, new): (Variant, Variant), steps: &[Step]) {
    let first = deploy(environment, Variant::First).await;
    let before = View::of(environment).await;
    let mut run = begin(environment, None, held, new).await;
    run.steps(steps).await;
    run.prepare(Step::Rollback).await;
    assert_eq!(run.observe(Step::Rollback).await, Observation::NotDone);
    ok(run.act(Step::Rollback).await);
    assert_eq!(run.observe(Step::Rollback).await, Observation::Done);
    let back = View::of(environment).await;
    back.assert_only(&first);
    assert_eq!(back.clone().without_times(), before.without_times());
    assert_healthy(environment, &first).await;
    ok(run.act(Step::Rollback).await);
    run.step(Step::Rollback).await;
    assert_eq!(View::of(environment).await, back, "a second rollback touched something");
}
