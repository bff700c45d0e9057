//! Suites in the form in which a release stores them.

use std::{collections::BTreeMap, time::Duration};

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{consequence::Severity, health::Timing, name::SecretName};

use super::variables::VariableName;
use crate::{
    address::{HttpUrl, UrlPath},
    body::Body,
    header::{HeaderName, HeaderValue},
    method::Method,
    pointer::Pointer,
    spec::{Expect, ServicePort},
};

/// Longest time of one attempt of a test that says nothing else.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before another attempt of a test that says nothing else.
const PAUSE: Duration = Duration::from_secs(1);

/// Tests that are run in one look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteSpec {
    /// Where the paths of the tests are; nothing when all of them have whole addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<SuiteAt>,
    /// How many tests run at the same time; 1 by default, which is one after the other. At most 32.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parallel: usize,
    /// The tests. What one needs stands before it.
    pub tests: Vec<TestSpec>,
}

/// Where the paths of a suite's tests are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SuiteAt {
    /// Below this URL.
    Url(HttpUrl),
    /// At the check's service.
    Service(ServicePort),
}

/// One request, and what its answer must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSpec {
    /// Its name in reports.
    pub name: String,
    /// Where to.
    pub at: TestAt,
    /// The method; GET by default.
    #[serde(default, skip_serializing_if = "Method::is_default")]
    pub method: Method,
    /// Headers of the request; their values may hold variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_headers: BTreeMap<HeaderName, HeaderValue>,
    /// Headers of the request whose values are secrets, by the names of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<HeaderName, SecretName>,
    /// What is sent; JSON and text may hold variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// What the answer must be; values in `json` may hold variables.
    #[serde(default)]
    pub expect: Expect,
    /// What of the answer later tests use as `{{name}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<VariableName, CaptureFrom>,
    /// The same, of which nothing is shown or kept. Only headers and bodies may use it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_capture: BTreeMap<VariableName, CaptureFrom>,
    /// The tests without which it is not run, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Longest time of one attempt; 10 s by default.
    #[serde(default = "timeout", skip_serializing_if = "is_timeout", with = "compact::required")]
    pub timeout: Duration,
    /// How often it is tried again after it failed; not at all by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// How long to wait before it is tried again; 1 s by default.
    #[serde(default = "pause", skip_serializing_if = "is_pause", with = "compact::required")]
    pub pause: Duration,
    /// How bad it is when it fails; critical by default. A minor failure is told and fails nothing.
    #[serde(default, skip_serializing_if = "is_critical")]
    pub severity: Severity,
}

/// Where a test's request goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TestAt {
    /// To this path of what the suite is about; it may hold variables.
    Path(UrlPath),
    /// To this URL.
    Url(HttpUrl),
}

/// What of an answer is kept for later tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CaptureFrom {
    /// What the JSON body has at this place.
    Json(Pointer),
    /// The value of this header.
    Header(HeaderName),
}

impl SuiteSpec {
    /// A suite of `tests` that run one after the other.
    pub fn new(at: Option<SuiteAt>, tests: Vec<TestSpec>) -> Self {
        Self { at, parallel: one(), tests }
    }

    /// The secrets that its requests carry.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.tests.iter().flat_map(|test| test.secret_headers.values())
    }

    /// Longest time that it can take, when each test takes all of its own, one after the other.
    pub fn longest(&self) -> Duration {
        self.tests.iter().map(TestSpec::longest).sum()
    }

    /// The timing of a check that runs it once, to its end.
    pub fn timing(&self) -> Timing {
        // A little is left for the look to say what it saw.
        let timeout = self.longest() + Duration::from_secs(1);
        Timing { timeout, retries: 1, deadline: Some(Duration::ZERO), ..Timing::default() }
    }
}

impl TestSpec {
    /// A GET request to `at` that expects a status of 200 to 299.
    pub fn new(name: impl Into<String>, at: TestAt) -> Self {
        Self {
            name: name.into(),
            at,
            method: Method::default(),
            request_headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            body: None,
            expect: Expect::default(),
            capture: BTreeMap::new(),
            secret_capture: BTreeMap::new(),
            needs: Vec::new(),
            timeout: TIMEOUT,
            retries: 0,
            pause: PAUSE,
            severity: Severity::default(),
        }
    }

    fn longest(&self) -> Duration {
        self.timeout.saturating_mul(self.retries.saturating_add(1))
            + self.pause.saturating_mul(self.retries)
    }
}

fn one() -> usize {
    1
}

fn timeout() -> Duration {
    TIMEOUT
}

fn pause() -> Duration {
    PAUSE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(parallel: &usize) -> bool {
    *parallel == one()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(retries: &u32) -> bool {
    *retries == 0
}

fn is_timeout(timeout: &Duration) -> bool {
    *timeout == TIMEOUT
}

fn is_pause(pause: &Duration) -> bool {
    *pause == PAUSE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_critical(severity: &Severity) -> bool {
    *severity == Severity::Critical
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Stored releases hold this form: changing it makes them unreadable.
    #[test]
    fn the_stored_form() {
        let least = json!({"tests": [
            {"name": "home", "at": {"url": "http://x/"}, "expect": {}},
        ]});
        let whole = json!({
            "at": {"service": {"port": 8085}},
            "parallel": 4,
            "tests": [{
                "name": "upload",
                "at": {"path": "/upload"},
                "method": "POST",
                "request_headers": {"accept": "application/json"},
                "secret_headers": {"authorization": "API_AUTH"},
                "body": {"upload": {
                    "field": "file", "name": "a.txt", "content_type": "text/plain", "content": "YQ==",
                }},
                "expect": {"status": [201]},
                "capture": {"id": {"json": "/id"}},
                "secret_capture": {"token": {"header": "x-token"}},
            }, {
                "name": "show",
                "at": {"path": "/items/{{id}}"},
                "expect": {"json": {"/id": "{{id}}"}},
                "needs": ["upload"],
                "timeout": "2s",
                "retries": 3,
                "pause": "500ms",
                "severity": "minor",
            }],
        });
        for stored in [least, whole] {
            let suite: SuiteSpec = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!(serde_json::to_value(&suite).unwrap(), stored);
        }
        let unknown: Value = json!({"tests": [], "environment": "staging"});
        assert!(serde_json::from_value::<SuiteSpec>(unknown).is_err());
    }

    #[test]
    fn the_longest_time_counts_every_attempt_and_pause() {
        let url = HttpUrl::parse("http://x/").unwrap();
        let once = TestSpec::new("once", TestAt::Url(url.clone()));
        let again = TestSpec { retries: 2, ..TestSpec::new("again", TestAt::Url(url)) };
        let suite = SuiteSpec::new(None, vec![once, again]);
        assert_eq!(suite.longest(), Duration::from_secs(10 + 3 * 10 + 2));
    }
}
