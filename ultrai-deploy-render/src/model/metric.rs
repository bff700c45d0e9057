//! What Render measures.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::absent;

/// Which measurements to read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricQuery {
    /// The id of a service.
    pub resource: String,
    /// From when on; an hour ago when it is not set.
    pub start: Option<Timestamp>,
    /// Until when; now when it is not set.
    pub end: Option<Timestamp>,
    /// How much time one point stands for, in whole seconds from 30 s on; 60 s when it is not set.
    pub resolution: Option<Duration>,
    /// Only requests of this host.
    pub host: Option<String>,
    /// Only requests of this path.
    pub path: Option<String>,
}

impl MetricQuery {
    /// The last hour of a resource.
    pub fn new(resource: impl Into<String>) -> Self {
        let (start, end, resolution, host, path) = (None, None, None, None, None);
        Self { resource: resource.into(), start, end, resolution, host, path }
    }
}

/// What requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupBy {
    /// One series for each status code, in the label `statusCode`.
    StatusCode,
    /// One series for each host.
    Host,
}

/// Measurements of one kind, over time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Series {
    /// What they are of.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub labels: Vec<SeriesLabel>,
    /// The measurements.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub values: Vec<Point>,
    /// What they are in.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub unit: String,
}

impl Series {
    /// The value of a label: `statusCode`.
    pub fn label(&self, field: &str) -> Option<&str> {
        self.labels.iter().find(|label| label.field == field).map(|label| label.value.as_str())
    }
}

/// A label of a series.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SeriesLabel {
    /// Its name.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub field: String,
    /// Its value.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub value: String,
}

/// A measurement.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Point {
    /// When.
    #[serde(default, deserialize_with = "absent::time")]
    pub timestamp: Option<Timestamp>,
    /// How much; nothing where nothing was measured.
    #[serde(default)]
    pub value: Option<f64>,
}
