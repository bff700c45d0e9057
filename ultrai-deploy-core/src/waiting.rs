//! Waiting for a check: look at once, look often while booting, stop at a deadline; and watching
//! that what was well stays well.
//!
//! While something boots, failures are expected and only time ends the wait; a thing that is
//! dead ends it at once. Looking has a price (a command in a container costs some 130 ms of
//! processor time), so the pause is never shorter than twice the time of the last look.

mod watching;

use std::time::Duration;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::Instant;

pub(crate) use watching::watch_that_it_stays_well;

use crate::{
    context::Context,
    error::{Chain, Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    health::{Check, Endpoint, Health, Verdict},
};

/// First pause between looks.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause while something may still be starting quickly.
const QUICK_PAUSE: Duration = Duration::from_secs(1);
/// How long something may still be starting quickly.
const QUICK_FOR: Duration = Duration::from_secs(30);
/// Longest pause after that.
const SLOW_PAUSE: Duration = Duration::from_secs(5);

/// What came of waiting for a check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckResult {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is not a pass, for people.
    pub why: Option<String>,
    /// How often it looked.
    pub looks: u32,
    /// How long it took.
    pub took: Duration,
    /// What was last seen.
    pub evidence: Vec<Evidence>,
}

impl CheckResult {
    /// Whether the check passed.
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Pass
    }

    /// The error of a check that did not pass.
    pub fn into_error(self, check: &Check) -> Error {
        let what = self.why.unwrap_or_else(|| "it did not pass".to_owned());
        Error::new(
            ErrorKind::Unhealthy,
            "prove the release",
            format!("check `{}`: {what}", check.name),
        )
        .with_evidence(self.evidence)
    }
}

/// Waits until `check` passes on `endpoint`, dies, or its boot deadline is over.
///
/// # Errors
/// [`ErrorKind::Cancelled`] and [`ErrorKind::Timeout`] of the context; everything about the
/// check itself is a verdict.
pub async fn wait_until_healthy(
    cx: &Context,
    check: &Check,
    endpoint: &Endpoint,
) -> Result<CheckResult> {
    let started = Instant::now();
    let give_up = started + check.timing.boot_deadline();
    let mut pause = FIRST_PAUSE;
    let mut looks = 0;
    let mut well_since: Option<Instant> = None;
    let mut passes = 0;
    let mut changes = follow(check, endpoint);
    loop {
        cx.check()?;
        let look_began = Instant::now();
        let Seen { verdict, why, evidence, dead } = look(cx, check, endpoint).await?;
        looks += 1;
        let now = Instant::now();
        let stable = if verdict == Verdict::Pass {
            let since = *well_since.get_or_insert(look_began);
            passes += 1;
            passes >= check.timing.rise && now.duration_since(since) >= check.timing.stability
        } else {
            well_since = None;
            passes = 0;
            false
        };
        if stable || dead || now >= give_up {
            let verdict =
                if verdict == Verdict::Pass && !stable { Verdict::Inconclusive } else { verdict };
            let why = why.map(|why| {
                if dead {
                    why
                } else {
                    format!(
                        "{why} (gave up after {:.1} s, {looks} looks)",
                        now.duration_since(started).as_secs_f64()
                    )
                }
            });
            let took = now.duration_since(started);
            return Ok(CheckResult { verdict, why, looks, took, evidence });
        }
        let least = (now - look_began) * 2;
        let longest =
            if now.duration_since(started) < QUICK_FOR { QUICK_PAUSE } else { SLOW_PAUSE };
        let next = now + pause.max(least).min(longest);
        pause = (pause * 3 / 2).min(longest);
        rest(cx, next.min(give_up), &mut changes).await;
    }
}

/// Looks once, within the check's own timeout.
///
/// # Errors
/// [`ErrorKind::Cancelled`] and [`ErrorKind::Timeout`] of the context.
pub async fn look_once(cx: &Context, check: &Check, endpoint: &Endpoint) -> Result<CheckResult> {
    let started = Instant::now();
    let Seen { verdict, why, evidence, dead: _ } = look(cx, check, endpoint).await?;
    Ok(CheckResult { verdict, why, looks: 1, took: started.elapsed(), evidence })
}

/// What one look found.
struct Seen {
    verdict: Verdict,
    why: Option<String>,
    evidence: Vec<Evidence>,
    /// It will not become well by waiting.
    dead: bool,
}

async fn look(cx: &Context, check: &Check, endpoint: &Endpoint) -> Result<Seen> {
    let timeout = check.timing.timeout.max(Duration::from_millis(1));
    let answer = cx
        .bounded(async {
            let _turn = cx.turn().await;
            Ok(tokio::time::timeout(timeout, check.probe.check(cx, endpoint)).await)
        })
        .await?;
    let told = |text: String| vec![Evidence::new(EvidenceKind::Probe, &check.name, text)];
    let (verdict, why, evidence, dead) = match answer {
        Ok(Ok(Health::Healthy(evidence))) => (Verdict::Pass, None, evidence, false),
        Ok(Ok(Health::Pending { why, evidence } | Health::Unhealthy { why, evidence })) => {
            (Verdict::Fail, Some(why), evidence, false)
        }
        Ok(Ok(Health::Inconclusive { why, evidence })) => {
            (Verdict::Inconclusive, Some(why), evidence, false)
        }
        Ok(Ok(Health::Dead { why, evidence })) => (Verdict::Fail, Some(why), evidence, true),
        Ok(Err(error)) => {
            let why = Chain(&error).to_string();
            (Verdict::Error, Some(why.clone()), told(why), false)
        }
        Err(_elapsed) => {
            let why = format!("no answer within {:.1} s", timeout.as_secs_f64());
            (Verdict::Fail, Some(why), told("no answer in time".to_owned()), false)
        }
    };
    Ok(Seen { verdict, why, evidence, dead })
}

/// What tells that a look is worth it, from now on; nothing where nobody does.
fn follow(check: &Check, endpoint: &Endpoint) -> BoxStream<'static, ()> {
    match &check.changes {
        Some(changes) => changes.follow(endpoint),
        None => stream::pending().boxed(),
    }
}

/// Rests until the next look, a change, or a cancellation.
async fn rest(cx: &Context, until: Instant, changes: &mut BoxStream<'static, ()>) {
    let changed = async {
        if changes.next().await.is_none() {
            *changes = stream::pending().boxed();
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = changed => {}
        () = cx.cancel().cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use async_trait::async_trait;

    use super::*;
    use crate::{
        context::Cancel,
        health::{HealthProbe, Role, Timing},
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
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
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
}
