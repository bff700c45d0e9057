//! A process that dies at every effect, before and after it, and what the next one makes of it.

use std::fmt;

use futures_util::FutureExt;
use ultrai_deploy_core::deployer::{Observation, Step};

use super::{
    Environment, Part, Platform, Variant,
    drive::{Run, View, deploy},
    inherit, named,
};
use crate::{
    conformance::Cases,
    crash::{self, Death, When},
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

/// On the way from what to what a process dies.
#[derive(Clone, Copy, Debug)]
struct Way {
    old: Option<Variant>,
    /// What is left held over the old one, by a run whose place the dying one has taken.
    held: Option<Variant>,
    new: Variant,
    /// The steps before.
    done: &'static [Step],
    /// Those that it dies in.
    dying: &'static [Step],
    recovery: Recovery,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { old, held, new, dying, recovery, .. } = self;
        write!(f, "{old:?} to {new:?}")?;
        if let Some(held) = held {
            write!(f, " over held {held:?}")?;
        }
        write!(f, ", {dying:?}, {recovery:?}")
    }
}

pub(super) fn parts(platform: &dyn Platform) -> Vec<Part<'_>> {
    let mut ways = Vec::new();
    for (old, new) in UPGRADES {
        let way = Way { old, held: None, new, done: &[], dying: FORWARD, recovery: Recovery::Back };
        for recovery in [Recovery::Back, Recovery::On, Recovery::OnAndBack] {
            ways.push(Way { recovery, ..way });
        }
        ways.push(Way { done: FORWARD, dying: &[Step::Rollback], ..way });
        ways.push(Way { done: &[Step::Stage], dying: &[Step::Rollback], ..way });
        ways.push(Way { done: FORWARD, dying: &[Step::Retire], recovery: Recovery::On, ..way });
    }
    let held = Way {
        old: Some(Variant::First),
        held: Some(Variant::Web),
        new: Variant::All,
        done: &[],
        dying: FORWARD,
        recovery: Recovery::Back,
    };
    ways.push(held);
    ways.push(Way { done: FORWARD, dying: &[Step::Rollback], ..held });
    ways.into_iter().map(|way| each_point(platform, way).boxed()).collect()
}

/// One case for the instant before each effect of the dying steps, and one for the instant after
/// the last. The instant after any other is the one before the next: a deployer keeps nothing to
/// itself.
async fn each_point(platform: &dyn Platform, way: Way) -> usize {
    crash::every_point(When::Before, |death| async move {
        let name = format!("{way}, dies at {}", death.point());
        let environment = platform.environment(&name).await;
        let case = die(environment.as_ref(), way, &death);
        Box::pin(Cases::new("deployer").run(&name, named(&name, case))).await;
        environment.close().await;
    })
    .await
}

async fn die(environment: &dyn Environment, way: Way, death: &Death) {
    let Way { old, held, new, done, dying, recovery } = way;
    if let Some(old) = old {
        deploy(environment, old).await;
    }
    let before = View::of(environment).await;
    let mut run = match held {
        Some(held) => inherit::begin(environment, None, held, new).await,
        None => Run::begin(environment, new).await,
    };
    // What a step that was not done must leave as it is.
    let began = View::of(environment).await;
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
    check_observation(environment, &run, step, &began, &before).await;
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
    began: &View,
    before: &View,
) {
    let observation = run.observe(step).await;
    let now = View::of(environment).await;
    match (step, observation) {
        (_, Observation::InProgress) => panic!("{step}: the suite's effects are over at once"),
        (Step::Switch, Observation::Done) => now.assert_serves(&run.release),
        (Step::Switch, Observation::NotDone) => {
            assert_eq!((&now.services, &now.link), (&began.services, &began.link), "{step}");
        }
        (Step::Rollback, Observation::Done) => {
            assert_eq!(now.without_times(), before.clone().without_times());
        }
        (Step::Retire, Observation::Done) => now.assert_only(&run.release),
        _ => {}
    }
}
