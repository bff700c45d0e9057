//! What Render may do to an upgrade, and how that ends.

use std::time::Duration;

use ultrai_deploy_core::{ErrorKind, lease::Wait, stage::Stage};
use ultrai_deploy_testkit::{
    hosted::{
        self, Course, End,
        Expected::{self, RollsBack, Succeeds},
        Fake as _, Fault, Lab, Limit, SERVICES,
        render::World,
    },
    server::Answer,
};

use crate::fake::{Render, TOKEN};

const DEPLOY: &str = "POST /v1/services/srv-0/deploys";

/// Time goes by as everywhere, and what was done is seen late.
fn late(world: &mut World) {
    world.traffic.clock.per_call = Duration::ZERO;
    world.manners.takes = Duration::from_millis(6);
    world.manners.lag = Duration::from_millis(10);
}

/// The next deploy of the first service ends like this.
fn ends(world: &mut World, end: End) {
    let course = Course { end, ..world.manners.course("live") };
    world.service("api").next.push_back(course);
}

async fn upgrades(what: &str, odd: impl FnOnce(&mut World), expected: Expected<'_>) {
    let mut lab = Lab::new(Render::of(World::new(TOKEN, &SERVICES)).await);
    lab.policy.stage_deadlines.insert(Stage::Deploy, Duration::from_millis(800));
    lab.upgrades(what, |fake| odd(&mut fake.world()), expected).await;
    assert_eq!(lab.fake.world().unknown, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn what_is_late_is_waited_for() {
    upgrades("a new deploy is seen late", late, Succeeds).await;
    let queued = |world: &mut World| {
        late(world);
        world.manners.queues = true;
    };
    upgrades("a queued deploy is seen late", queued, Succeeds).await;
}

/// Nothing is sent that would be refused, and what is refused all the same is sent when it may be.
#[tokio::test]
async fn limits_are_obeyed() {
    let mut lab = Lab::new(Render::of(World::new(TOKEN, &SERVICES)).await);
    lab.policy.stage_deadlines.insert(Stage::Deploy, Duration::from_secs(30));
    let few = |fake: &Render| {
        let mut world = fake.world();
        world.traffic.clock.per_call = Duration::ZERO;
        world.manners.takes = Duration::from_millis(6);
        let limit = Limit { calls: 40, window: Duration::from_secs(1) };
        world.traffic.limits.insert("read", limit);
        let full = Answer::json(429, r#"{"message":"rate limit exceeded"}"#)
            .with_header("Ratelimit-Limit", "10")
            .with_header("Ratelimit-Remaining", "0")
            .with_header("Ratelimit-Reset", "1");
        world.traffic.fail_next(DEPLOY, Fault::Instead(full));
    };
    lab.upgrades("few calls", few, Succeeds).await;
    let world = lab.fake.world();
    assert_eq!(world.traffic.refused, 0);
    assert_eq!(world.traffic.count(DEPLOY), 3, "1.0.0, one that was refused, 1.1.0");
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_taken_back() {
    hosted::lost_starts(Render::new, DEPLOY, "start a deploy").await;
}

#[tokio::test]
async fn a_start_that_arrives_twice_is_followed() {
    let twice = |world: &mut World| world.traffic.fail_next(DEPLOY, Fault::Twice);
    upgrades("twice", twice, Succeeds).await;
}

#[tokio::test]
async fn every_end_has_its_verdict() {
    let advice = "see what was seen of it";
    for word in ["build_failed", "pre_deploy_failed", "update_failed"] {
        let end = |world: &mut World| ends(world, End::Over(word.to_owned()));
        let told = format!("of api failed: {word}");
        upgrades(word, end, RollsBack(ErrorKind::Unhealthy, &told, advice)).await;
    }
    let others = "look on the platform who stopped it or what overtook it";
    let told = "was not gone on with: canceled";
    let canceled = |world: &mut World| ends(world, End::Over("canceled".to_owned()));
    upgrades("canceled", canceled, RollsBack(ErrorKind::Conflict, told, others)).await;
    let person = |world: &mut World| {
        let by_hand = Some("shop/api:by-hand".to_owned());
        let course = Course { overtaken_by: by_hand, ..world.manners.course("live") };
        world.service("api").next.push_back(course);
    };
    upgrades("a person", person, RollsBack(ErrorKind::Conflict, told, others)).await;
    let never = |world: &mut World| ends(world, End::Never("shiny".to_owned()));
    upgrades(
        "an end of tomorrow",
        never,
        RollsBack(ErrorKind::Timeout, "was not over in time", "allow more time"),
    )
    .await;
    let stubborn = |world: &mut World| world.manners.is_stubborn = true;
    let told = "serves image docker.io/shop/api:1.0.0 instead of image shop/api:1.1.0";
    let mended = "look whether the platform deployed what it had before";
    upgrades("stubborn", stubborn, RollsBack(ErrorKind::Unhealthy, told, mended)).await;
}

/// Where not even the way back can be had, a person is called; and once it can, it is gone.
#[tokio::test]
async fn a_way_back_that_fails_is_told_and_can_be_repeated() {
    let lab = Lab::new(Render::new().await);
    lab.deploy("1.0.0").await;
    lab.fake.world().manners.fails_back = true;
    let report = lab.deploy_tags("1.1.0", ["1.1.0", "sick"]).await;
    let told = report.to_string();
    assert!(told.contains(": stuck"), "{told}");
    assert!(told.contains("of api failed: update_failed"), "{told}");
    assert!(told.contains("ultrai resume --retry"), "{told}");
    lab.fake.world().manners.fails_back = false;
    let run = lab.process().resume(true, Wait::No).await.unwrap();
    let report = run.unwrap().join().await.unwrap();
    assert!(report.to_string().contains("rolled back"), "{report}");
    lab.assert_serves("1.0.0");
    assert!(!lab.fake.inside("api").is_busy);
}
