//! Runs a suite in one look.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Result,
    health::{Endpoint, Health, HealthProbe},
    name::SecretName,
    redact::Redactor,
    secret::{Secret, SecretSource, Secrets},
};

use super::{
    outcome::{End, Outcome, health},
    request::captured,
    schedule::{Next, Schedule},
    spec::{SuiteAt, SuiteSpec, TestSpec},
    variables::{VariableName, Variables},
};
use crate::{
    address::{HttpUrl, Located, UrlPath, locate},
    client::Client,
    headers,
    probe::{is_silence, within},
    seen,
};

/// How much of a failed test's answer is held until the report is made, in bytes.
const HELD_BODY: usize = 64 * 1024;

/// Runs the tests of a suite, and tells what came of each.
///
/// That a test fails, or cannot be run in time, is [`Health::Unhealthy`], unless it is minor; a service
/// without an address is [`Health::Pending`].
#[derive(Debug)]
pub struct SuiteProbe {
    name: String,
    suite: SuiteSpec,
    client: Client,
    secrets: Option<Arc<dyn SecretSource>>,
    timeout: Duration,
}

impl SuiteProbe {
    /// A probe for the check `name`; all tests together take at most `timeout`.
    ///
    /// # Errors
    /// As [`SuiteSpec::check`]; [`ErrorKind::Invalid`](ultrai_deploy_core::ErrorKind) also when a secret
    /// is needed and `secrets` is nothing.
    pub fn new(
        name: impl Into<String>,
        suite: SuiteSpec,
        client: Client,
        secrets: Option<Arc<dyn SecretSource>>,
        timeout: Duration,
    ) -> Result<Self> {
        let name = name.into();
        suite.check()?;
        for test in &suite.tests {
            let none = std::collections::BTreeMap::new();
            headers::check(&test.name, &none, &test.secret_headers, secrets.is_some())?;
        }
        Ok(Self { name, suite, client, secrets, timeout })
    }

    fn base(&self, endpoint: &Endpoint) -> Result<Base> {
        Ok(match &self.suite.at {
            None => Base::None,
            Some(SuiteAt::Url(url)) => Base::At(url.clone()),
            Some(SuiteAt::Service(service)) => match (&endpoint.url, service.port) {
                (Some(url), None) => Base::At(HttpUrl::parse(url)?),
                (_, port) => match locate(endpoint, port)? {
                    Located::At(address) => {
                        Base::At(HttpUrl::of_address(address, &UrlPath::parse("/")?)?)
                    }
                    Located::Nowhere(why) => Base::Nowhere(why),
                },
            },
        })
    }

    /// The secret headers of each test, and what cuts their values out of texts.
    async fn secret_headers(&self, cx: &Context) -> Result<(Vec<HeaderMap>, Redactor)> {
        let (mut all, mut used) = (Vec::new(), Secrets::new());
        let none = std::collections::BTreeMap::new();
        for test in &self.suite.tests {
            let (source, secret) = (self.secrets.as_deref(), &test.secret_headers);
            let (headers, values) = headers::resolve(&test.name, &none, secret, cx, source).await?;
            all.push(headers);
            used.extend(values);
        }
        Ok((all, seen::redactor(&used)))
    }

    async fn run(
        &self,
        base: Option<&HttpUrl>,
        secret: &[HeaderMap],
        known: &mut Known,
    ) -> Result<Vec<Outcome>> {
        let until = Instant::now() + within(self.timeout);
        let tests = &self.suite.tests;
        let mut outcomes: Vec<Option<Outcome>> = tests.iter().map(|_| None).collect();
        let mut schedule = Schedule::new(&self.suite);
        let mut running = FuturesUnordered::new();
        loop {
            match schedule.next() {
                Next::Run(index) => {
                    let attempt = Attempts {
                        test: &tests[index],
                        client: &self.client,
                        base,
                        secret: &secret[index],
                        variables: known.variables.clone(),
                        until,
                    };
                    running.push(async move { (index, attempt.run().await) });
                }
                Next::Skip(index, cause) => {
                    let why = format!("`{}`, which it needs, did not pass", tests[cause].name);
                    outcomes[index] = Some(Outcome::not_run(why));
                }
                Next::Wait => {
                    let Some((index, ended)) = running.next().await else { break };
                    let (outcome, values) = ended?;
                    schedule.ended(index, outcome.passed());
                    outcomes[index] = Some(outcome);
                    known.learn(values);
                }
                Next::End => break,
            }
        }
        let left_out = || Outcome::not_run("it was never its turn");
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(left_out)).collect())
    }
}

#[async_trait]
impl HealthProbe for SuiteProbe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let base = match self.base(endpoint)? {
            Base::At(url) => Some(url),
            Base::None => None,
            Base::Nowhere(why) => return Ok(Health::Pending { why, evidence: Vec::new() }),
        };
        let (secret, redactor) = cx.bounded(self.secret_headers(cx)).await?;
        let mut known = Known { variables: Variables::default(), redactor };
        let outcomes = cx.bounded(self.run(base.as_ref(), &secret, &mut known)).await?;
        Ok(health(&self.name, &self.suite, &outcomes, &known.redactor))
    }
}

enum Base {
    At(HttpUrl),
    /// All tests have whole addresses.
    None,
    /// Not yet; why, for people.
    Nowhere(String),
}

/// What is known of the answers so far.
struct Known {
    variables: Variables,
    redactor: Redactor,
}

impl Known {
    fn learn(&mut self, values: Vec<Captured>) {
        for Captured { name, value, secret } in values {
            if secret {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                // The redactor tells values apart by names, and forgets neither.
                if let Ok(own) = SecretName::new(name.as_str()) {
                    self.redactor.extend(seen::redactor(&[(own, Secret::new(text))].into()));
                }
            }
            self.variables.set(name, value);
        }
    }
}

/// A value of an answer.
struct Captured {
    name: VariableName,
    value: Value,
    secret: bool,
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One test, tried until it passes or may not be tried again.
struct Attempts<'a> {
    test: &'a TestSpec,
    client: &'a Client,
    base: Option<&'a HttpUrl>,
    secret: &'a HeaderMap,
    variables: Variables,
    /// When the whole suite must be over.
    until: Instant,
}

impl Attempts<'_> {
    async fn run(&self) -> Result<(Outcome, Vec<Captured>)> {
        let began = Instant::now();
        let mut attempts = 0;
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok((Outcome::not_run("the time of the suite was over"), Vec::new()));
            }
            attempts += 1;
            let (mut outcome, values) = self.once(self.test.timeout.min(left)).await?;
            outcome.attempts = attempts;
            outcome.took = began.elapsed();
            let last = attempts > self.test.retries;
            let resumes = Instant::now() + self.test.pause;
            if outcome.passed() || last || resumes >= self.until {
                return Ok((outcome, values));
            }
            tokio::time::sleep_until(resumes).await;
        }
    }

    async fn once(&self, timeout: Duration) -> Result<(Outcome, Vec<Captured>)> {
        let made = self
            .test
            .request(self.base, &self.variables, self.secret)
            .and_then(|request| Ok((request, self.test.expected(&self.variables)?)));
        let (request, expect) = match made {
            Ok(made) => made,
            Err(why) => return Ok((failed(why), Vec::new())),
        };
        let asked = format!("{} {}", request.method, request.url);
        let mut answer = match self.client.send(request, timeout).await {
            Ok(answer) => answer,
            Err(error) if is_silence(&error) => {
                return Ok((failed(error.message().to_owned()), Vec::new()));
            }
            Err(error) => return Err(error),
        };
        let mut differences = expect.differences(&answer);
        let mut values = Vec::new();
        if differences.is_empty() {
            let open = self.test.capture.iter().map(|one| (one, false));
            let secret = self.test.secret_capture.iter().map(|one| (one, true));
            for ((name, from), secret) in open.chain(secret) {
                match captured(from, &answer, secret) {
                    Ok(value) => values.push(Captured { name: name.clone(), value, secret }),
                    Err(why) => differences.push(why),
                }
            }
        }
        let end = if differences.is_empty() {
            answer.body = Vec::new();
            End::Passed
        } else {
            answer.body.truncate(HELD_BODY);
            End::Failed(format!("{asked}: {}", differences.join("; ")))
        };
        let answer = Some((asked, answer));
        Ok((Outcome { end, answer, ..Outcome::not_run("") }, values))
    }
}

fn failed(why: String) -> Outcome {
    Outcome { end: End::Failed(why), ..Outcome::not_run("") }
}
