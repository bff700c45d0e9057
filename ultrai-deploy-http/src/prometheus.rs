//! Values that a Prometheus server measured, as a check.
//!
//! A check is one instant query, evaluated by the server at its own time, and a condition on what comes
//! back. What is done when nothing comes back, when it is no number, and when the server cannot be
//! asked is part of the check: silence is never taken for a good value.
//!
//! ```
//! use serde_json::json;
//! use ultrai_deploy_core::verification::CheckSpec;
//! use ultrai_deploy_http::spec::ProbeSpec;
//!
//! let query = "sum(rate(http_requests_total{code=~'5..'}[2m])) / sum(rate(http_requests_total[2m]))";
//! let check = CheckSpec::new("error rate", json!({"prometheus": {
//!     "url": "http://127.0.0.1:9090",
//!     "query": query,
//!     "fails_when": "> 0.05",
//!     "no_data": "pass",
//! }}));
//! assert!(matches!(ProbeSpec::of(&check)?, ProbeSpec::Prometheus(_)));
//! # Ok::<(), ultrai_deploy_core::Error>(())
//! ```

mod answer;
mod ask;
mod judge;
mod ping;
mod probe;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result, name::SecretName};

pub use self::{ping::Ping, probe::PrometheusProbe};

use crate::{
    address::HttpUrl,
    condition::Comparison,
    header::{HeaderName, HeaderValue},
};

/// Longest query that is sent, in bytes: it stands in every piece of evidence.
const MAX_QUERY: usize = 4 * 1024;

/// A query, and what its result must be. Exactly one of `fails_when` and `passes_when` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusSpec {
    /// The server, with the path in front of `/api/v1` where it has one.
    pub url: HttpUrl,
    /// The query in PromQL, of an instant vector or a scalar.
    pub query: String,
    /// A value of which this holds is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_when: Option<Comparison>,
    /// A value of which this does not hold is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes_when: Option<Comparison>,
    /// What an empty result means; inconclusive by default.
    #[serde(default, skip_serializing_if = "Meaning::is_inconclusive")]
    pub no_data: Meaning,
    /// What a value that is no number means (a share of no requests is `NaN`); inconclusive by default.
    #[serde(default, skip_serializing_if = "Meaning::is_inconclusive")]
    pub nan: Meaning,
    /// What it means that the server cannot be asked; an error by default.
    #[serde(default, skip_serializing_if = "Unreachable::is_error")]
    pub unreachable: Unreachable,
    /// How many series of a result have to be bad; any one by default.
    #[serde(default, skip_serializing_if = "BadSeries::is_any")]
    pub bad_series: BadSeries,
    /// Headers of the request. Credentials do not belong here but in `secret_headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<HeaderName, HeaderValue>,
    /// Headers of the request whose values are secrets, by the names of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<HeaderName, SecretName>,
}

/// What is made of a result that says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Meaning {
    /// It is as declared.
    Pass,
    /// It is not.
    Fail,
    /// It cannot be told (the default).
    #[default]
    Inconclusive,
}

/// What is made of a server that cannot be asked: no connection, no answer in time, or an answer of 500
/// or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unreachable {
    /// It could not be measured (the default).
    #[default]
    Error,
    /// As if it were as declared.
    Pass,
    /// As if it were not.
    Fail,
    /// It cannot be told.
    Inconclusive,
}

/// How many series of a result have to be bad for the check to fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BadSeries {
    /// One is enough (the default).
    #[default]
    Any,
    /// Every one.
    All,
}

impl PrometheusSpec {
    /// Refuses what cannot be asked or judged.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a query that is empty or too long, and when it has no condition or
    /// two.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String, advice: &str| {
            Error::new(ErrorKind::Invalid, "read a Prometheus check", what)
                .with_advice(advice)
                .without_effect()
        };
        if self.query.trim().is_empty() {
            return Err(wrong(
                "the query is empty".to_owned(),
                "write for example query = \"sum(rate(http_requests_total[2m]))\"",
            ));
        }
        if self.query.len() > MAX_QUERY {
            return Err(wrong(
                format!("the query has {} bytes, more than {MAX_QUERY}", self.query.len()),
                "make it a recording rule of the server, and ask for that",
            ));
        }
        match (&self.fails_when, &self.passes_when) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            (None, None) => Err(wrong(
                "it has no condition".to_owned(),
                "write fails_when = \"> 0.05\" or passes_when = \"<= 0.05\"",
            )),
            (Some(_), Some(_)) => Err(wrong(
                "it has fails_when and passes_when".to_owned(),
                "keep one: what the other says follows from it",
            )),
        }
    }
}

impl Meaning {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_inconclusive(&self) -> bool {
        *self == Self::Inconclusive
    }
}

impl Unreachable {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_error(&self) -> bool {
        *self == Self::Error
    }
}

impl BadSeries {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> Result<PrometheusSpec, serde_json::Error> {
        serde_json::from_value(value)
    }

    /// Stored releases hold this form: changing it makes them unreadable.
    #[test]
    fn the_stored_form() {
        let least = json!({"url": "http://p:9090/", "query": "up", "passes_when": "== 1"});
        let whole = json!({
            "url": "http://p:9090/prometheus",
            "query": "error_rate",
            "fails_when": "> 5%",
            "no_data": "pass",
            "nan": "fail",
            "unreachable": "inconclusive",
            "bad_series": "all",
            "headers": {"x-scope-orgid": "shop"},
            "secret_headers": {"authorization": "PROMETHEUS_AUTH"},
        });
        for stored in [least, whole] {
            let spec = spec(stored.clone()).unwrap();
            spec.check().unwrap();
            assert_eq!(serde_json::to_value(&spec).unwrap(), stored);
        }
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        let with = |more: Value| {
            let mut whole = json!({"url": "http://p:9090", "query": "up"});
            whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            whole
        };
        for (bad, told) in [
            (with(json!({})), "no condition"),
            (with(json!({"fails_when": "> 1", "passes_when": "> 1"})), "and passes_when"),
            (with(json!({"query": " ", "fails_when": "> 1"})), "empty"),
            (with(json!({"query": "a".repeat(5000), "fails_when": "> 1"})), "5000 bytes"),
        ] {
            let error = spec(bad).unwrap().check().unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
            assert!(error.advice().is_some());
        }
        for bad in [json!({"fails_when": "high"}), json!({"no_data": "error"}), json!({"x": 1})] {
            assert!(spec(with(bad.clone())).is_err(), "{bad}");
        }
    }
}
