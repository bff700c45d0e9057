//! `[[check]]`: what is looked at after a release got the traffic.

use std::time::Duration;

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Result,
    consequence::Consequences,
    health::Timing,
    name::{SecretName, ServiceName},
    verification::{CheckSpec, ProbeSource, TaskSpec, When},
    version::Version,
};
use ultrai_deploy_hosted::metrics::MetricsSpec;
use ultrai_deploy_http::{
    address::{HostPort, HttpUrl, UrlPath},
    spec::{HttpAt, ProbeSpec, ServicePath, ServicePort, TcpAt, TcpSpec},
};

use super::{
    consequence,
    direct::{Direct, Taken},
    expect::{self, Request},
    files::Root,
    metrics,
    reader::{Field, Table},
    source::Place,
};

/// A check, of which only the version and the environment are still open.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub(super) name: String,
    /// Where it stands.
    pub(super) place: Place,
    pub(super) service: Option<(ServiceName, Place)>,
    when: When,
    timing: Timing,
    consequences: Consequences,
    look: Look,
    /// Those that its kind needs.
    secrets: Vec<SecretName>,
}

/// What is known before checks are read.
pub(super) struct Around<'a> {
    /// The deadline of checks that set none.
    pub(super) deadline: Option<Duration>,
    pub(super) root: &'a Root,
    /// What makes probes, to see whether it can.
    pub(super) probes: &'a dyn ProbeSource,
}

#[derive(Clone, Debug, PartialEq)]
enum Look {
    Http(HttpAt, Box<Request>),
    /// Below the environment's `base_url`.
    Path(UrlPath, Box<Request>),
    Tcp(TcpAt),
    /// What a platform measures of the requests to a service.
    Metrics(MetricsSpec),
    /// One that is written as it is stored.
    Direct(Box<Direct>),
}

impl Check {
    /// One that is looked at while a release is watched.
    pub(super) fn watched(
        name: String,
        table: &Table<'_>,
        service: Option<(ServiceName, Place)>,
        timing: Timing,
        consequences: Consequences,
        direct: Direct,
        around: &Around<'_>,
    ) -> Self {
        let (place, when, secrets) = (table.place(), When::Watch, Vec::new());
        let look = Look::Direct(Box::new(direct));
        let mut check = Self { name, place, service, when, timing, consequences, look, secrets };
        check.settle(table, around.probes);
        check
    }

    /// Whether it needs the environment's `base_url`.
    pub(super) fn needs_base_url(&self) -> bool {
        match &self.look {
            Look::Path(..) => true,
            Look::Direct(direct) => direct.needs_base_url(self.service.is_some()),
            _ => false,
        }
    }

    /// Whether it is looked at when a release is proven, and not before or besides.
    pub(super) fn proves(&self) -> bool {
        matches!(self.when, When::Verify | When::Post)
            && matches!(self.look, Look::Http(..) | Look::Path(..) | Look::Tcp(_))
    }

    /// Whether it looks into containers.
    pub(super) fn looks_into_containers(&self) -> bool {
        matches!(&self.look, Look::Direct(direct) if direct.is_of_containers())
    }

    /// The commands that come with it.
    ///
    /// # Errors
    /// For a tag that no test of its file has.
    pub(super) fn tasks(&self, version: &Version) -> Result<Vec<TaskSpec>> {
        match &self.look {
            Look::Direct(direct) => direct.tasks(version),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether there is anything to look at: a file of tests may have commands only.
    ///
    /// # Errors
    /// As for [`Check::spec`].
    pub(super) fn has_look(&self, version: &Version, base: Option<&HttpUrl>) -> Result<bool> {
        match &self.look {
            Look::Direct(direct) => direct.has_requests(version, base),
            _ => Ok(true),
        }
    }

    /// Whether it looks at a port of the instances of a service.
    pub(super) fn looks_at_ports(&self) -> bool {
        match &self.look {
            Look::Http(HttpAt::Service(path), _) => path.port.is_some(),
            look => matches!(look, Look::Tcp(TcpAt::Service(_))),
        }
    }

    /// Whether it asks for what a platform measures.
    pub(super) fn looks_at_metrics(&self) -> bool {
        matches!(self.look, Look::Metrics(_))
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        match &self.look {
            Look::Http(_, request) | Look::Path(_, request) => Some(request.secrets()),
            Look::Tcp(_) | Look::Metrics(_) | Look::Direct(_) => None,
        }
        .into_iter()
        .flatten()
        .chain(&self.secrets)
    }

    /// The check of a release of `version` where `base` stands in front of paths; nothing when
    /// it needs a base and there is none.
    pub(super) fn spec(
        &self,
        version: &Version,
        base: Option<&HttpUrl>,
    ) -> Result<Option<CheckSpec>> {
        let base = base.filter(|_| self.needs_base_url() || self.has_file());
        let probe = match (&self.look, base) {
            (Look::Direct(_), None) if self.needs_base_url() => return Ok(None),
            (Look::Direct(direct), base) => {
                return direct.fill(self.bare(Value::Null), version, base).map(Some);
            }
            (Look::Http(at, request), _) => request.probe(at.clone(), version).to_value()?,
            (Look::Path(path, request), Some(base)) => {
                request.probe(HttpAt::Url(base.below(path)), version).to_value()?
            }
            (Look::Path(..), None) => return Ok(None),
            (Look::Tcp(at), _) => ProbeSpec::Tcp(TcpSpec { at: at.clone() }).to_value()?,
            (Look::Metrics(spec), _) => json!({ "platform_metrics": spec }),
        };
        Ok(Some(self.bare(probe)))
    }

    fn has_file(&self) -> bool {
        matches!(&self.look, Look::Direct(direct) if direct.kind == "suite")
    }

    fn bare(&self, probe: Value) -> CheckSpec {
        CheckSpec {
            service: self.service.as_ref().map(|(name, _)| name.clone()),
            when: self.when,
            timing: self.timing.clone(),
            consequences: self.consequences,
            ..CheckSpec::new(&self.name, probe)
        }
    }

    /// What is wrong with what its kind is told, and the secrets that it needs.
    fn settle(&mut self, table: &Table<'_>, probes: &dyn ProbeSource) {
        let Look::Direct(direct) = &self.look else { return };
        // Any will do: which they are is not known yet.
        let (version, base) = (Version::parse("0.0.0"), HttpUrl::parse("http://localhost"));
        let (Ok(version), Ok(base)) = (version, base) else { return };
        let filled = direct.tasks(&version).and_then(|_| {
            let check = direct.fill(self.bare(Value::Null), &version, Some(&base))?;
            let has_look = !check.probe.is_null();
            let secrets = if has_look { direct.secrets(&check, probes)? } else { Vec::new() };
            Ok((check.is_gate(), secrets))
        });
        match filled {
            Ok((true, _)) if self.when == When::Watch => table.problem(
                format!(
                    "a {} check measures once, and watching looks again and again",
                    direct.kind
                ),
                "write when = \"post\", or a traffic check or a [[rule]] in its place",
            ),
            Ok((_, secrets)) => self.secrets = secrets,
            Err(error) => direct.written().tell(table, direct.kind, &error),
        }
    }
}

/// Reads one `[[check]]`; `number` counts from 1.
pub(super) fn read(mut table: Table<'_>, number: usize, around: &Around<'_>) -> Option<Check> {
    let name = name(&mut table, "check", number);
    let direct = Direct::take(&mut table, around.root);
    let address = Address::take(&mut table);
    let metrics = metrics::take(&mut table);
    let (request, first) = Request::read(&mut table);
    let timing = expect::timing(&mut table, around.deadline);
    let consequences = consequence::take(&mut table);
    let when = table.take("when").and_then(|field| field.choice(&WHENS));
    let place = table.place();
    let (usual, look) = match (direct, metrics) {
        (Taken::Wrong, _) => (When::Verify, None),
        (Taken::One(direct), metrics) => {
            let usual = direct.usual();
            let first = first.or(metrics.map(|_| "max_p95 or max_error_percent"));
            let look = address.direct(&table, direct.kind, first);
            (usual, look.then_some(Look::Direct(direct)))
        }
        (Taken::None, Some(spec)) => {
            (When::Verify, address.measured(&table, first).then_some(Look::Metrics(spec)))
        }
        (Taken::None, None) => (When::Verify, address.look(&table, request, first)),
    };
    let service = address.service;
    let when = when.unwrap_or(usual);
    if when == When::Preflight && service.is_some() {
        table.problem(
            "a service of the release does not run yet before everything else",
            "write the address of what the release needs, or take `when` out",
        );
    }
    let check = name.zip(look).map(|(name, look)| {
        let secrets = Vec::new();
        let mut check = Check { name, place, service, when, timing, consequences, look, secrets };
        check.settle(&table, around.probes);
        check
    });
    table.finish();
    check
}

/// When a check may run.
const WHENS: [(&str, When); 4] = [
    ("verify", When::Verify),
    ("post", When::Post),
    ("preflight", When::Preflight),
    ("watch", When::Watch),
];

/// Takes the name and labels the table with it.
pub(super) fn name(table: &mut Table<'_>, what: &str, number: usize) -> Option<String> {
    table.rename(&format!("{what} {number}"));
    let field = table.require("name", "write name = \"…\", as it shall stand in reports")?;
    let name = field.text()?;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        field.problem("it is empty or has control characters", "write a few words on one line");
        return None;
    }
    table.rename(&format!("{what} \"{name}\""));
    Some(name.to_owned())
}

/// The fields that say where a check looks.
#[derive(Default)]
struct Address {
    url: Option<HttpUrl>,
    tcp: Option<HostPort>,
    path: Option<UrlPath>,
    port: Option<u16>,
    service: Option<(ServiceName, Place)>,
    /// The names of those that were set, right or wrong.
    set: Vec<&'static str>,
}

impl Address {
    fn take(table: &mut Table<'_>) -> Self {
        let mut address = Self::default();
        let mut take = |name: &'static str| {
            let field = table.take(name)?;
            address.set.push(name);
            Some(field)
        };
        let url = take("url").and_then(|field| field.parse(HttpUrl::parse));
        let tcp = take("tcp").and_then(|field| field.parse(HostPort::parse));
        let path = take("path").and_then(|field| field.parse(UrlPath::parse));
        let port = take("port").and_then(|field| field.number(1..=u16::MAX));
        let service = take("service").and_then(|field| service(&field));
        Self { url, tcp, path, port, service, ..address }
    }

    /// Whether nothing speaks against a check of a kind that has a table of its own.
    fn direct(&self, table: &Table<'_>, kind: &str, first: Option<&str>) -> bool {
        let other = self.set.iter().copied().find(|name| *name != "service").or(first);
        if let Some(other) = other {
            table.problem(
                format!("it is a {kind} check, and `{other}` is for others"),
                format!("write it into the table {kind} = {{ … }} if it has it, or take it out"),
            );
        }
        other.is_none()
    }

    /// Whether nothing speaks against a check of what a platform measures.
    fn measured(&self, table: &Table<'_>, first: Option<&str>) -> bool {
        let other = self.set.iter().copied().find(|name| *name != "service").or(first);
        if let Some(other) = other {
            table.problem(
                format!("the platform measures requests, and `{other}` is for one's own"),
                format!("take `{other}` out, or write two checks"),
            );
        } else if !self.set.contains(&"service") {
            table.problem("it does not say of which service", "write service = \"…\"");
        }
        other.is_none() && self.service.is_some()
    }

    /// Where it looks; nothing when that is wrong or cannot be told.
    fn look(&self, table: &Table<'_>, request: Request, first: Option<&str>) -> Option<Look> {
        let set = |name| self.set.contains(&name);
        let kinds: Vec<_> = ["url", "tcp", "path"].into_iter().filter(|name| set(name)).collect();
        if kinds.len() > 1 {
            table.problem(
                format!("it has {}", kinds.join(" and ")),
                "keep the one that says where to look",
            );
            return None;
        }
        if set("port") && (!set("service") || set("url") || set("tcp")) {
            table.problem(
                "`port` is the port of a service, and none is looked at",
                "write service = \"…\" and path or port, or put the port into url or tcp",
            );
            return None;
        }
        let of_service = self.set.contains(&"service");
        let look = match kinds.as_slice() {
            ["url"] => Look::Http(HttpAt::Url(self.url.clone()?), Box::new(request)),
            ["path"] if of_service => {
                let path = ServicePath { port: self.port, path: self.path.clone()? };
                Look::Http(HttpAt::Service(path), Box::new(request))
            }
            ["path"] => Look::Path(self.path.clone()?, Box::new(request)),
            ["tcp"] => Look::Tcp(TcpAt::Address(self.tcp.clone()?)),
            _ if of_service && set("port") => {
                Look::Tcp(TcpAt::Service(ServicePort { port: self.port }))
            }
            _ => {
                table.problem(
                    "it does not say where to look",
                    "write url = \"http://…\", path = \"/…\", tcp = \"host:port\", service and \
                     port, or a table of its kind such as redis = { … }",
                );
                return None;
            }
        };
        if let (Look::Tcp(_), Some(field)) = (&look, first) {
            table.problem(
                format!("a TCP check has no answer that `{field}` could be compared with"),
                format!("take `{field}` out, or write url or path for an HTTP check"),
            );
            return None;
        }
        Some(look)
    }
}

/// A field that names a service.
pub(super) fn service(field: &Field<'_>) -> Option<(ServiceName, Place)> {
    Some((field.parse(|text| ServiceName::new(text))?, field.place()))
}
