//! A process that dies at every effect, before and after it, and what the next one makes of it.

use futures_util::FutureExt;
use ultrai_deploy_core::deployer::{Observation, Step};

use super::{
    Environment, Part, Platform, Variant,
    drive::{Run, View, deploy},
    named,
};
use crate::{
    conformance::Cases,
    crash::{Death, When},
};

/// What is deployed, over what.
const UPGRADES: [(Option<Variant>, Variant); 4] = [
    (None, Variant::First),
    (Some(Variant::First), Variant::Web),
    (Some(Variant::First), Variant::All),
    (Some(Variant::First), Variant::Fewer),
];

const FORWARD: &[Step] = &[Step::Stage, Step::Switch];

/// What the next process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    /// Goes back.
    Back,
    /// Repeats the step it died in and goes on.
    On,
    /// Goes on, and back only then.
    OnAndBack,
}

pub(super) fn parts(platform: &dyn Platform) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut add = |old, new, done, dying, recovery| {
        parts.push(each_point(platform, old, new, done, dying, recovery).boxed());
    };
    for (old, new) in UPGRADES {
        for recovery in [Recovery::Back, Recovery::On, Recovery::OnAndBack] {
            add(old, new, &[], FORWARD, recovery);
        }
        add(old, new, FORWARD, &[Step::Rollback], Recovery::Back);
        add(old, new, &[Step::Stage], &[Step::Rollback], Recovery::Back);
        add(old, new, FORWARD, &[Step::Retire], Recovery::On);
    }
    parts
}

/// One case for the instant before each effect of `dying`, and one for the instant after the last.
/// The instant after any other is the one before the next: a deployer keeps nothing to itself.
async fn each_point(
    platform: &dyn Platform,
    old: Option<Variant>,
    new: Variant,
    done: &[Step],
    dying: &[Step],
    recovery: Recovery,
) -> usize {
    let mut cases = Cases::new("deployer");
    for point in 1.. {
        let death = Death::at(point, When::Before);
        let name = format!("{old:?} to {new:?}, {dying:?} dies at {point}, {recovery:?}");
        let environment = platform.environment(&name).await;
        let case = die(environment.as_ref(), old, new, done, dying, recovery, &death);
        cases.run(&name, named(&name, case)).await;
        environment.close().await;
        if !death.happened() {
            // The way has fewer effects than this: all of them were tried.
            break;
        }
    }
    cases.ran
}

async fn die(
    environment: &dyn Environment,
    old: Option<Variant>,
    new: Variant,
    done: &[Step],
    dying: &[Step],
    recovery: Recovery,
    death: &Death,
) {
    if let Some(old) = old {
        deploy(environment, old).await;
    }
    let before = View::of(environment).await;
    let mut run = Run::begin(environment, new).await;
    run.steps(done).await;
    run.set_death(death.clone());
    for step in dying {
        run.prepare(*step).await;
        if death.or(run.act(*step)).await.is_none() {
            break;
        }
    }
    run.set_death(Death::never());
    let Some(step) = run.open_step() else { return };
    check_observation(environment, &run, step, &before).await;
    if recovery != Recovery::Back {
        for step in dying.iter().skip_while(|one| **one != step) {
            run.step(*step).await;
        }
        let after = View::of(environment).await;
        after.assert_serves(&run.release);
    }
    match recovery {
        Recovery::On => {
            run.step(Step::Retire).await;
            View::of(environment).await.assert_only(&run.release);
        }
        Recovery::Back | Recovery::OnAndBack => {
            run.step(Step::Rollback).await;
            let back = View::of(environment).await.without_times();
            assert_eq!(back, before.without_times(), "after going back");
        }
    }
}

/// The engine acts on what it is told: a wrong Done or NotDone loses something.
async fn check_observation(
    environment: &dyn Environment,
    run: &Run<'_>,
    step: Step,
    before: &View,
) {
    let observation = run.observe(step).await;
    let now = View::of(environment).await;
    match (step, observation) {
        (_, Observation::InProgress) => panic!("{step}: the suite's effects are over at once"),
        (Step::Switch, Observation::Done) => now.assert_serves(&run.release),
        (Step::Switch, Observation::NotDone) => {
            assert_eq!((&now.services, &now.link), (&before.services, &before.link), "{step}");
        }
        (Step::Rollback, Observation::Done) => {
            assert_eq!(now.without_times(), before.clone().without_times());
        }
        (Step::Retire, Observation::Done) => now.assert_only(&run.release),
        _ => {}
    }
}
