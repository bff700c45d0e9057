//! `[[check]]`: what is looked at after a release got the traffic.

use std::time::Duration;

use serde_json::json;
use ultrai_deploy_core::{
    Result,
    health::Timing,
    name::{SecretName, ServiceName},
    verification::{CheckSpec, When},
    version::Version,
};
use ultrai_deploy_hosted::metrics::MetricsSpec;
use ultrai_deploy_http::{
    address::{HostPort, HttpUrl, UrlPath},
    spec::{HttpAt, ProbeSpec, ServicePath, ServicePort, TcpAt, TcpSpec},
};

use super::{
    expect::{self, Request},
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
    look: Look,
}

#[derive(Clone, Debug, PartialEq)]
enum Look {
    Http(HttpAt, Box<Request>),
    /// Below the environment's `base_url`.
    Path(UrlPath, Box<Request>),
    Tcp(TcpAt),
    /// What a platform measures of the requests to a service.
    Metrics(MetricsSpec),
}

impl Check {
    /// Whether it needs the environment's `base_url`.
    pub(super) fn needs_base_url(&self) -> bool {
        matches!(self.look, Look::Path(..))
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
            Look::Tcp(_) | Look::Metrics(_) => None,
        }
        .into_iter()
        .flatten()
    }

    /// The check of a release of `version` where `base` stands in front of paths; nothing when
    /// it needs a base and there is none.
    pub(super) fn spec(
        &self,
        version: &Version,
        base: Option<&HttpUrl>,
    ) -> Result<Option<CheckSpec>> {
        let probe = match (&self.look, base) {
            (Look::Http(at, request), _) => request.probe(at.clone(), version).to_value()?,
            (Look::Path(path, request), Some(base)) => {
                request.probe(HttpAt::Url(base.below(path)), version).to_value()?
            }
            (Look::Path(..), None) => return Ok(None),
            (Look::Tcp(at), _) => ProbeSpec::Tcp(TcpSpec { at: at.clone() }).to_value()?,
            (Look::Metrics(spec), _) => json!({ "platform_metrics": spec }),
        };
        Ok(Some(CheckSpec {
            service: self.service.as_ref().map(|(name, _)| name.clone()),
            when: self.when,
            timing: self.timing.clone(),
            ..CheckSpec::new(&self.name, probe)
        }))
    }
}

/// Reads one `[[check]]`; `number` counts from 1.
pub(super) fn read(
    mut table: Table<'_>,
    number: usize,
    deadline: Option<Duration>,
) -> Option<Check> {
    let name = name(&mut table, "check", number);
    let address = Address::take(&mut table);
    let metrics = metrics::take(&mut table);
    let (request, first) = Request::read(&mut table);
    let timing = expect::timing(&mut table, deadline);
    let when = table
        .take("when")
        .and_then(|field| field.choice(&[("verify", When::Verify), ("post", When::Post)]));
    let place = table.place();
    let look = match metrics {
        Some(spec) => address.measured(&table, first).then_some(Look::Metrics(spec)),
        None => address.look(&table, request, first),
    };
    let service = address.service;
    table.finish();
    let (name, look) = (name?, look?);
    Some(Check { name, place, service, when: when.unwrap_or_default(), timing, look })
}

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
                    "write url = \"http://…\", path = \"/…\", tcp = \"host:port\", or service \
                     and port",
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
