//! Loads in the form in which a release stores them.

use std::{collections::BTreeMap, time::Duration};

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use ultrai_deploy_core::{Error, ErrorKind, Result, verification::CheckSpec};
use ultrai_deploy_http::{
    address::{HttpUrl, UrlPath},
    condition::Condition,
};

use crate::{
    limit::{Limit, Share, tolerances},
    request::RequestSpec,
    schedule::planned,
};

/// Most requests a second: above it a measurement is one of this machine.
const MAX_RATE: f64 = 100_000.0;
/// Most requests that may be open at once: file descriptors are bounded.
const MAX_OPEN: usize = 10_000;
/// Most requests of one load: what waits is kept in memory.
const MAX_REQUESTS: u64 = 10_000_000;
/// Longest time of one request: latencies are told apart up to an hour.
const MAX_TIMEOUT: Duration = Duration::from_mins(10);
/// What a look takes beside its requests: looking up the host, and ending before the check's time.
const SLACK: Duration = Duration::from_secs(1);
/// How often the engine looks while it watches.
const WATCHED_EVERY: Duration = Duration::from_secs(5);
/// The fields of [`Requesting`], which stand beside those of the spec that has them.
const REQUESTING: [&str; 8] =
    ["url", "port", "path", "requests", "rate", "timeout", "max_open", "fresh_connections"];

/// What is requested, where, and how often: the fields that a load and a watch have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requesting {
    /// Where to; the check's service where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<HttpUrl>,
    /// The port that the service itself listens on; may be left out where it has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// One GET request to this path, in place of `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<UrlPath>,
    /// What is requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestSpec>,
    /// How many requests are sent a second, whatever the answers do.
    pub rate: f64,
    /// Longest time of a request, from when it is due to the end of its answer; 10 s by default.
    #[serde(default = "ten_seconds", with = "compact::required")]
    pub timeout: Duration,
    /// How many may be open at once; 256 by default. What is due beyond it waits, and its wait counts.
    #[serde(default = "many")]
    pub max_open: usize,
    /// Whether each request has a connection of its own; connections are kept by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh_connections: bool,
}

/// The performance gate: a load, and what must hold of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSpec {
    /// What is requested.
    pub requesting: Requesting,
    /// What is done with it.
    pub gate: Gate,
}

/// How long a load is, and what must hold of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// How long requests are sent that count.
    #[serde(with = "compact::required")]
    pub duration: Duration,
    /// How long requests are sent before, which do not count; 2 s by default.
    #[serde(default = "two_seconds", with = "compact::required")]
    pub warm_up: Duration,
    /// What must hold: `error_rate < 1%`, `p95_latency < 3s`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Condition>,
    /// How much worse than the release before it may be, by the name of a value. Latencies and
    /// throughput by a share of what it was (latencies by 5 ms in any case), the rate of errors by a
    /// difference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at_most_worse: BTreeMap<String, Share>,
    /// Fewest requests that a value is told of, in place of those that each value needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u64>,
}

/// A rule for watching: a few requests at each look, judged with those of the looks before.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficSpec {
    /// What is requested.
    pub requesting: Requesting,
    /// What is done with it.
    pub rule: Rule,
}

/// How far back a rule looks, and what is a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How far back requests count; 1 minute by default.
    #[serde(default = "one_minute", with = "compact::required")]
    pub window: Duration,
    /// How long requests are sent at each look; 2 s by default.
    #[serde(default = "two_seconds", with = "compact::required")]
    pub slice: Duration,
    /// What is a failure: `error_rate > 0.05`.
    pub fails_when: Condition,
    /// Fewest requests that it is told of, in place of those that the value needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u64>,
}

impl LoadSpec {
    /// Reads the probe of a check; nothing when it is of another kind.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has a field that is not known or wrong, when nothing is asked
    /// of it, or when it has fewer requests than that needs.
    pub fn of(check: &CheckSpec) -> Result<Option<Self>> {
        let Some(fields) = fields(check, "load")? else { return Ok(None) };
        let (requesting, gate) = split(check, "load", fields)?;
        let spec = Self { requesting, gate };
        spec.validate(check)?;
        Ok(Some(spec))
    }

    /// Longest time that one look takes: warm-up, duration, and the time of the last request. The
    /// check's own timeout has to be as long.
    pub fn longest(&self) -> Duration {
        self.gate.warm_up + self.gate.duration + self.requesting.timeout + SLACK
    }

    /// What must hold, whatever the release before did.
    pub(crate) fn required(&self) -> Result<Vec<Limit>> {
        self.gate.require.iter().map(Limit::required).collect()
    }

    fn validate(&self, check: &CheckSpec) -> Result<()> {
        let (name, gate) = (&check.name, &self.gate);
        self.requesting.validate(check, gate.warm_up + gate.duration)?;
        enough_time(check, self.longest())?;
        let tolerances = tolerances(&gate.at_most_worse)?;
        if gate.require.is_empty() && tolerances.is_empty() {
            return Err(invalid(format!("`{name}` asks for nothing"))
                .with_advice(r#"add require = ["error_rate < 1%", "p95_latency < 3s"]"#));
        }
        if !tolerances.is_empty() && !check.compares {
            return Err(invalid(format!("`{name}` has at_most_worse and compares with nothing"))
                .with_advice("set compares = true on the check"));
        }
        let mut needed: Vec<_> = self
            .required()?
            .iter()
            .map(|limit| (limit.needs(gate.min_requests), limit.text.clone()))
            .collect();
        needed.extend(tolerances.iter().map(|(metric, share)| {
            (gate.min_requests.unwrap_or_else(|| metric.needs(share.value())), metric.to_string())
        }));
        let sent = planned(self.requesting.rate, gate.duration);
        enough_requests(name, sent, needed)
    }
}

impl TrafficSpec {
    /// Reads the probe of a check; nothing when it is of another kind.
    ///
    /// # Errors
    /// As for [`LoadSpec::of`].
    pub fn of(check: &CheckSpec) -> Result<Option<Self>> {
        let Some(fields) = fields(check, "traffic")? else { return Ok(None) };
        let (requesting, rule) = split(check, "traffic", fields)?;
        let spec = Self { requesting, rule };
        spec.validate(check)?;
        Ok(Some(spec))
    }

    /// Longest time that one look takes: the slice, and the time of the last request.
    pub fn longest(&self) -> Duration {
        self.rule.slice + self.requesting.timeout + SLACK
    }

    /// What is a failure when it holds.
    pub(crate) fn forbidden(&self) -> Result<Limit> {
        Limit::forbidden(&self.rule.fails_when)
    }

    fn validate(&self, check: &CheckSpec) -> Result<()> {
        let rule = &self.rule;
        self.requesting.validate(check, rule.slice)?;
        enough_time(check, self.longest())?;
        if rule.window < rule.slice {
            return Err(invalid(format!("`{}` has a window shorter than its slice", check.name))
                .with_advice("set a longer window, such as 1m"));
        }
        let limit = self.forbidden()?;
        // A window holds so many looks at least, with the pause of the engine between them.
        let looks = rule.window.as_millis() / (rule.slice + WATCHED_EVERY).as_millis().max(1);
        let looks = u64::try_from(looks).unwrap_or(u64::MAX).max(1);
        let sent = planned(self.requesting.rate, rule.slice).saturating_mul(looks);
        let needed = limit.needs(rule.min_requests);
        enough_requests(&check.name, sent, [(needed, limit.text)])
            .map_err(|error| error.with_advice("raise window, slice or rate, or set min_requests"))
    }
}

impl Requesting {
    /// What is requested, the short form included.
    pub(crate) fn kinds(&self) -> Vec<RequestSpec> {
        self.path.clone().map(RequestSpec::new).into_iter().chain(self.requests.clone()).collect()
    }

    fn validate(&self, check: &CheckSpec, sending: Duration) -> Result<()> {
        let name = &check.name;
        if self.url.is_none() && check.service.is_none() {
            return Err(invalid(format!("`{name}` looks at a service and names none"))
                .with_advice("name the service, or give a whole url"));
        }
        if self.url.is_some() && self.port.is_some() {
            return Err(invalid(format!("`{name}` has both url and port"))
                .with_advice("write the port into the url"));
        }
        if self.path.is_some() != self.requests.is_empty() {
            return Err(invalid(format!("`{name}` needs either path or requests")).with_advice(
                r#"write path = "/health", or requests = [{ path = "/health", weight = 2 }, …]"#,
            ));
        }
        self.requests.iter().try_for_each(RequestSpec::validate)?;
        if !(self.rate > 0.0 && self.rate <= MAX_RATE) {
            return Err(invalid(format!("the rate of `{name}` is {}", self.rate))
                .with_advice(format!("use a number above 0, at most {MAX_RATE} a second")));
        }
        if !(1..=MAX_OPEN).contains(&self.max_open) {
            return Err(invalid(format!("max_open of `{name}` is {}", self.max_open))
                .with_advice(format!("use 1 to {MAX_OPEN}")));
        }
        if self.timeout.is_zero() || self.timeout > MAX_TIMEOUT {
            return Err(invalid(format!("the timeout of `{name}` is {:?}", self.timeout))
                .with_advice("use a time above 0, at most 10m"));
        }
        if sending.is_zero() || planned(self.rate, sending) > MAX_REQUESTS {
            return Err(invalid(format!("`{name}` sends for {sending:?} at {}/s", self.rate))
                .with_advice(format!("send at least one and at most {MAX_REQUESTS} requests")));
        }
        Ok(())
    }
}

/// The fields of the probe with this key; nothing when it has another one.
pub(crate) fn fields<'a>(
    check: &'a CheckSpec,
    key: &str,
) -> Result<Option<&'a Map<String, Value>>> {
    let Some(stored) = check.probe.get(key) else { return Ok(None) };
    let name = &check.name;
    if check.probe.as_object().is_some_and(|probe| probe.len() > 1) {
        return Err(invalid(format!("the probe of `{name}` is of two kinds at once"))
            .with_advice(format!("make two checks, one of them with {key}")));
    }
    stored.as_object().map(Some).ok_or_else(|| {
        invalid(format!("{key} of `{name}` is no table"))
            .with_advice(format!("write {key} = {{ … }}"))
    })
}

/// Reads `fields`; an error names the field.
pub(crate) fn read<T: DeserializeOwned>(
    check: &CheckSpec,
    key: &str,
    fields: Map<String, Value>,
) -> Result<T> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|source| {
        let place = match source.path().to_string() {
            path if path == "." => key.to_owned(),
            path => format!("{key}.{path}"),
        };
        invalid(format!("{place} of `{}`: {}", check.name, source.inner())).with_source(source)
    })
}

/// The fields that all loads have, and the others.
fn split<T: DeserializeOwned>(
    check: &CheckSpec,
    key: &str,
    fields: &Map<String, Value>,
) -> Result<(Requesting, T)> {
    let (common, own): (Vec<_>, Vec<_>) = fields
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .partition(|(name, _)| REQUESTING.contains(&name.as_str()));
    let common = read(check, key, common.into_iter().collect())?;
    Ok((common, read(check, key, own.into_iter().collect())?))
}

/// Whether the check's time is enough.
pub(crate) fn enough_time(check: &CheckSpec, longest: Duration) -> Result<()> {
    if check.timing.timeout >= longest {
        return Ok(());
    }
    let given = check.timing.timeout;
    Err(invalid(format!("`{}` takes up to {longest:?}, and its timeout is {given:?}", check.name))
        .with_advice(format!("set the check's timeout to {}s", longest.as_secs_f64().ceil())))
}

fn enough_requests(
    name: &str,
    sent: u64,
    needed: impl IntoIterator<Item = (u64, String)>,
) -> Result<()> {
    match needed.into_iter().max() {
        Some((needed, limit)) if sent < needed => Err(invalid(format!(
            "`{name}` sends {sent} requests, and {limit} means something of {needed}"
        ))
        .with_advice("raise duration or rate, or set min_requests")),
        _ => Ok(()),
    }
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

fn one_minute() -> Duration {
    Duration::from_mins(1)
}

fn many() -> usize {
    256
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read a check", message).without_effect()
}
