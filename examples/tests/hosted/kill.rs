//! A process that is killed while a platform is at work, and resumed.

use std::time::Duration;

use serde_json::Value;
use ultrai_deploy_testkit::hosted::{Deploy, railway, render};

use crate::{
    platform::Platform,
    shop::{Shop, until},
};

const HOUR: Duration = Duration::from_hours(1);

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
    for (version, service) in [("1.1.0", "api"), ("1.2.0", "web")] {
        // The service's deploy goes on for as long as nobody says otherwise.
        let is_new = |deploy: &Deploy| deploy.what.image.as_ref().unwrap().ends_with(version);
        if service == "web" {
            shop.world().set_takes(Duration::from_secs(3));
        } else {
            endless(shop);
        }
        let mut child = shop.spawn(&["deploy", "--tag", version]);
        if service == "web" {
            until("the first service is on its way", || {
                shop.world().newest("api").as_ref().is_some_and(is_new)
            });
            endless(shop);
        }
        until("the service is on its way", || {
            shop.world().newest(service).as_ref().is_some_and(is_new)
        });
        child.kill().unwrap();
        child.wait().unwrap();

        let status = shop.expect(0, &["status"]);
        assert!(status["unfinished"]["run"].is_string(), "{status}");
        assert!(status["next"].as_str().unwrap().contains("resume"), "{status}");
        let refused = shop.expect(5, &["deploy", "--tag", "9.9.9", "--no-resume"]);
        assert!(refused.to_string().contains("unfinished"), "{refused}");

        let asked = deploys(shop, service);
        shop.world().set_takes(Duration::from_secs(3));
        let mut world = shop.world();
        world.traffic().clock.advance(HOUR);
        world.traffic().clock.per_call = Duration::from_secs(1);
        drop(world);
        let resumed = shop.expect(0, &["resume"]);
        assert_eq!(resumed["ending"]["kind"], "succeeded", "{resumed}");
        assert_eq!(deploys(shop, service), asked, "what was under way is gone on with");
        shop.assert_serves(version);
        assert_eq!(shop.expect(0, &["resume"])["unfinished"], Value::Null);
    }
    shop.assert_silent();
}

/// Time stands still, and deploys that begin now take long.
fn endless<P: Platform>(shop: &Shop<P>) {
    let mut world = shop.world();
    world.set_takes(HOUR);
    world.traffic().clock.per_call = Duration::ZERO;
}

/// The number of deploys of a service.
fn deploys<P: Platform>(shop: &Shop<P>, service: &str) -> String {
    shop.world().newest(service).map(|deploy| deploy.id).unwrap_or_default()
}
