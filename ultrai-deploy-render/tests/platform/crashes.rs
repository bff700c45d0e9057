//! The suite of all deployers, and a process that dies at every record, over a Render that is spoken to.

use std::time::Duration;

use ultrai_deploy_testkit::{
    crash::When,
    hosted::{
        self, CONFORMANCE_SERVICES, Clock,
        render::{Manners, World},
    },
};

use crate::fake::{Render, TOKEN};

/// What a Render may be like, whatever it is asked for.
fn manners() -> [Manners; 3] {
    [
        Manners::default(),
        Manners { queues: true, ..Manners::default() },
        Manners { forgets: true, lag: Duration::from_millis(4), ..Manners::default() },
    ]
}

/// Where what was done is seen late, time goes by as everywhere: whoever waits for it must see it in
/// the end.
fn world(manners: &Manners, services: &[&str]) -> World {
    let mut world = World::new(TOKEN, services);
    world.manners = manners.clone();
    if !manners.lag.is_zero() {
        world.traffic.clock = Clock::real();
        world.manners.takes = Duration::from_millis(6);
    }
    world
}

#[tokio::test]
async fn it_conforms_over_http() {
    for manners in manners() {
        let manners = manners.clone();
        let cases =
            hosted::conforms(move || Box::pin(Render::of(world(&manners, &CONFORMANCE_SERVICES))))
                .await;
        println!("deployer conformance, render over HTTP: {cases} cases");
        assert!(cases > 50, "only {cases} cases ran");
    }
}

#[tokio::test]
async fn it_can_be_killed_at_every_record() {
    let mut cases = 0;
    for (manners, when, tag) in manners()
        .iter()
        .zip([(When::Before, "1.1.0"), (When::After, "sick"), (When::Torn, "1.1.0")])
        .map(|(manners, (when, tag))| (manners, when, tag))
    {
        let make = async || Render::of(world(manners, &hosted::SERVICES)).await;
        cases += hosted::kills(make, when, tag).await;
    }
    println!("render over HTTP, killed at every record: {cases} cases");
    assert!(cases > 100, "only {cases} cases ran");
}
