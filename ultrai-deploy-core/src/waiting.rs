//! Waiting for a check: look at once, look often while booting, stop at a deadline; and watching
//! that what was well stays well.
//!
//! While something boots, failures are expected and only time ends the wait; a thing that is
//! dead ends it at once. Looking has a price (a command in a container costs some 130 ms of
//! processor time), so the pause is never shorter than twice the time of the last look; and what
//! costs next to nothing is looked at often for as long as something boots.

mod watching;

use std::time::Duration;

use futures_util::{
    FutureExt, StreamExt,
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
/// Longest pause after a look that costs nothing, while something may be starting quickly: it is what
/// the news that it is up may be late by. One of 5 ms gets 100 ms.
const CHEAP_PAUSE: Duration = Duration::from_millis(50);
/// A look that is no dearer than this part of the pause after it may be repeated as often: 5 %.
const CHEAP_SHARE: u32 = 20;
/// Shortest pause whatever is told, so that one that tells without end does not keep us looking.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// How many changes are taken for one.
const MOST_TOLD: usize = 256;

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
            let (verdict, why) = match verdict {
                Verdict::Pass if !stable => {
                    let why = format!("it passed {passes} times in a row, which is not enough");
                    (Verdict::Inconclusive, Some(why))
                }
                verdict => (verdict, why),
            };
            let why = why.map(|why| {
                if dead || looks == 1 {
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
        let price = now - look_began;
        let longest = longest_pause(now.duration_since(started), price);
        let next = now + pause.max(price * 2).min(longest);
        pause = (pause * 3 / 2).min(longest);
        rest(cx, next.min(give_up), &mut changes).await;
    }
}

/// How long to rest at most after a look that took `price`, when the wait has gone on for `waited`.
fn longest_pause(waited: Duration, price: Duration) -> Duration {
    let (cheap, dear) =
        if waited < QUICK_FOR { (CHEAP_PAUSE, QUICK_PAUSE) } else { (QUICK_PAUSE, SLOW_PAUSE) };
    (price * CHEAP_SHARE).clamp(cheap, dear)
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

/// Rests until the next look, a change, or a cancellation. All that was told by then is one change.
async fn rest(cx: &Context, until: Instant, changes: &mut BoxStream<'static, ()>) {
    let earliest = (Instant::now() + LEAST_PAUSE).min(until);
    let told = async {
        if changes.next().await.is_none() {
            *changes = stream::pending().boxed();
            std::future::pending::<()>().await;
        }
        tokio::time::sleep_until(earliest).await;
        // What tells without end must not keep us here, either.
        for _more in 0..MOST_TOLD {
            if !matches!(changes.next().now_or_never(), Some(Some(()))) {
                break;
            }
        }
    };
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = told => {}
        () = cx.cancel().cancelled() => {}
    }
}

#[cfg(test)]
mod tests;
