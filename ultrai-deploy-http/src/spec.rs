//! Probes in the form in which a release stores them.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ultrai_deploy_core::{
    Error, ErrorKind, Result, name::SecretName, verification::CheckSpec, version::Version,
};

use crate::{
    address::{HostPort, HttpUrl, UrlPath},
    body::Body,
    header::{HeaderName, HeaderValue},
    json_path::ExpectFound,
    method::Method,
    pattern::Pattern,
    pointer::Pointer,
    prometheus::PrometheusSpec,
    status::StatusSet,
    suite::SuiteSpec,
};

/// A probe, as [`CheckSpec::probe`] holds it: `{"http": {…}}`, `{"tcp": {…}}`, `{"suite": {…}}` or
/// `{"prometheus": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProbeSpec {
    /// A request.
    Http(Box<HttpSpec>),
    /// A connection.
    Tcp(TcpSpec),
    /// Several requests, of which some use what others were answered.
    Suite(Box<SuiteSpec>),
    /// A query of measured values.
    Prometheus(Box<PrometheusSpec>),
}

impl ProbeSpec {
    /// Reads the probe of a check.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is of none of these kinds, or has a field that is not
    /// known.
    pub fn of(check: &CheckSpec) -> Result<Self> {
        serde_path_to_error::deserialize(&check.probe).map_err(|source| {
            Error::new(
                ErrorKind::Invalid,
                "read a check",
                format!("the probe of `{}` is no http, tcp, suite or prometheus probe", check.name),
            )
            .without_effect()
            .with_source(source)
        })
    }

    /// The form that [`CheckSpec::probe`] holds.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when it has no JSON form; none is known.
    pub fn to_value(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "store a check", "its probe has no JSON form")
                .without_effect()
                .with_source(source)
        })
    }
}

/// What a request is sent to, and what its answer must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// Where to.
    pub at: HttpAt,
    /// The method; GET by default. A check looks often: what another method does, it does often.
    #[serde(default, skip_serializing_if = "Method::is_default")]
    pub method: Method,
    /// What is sent; nothing by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Headers of the request. Credentials do not belong here but in `secret_headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_headers: BTreeMap<HeaderName, HeaderValue>,
    /// Headers of the request whose values are secrets, by the names of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<HeaderName, SecretName>,
    /// What the answer must be.
    #[serde(default)]
    pub expect: Expect,
}

impl HttpSpec {
    /// A GET request to `at` that expects a status of 200 to 299.
    pub fn new(at: HttpAt) -> Self {
        Self {
            at,
            method: Method::default(),
            body: None,
            request_headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            expect: Expect::default(),
        }
    }

    /// Sets what the answer must be.
    pub fn with_expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HttpAt {
    /// To this URL.
    Url(HttpUrl),
    /// To the check's service, by plain HTTP.
    Service(ServicePath),
}

/// A path of the check's service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePath {
    /// The port that the service itself listens on; may be left out where it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The path.
    pub path: UrlPath,
}

/// What an answer must be; everything that is set counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The statuses that are fine; 200 to 299 by default.
    #[serde(skip_serializing_if = "StatusSet::is_default")]
    pub status: StatusSet,
    /// Values that the JSON body must have. Numbers are compared by value: 1 equals 1.0.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<Pointer, Value>,
    /// Places that the JSON body must have, `null` included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub json_exists: Vec<Pointer>,
    /// The version that the JSON body must tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<ExpectVersion>,
    /// What queries must find in the JSON body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub json_path: Vec<ExpectFound>,
    /// What the body must match somewhere, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_matches: Option<Pattern>,
    /// Headers that the answer must have, with exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<HeaderName, HeaderValue>,
    /// Headers that the answer must have, whatever their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header_exists: Vec<HeaderName>,
    /// Headers that the answer must have, with values that match.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header_matches: BTreeMap<HeaderName, Pattern>,
    /// Longest time from the beginning of the request to the last byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Duration>,
}

/// A version that a JSON body must tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectVersion {
    /// Where it stands, as text.
    pub at: Pointer,
    /// What it must be, compared by value: `v1.2.0` equals `1.2.0`.
    pub is: Version,
}

/// What a connection is made to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSpec {
    /// Where to.
    pub at: TcpAt,
}

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TcpAt {
    /// To this address.
    Address(HostPort),
    /// To the check's service.
    Service(ServicePort),
}

/// A port of the check's service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// The port that the service itself listens on; may be left out where it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(probe: Value) -> CheckSpec {
        CheckSpec::new("c", probe)
    }

    /// Stored releases hold this form: changing it makes them unreadable.
    #[test]
    fn the_stored_form() {
        let http = json!({"http": {
            "at": {"url": "http://127.0.0.1:8085/health"},
            "request_headers": {"accept": "application/json"},
            "secret_headers": {"authorization": "API_AUTH"},
            "expect": {
                "status": [200, 401],
                "json": {"/status": "healthy"},
                "json_exists": ["/uptime"],
                "version": {"at": "/version", "is": "v1.2.0"},
                "json_path": [{"path": "$.providers[?@.up]", "at_least": 1}],
                "body_matches": "healthy",
                "header": {"content-type": "application/json"},
                "header_exists": ["x-request-id"],
                "header_matches": {"server": "^nginx"},
                "max_latency": {"secs": 3, "nanos": 0},
            },
        }});
        let tcp = json!({"tcp": {"at": {"service": {"port": 6379}}}});
        let post = json!({"http": {
            "at": {"url": "http://127.0.0.1:8085/api/v1/chat"},
            "method": "POST",
            "body": {"json": {"message": "hello"}},
            "expect": {},
        }});
        let least = json!({"http": {"at": {"service": {"path": "/"}}, "expect": {}}});
        for stored in [http, tcp, post, least] {
            let spec = ProbeSpec::of(&check(stored.clone())).unwrap();
            assert_eq!(spec.to_value().unwrap(), stored);
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for bad in [
            json!(null),
            json!({"exec": {}}),
            json!({"http": {"at": {"url": "http://x/"}, "expects": {}}}),
            json!({"http": {"at": {"url": "http://x/"}, "expect": {"body": "x"}}}),
            json!({"http": {"at": {"url": "http://u:p@x/"}}}),
            json!({"http": {"at": {"url": "http://x/"}, "method": "BREW"}}),
            json!({"http": {"at": {"url": "http://x/"}, "expect": {"body_matches": "("}}}),
            json!({"tcp": {"at": {"address": "redis"}}}),
            json!({"tcp": {"at": {"service": {"port": 1, "path": "/"}}}}),
            json!({"http": {"at": {"url": "http://x/"}}, "tcp": {"at": {"address": "x:1"}}}),
        ] {
            let error = ProbeSpec::of(&check(bad.clone())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
        }
    }
}
