//! What Railway may do to an upgrade, and how that ends.

use std::time::Duration;

use ultrai_deploy_core::{ErrorKind, lease::Wait, stage::Stage};
use ultrai_deploy_testkit::{
    hosted::{
        self, Course, End,
        Expected::{self, RollsBack, Succeeds},
        Fake as _, Fault, Lab, Limit, SERVICES,
        railway::World,
    },
    server::Answer,
};

use crate::fake::{Railway, TOKEN};

/// What starts a deployment of the upgrade: a variable goes with it.
const DEPLOY: &str = "environmentPatchCommit";

/// The next deployment of the first service ends with this word.
fn ends(world: &mut World, end: &str) {
    let course = world.manners.course(end);
    world.service("api").next.push_back(course);
}

async fn upgrades(what: &str, odd: impl FnOnce(&mut World), expected: Expected<'_>) {
    let mut lab = Lab::new(Railway::of(World::new(TOKEN, &SERVICES)).await);
    lab.policy.stage_deadlines.insert(Stage::Deploy, Duration::from_millis(800));
    lab.upgrades(what, |fake| odd(&mut fake.world()), expected).await;
    assert_eq!(lab.fake.world().unknown, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn what_is_late_is_waited_for() {
    let late = |world: &mut World| {
        world.traffic.clock.per_call = Duration::ZERO;
        world.manners.takes = Duration::from_millis(6);
        world.manners.lag = Duration::from_millis(10);
    };
    upgrades("a new deployment is seen late", late, Succeeds).await;
}

/// Nothing is sent that would be refused, and what is refused all the same is sent when it may be.
#[tokio::test]
async fn limits_are_obeyed() {
    let mut lab = Lab::new(Railway::of(World::new(TOKEN, &SERVICES)).await);
    lab.policy.stage_deadlines.insert(Stage::Deploy, Duration::from_secs(30));
    let few = |fake: &Railway| {
        let mut world = fake.world();
        world.traffic.clock.per_call = Duration::ZERO;
        world.manners.takes = Duration::from_millis(6);
        let limit = Limit { calls: 40, window: Duration::from_secs(1) };
        world.traffic.limits.insert("all", limit);
        let full = Answer::json(429, "{}")
            .with_header("X-RateLimit-Limit", "1000")
            .with_header("X-RateLimit-Remaining", "0")
            .with_header("X-RateLimit-Reset", "1")
            .with_header("Retry-After", "1");
        world.traffic.fail_next(DEPLOY, Fault::Instead(full));
    };
    lab.upgrades("few calls", few, Succeeds).await;
    let world = lab.fake.world();
    assert_eq!(world.traffic.refused, 0);
    assert_eq!(world.traffic.count(DEPLOY), 3, "two of 1.1.0, one was refused");
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_taken_back() {
    hosted::lost_starts(Railway::new, DEPLOY, "change an environment").await;
}

#[tokio::test]
async fn a_start_that_arrives_twice_is_followed() {
    let twice = |world: &mut World| world.traffic.fail_next(DEPLOY, Fault::Twice);
    upgrades("twice", twice, Succeeds).await;
}

#[tokio::test]
async fn every_end_has_its_verdict() {
    upgrades("asleep", |world| ends(world, "SLEEPING"), Succeeds).await;
    let advice = "see what was seen of it";
    for word in ["FAILED", "CRASHED"] {
        let told = format!("of api failed: {word}");
        let expected = RollsBack(ErrorKind::Unhealthy, &told, advice);
        upgrades(word, |world| ends(world, word), expected).await;
    }
    let told = "was not gone on with: SKIPPED";
    let left_out = RollsBack(ErrorKind::Conflict, told, "or why it is left out");
    upgrades("SKIPPED", |world| ends(world, "SKIPPED"), left_out).await;
    let others = "let nobody else deploy at the same time";
    let told = "was overtaken by another one";
    for word in ["REMOVED", "REMOVING"] {
        let expected = RollsBack(ErrorKind::Conflict, told, others);
        upgrades(word, |world| ends(world, word), expected).await;
    }
    let person = |world: &mut World| {
        let by_hand = Some("shop/api:by-hand".to_owned());
        let course = Course { overtaken_by: by_hand, ..world.manners.course("SUCCESS") };
        world.service("api").next.push_back(course);
    };
    upgrades("a person", person, RollsBack(ErrorKind::Conflict, told, others)).await;
    let told = "waits for a person: NEEDS_APPROVAL";
    let expected = RollsBack(ErrorKind::Unavailable, told, "approve it on the platform");
    upgrades("approval", |world| ends(world, "NEEDS_APPROVAL"), expected).await;
    let shiny = |world: &mut World| {
        let end = End::Never("SHINY".to_owned());
        let course = Course { end, ..world.manners.course("SUCCESS") };
        world.service("api").next.push_back(course);
    };
    upgrades(
        "an end of tomorrow",
        shiny,
        RollsBack(ErrorKind::Timeout, "was not over in time", "allow more time"),
    )
    .await;
    let waits = RollsBack(ErrorKind::Timeout, "was not over in time", "allow more time");
    upgrades("waits for checks", |world| ends(world, "WAITING"), waits).await;
}

/// Where not even the way back can be had, a person is called; and once it can, it is gone.
#[tokio::test]
async fn a_way_back_that_fails_is_told_and_can_be_repeated() {
    let lab = Lab::new(Railway::new().await);
    lab.deploy("1.0.0").await;
    lab.fake.world().manners.fails_back = true;
    let report = lab.deploy_tags("1.1.0", ["1.1.0", "sick"]).await;
    let told = report.to_string();
    assert!(told.contains(": stuck"), "{told}");
    assert!(told.contains("of api failed: FAILED"), "{told}");
    assert!(told.contains("ultrai resume --retry"), "{told}");
    lab.fake.world().manners.fails_back = false;
    let run = lab.process().resume(true, Wait::No).await.unwrap();
    let report = run.unwrap().join().await.unwrap();
    assert!(report.to_string().contains("rolled back"), "{report}");
    lab.assert_serves("1.0.0");
    assert!(!lab.fake.inside("api").is_busy);
}
