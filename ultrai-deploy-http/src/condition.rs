//! Conditions on measured values: `error_rate > 0.05`, `p95_latency > 3s`.

use std::{fmt, str::FromStr};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// A value by name, compared with a number: `p95_latency > 3s`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    /// What is compared: lower-case words with `_`.
    pub metric: String,
    /// With what.
    pub comparison: Comparison,
}

/// What a value is compared with: `> 0.05`, `<= 500ms`, `>= 5%`.
///
/// Times are compared in seconds, and `5%` is 0.05. A value that is no number fulfils no comparison
/// but `!=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Comparison {
    operator: Operator,
    threshold: f64,
    /// As it was written.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Greater,
    AtLeast,
    Less,
    AtMost,
    Equal,
    Different,
}

/// The longer ones first, as one begins with the other.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("==", Operator::Equal),
    ("!=", Operator::Different),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

impl Condition {
    /// Parses a condition.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no name, operator and number.
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(trimmed.len());
        let (metric, rest) = trimmed.split_at(end);
        if metric.is_empty() {
            return Err(invalid(text, "it names no value"));
        }
        Ok(Self { metric: metric.to_owned(), comparison: Comparison::parse(rest)? })
    }
}

impl Comparison {
    /// Parses a comparison.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no operator and number.
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let found = OPERATORS.iter().find_map(|(written, operator)| {
            Some((*written, *operator, trimmed.strip_prefix(written)?.trim()))
        });
        let Some((written, operator, number)) = found else {
            return Err(invalid(text, "it has no operator"));
        };
        let threshold = number_of(number).ok_or_else(|| invalid(text, "it has no number"))?;
        Ok(Self { operator, threshold, text: format!("{written} {number}") })
    }

    /// Whether it holds of `value`.
    #[expect(clippy::float_cmp, reason = "`==` is asked for, such as of a count or of `up`")]
    pub fn holds(&self, value: f64) -> bool {
        match self.operator {
            Operator::Greater => value > self.threshold,
            Operator::AtLeast => value >= self.threshold,
            Operator::Less => value < self.threshold,
            Operator::AtMost => value <= self.threshold,
            Operator::Equal => value == self.threshold,
            Operator::Different => value != self.threshold,
        }
    }

    /// Whether it holds of any value from `low` to `high`, both included: of a measurement that goes
    /// on, whether it can still come out well.
    #[expect(clippy::float_cmp, reason = "`==` is asked for, such as of a count or of `up`")]
    pub fn can_hold_between(&self, low: f64, high: f64) -> bool {
        match self.operator {
            Operator::Greater | Operator::AtLeast => self.holds(high),
            Operator::Less | Operator::AtMost => self.holds(low),
            Operator::Equal => low <= self.threshold && self.threshold <= high,
            Operator::Different => low != high || self.holds(low),
        }
    }

    /// The number; times in seconds.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }
}

/// A number, a share in percent, or a time in seconds.
fn number_of(text: &str) -> Option<f64> {
    let number = match text.strip_suffix('%') {
        Some(percent) => f64::from_str(percent.trim()).ok()? / 100.0,
        None => match f64::from_str(text) {
            Ok(number) => number,
            Err(_) => SignedDuration::from_str(text).ok()?.as_secs_f64(),
        },
    };
    number.is_finite().then_some(number)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.metric, self.comparison)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Condition {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.to_string()
    }
}

impl TryFrom<String> for Comparison {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Comparison> for String {
    fn from(comparison: Comparison) -> Self {
        comparison.text
    }
}

fn invalid(text: &str, why: &str) -> Error {
    let message = format!("`{}` is no condition: {why}", text.escape_debug());
    Error::new(ErrorKind::Invalid, "read a condition", message)
        .with_advice("write for example error_rate > 0.05, p95_latency > 3s or > 5%")
        .without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds() {
        for (text, value, holds) in [
            ("> 0.05", 0.05, false),
            (">5%", 0.051, true),
            (">= 5%", 0.05, true),
            ("<3s", 2.999, true),
            ("> 500ms", 0.5, false),
            ("<= 1m 30s", 90.0, true),
            ("== 0", 0.0, true),
            ("!= 1", 0.0, true),
            ("> 0", f64::NAN, false),
            ("< 1", f64::NAN, false),
        ] {
            let comparison = Comparison::parse(text).unwrap();
            assert_eq!(comparison.holds(value), holds, "{value} {text}");
        }
    }

    #[test]
    fn what_can_still_hold() {
        for (text, low, high, can) in [
            ("< 1", 0.5, 9.0, true),
            ("< 1", 1.0, 9.0, false),
            ("<= 1", 1.0, 9.0, true),
            ("> 1", 0.0, 1.0, false),
            (">= 1", 0.0, 1.0, true),
            ("== 1", 0.0, 2.0, true),
            ("== 1", 1.5, 2.0, false),
            ("!= 1", 1.0, 2.0, true),
            ("!= 1", 1.0, 1.0, false),
        ] {
            let comparison = Comparison::parse(text).unwrap();
            assert_eq!(comparison.can_hold_between(low, high), can, "{text} of {low} to {high}");
        }
    }

    #[test]
    fn a_condition_is_read_back_as_it_was_written() {
        let condition = Condition::parse(" p95_latency>3s ").unwrap();
        assert_eq!(condition.to_string(), "p95_latency > 3s");
        assert_eq!(Condition::parse(&condition.to_string()).unwrap(), condition);
        for bad in ["", "> 1", "error_rate", "error_rate >", "error_rate > x", "a > nan", "A > 1"] {
            let error = Condition::parse(bad).unwrap_err();
            assert!(error.advice().is_some(), "{bad}");
        }
    }
}
