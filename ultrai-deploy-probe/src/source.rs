//! Makes probes from their stored form.

use std::sync::Arc;

use serde::Deserialize;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    clock::{Clock, SystemClock},
    health::HealthProbe,
    name::SecretName,
    secret::SecretSource,
    verification::{CheckSpec, ProbeSource},
};
use ultrai_deploy_http::Client;

#[cfg(feature = "postgres")]
use crate::postgres::{Postgres, PostgresSpec};
use crate::{
    combined::{Combined, CombinedSpec, Nesting},
    dns::{Dns, DnsSpec},
    llm::{Llm, LlmSpec},
    look::{Look, Probe},
    mongodb::{Mongodb, MongodbSpec},
    pinecone::{Pinecone, PineconeSpec},
    redis::{Redis, RedisSpec},
    tls::{Tls, TlsSpec},
    trust::Trust,
};

/// The kinds that are made here.
const KINDS: [&str; 8] =
    ["combined", "dns", "llm", "mongodb", "pinecone", "postgres", "redis", "tls"];

/// Makes probes of databases, names, certificates and providers, and combined ones, and has all
/// others made by another source.
///
/// The parts of a combined probe are made by this source, too: those that it does not know go to the
/// other one. So this one should be the outermost of a chain.
#[derive(Clone, Debug)]
pub struct Probes {
    resources: Resources,
    secrets: Option<Arc<dyn SecretSource>>,
    others: Arc<dyn ProbeSource>,
}

/// What all probes look with.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    pub(crate) client: Client,
    pub(crate) trust: Trust,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Probes {
    /// Probes that send requests with `client`, trust the machine's certificates and have no secrets
    /// but those of the context of a look; and those of `others`.
    pub fn new(client: Client, others: Arc<dyn ProbeSource>) -> Self {
        let resources =
            Resources { client, trust: Trust::of_system(), clock: Arc::new(SystemClock) };
        Self { resources, secrets: None, others }
    }

    /// Sets where the values of secrets come from that the context of a look does not have; asked
    /// anew at each look.
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Trusts the authorities with these certificates, in DER, in place of the machine's. What is sent
    /// with the client is not affected.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when one is no certificate.
    pub fn with_trusted(mut self, certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self> {
        self.resources.trust = Trust::only(certificates)?;
        Ok(self)
    }

    /// Sets by which clock certificates are valid; the system's by default.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.resources.clock = clock;
        self
    }

    /// The probe of a check that may be a part of others.
    pub(crate) fn nested(
        &self,
        check: &CheckSpec,
        nesting: &mut Nesting,
    ) -> Result<Arc<dyn HealthProbe>> {
        Ok(match self.kind(check)? {
            Kind::Look(look) => Arc::new(Probe::new(check, look, self.secrets.clone())),
            Kind::Combined(spec) => Arc::new(Combined::new(check, spec, self, nesting)?),
            Kind::Other => self.others.probe(check)?,
        })
    }

    /// The secrets of a check that may be a part of others.
    pub(crate) fn nested_secrets(
        &self,
        check: &CheckSpec,
        nesting: &mut Nesting,
    ) -> Result<Vec<SecretName>> {
        match self.kind(check)? {
            Kind::Look(look) => Ok(look.secrets()),
            Kind::Combined(spec) => spec.secrets(check, self, nesting),
            Kind::Other => self.others.secrets(check),
        }
    }

    fn kind(&self, check: &CheckSpec) -> Result<Kind> {
        let known = |kind: &&&str| check.probe.get(**kind).is_some();
        let Some(kind) = KINDS.iter().find(known) else { return Ok(Kind::Other) };
        if check.probe.as_object().is_some_and(|probe| probe.len() > 1) {
            return Err(wrong(check, "is of two kinds at once")
                .with_advice("make two checks of it, or parts of a combined one"));
        }
        if !cfg!(feature = "postgres") && *kind == "postgres" {
            let message = format!("`{}` looks at PostgreSQL", check.name);
            return Err(Error::new(ErrorKind::Unsupported, "read a check", message)
                .with_advice("build ultrai-deploy-probe with its feature `postgres`")
                .without_effect());
        }
        let spec: Spec = serde_path_to_error::deserialize(&check.probe)
            .map_err(|source| wrong(check, &format!("is no {kind} probe")).with_source(source))?;
        let resources = self.resources.clone();
        Ok(Kind::Look(match spec {
            Spec::Combined(spec) => return Ok(Kind::Combined(spec)),
            Spec::Dns(spec) => Box::new(Dns::new(check, spec)?),
            Spec::Llm(spec) => Box::new(Llm::new(check, spec, resources)?),
            Spec::Mongodb(spec) => Box::new(Mongodb::new(check, spec)?),
            Spec::Pinecone(spec) => Box::new(Pinecone::new(check, spec, resources)?),
            #[cfg(feature = "postgres")]
            Spec::Postgres(spec) => Box::new(Postgres::new(check, *spec, resources)?),
            Spec::Redis(spec) => Box::new(Redis::new(check, spec, resources)?),
            Spec::Tls(spec) => Box::new(Tls::new(check, spec, resources)?),
        }))
    }
}

impl ProbeSource for Probes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        self.nested(check, &mut Nesting::default())
    }

    fn secrets(&self, check: &CheckSpec) -> Result<Vec<SecretName>> {
        self.nested_secrets(check, &mut Nesting::default())
    }
}

enum Kind {
    Look(Box<dyn Look>),
    Combined(CombinedSpec),
    Other,
}

/// A probe as it is stored.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Spec {
    Combined(CombinedSpec),
    Dns(DnsSpec),
    Llm(LlmSpec),
    Mongodb(MongodbSpec),
    Pinecone(PineconeSpec),
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresSpec>),
    Redis(RedisSpec),
    Tls(TlsSpec),
}

/// The error of a probe that is not understood: `what` goes on after "the probe of `name`".
pub(crate) fn wrong(check: &CheckSpec, what: &str) -> Error {
    let message = format!("the probe of `{}` {what}", check.name);
    Error::new(ErrorKind::Invalid, "read a check", message).without_effect()
}
