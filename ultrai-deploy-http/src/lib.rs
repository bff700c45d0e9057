//! HTTP client policy and probes of ultrai-deploy.
//!
//! [`Api`](api::Api) calls a platform: repeated only where that is safe, at the pace that the platform
//! allows, with a token that is shown nowhere.
//! [`Client`] sends what probes ask: every request is bounded in time and size.
//! [`HttpProbe`](probe::HttpProbe) and [`TcpProbe`](probe::TcpProbe) look once at something that
//! runs; the engine owns the waiting. A [`suite`] sends several requests, of which some use what others
//! were answered, and [`prometheus`] asks for measured values. [`Probes`] makes them from the form in which a release
//! stores its checks ([`spec`]).
//!
//! ```
//! use std::time::Duration;
//!
//! use serde_json::json;
//! use ultrai_deploy_core::{
//!     Context,
//!     health::{Endpoint, Health, Role, Timing},
//!     name::{EnvironmentName, ProjectName, RunId, Target},
//!     verification::{CheckSpec, ProbeSource},
//! };
//! use ultrai_deploy_http::{Client, Config, Probes};
//! use ultrai_deploy_testkit::server::{Answer, Server};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let server = Server::start(|_| Answer::json(200, r#"{"status":"healthy"}"#)).await?;
//! let probe = json!({"http": {
//!     "at": {"url": server.url("/health")},
//!     "expect": {"json": {"/status": "healthy"}},
//! }});
//! let timing = Timing { timeout: Duration::from_secs(5), ..Timing::default() };
//! let check = CheckSpec::new("backend health", probe).with_timing(timing);
//!
//! let probe = Probes::new(Client::new(Config::default())?).probe(&check)?;
//! let target = Target::new(ProjectName::new("ultrai")?, EnvironmentName::new("staging")?);
//! let cx = Context::detached(target, RunId::generate());
//! let health = probe.check(&cx, &Endpoint::none(Role::Live)).await?;
//! assert!(matches!(health, Health::Healthy(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod address;
pub mod api;
pub mod body;
pub mod checklist;
pub mod client;
pub mod condition;
mod config;
pub mod delivery;
#[cfg(feature = "endpoints")]
pub mod endpoints;
mod expect;
pub mod header;
mod headers;
pub mod json_path;
pub mod method;
pub mod pattern;
pub mod pointer;
pub mod probe;
pub mod prometheus;
mod seen;
mod source;
pub mod spec;
pub mod status;
pub mod suite;

pub use crate::{client::Client, config::Config, source::Probes};
