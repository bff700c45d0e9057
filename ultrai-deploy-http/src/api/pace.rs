//! How many calls a platform allows, as its answers tell: pure, fed with headers and instants.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// Longest time to a reset that is believed: no window of the platforms that are known is longer
/// than an hour.
const LONGEST_WINDOW: Duration = Duration::from_hours(2);

/// How many calls of a window are not for looking at what takes its time, but for what comes after.
const FOR_THE_REST: u64 = 40;

/// What is known of the windows of one account; each class of calls may have its own.
#[derive(Debug, Default)]
pub(super) struct Pace(BTreeMap<&'static str, Window>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    remaining: u64,
    resets: Instant,
}

impl Pace {
    /// Takes in what an answer of `class` tells.
    pub(super) fn learn(
        &mut self,
        class: &'static str,
        headers: &HeaderMap,
        now: Instant,
        wall: Timestamp,
    ) {
        let number = |names: [&str; 2]| {
            let value = names.iter().find_map(|name| headers.get(*name))?;
            value.to_str().ok()?.trim().parse::<u64>().ok()
        };
        let remaining = number(["ratelimit-remaining", "x-ratelimit-remaining"]);
        let reset =
            ["ratelimit-reset", "x-ratelimit-reset"].iter().find_map(|name| headers.get(*name));
        let reset = reset.and_then(|value| until(value.to_str().ok()?, wall));
        if let (Some(remaining), Some(reset)) = (remaining, reset) {
            self.0.insert(class, Window { remaining, resets: now + reset.min(LONGEST_WINDOW) });
        }
    }

    /// How long a call of `class` has to wait so that `reserve` calls are left; and counts it.
    pub(super) fn wait(&mut self, class: &'static str, reserve: u32, now: Instant) -> Duration {
        let Some(window) = self.0.get_mut(class) else { return Duration::ZERO };
        if now >= window.resets {
            self.0.remove(class);
            return Duration::ZERO;
        }
        if window.remaining <= u64::from(reserve) {
            return window.resets - now;
        }
        // The answer will tell; until then others that use the same must know.
        window.remaining -= 1;
        Duration::ZERO
    }

    /// The pause between calls of `class` that spreads what is left over the rest of the window, at
    /// least `wanted`. Where little is left, half of it is for other calls.
    pub(super) fn spread(
        &self,
        class: &'static str,
        reserve: u32,
        wanted: Duration,
        now: Instant,
    ) -> Duration {
        let Some(window) = self.0.get(class).filter(|window| now < window.resets) else {
            return wanted;
        };
        let left = window.resets - now;
        let calls = window.remaining.saturating_sub(u64::from(reserve));
        let calls = calls - FOR_THE_REST.min(calls / 2);
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        left.checked_div(calls).map_or(left, |even| even).max(wanted)
    }
}

/// How long from now until what a header names: seconds from now, seconds or milliseconds since
/// 1970, or a date.
pub(super) fn until(text: &str, wall: Timestamp) -> Option<Duration> {
    /// A number of seconds from here on is a time and no distance: it was reached in 2001.
    const EPOCH: u64 = 1_000_000_000;
    const EPOCH_MILLIS: u64 = EPOCH * 1000;
    let text = text.trim();
    let at = match text.parse::<u64>() {
        Ok(seconds) if seconds < EPOCH => return Some(Duration::from_secs(seconds)),
        Ok(seconds) if seconds < EPOCH_MILLIS => {
            Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?
        }
        Ok(millis) => Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()?,
        Err(_) => match jiff::fmt::rfc2822::parse(text) {
            Ok(date) => date.timestamp(),
            Err(_) => text.parse().ok()?,
        },
    };
    // What is over is now.
    Some(Duration::try_from(at.duration_since(wall)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn wall() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn resets_are_read_in_every_form_that_is_in_use() {
        for (text, expected) in [
            ("0", Some(0)),
            (" 59 ", Some(59)),
            ("3494", Some(3494)),
            // 12:00:30 of that day.
            ("1795262430", Some(30)),
            ("1795262430000", Some(30)),
            ("1", Some(1)),
            ("1000000000", Some(0)),
            ("2026-11-21T12:01:00Z", Some(60)),
            ("Sat, 21 Nov 2026 12:00:10 GMT", Some(10)),
            ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(until(text, wall()).map(|wait| wait.as_secs()), expected, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_before_the_limit_is_hit() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.wait("read", 1, now), Duration::ZERO, "nothing is known yet");
        let told = headers(&[("ratelimit-remaining", "3"), ("ratelimit-reset", "40")]);
        pace.learn("read", &told, now, wall());
        assert_eq!(pace.wait("read", 1, now), Duration::ZERO);
        assert_eq!(pace.wait("read", 1, now), Duration::ZERO);
        let later = now + Duration::from_secs(10);
        assert_eq!(pace.wait("read", 1, later), Duration::from_secs(30), "one is left to others");
        assert_eq!(pace.wait("deploy", 1, later), Duration::ZERO, "another window");
        assert_eq!(pace.wait("read", 1, now + Duration::from_secs(40)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_spread_what_is_left() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let five = Duration::from_secs(5);
        assert_eq!(pace.spread("read", 3, five, now), five);
        for (remaining, reset, expected) in [
            ("1000", "3600", 5),
            ("103", "3600", 60),
            ("23", "3600", 360),
            ("3", "60", 60),
            ("0", "60", 60),
        ] {
            let told =
                headers(&[("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)]);
            pace.learn("read", &told, now, wall());
            let spread = pace.spread("read", 3, five, now);
            assert_eq!(spread.as_secs(), expected, "{remaining} in {reset} s");
        }
        let absurd = headers(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "999999999")]);
        pace.learn("read", &absurd, now, wall());
        assert_eq!(pace.wait("read", 0, now), LONGEST_WINDOW);
        pace.learn("read", &headers(&[("ratelimit-remaining", "x")]), now, wall());
        assert_eq!(pace.wait("read", 0, now), LONGEST_WINDOW, "what makes no sense tells nothing");
    }
}
