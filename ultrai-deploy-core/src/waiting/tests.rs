//! Waits on a paused clock.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;

use super::*;
use crate::{
    context::Cancel,
    health::{Changes, HealthProbe, Role, Timing},
    name::{EnvironmentName, ProjectName, RunId, Target},
};

/// Answers by the number of the look.
#[derive(Debug)]
struct Script(AtomicU32, fn(u32) -> Result<Health>);

#[async_trait]
impl HealthProbe for Script {
    async fn check(&self, _: &Context, _: &Endpoint) -> Result<Health> {
        (self.1)(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn sick() -> Health {
    Health::Unhealthy { why: "503".into(), evidence: Vec::new() }
}

fn check(timing: Timing, script: fn(u32) -> Result<Health>) -> Check {
    let probe = Arc::new(Script(AtomicU32::new(0), script));
    Check::new("web", None, probe, timing)
}

fn cx() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Context::detached(target, RunId::generate())
}

async fn wait(cx: &Context, check: &Check) -> Result<CheckResult> {
    wait_until_healthy(cx, check, &Endpoint::none(Role::Live)).await
}

#[tokio::test(start_paused = true)]
async fn the_first_look_is_at_once() {
    let result = wait(&cx(), &check(Timing::default(), |_| Ok(Health::Healthy(vec![])))).await;
    let result = result.unwrap();
    assert!(result.passed());
    assert_eq!((result.looks, result.took), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn failures_while_booting_do_not_count() {
    let script = |n| Ok(if n < 10 { sick() } else { Health::Healthy(vec![]) });
    let result = wait(&cx(), &check(Timing::default(), script)).await.unwrap();
    assert!(result.passed());
    assert!(result.took < Duration::from_secs(10), "{:?}", result.took);
}

#[tokio::test(start_paused = true)]
async fn only_time_ends_the_wait() {
    let timing = Timing {
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        retries: 3,
        start_period: Duration::from_secs(15),
        ..Timing::default()
    };
    assert_eq!(timing.boot_deadline(), Duration::from_secs(135));
    let result = wait(&cx(), &check(timing, |_| Ok(sick()))).await.unwrap();
    assert_eq!(result.verdict, Verdict::Fail);
    assert_eq!(result.took, Duration::from_secs(135));
    assert!(result.why.unwrap().contains("503"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_thing_is_not_waited_for() {
    let script = |_| Ok(Health::Dead { why: "exit 1".into(), evidence: Vec::new() });
    let result = wait(&cx(), &check(Timing::default(), script)).await.unwrap();
    assert_eq!((result.verdict, result.looks), (Verdict::Fail, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_an_error_not_a_failure() {
    let script = |_| Err(Error::new(ErrorKind::Unavailable, "ask", "no route"));
    let result = wait(&cx(), &check(Timing::default(), script)).await.unwrap();
    assert_eq!(result.verdict, Verdict::Error);
}

#[tokio::test(start_paused = true)]
async fn stability_starts_again_after_a_failure() {
    let timing = Timing { stability: Duration::from_secs(3), ..Timing::default() };
    let script = |n| Ok(if n == 2 { sick() } else { Health::Healthy(vec![]) });
    let result = wait(&cx(), &check(timing, script)).await.unwrap();
    assert!(result.passed());
    assert!(result.took > Duration::from_secs(3), "{:?}", result.took);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_ends_the_wait() {
    let cancel = Cancel::new();
    let cx = cx().with_cancel(cancel.clone());
    let check = check(Timing::default(), |_| Ok(sick()));
    let (result, ()) = tokio::join!(wait(&cx, &check), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        cancel.cancel();
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
}

/// Tells at the given times, and then without end where it is a babbler.
#[derive(Debug)]
struct Told {
    at: Vec<Duration>,
    babbles: bool,
}

impl Changes for Told {
    fn follow(&self, _: &Endpoint) -> BoxStream<'static, ()> {
        let began = Instant::now();
        let at: Vec<_> = self.at.iter().map(|at| began + *at).collect();
        let told = stream::iter(at).then(tokio::time::sleep_until);
        if self.babbles { told.chain(stream::repeat(())).boxed() } else { told.boxed() }
    }
}

/// Costs nothing, and passes after a time.
#[derive(Debug)]
struct Timed(Instant, Duration);

#[async_trait]
impl HealthProbe for Timed {
    async fn check(&self, _: &Context, _: &Endpoint) -> Result<Health> {
        Ok(if self.0.elapsed() >= self.1 { Health::Healthy(vec![]) } else { sick() })
    }
}

/// As dear as a command in a container.
#[derive(Debug)]
struct Dear(Instant, Duration);

#[async_trait]
impl HealthProbe for Dear {
    async fn check(&self, _: &Context, _: &Endpoint) -> Result<Health> {
        let is_up = self.0.elapsed() >= self.1;
        tokio::time::sleep(Duration::from_millis(130)).await;
        Ok(if is_up { Health::Healthy(vec![]) } else { sick() })
    }
}

fn told(check: Check, at: &[u64]) -> Check {
    let at = at.iter().map(|at| Duration::from_millis(*at)).collect();
    check.with_changes(Arc::new(Told { at, babbles: false }))
}

#[tokio::test(start_paused = true)]
async fn a_cheap_look_is_repeated_every_tenth_of_a_second_for_half_a_minute() {
    for (healthy_after, latest) in [(7_370, 100), (28_810, 100), (90_130, 1000)] {
        let began = Instant::now();
        let probe = Timed(began, Duration::from_millis(healthy_after));
        let timing = Timing { deadline: Some(Duration::from_mins(3)), ..Timing::default() };
        let result = wait(&cx(), &Check::new("web", None, Arc::new(probe), timing)).await.unwrap();
        let lag = result.took.saturating_sub(Duration::from_millis(healthy_after));
        assert!(result.passed() && lag <= Duration::from_millis(latest), "{lag:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dear_look_keeps_its_budget() {
    let probe = Dear(Instant::now(), Duration::from_secs(20));
    let result = wait(&cx(), &Check::new("web", None, Arc::new(probe), Timing::default())).await;
    let result = result.unwrap();
    assert!(result.passed());
    assert!(result.looks <= 25, "{} looks of 130 ms in {:?}", result.looks, result.took);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_looked_at_at_once() {
    let probe = Arc::new(Dear(Instant::now(), Duration::from_millis(20_010)));
    let check = told(Check::new("web", None, probe, Timing::default()), &[20_010]);
    let result = wait(&cx(), &check).await.unwrap();
    assert!(result.passed());
    // One look may be under way when it is told, and then the next one sees it.
    assert!(result.took <= Duration::from_millis(20_010 + 2 * 130 + 10), "{:?}", result.took);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_without_end_does_not_make_it_look_without_end() {
    let check =
        check(Timing { deadline: Some(Duration::from_secs(1)), ..Timing::default() }, |_| {
            Ok(sick())
        });
    let check = check.with_changes(Arc::new(Told { at: Vec::new(), babbles: true }));
    let result = wait(&cx(), &check).await.unwrap();
    assert_eq!(result.verdict, Verdict::Fail);
    assert!(result.looks <= 101, "{}", result.looks);
}

#[tokio::test(start_paused = true)]
async fn it_passes_as_often_in_a_row_as_it_must() {
    let rises = |rise| Timing { rise, ..Timing::default() };
    for (rise, script, looks) in [
        (3, (|_| Ok(Health::Healthy(vec![]))) as fn(u32) -> Result<Health>, 3),
        (3, |n| Ok(if n == 2 { sick() } else { Health::Healthy(vec![]) }), 6),
        (1, |n| Ok(if n == 0 { sick() } else { Health::Healthy(vec![]) }), 2),
        (0, |_| Ok(Health::Healthy(vec![])), 1),
    ] {
        let result = wait(&cx(), &check(rises(rise), script)).await.unwrap();
        assert!(result.passed());
        assert_eq!(result.looks, looks, "rise {rise}");
    }
    // Too few until the deadline is no pass, though nothing failed.
    let timing = Timing { deadline: Some(Duration::ZERO), ..rises(2) };
    let result = wait(&cx(), &check(timing, |_| Ok(Health::Healthy(vec![])))).await.unwrap();
    assert_eq!((result.verdict, result.looks), (Verdict::Inconclusive, 1));
    assert!(result.why.unwrap().contains("passed 1 times in a row"));
}
