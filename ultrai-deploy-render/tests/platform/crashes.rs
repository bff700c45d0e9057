//! The suite of all deployers, and a process that dies at every record, over a Render that is spoken to.

use std::{pin::Pin, time::Duration};

use ultrai_deploy_testkit::{
    crash::When,
    hosted::{
        self, CONFORMANCE_SERVICES, Clock, SERVICES,
        render::{Manners, World},
    },
};

use crate::fake::{Render, TOKEN};

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
    let manners = Manners { queues: true, forgets: true, ..Manners::default() };
    let make = move || {
        let world = world(&manners, &CONFORMANCE_SERVICES);
        Box::pin(Render::of(world)) as Pin<Box<dyn Future<Output = Render> + Send>>
    };
    let cases = hosted::conforms(make).await;
    println!("deployer conformance, render over HTTP: {cases} cases");
    assert!(cases > 100, "only {cases} cases ran");
}

#[tokio::test]
async fn it_can_be_killed_at_every_record() {
    let late = Manners { forgets: true, lag: Duration::from_millis(4), ..Manners::default() };
    for (manners, when, tag) in
        [(Manners::default(), When::Torn, "1.1.0"), (late, When::After, "sick")]
    {
        let make = async || Render::of(world(&manners, &SERVICES)).await;
        let cases = hosted::kills(make, when, tag).await;
        println!("render over HTTP, killed {when:?} every record: {cases} cases");
        assert!(cases > 30, "only {cases} cases ran");
    }
}
