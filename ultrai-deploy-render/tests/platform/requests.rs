//! How many calls a deploy costs whose build takes ten minutes, where a second takes 10 ms.

use std::time::Duration;

use ultrai_deploy_testkit::hosted::{
    Lab, Limit, SERVICES,
    render::{World, limits},
};

use crate::fake::{Render, TOKEN};

/// How long a time of the platform takes here.
fn short(time: Duration) -> Duration {
    time / 100
}

#[tokio::test]
async fn a_deploy_costs_few_calls() {
    let mut fake = Render::of(World::new(TOKEN, &SERVICES)).await;
    (fake.pause, fake.lag) = (short(Duration::from_secs(5)), short(Duration::from_secs(5)));
    let lab = Lab::new(fake);
    lab.deploy("1.0.0").await;
    {
        let mut world = lab.fake.world();
        world.traffic.clock.per_call = Duration::ZERO;
        for (class, limit) in limits() {
            world.traffic.limit(class, Limit { window: short(limit.window), ..limit });
        }
        world.traffic.calls.clear();
        for (service, minutes) in [("api", 10), ("web", 1)] {
            let mut course = world.manners.course("live");
            course.takes = short(Duration::from_mins(minutes));
            world.service(service).next.push_back(course);
        }
    }
    let report = lab.deploy("1.1.0").await;
    assert!(report.to_string().contains(": succeeded"), "{report}");
    lab.assert_serves("1.1.0");
    let mut world = lab.fake.world();
    let now = world.traffic.clock.now();
    let live = world.service("web").history.live().unwrap().live_since.unwrap();
    let minute = short(Duration::from_mins(1));
    let reads = world.traffic.most_within(Some("read"), minute);
    let deploys = world.traffic.most_within(Some("deploy"), minute);
    println!(
        "render, 10 minutes of build and 1: {} calls, at most {reads} reads and {deploys} deploys in \
         a minute; the verdict comes {:.1} s after it serves",
        world.traffic.calls.len(),
        (now.saturating_sub(live) * 100).as_secs_f64()
    );
    assert!(reads <= 80, "{reads} reads in a minute");
    assert!(deploys <= 10, "{deploys} deploys in a minute");
    assert_eq!(world.traffic.refused, 0);
}
