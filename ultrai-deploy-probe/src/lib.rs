//! Looks straight at what a release depends on: PostgreSQL, Redis, MongoDB, names, certificates, the
//! providers of language models, Pinecone; and combines looks to one.
//!
//! [`Probes`] makes them from the form in which a release stores its checks ([`spec`]), and has all
//! others made by another source. Each look opens a connection of its own, asks what a client of
//! that server would ask first, and ends within the time of its check, whatever the other side
//! sends: everything that is read is bounded, and the silence of a server is an answer, too.
//!
//! ```
//! use std::sync::Arc;
//!
//! use serde_json::json;
//! use ultrai_deploy_core::{
//!     Context,
//!     health::{Endpoint, Health, Role},
//!     name::{EnvironmentName, ProjectName, RunId, Target},
//!     verification::{CheckSpec, NoProbes, ProbeSource},
//! };
//! use ultrai_deploy_http::{Client, Config};
//! use ultrai_deploy_probe::Probes;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let probes = Probes::new(Client::new(Config::default())?, Arc::new(NoProbes));
//! let check = CheckSpec::new("our name", json!({"dns": {"name": "localhost"}}));
//!
//! let target = Target::new(ProjectName::new("ultrai")?, EnvironmentName::new("staging")?);
//! let cx = Context::detached(target, RunId::generate());
//! let health = probes.probe(&check)?.check(&cx, &Endpoint::none(Role::Live)).await?;
//! assert!(matches!(health, Health::Healthy(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod asking;
mod combined;
mod connection;
mod dns;
mod finding;
mod llm;
mod look;
mod mongodb;
mod pinecone;
mod place;
#[cfg(feature = "postgres")]
mod postgres;
mod redis;
mod source;
pub mod spec;
mod tls;
mod trust;

pub use crate::source::Probes;
