//! What Railway's edge measures of the requests to a service.

use jiff::Timestamp;
use serde::Deserialize;

use super::open::or_default;

/// The time that is looked at, and how finely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Length of one sample, in seconds; Railway chooses where it is not set.
    pub step_seconds: Option<u32>,
}

/// How many requests got one status.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StatusCount {
    /// The HTTP status.
    pub status_code: u16,
    /// How many, over time.
    #[serde(default, deserialize_with = "or_default")]
    pub samples: Vec<CountSample>,
}

impl StatusCount {
    /// How many in the whole window.
    pub fn total(&self) -> f64 {
        self.samples.iter().map(|sample| sample.value).sum()
    }
}

/// How many requests in one step.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct CountSample {
    /// When, in seconds since 1970.
    pub ts: i64,
    /// How many.
    #[serde(default, deserialize_with = "or_default")]
    pub value: f64,
}

/// How long requests took in one step, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct DurationSample {
    /// When, in seconds since 1970.
    pub ts: i64,
    /// Half of them took at most this.
    pub p50: Option<f64>,
    /// 90 % of them took at most this.
    pub p90: Option<f64>,
    /// 95 % of them took at most this.
    pub p95: Option<f64>,
    /// 99 % of them took at most this.
    pub p99: Option<f64>,
}
