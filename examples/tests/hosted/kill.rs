//! A process that is killed while a platform is at work, and resumed.

use std::time::Duration;

use serde_json::Value;
use ultrai_deploy_testkit::hosted::{Deploy, railway, render};

use crate::{
    platform::Platform,
    shop::{Shop, until},
};

const HOUR: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_to_railway_that_is_killed() {
    killed(&Shop::<railway::World>::new().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_to_render_that_is_killed() {
    killed(&Shop::<render::World>::new().await);
}

fn killed<P: Platform>(shop: &Shop<P>) {
    shop.deploy("1.0.0", 0);
    for (version, service) in [("1.1.0", "web"), ("1.2.0", "api")] {
        // The service's deploy goes on for as long as nobody says otherwise; the one before it is
        // over soon, and lasts long enough to be seen.
        slow_down(shop, if service == "web" { HOUR } else { SOON });
        let mut child = shop.spawn(&["deploy", "--tag", version]);
        if service == "api" {
            under_way(shop, "web", version);
            slow_down(shop, HOUR);
        }
        under_way(shop, service, version);
        child.kill().unwrap();
        child.wait().unwrap();

        let status = shop.expect(0, &["status"]);
        assert!(status["unfinished"]["run"].is_string(), "{status}");
        assert!(status["next"].as_str().unwrap().contains("resume"), "{status}");
        let refused = shop.expect(5, &["deploy", "--tag", "9.9.9", "--no-resume"]);
        assert!(refused.to_string().contains("unfinished"), "{refused}");

        let asked = newest(shop, service);
        speed_up(shop);
        shop.world().traffic().clock.advance(HOUR);
        let resumed = shop.expect(0, &["resume"]);
        assert_eq!(resumed["ending"]["kind"], "succeeded", "{resumed}");
        assert_eq!(newest(shop, service), asked, "what was under way is gone on with");
        shop.assert_serves(version);
        assert_eq!(shop.expect(0, &["resume"])["unfinished"], Value::Null);
    }
    shop.assert_silent();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_to_railway_that_is_cancelled() {
    cancelled(&Shop::<railway::World>::new().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_to_render_that_is_cancelled() {
    cancelled(&Shop::<render::World>::new().await);
}

fn cancelled<P: Platform>(shop: &Shop<P>) {
    shop.deploy("1.0.0", 0);
    slow_down(shop, HOUR);
    let mut child = shop.spawn(&["deploy", "--tag", "1.1.0"]);
    under_way(shop, "web", "1.1.0");
    speed_up(shop);
    shop.expect(0, &["cancel"]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    shop.assert_serves("1.0.0");
    assert!(shop.expect(0, &["status"])["unfinished"].is_null());
    shop.assert_silent();
}

/// From now on time goes by as everywhere, and deploys that begin take so long.
fn slow_down<P: Platform>(shop: &Shop<P>, takes: Duration) {
    let mut world = shop.world();
    world.set_takes(takes);
    world.traffic().clock.per_call = Duration::ZERO;
}

/// From now on each call takes a second, and deploys that begin are over after a few.
fn speed_up<P: Platform>(shop: &Shop<P>) {
    let mut world = shop.world();
    world.set_takes(SOON);
    world.traffic().clock.per_call = Duration::from_secs(1);
}

/// Waits until the deploy of a version is on its way.
fn under_way<P: Platform>(shop: &Shop<P>, service: &str, version: &str) {
    let is_new = |deploy: &Deploy| deploy.what.image.as_ref().unwrap().ends_with(version);
    until(&format!("{version} of {service} is on its way"), || {
        shop.world().newest(service).as_ref().is_some_and(is_new)
    });
}

/// The newest deploy of a service.
fn newest<P: Platform>(shop: &Shop<P>, service: &str) -> String {
    shop.world().newest(service).map(|deploy| deploy.id).unwrap_or_default()
}
