//! What was measured, in the form in which it is kept: enough to judge it again later.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::{generator::Outcome, limit::shown, metric::Metric, tally::Tally};

/// Latencies are kept to one digit, which is 32 steps to a doubling at most: a list of them stays
/// within what is kept of evidence.
const DIGITS: u8 = 1;
const LATENCIES: [Metric; 5] = [Metric::P50, Metric::P90, Metric::P95, Metric::P99, Metric::Max];

/// A load that was measured. Fields that are not known are left alone: a newer engine may have
/// written them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Measured {
    /// Requests that came to an end, warm-up left out.
    pub(crate) requests: u64,
    /// In how many seconds they were sent.
    pub(crate) seconds: f64,
    /// Requests that ended a second.
    pub(crate) rate: f64,
    /// Fine answers a second.
    pub(crate) throughput: f64,
    /// Share of requests that failed.
    pub(crate) error_rate: f64,
    /// What failed, by the way in which it did.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Answers by the first digit of their status.
    pub(crate) statuses: BTreeMap<String, u64>,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    /// Requests that were open at once at most.
    pub(crate) peak_open: usize,
    /// In seconds.
    pub(crate) latency: BTreeMap<String, f64>,
    /// How many of the requests have a latency.
    pub(crate) samples: u64,
    /// Latency in microseconds (the most of its step) and how many requests took as long, in turn.
    pub(crate) histogram: Vec<u64>,
    /// Why it ended before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped: Option<String>,
}

impl Measured {
    /// What came of a load that was to take `seconds`.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn new(outcome: &Outcome, seconds: f64) -> Self {
        let (tally, seconds) = (&outcome.tally, seconds.max(outcome.tally.until.as_secs_f64()));
        let latency = LATENCIES
            .iter()
            .filter_map(|metric| Some((metric.to_string(), metric.of(tally, seconds)?)));
        let errors = tally.failures.iter().map(|(failure, one)| (failure.to_string(), one.count));
        let classes = tally.classes.iter().enumerate().filter(|(_, count)| **count > 0);
        Self {
            requests: tally.ended,
            seconds,
            rate: tally.ended as f64 / seconds,
            throughput: Metric::Throughput.of(tally, seconds).unwrap_or_default(),
            error_rate: Metric::ErrorRate.of(tally, seconds).unwrap_or_default(),
            errors: errors.collect(),
            statuses: classes.map(|(class, count)| (format!("{class}xx"), *count)).collect(),
            bytes: tally.bytes,
            peak_open: outcome.peak_open,
            latency: latency.collect(),
            samples: tally.latencies.len(),
            histogram: steps(tally),
            stopped: outcome.stopped.clone(),
        }
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it is no such measurement.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|source| {
            let message = "what was measured of the release before is no measurement of a load";
            Error::new(ErrorKind::Corrupt, "read a measurement", message)
                .without_effect()
                .with_source(source)
        })
    }

    /// Its value; nothing where there was nothing to measure.
    pub(crate) fn value(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::ErrorRate => (self.requests > 0).then_some(self.error_rate),
            Metric::Throughput => (self.requests > 0).then_some(self.throughput),
            _ => self.latency.get(&metric.to_string()).copied(),
        }
    }

    /// How many requests a value is told of.
    pub(crate) fn samples(&self, metric: Metric) -> u64 {
        if metric.is_latency() { self.samples } else { self.requests }
    }
}

/// One line for people: how much was sent, how fast and how well it was answered.
pub(crate) fn summary(tally: &Tally, seconds: f64) -> String {
    let value = |metric: Metric| {
        metric.of(tally, seconds).map_or_else(|| "-".to_owned(), |value| shown(metric, value))
    };
    let [p50, p95, p99, max] = [Metric::P50, Metric::P95, Metric::P99, Metric::Max].map(value);
    let worst = tally.worst().map_or_else(String::new, |(failure, one)| {
        let separator = if one.text.is_empty() { "" } else { ": " };
        format!(" ({} × {failure}{separator}{})", one.count, one.text)
    });
    format!(
        "{} requests, {} fine, p50 {p50}, p95 {p95}, p99 {p99}, max {max}, errors {}{worst}",
        tally.ended,
        value(Metric::Throughput),
        value(Metric::ErrorRate),
    )
}

fn steps(tally: &Tally) -> Vec<u64> {
    let high = tally.latencies.high();
    let Ok(mut coarse) = Histogram::<u64>::new_with_bounds(1, high, DIGITS) else {
        return Vec::new();
    };
    // Nothing of it is out of the same bounds.
    if coarse.add(&tally.latencies).is_err() {
        return Vec::new();
    }
    coarse
        .iter_recorded()
        .flat_map(|step| [step.value_iterated_to(), step.count_at_value()])
        .collect()
}

/// The text form of what was measured.
pub(crate) fn text(measured: &Measured) -> Result<String> {
    serde_json::to_string(measured).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "keep a measurement", "it has no JSON form")
            .without_effect()
            .with_source(source)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ultrai_deploy_core::evidence::MAX_EVIDENCE;

    use super::*;
    use crate::{failure::Failure, tally::End};

    fn outcome(tally: Tally) -> Outcome {
        Outcome { tally, peak_open: 3, stopped: None }
    }

    #[test]
    fn what_is_kept_is_read_back_and_never_too_long() {
        let mut tally = Tally::new();
        let mut micros = 1_u64;
        // Every step of the histogram, and every way of failing.
        while micros < 3_600_000_000 {
            let fine = End::Answered { status: 200, is_fine: true, bytes: 9 };
            for _ in 0..1000 {
                tally.add(fine.clone(), Duration::from_micros(micros), Duration::from_secs(10));
            }
            micros += 1 + micros / 40;
        }
        for status in 400..420 {
            let bad = End::Answered { status, is_fine: false, bytes: 0 };
            tally.add(bad, Duration::from_millis(1), Duration::ZERO);
        }
        tally.add(End::Failed(Failure::Connect, "refused".into()), Duration::ZERO, Duration::ZERO);
        let measured = Measured::new(&outcome(tally), 5.0);
        let text = text(&measured).unwrap();
        assert!(text.len() < MAX_EVIDENCE, "{}", text.len());
        assert_eq!(Measured::parse(&text).unwrap(), measured);
        assert_eq!(measured.histogram.iter().skip(1).step_by(2).sum::<u64>(), measured.samples);
        assert_eq!((measured.errors["connect"], measured.statuses["4xx"]), (1, 20));
        assert!(measured.seconds > 9.99);
        assert!(Measured::parse("{}").unwrap().value(Metric::P95).is_none());
        assert_eq!(Measured::parse("[").unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(measured.value(Metric::Max).unwrap() > 3000.0);
    }

    #[test]
    fn the_line_for_people() {
        let mut tally = Tally::new();
        for _ in 0..3 {
            let fine = End::Answered { status: 200, is_fine: true, bytes: 9 };
            tally.add(fine, Duration::from_millis(20), Duration::ZERO);
        }
        tally.add(End::Failed(Failure::Closed, "reset".into()), Duration::ZERO, Duration::ZERO);
        let line = summary(&tally, 1.0);
        assert_eq!(
            line,
            "4 requests, 3/s fine, p50 20ms, p95 20ms, p99 20ms, max 20ms, errors 25% (1 × closed: reset)"
        );
    }
}
