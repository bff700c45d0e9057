//! Watching that what was well stays well.

use std::time::Duration;

use tokio::time::Instant;

use super::{CheckResult, FIRST_PAUSE, SLOW_PAUSE, Seen, follow, look, rest};
use crate::{
    context::Context,
    error::Result,
    health::{Check, Endpoint, Timing, Verdict},
};

/// Looks at `endpoint` for a whole `window`, and once more at its end.
///
/// It fails when it is dead, or after as many failures in a row as the check declares that took
/// the time that they would have taken on the platform. A row of failures that ends before is
/// noted and not fatal; one that is under way at the end of the window is waited for.
///
/// # Errors
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) and
/// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) of the context, and what a note fails with;
/// everything about the check itself is a verdict.
pub(crate) async fn watch_that_it_stays_well(
    cx: &Context,
    check: &Check,
    endpoint: &Endpoint,
    window: Duration,
) -> Result<CheckResult> {
    let timing = &check.timing;
    let started = Instant::now();
    let end = started + window;
    let (mut looks, mut failures) = (0_u32, 0_u32);
    let mut failing: Option<Row> = None;
    let mut blip = None;
    let mut changes = follow(check, endpoint);
    loop {
        cx.check()?;
        let look_began = Instant::now();
        let Seen { verdict, why, evidence, dead } = look(cx, check, endpoint).await?;
        looks += 1;
        let now = Instant::now();
        let took = now - started;
        if let Some(why) = why {
            failures += 1;
            let row = failing.get_or_insert(Row { since: look_began, looks: 0 });
            row.looks += 1;
            let why = if dead {
                why
            } else if row.looks >= timing.retries && now >= row.since + timing.failing_for() {
                let lasted = (now - row.since).as_secs_f64();
                match row.looks {
                    1 => why,
                    many => format!("{why} (failed {many} times in a row, for {lasted:.1} s)"),
                }
            } else {
                blip = Some(format!("at {:.1} s: {why}", took.as_secs_f64()));
                rest(cx, row.next_look(timing, look_began, now), &mut changes).await;
                continue;
            };
            return Ok(CheckResult { verdict, why: Some(why), looks, took, evidence });
        }
        failing = None;
        if now >= end {
            if let Some(last) = blip {
                let name = &check.name;
                let what = format!("check `{name}` failed {failures} of {looks} looks");
                cx.note(&format!("{what} while it was watched and recovered; the last {last}"))
                    .await?;
            }
            return Ok(CheckResult { verdict: Verdict::Pass, why: None, looks, took, evidence });
        }
        rest(cx, next_look(timing, look_began, now).min(end), &mut changes).await;
    }
}

/// Failures in a row.
struct Row {
    since: Instant,
    looks: u32,
}

impl Row {
    /// Never later than the moment at which enough failures are fatal.
    fn next_look(&self, timing: &Timing, look_began: Instant, now: Instant) -> Instant {
        let regular = next_look(timing, look_began, now);
        let decided = self.since + timing.failing_for();
        if decided > now { regular.min(decided) } else { regular }
    }
}

/// At least as often as declared; where that is slow, as often as the price of a look allows, so
/// that an exit is seen soon.
fn next_look(timing: &Timing, look_began: Instant, now: Instant) -> Instant {
    let least = SLOW_PAUSE.max((now - look_began) * 2);
    now + timing.interval.min(least).max(FIRST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use futures_util::{
        StreamExt,
        stream::{self, BoxStream},
    };

    use super::*;
    use crate::{
        error::{Error, ErrorKind},
        health::{Changes, Health, HealthProbe, Role},
        name::{EnvironmentName, ProjectName, RunId, Target},
    };

    const WINDOW: Duration = Duration::from_mins(10);

    /// Answers by the seconds since the watch began.
    #[derive(Debug)]
    struct Script(Instant, fn(u64) -> Answer);

    enum Answer {
        Well,
        Sick,
        Dead,
        Blind,
        Hangs,
    }

    use Answer::{Blind, Dead, Hangs, Sick, Well};

    #[async_trait]
    impl HealthProbe for Script {
        async fn check(&self, _: &Context, _: &Endpoint) -> Result<Health> {
            let (why, evidence) = ("503".to_owned(), Vec::new());
            Ok(match (self.1)(self.0.elapsed().as_secs()) {
                Well => Health::Healthy(evidence),
                Sick => Health::Unhealthy { why, evidence },
                Dead => Health::Dead { why: "exit 1".into(), evidence },
                Blind => return Err(Error::new(ErrorKind::Unavailable, "ask", "no route")),
                Hangs => std::future::pending().await,
            })
        }
    }

    /// With 3 × (30 s + 10 s) until failures count.
    async fn watch(script: fn(u64) -> Answer) -> CheckResult {
        watch_with(Timing { timeout: Duration::from_secs(10), ..Timing::default() }, script).await
    }

    async fn watch_told(told: Duration, script: fn(u64) -> Answer) -> CheckResult {
        watch_check(Timing::default(), script, |check| check.with_changes(Arc::new(Told(told))))
            .await
    }

    async fn watch_with(timing: Timing, script: fn(u64) -> Answer) -> CheckResult {
        watch_check(timing, script, |check| check).await
    }

    async fn watch_check(
        timing: Timing,
        script: fn(u64) -> Answer,
        dress: impl FnOnce(Check) -> Check,
    ) -> CheckResult {
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        let cx = Context::detached(target, RunId::generate());
        let probe = Arc::new(Script(Instant::now(), script));
        let check = dress(Check::new("web", None, probe, timing));
        let endpoint = Endpoint::none(Role::Live);
        watch_that_it_stays_well(&cx, &check, &endpoint, WINDOW).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_well_passes_at_the_end() {
        let result = watch(|_| Well).await;
        assert!(result.passed());
        assert_eq!((result.took, result.looks), (WINDOW, 121));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_end_in_time_are_not_fatal() {
        for script in [
            |at| if (60..175).contains(&at) { Sick } else { Well },
            |at| if (590..600).contains(&at) { Sick } else { Well },
            |at| if at == 600 { Sick } else { Well },
            |at| if at / 60 % 2 == 1 { Sick } else { Well },
            |at| if (60..175).contains(&at) { Hangs } else { Well },
            |at| if (60..175).contains(&at) { Blind } else { Well },
        ] {
            let result = watch(script).await;
            assert!(result.passed(), "{result:?}");
            assert!((600..720).contains(&result.took.as_secs()), "{result:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_go_on_fail_as_soon_as_they_count() {
        let result = watch(|at| if at < 60 { Well } else { Sick }).await;
        assert_eq!((result.verdict, result.took.as_secs()), (Verdict::Fail, 180));
        let why = result.why.unwrap();
        assert!(why.contains("503 (failed 25 times in a row, for 120.0 s)"), "{why}");
        let result = watch(|at| if at < 60 { Well } else { Hangs }).await;
        assert_eq!(result.verdict, Verdict::Fail);
        assert!((180..=190).contains(&result.took.as_secs()), "{result:?}");
        let result = watch(|at| if at < 60 { Well } else { Blind }).await;
        assert_eq!((result.verdict, result.took.as_secs()), (Verdict::Error, 180));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_at_the_end_are_decided() {
        let result = watch(|at| if at < 590 { Well } else { Sick }).await;
        assert_eq!((result.verdict, result.took.as_secs()), (Verdict::Fail, 710));
    }

    #[tokio::test(start_paused = true)]
    async fn time_alone_is_not_enough() {
        let timing =
            Timing { interval: Duration::ZERO, timeout: Duration::ZERO, ..Timing::default() };
        let result = watch_with(timing, |at| if at < 60 { Well } else { Sick }).await;
        assert_eq!((result.verdict, result.took.as_millis()), (Verdict::Fail, 60_100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dead_fails_at_once() {
        let result = watch(|at| if at < 61 { Well } else { Dead }).await;
        assert_eq!((result.verdict, result.took.as_secs()), (Verdict::Fail, 65));
        assert_eq!(result.why.unwrap(), "exit 1");
    }

    /// Tells once, a while after it was asked.
    #[derive(Debug)]
    struct Told(Duration);

    impl Changes for Told {
        fn follow(&self, _: &Endpoint) -> BoxStream<'static, ()> {
            stream::once(tokio::time::sleep(self.0)).boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_death_that_is_told_of_is_seen_at_once() {
        let result =
            watch_told(Duration::from_millis(61_300), |at| if at < 61 { Well } else { Dead });
        let result = result.await;
        assert_eq!((result.verdict, result.took.as_millis()), (Verdict::Fail, 61_300));
        assert_eq!(result.why.unwrap(), "exit 1");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_is_no_verdict() {
        let result = watch_told(Duration::from_millis(61_300), |_| Well).await;
        assert!(result.passed());
        assert_eq!((result.took, result.looks), (WINDOW, 122));
    }
}
