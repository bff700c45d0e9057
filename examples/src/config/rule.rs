//! `[watch]` and `[[rule]]`: what must not happen while a release is watched.

use std::time::Duration;

use serde_json::{Map, Value, json};
use ultrai_deploy_core::{
    Result,
    consequence::Consequences,
    health::Timing,
    name::{SecretName, ServiceName},
    verification::{CheckSpec, When},
    version::Version,
};
use ultrai_deploy_http::{
    address::HttpUrl,
    condition::{Comparison, Condition},
};

use super::{
    check::{Around, Check, name, service},
    consequence,
    direct::Direct,
    expect,
    reader::{Field, Table},
    source::Place,
    stored::Written,
};

/// What the sources call that a check fails.
const CHECKS_FAIL: &str = "health_check_failed";

/// The requests that rules are judged by: those of `[watch]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    fields: Map<String, Value>,
    written: Option<Written>,
    service: Option<(ServiceName, Place)>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) place: Place,
    consequences: Consequences,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    /// Requests, or a query, as a check.
    Check(Box<Check>),
    /// That any check of the file fails, once.
    Checks,
}

impl Traffic {
    /// Reads `[watch]`: the fields of a `traffic` check but `fails_when`, and `service`.
    pub(super) fn read(field: &Field<'_>) -> Option<Self> {
        let mut table = field.table()?;
        let service = table.take("service").and_then(|field| service(&field));
        if let Some(field) = table.take("fails_when") {
            field.name_problem("rules say what is a failure", "write a [[rule]] with when = \"…\"");
        }
        let fields = table.take_all();
        let mut written = Written::without_fields(field);
        written.add(&fields);
        let fields = fields.iter().filter_map(|field| Some((field.name.clone(), field.json()?)));
        Some(Self { fields: fields.collect(), written: Some(written), service })
    }
}

impl Rule {
    pub(super) fn service(&self) -> Option<&(ServiceName, Place)> {
        match &self.what {
            What::Check(check) => check.service.as_ref(),
            What::Checks => None,
        }
    }

    pub(super) fn secrets(&self) -> Vec<SecretName> {
        match &self.what {
            What::Check(check) => check.secrets().cloned().collect(),
            What::Checks => Vec::new(),
        }
    }

    /// The check that it is, if it is one.
    pub(super) fn check(&self) -> Option<&Check> {
        match &self.what {
            What::Check(check) => Some(check),
            What::Checks => None,
        }
    }

    /// The checks of a release that it stands for. `checks` are those of the file.
    ///
    /// # Errors
    /// As for [`Check::spec`].
    pub(super) fn specs(
        &self,
        checks: &[Check],
        version: &Version,
        base: Option<&HttpUrl>,
    ) -> Result<Vec<CheckSpec>> {
        match &self.what {
            What::Check(check) => Ok(check.spec(version, base)?.into_iter().collect()),
            What::Checks => {
                let mut specs = Vec::new();
                for check in checks.iter().filter(|check| check.proves()) {
                    let Some(spec) = check.spec(version, base)? else { continue };
                    let timing = Timing { retries: 1, interval: Duration::ZERO, ..spec.timing };
                    specs.push(CheckSpec {
                        name: format!("{}: {}", self.name, spec.name),
                        when: When::Watch,
                        consequences: self.consequences,
                        timing,
                        ..spec
                    });
                }
                Ok(specs)
            }
        }
    }
}

/// Reads one `[[rule]]`; `number` counts from 1.
pub(super) fn read(
    mut table: Table<'_>,
    number: usize,
    traffic: &Traffic,
    around: &Around<'_>,
) -> Option<Rule> {
    let name = name(&mut table, "rule", number);
    let place = table.place();
    let severity = table.take("severity").and_then(|field| consequence::severity(&field));
    let action = table.take("action").and_then(|field| consequence::reaction(&field));
    let consequences = Consequences {
        severity: severity.unwrap_or_default(),
        on_fail: action,
        ..Consequences::default()
    };
    let query = table.take("prometheus");
    // What a rule is judged by covers some time already: the first failure counts.
    let is_timed = ["interval", "retries"].iter().any(|name| table.has(name));
    let has_timeout = table.has("timeout");
    let mut timing = expect::timing(&mut table, around.deadline);
    if !is_timed {
        timing = Timing { interval: Duration::ZERO, retries: 1, ..timing };
    }
    let when = table.require("when", "write when = \"error_rate > 0.05\"");
    let what = match (&when, query) {
        (Some(field), Some(query)) => {
            let comparison = field.parse(Comparison::parse);
            let spec = query.table().and_then(|_| query.json());
            comparison.zip(spec).and_then(|(comparison, mut spec)| {
                spec["fails_when"] = json!(comparison);
                let direct = Direct::given("prometheus", Written::of(&query), spec, has_timeout)?;
                Some((direct, None))
            })
        }
        (Some(field), None) if field.text() == Some(CHECKS_FAIL) => {
            table.finish();
            let name = name?;
            return Some(Rule { name, place, consequences, what: What::Checks });
        }
        (Some(field), None) => field.parse(Condition::parse).and_then(|condition| {
            if traffic.fields.is_empty() {
                field.problem(
                    "no requests are declared that it could be judged by",
                    "write [watch] with path = \"/api/models\" and rate = 5, or prometheus = { … }",
                );
                return None;
            }
            let mut fields = traffic.fields.clone();
            fields.insert("fails_when".to_owned(), json!(condition));
            let mut written = Written::without_fields(field);
            if let Some(of_watch) = &traffic.written {
                written = written.with_fields_of(of_watch);
            }
            let direct = Direct::given("traffic", written, Value::Object(fields), has_timeout)?;
            Some((direct, traffic.service.clone()))
        }),
        (None, _) => None,
    };
    let check = name.clone().zip(what).map(|(name, (direct, service))| {
        Check::watched(name, &table, service, timing, consequences, direct, around)
    });
    table.finish();
    Some(Rule { name: name?, place, consequences, what: What::Check(Box::new(check?)) })
}
