//! Probes in the form in which a release stores them, which is also how people write them.
//!
//! A probe is an object with one key, its kind: `{"redis": {"port": 6379}}`. Secrets are named, never
//! held. Where it looks is `address`, as `host:port`, or a port of the check's service: `port`, which
//! may be left out where the service has only one.

pub use crate::{
    combined::{CombinedSpec, Need, Part},
    dns::DnsSpec,
    llm::{LlmSpec, Provider, ProviderSpec},
    mongodb::MongodbSpec,
    pinecone::PineconeSpec,
    redis::RedisSpec,
    tls::TlsSpec,
};

#[cfg(feature = "postgres")]
pub use crate::postgres::PostgresSpec;

#[cfg(test)]
mod tests;
