//! A process that dies at every effect, before and after it, and what the next one makes of it.

use ultrai_deploy_core::deployer::{Observation, Step};

use super::{
    Environment, Platform, Variant,
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

pub(super) async fn run(cases: &mut Cases, platform: &dyn Platform) {
    for (old, new) in UPGRADES {
        for recovery in [Recovery::Back, Recovery::On, Recovery::OnAndBack] {
            each_point(cases, platform, old, new, &[], FORWARD, recovery).await;
        }
        each_point(cases, platform, old, new, FORWARD, &[Step::Rollback], Recovery::Back).await;
        each_point(cases, platform, old, new, &[Step::Stage], &[Step::Rollback], Recovery::Back)
            .await;
        each_point(cases, platform, old, new, FORWARD, &[Step::Retire], Recovery::On).await;
    }
}

/// One case for each effect of `dying` and each side of it.
async fn each_point(
    cases: &mut Cases,
    platform: &dyn Platform,
    old: Option<Variant>,
    new: Variant,
    done: &[Step],
    dying: &[Step],
    recovery: Recovery,
) {
    for point in 1.. {
        for when in [When::Before, When::After] {
            let death = Death::at(point, when);
            let name =
                format!("{old:?} to {new:?}, {dying:?} dies at {point} {when:?}, {recovery:?}");
            let environment = platform.environment(&name).await;
            let case = die(environment.as_ref(), old, new, done, dying, recovery, &death);
            cases.run(&name, named(&name, case)).await;
            environment.close().await;
            if !death.happened() {
                // The way has fewer effects than this: all of them were tried.
                return;
            }
        }
    }
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
    if death.happened() {
        check_observation(environment, &run, step, &before).await;
    }
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
