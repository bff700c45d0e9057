//! The engine's clock beside ours.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    clock::{Clock, SystemClock},
    context::Context,
    error::Result,
    health::Verdict,
    preflight::{Found, PreflightCheck},
};

use crate::engine::Engine;

/// Where nothing else is said: leases and records of hosts that differ by more are hard to follow, and
/// tokens that are valid for a minute only are refused.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// What is asked of the clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockSpec {
    /// How far the engine's clock and that of this host may be apart; 5 s by default.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub max_skew: Duration,
}

impl Default for ClockSpec {
    fn default() -> Self {
        Self { max_skew: MAX_SKEW }
    }
}

/// Compares the clock of the engine's host with that of this one.
#[derive(Debug)]
pub struct ClockCheck {
    engine: Engine,
    spec: ClockSpec,
    clock: Arc<dyn Clock>,
}

impl ClockCheck {
    /// A check of the clock of `engine`.
    pub fn new(engine: Engine, spec: ClockSpec) -> Self {
        Self { engine, spec, clock: Arc::new(SystemClock) }
    }

    /// The same with another clock of this host.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

#[async_trait]
impl PreflightCheck for ClockCheck {
    fn name(&self) -> &'static str {
        "clock"
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let asked = self.clock.now();
        let info = cx.bounded(self.engine.info()).await?;
        let answered = self.clock.now();
        let told = info.system_time.and_then(|time| time.parse::<Timestamp>().ok());
        let Some(told) = told else {
            let mut found = Found::good("the engine does not tell its time");
            found.verdict = Verdict::Inconclusive;
            found.remedy = Some("compare by hand: date -u on both hosts".to_owned());
            return Ok(found);
        };
        let skew = skew(asked, told, answered);
        let what = format!("the engine's clock is {:.1} s {}", skew.0.as_secs_f64(), skew.1);
        let allowed = self.spec.max_skew;
        Ok(if skew.0 > allowed {
            Found::bad(
                format!("{what} ours, {allowed:?} are allowed"),
                "let both hosts follow a time server: timedatectl set-ntp true",
            )
        } else {
            Found::good(format!("{what} ours"))
        })
    }
}

/// How far `told` is outside the time in which it was asked for: what is inside may be exact.
fn skew(asked: Timestamp, told: Timestamp, answered: Timestamp) -> (Duration, &'static str) {
    let distance = |from: Timestamp, to: Timestamp| {
        Duration::try_from(to.duration_since(from)).unwrap_or_default()
    };
    if told < asked {
        (distance(told, asked), "behind")
    } else {
        (distance(answered, told), "ahead of")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_inside_the_question_is_no_skew() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let skew = |told| skew(at(100), at(told), at(110));
        assert_eq!(skew(93), (Duration::from_secs(7), "behind"));
        assert_eq!(skew(105).0, Duration::ZERO);
        assert_eq!(skew(113), (Duration::from_secs(3), "ahead of"));
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let spec: ClockSpec = serde_json::from_value(json!({})).unwrap();
        assert_eq!(spec.max_skew, Duration::from_secs(5));
        assert_eq!(serde_json::to_value(&spec).unwrap(), json!({"max_skew": "5s"}));
    }
}
