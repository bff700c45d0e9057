//! Probes: one look each.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{net::TcpStream, time::Instant};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    secret::SecretSource,
};

use crate::{
    address::{HttpUrl, Located, locate},
    client::{Client, Request},
    expect::rounded,
    headers, seen,
    spec::{HttpAt, HttpSpec, ServicePath, TcpAt, TcpSpec},
};

/// Sends a request and compares the answer with what it must be.
///
/// No answer, an answer that breaks off, and one that differs are all [`Health::Unhealthy`]; a
/// service without an address is [`Health::Pending`].
#[derive(Debug)]
pub struct HttpProbe {
    name: String,
    spec: HttpSpec,
    client: Client,
    secrets: Option<Arc<dyn SecretSource>>,
    timeout: Duration,
}

impl HttpProbe {
    /// A probe for the check `name`; one look takes at most `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a header of the request holds a credential in the open, or a
    /// secret is needed and `secrets` is nothing.
    pub fn new(
        name: impl Into<String>,
        spec: HttpSpec,
        client: Client,
        secrets: Option<Arc<dyn SecretSource>>,
        timeout: Duration,
    ) -> Result<Self> {
        let name = name.into();
        headers::check(&name, &spec.request_headers, &spec.secret_headers, secrets.is_some())?;
        Ok(Self { name, spec, client, secrets, timeout })
    }
}

#[async_trait]
impl HealthProbe for HttpProbe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let url = match &self.spec.at {
            HttpAt::Url(url) => url.clone(),
            HttpAt::Service(ServicePath { port: None, path }) if endpoint.url.is_some() => {
                let base = endpoint.url.as_deref().unwrap_or_default();
                HttpUrl::parse(base)?.below(path)
            }
            HttpAt::Service(service) => match locate(endpoint, service.port)? {
                Located::At(address) => HttpUrl::of_address(address, &service.path)?,
                Located::Nowhere(why) => return Ok(Health::Pending { why, evidence: Vec::new() }),
            },
        };
        let (open, secret) = (&self.spec.request_headers, &self.spec.secret_headers);
        let values = headers::resolve(&self.name, open, secret, cx, self.secrets.as_deref());
        let (headers, used) = cx.bounded(values).await?;
        let redactor = seen::redactor(&used);
        let method = self.spec.method;
        let asked = format!("{method} {url}");
        let request = Request { method, url, headers, body: self.spec.body.clone() };
        let look = async { Ok(self.client.send(request, within(self.timeout)).await) };
        let answer = match cx.bounded(look).await? {
            Ok(answer) => answer,
            Err(error) if is_silence(&error) => return Ok(silent(&self.name, error.message())),
            Err(error) => return Err(error),
        };
        let evidence = vec![seen::answer(&self.name, &asked, &answer, &redactor)];
        let differences = self.spec.expect.differences(&answer);
        if differences.is_empty() {
            return Ok(Health::Healthy(evidence));
        }
        let (differences, said) = (differences.join("; "), seen::said(&answer, &redactor));
        let why = redactor.text(&format!("{asked}: {differences}{said}"));
        Ok(Health::Unhealthy { why, evidence })
    }
}

/// Opens a connection and closes it.
///
/// That something accepts connections does not mean that it works: the Engine's port proxy
/// accepts them for a container that listens on nothing.
#[derive(Debug)]
pub struct TcpProbe {
    name: String,
    spec: TcpSpec,
    timeout: Duration,
}

impl TcpProbe {
    /// A probe for the check `name`; one look takes at most `timeout`.
    pub fn new(name: impl Into<String>, spec: TcpSpec, timeout: Duration) -> Self {
        Self { name: name.into(), spec, timeout }
    }
}

#[async_trait]
impl HealthProbe for TcpProbe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let (host, port) = match &self.spec.at {
            TcpAt::Address(address) => {
                let (host, port) = address.parts();
                (host.to_owned(), port)
            }
            TcpAt::Service(service) => match locate(endpoint, service.port)? {
                Located::At(address) => (address.ip().to_string(), address.port()),
                Located::Nowhere(why) => return Ok(Health::Pending { why, evidence: Vec::new() }),
            },
        };
        let began = Instant::now();
        let limit = within(self.timeout);
        let look = async {
            Ok(tokio::time::timeout(limit, TcpStream::connect((host.as_str(), port))).await)
        };
        let failed = match cx.bounded(look).await? {
            Ok(Ok(_connection)) => {
                let text =
                    format!("connected to {host} port {port} after {:?}", rounded(began.elapsed()));
                let evidence = Evidence::new(EvidenceKind::Probe, &self.name, text);
                return Ok(Health::Healthy(vec![evidence]));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("no connection within {limit:?}"),
        };
        Ok(silent(&self.name, &format!("could not connect to {host} port {port}: {failed}")))
    }
}

pub(crate) fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

fn silent(check: &str, why: &str) -> Health {
    Health::Unhealthy {
        why: why.to_owned(),
        evidence: vec![Evidence::new(EvidenceKind::Probe, check, why)],
    }
}

/// A little less than the check's time, so that a late look ends by itself and says what it saw
/// before the engine cuts it off.
pub(crate) fn within(timeout: Duration) -> Duration {
    timeout.saturating_sub(Duration::from_millis(50)).max(timeout / 2)
}
