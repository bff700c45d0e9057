//! What must hold of a load, by itself or beside the release before.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};
use ultrai_deploy_http::condition::{Comparison, Condition};

use crate::{measured::Measured, metric::Metric};

/// Two latencies that are closer than this, in seconds, are the same: 5 ms, what the scheduling of a
/// busy machine of few cores alone makes of two measurements.
const NOISE: f64 = 0.005;

/// A share: `20%` or 0.2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(f64);

impl Share {
    /// Parses a share.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no number of at least 0.
    pub fn parse(text: &str) -> Result<Self> {
        let (number, unit) = match text.trim().strip_suffix('%') {
            Some(number) => (number.trim(), 100.0),
            None => (text.trim(), 1.0),
        };
        match f64::from_str(number) {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(Self(number / unit)),
            _ => Err(invalid(format!("`{}` is no share", text.escape_debug()))
                .with_advice("write for example 20%")),
        }
    }
}

impl Share {
    /// As a number: 0.2 for 20 %.
    pub(crate) fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 0.07 × 100 is not 7 in binary.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

impl TryFrom<String> for Share {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) metric: Metric,
    /// As it was written, for people.
    pub(crate) text: String,
    comparison: Comparison,
}

impl Limit {
    /// What must hold by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that is not known, and for a condition that the best of all
    /// services would fail.
    pub(crate) fn required(condition: &Condition) -> Result<Self> {
        let limit = Self::of(condition)?;
        if !limit.holds(limit.best()) {
            return Err(invalid(format!(
                "`{condition}` must hold, and no good service fulfils it"
            ))
            .with_advice("write what is fine, such as p95_latency < 3s"));
        }
        Ok(limit)
    }

    /// What is a failure when it holds.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that is not known, and for a condition that the best of all
    /// services would fulfil.
    pub(crate) fn forbidden(condition: &Condition) -> Result<Self> {
        let limit = Self::of(condition)?;
        if limit.holds(limit.best()) {
            return Err(invalid(format!(
                "`{condition}` is a failure, and a good service fulfils it"
            ))
            .with_advice("write what is not fine, such as error_rate > 5%"));
        }
        Ok(limit)
    }

    /// At most so much worse than the release before; nothing when that one has no such value.
    ///
    /// A latency may grow by the share, and by the noise of 5 ms in any case; throughput may fall by
    /// it; a rate of errors may be larger by it as a difference: 1 % makes 2.5 % of 1.5 %.
    pub(crate) fn beside(
        metric: Metric,
        allowed: Share,
        before: &Measured,
    ) -> Result<Option<Self>> {
        let Some(old) = before.value(metric) else { return Ok(None) };
        let bound = match metric {
            Metric::ErrorRate => format!("<= {}", old + allowed.0),
            Metric::Throughput => format!(">= {}", old * (1.0 - allowed.0).max(0.0)),
            _ => format!("<= {}", (old * (1.0 + allowed.0)).max(old + NOISE)),
        };
        let text = format!("{metric} at most {allowed} worse than {} before", shown(metric, old));
        Ok(Some(Self { metric, text, comparison: Comparison::parse(&bound)? }))
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        self.comparison.holds(value)
    }

    /// Whether it holds of any value in between.
    pub(crate) fn can_hold(&self, (low, high): (f64, f64)) -> bool {
        self.comparison.can_hold_between(low, high)
    }

    pub(crate) fn threshold(&self) -> f64 {
        self.comparison.threshold()
    }

    /// Fewest requests that it is told of, where `set` does not say it.
    pub(crate) fn needs(&self, set: Option<u64>) -> u64 {
        set.unwrap_or_else(|| self.metric.needs(self.threshold()))
    }

    fn of(condition: &Condition) -> Result<Self> {
        let metric = Metric::parse(&condition.metric).ok_or_else(|| {
            invalid(format!("`{}` is nothing that is measured", condition.metric))
                .with_advice(format!("use one of {}", Metric::names()))
        })?;
        let (text, comparison) = (condition.to_string(), condition.comparison.clone());
        Ok(Self { metric, text, comparison })
    }

    fn best(&self) -> f64 {
        if self.metric == Metric::Throughput { f64::INFINITY } else { 0.0 }
    }
}

/// The metrics of `at_most_worse` by their names.
pub(crate) fn tolerances(named: &BTreeMap<String, Share>) -> Result<BTreeMap<Metric, Share>> {
    let mut tolerances = BTreeMap::new();
    for (name, share) in named {
        let metric = Metric::parse(name).ok_or_else(|| {
            invalid(format!("`{}` is nothing that is measured", name.escape_debug()))
                .with_advice(format!("use one of {}", Metric::names()))
        })?;
        tolerances.insert(metric, *share);
    }
    Ok(tolerances)
}

/// A value for people.
pub(crate) fn shown(metric: Metric, value: f64) -> String {
    match metric {
        Metric::ErrorRate => format!("{}%", round(value * 100.0)),
        Metric::Throughput => format!("{}/s", round(value)),
        _ if value >= 1.0 => format!("{}s", round(value)),
        _ => format!("{}ms", round(value * 1000.0)),
    }
}

/// To three digits.
pub(crate) fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let unit = 10_f64.powf(2.0 - value.abs().log10().floor());
    if unit <= 1.0 { value.round() } else { (value * unit).round() / unit }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read a limit", message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        Condition::parse(text).unwrap()
    }

    #[test]
    fn a_condition_the_wrong_way_round_is_refused() {
        for (text, is_required) in [
            ("error_rate < 1%", true),
            ("error_rate == 0", true),
            ("p95_latency <= 3s", true),
            ("throughput > 40", true),
            ("error_rate > 5%", false),
            ("max_latency >= 3s", false),
            ("throughput < 40", false),
        ] {
            assert_eq!(Limit::required(&condition(text)).is_ok(), is_required, "{text}");
            assert_eq!(Limit::forbidden(&condition(text)).is_ok(), !is_required, "{text}");
        }
        let error = Limit::required(&condition("p42_latency < 1s")).unwrap_err();
        assert!(error.advice().unwrap().contains("p95_latency"), "{error}");
    }

    #[test]
    fn limits_beside_the_release_before() {
        let mut before = Measured::default();
        (before.requests, before.error_rate, before.throughput) = (500, 0.015, 50.0);
        before.latency.insert("p95_latency".into(), 0.1);
        before.latency.insert("p50_latency".into(), 0.002);
        for (metric, share, value, holds) in [
            (Metric::P95, "20%", 0.1199, true),
            (Metric::P95, "20%", 0.1201, false),
            // Within the noise, although it is three times as much.
            (Metric::P50, "20%", 0.0069, true),
            (Metric::P50, "20%", 0.0071, false),
            (Metric::ErrorRate, "1%", 0.0249, true),
            (Metric::ErrorRate, "1%", 0.0251, false),
            (Metric::Throughput, "10%", 45.1, true),
            (Metric::Throughput, "10%", 44.9, false),
        ] {
            let limit = Limit::beside(metric, Share::parse(share).unwrap(), &before).unwrap();
            assert_eq!(limit.unwrap().holds(value), holds, "{metric} {value}");
        }
        let none = Limit::beside(Metric::P99, Share::parse("1%").unwrap(), &before).unwrap();
        assert_eq!(none, None);
    }

    #[test]
    fn shares_and_values_for_people() {
        for (text, shown) in [("20%", "20%"), ("0.07", "7%"), (" 0.5 % ", "0.5%")] {
            assert_eq!(Share::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "-1%", "a", "nan"] {
            assert!(Share::parse(bad).unwrap_err().advice().is_some(), "{bad}");
        }
        assert_eq!(shown(Metric::P95, 0.123_456), "123ms");
        assert_eq!(shown(Metric::P95, 3.2199), "3.22s");
        assert_eq!(shown(Metric::ErrorRate, 0.000_123), "0.0123%");
        assert_eq!(shown(Metric::Throughput, 19_987.4), "19987/s");
    }
}
