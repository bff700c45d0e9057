//! How many calls a deploy costs whose build takes ten minutes, where a second takes 10 ms.

use std::time::Duration;

use ultrai_deploy_testkit::{
    hosted::{
        Lab, Limit, SERVICES,
        railway::{Plan, World},
    },
    trace,
};

use crate::fake::{Railway, TOKEN};

/// How long a time of the platform takes here.
fn short(time: Duration) -> Duration {
    time / 100
}

struct Cost {
    calls: usize,
    refused: usize,
    /// From when the last deployment served to the end of the run, in the platform's time.
    verdict: Duration,
    log: String,
}

/// An upgrade under the limit of a plan: one service is built for ten minutes, one for one.
async fn cost(plan: Plan) -> Cost {
    let mut fake = Railway::of(World::new(TOKEN, &SERVICES)).await;
    (fake.pause, fake.lag) = (short(Duration::from_secs(5)), short(Duration::from_secs(5)));
    let lab = Lab::new(fake);
    lab.deploy("1.0.0").await;
    {
        let mut world = lab.fake.world();
        world.traffic.clock.per_call = Duration::ZERO;
        let limit = plan.limit();
        world.traffic.limit("all", Limit { window: short(limit.window), ..limit });
        world.traffic.calls.clear();
        for (service, minutes) in [("api", 10), ("web", 1)] {
            let mut course = world.manners.course("SUCCESS");
            course.takes = short(Duration::from_mins(minutes));
            world.service(service).next.push_back(course);
        }
    }
    let (report, log) = trace::of(lab.deploy("1.1.0")).await;
    assert!(report.to_string().contains(": succeeded"), "{report}");
    lab.assert_serves("1.1.0");
    let mut world = lab.fake.world();
    let now = world.traffic.clock.now();
    let live = world.service("web").history.live().unwrap().live_since.unwrap();
    let verdict = now.saturating_sub(live) * 100;
    Cost { calls: world.traffic.calls.len(), refused: world.traffic.refused, verdict, log }
}

#[tokio::test]
async fn a_deploy_costs_few_calls() {
    let hobby = cost(Plan::Hobby).await;
    println!(
        "railway, Hobby, 10 minutes of build and 1: {} calls; the verdict comes {:.1} s after it serves",
        hobby.calls,
        hobby.verdict.as_secs_f64()
    );
    assert!(hobby.calls <= 200, "{} calls", hobby.calls);
    assert_eq!(hobby.refused, 0);
    assert!(!hobby.log.contains("looked at less often"), "{}", hobby.log);
}

/// Where few calls are allowed they are spread, which is said, and there are enough for the end.
#[tokio::test]
async fn a_small_limit_is_spread() {
    let free = cost(Plan::Free).await;
    println!(
        "railway, Free, 10 minutes of build and 1: {} calls; the verdict comes {:.1} s after it serves",
        free.calls,
        free.verdict.as_secs_f64()
    );
    assert!(free.calls <= 100, "{} calls", free.calls);
    assert_eq!(free.refused, 0);
    assert!(free.log.contains("looked at less often"), "{}", free.log.len());
}
