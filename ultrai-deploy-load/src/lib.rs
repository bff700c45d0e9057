//! Requests at a fixed rate: the performance gate of ultrai-deploy.
//!
//! [`LoadProbe`] sends requests at a fixed rate and asks limits of what came, by themselves or beside
//! the release before. [`TrafficProbe`] is the same as a rule for watching: a few requests at each
//! look, judged over a sliding window. [`K6Probe`](k6::K6Probe) runs a script with the real k6.
//! [`Probes`] makes all of them from the form in which a release stores its checks.
//!
//! ```text
//! schedule ──due──► queue ──slot──► connection ──end──► tally ──► limits ──► judgement
//!    fixed times      waits count     one request          counts and     certain failure
//!                                     at a time            latencies      stops the load
//! ```
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
//! use ultrai_deploy_load::Probes;
//! use ultrai_deploy_testkit::server::{Answer, Server};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let server = Server::start(|_| Answer::json(200, r#"{"models":[]}"#)).await?;
//! let load = json!({"load": {
//!     "url": server.url("/"), "path": "/api/models",
//!     "rate": 300, "warm_up": "0s", "duration": "200ms",
//!     "require": ["error_rate < 5%", "p95_latency < 3s"],
//! }});
//!
//! let probe = Probes::new(Arc::new(NoProbes)).probe(&CheckSpec::new("models", load))?;
//! let target = Target::new(ProjectName::new("ultrai")?, EnvironmentName::new("staging")?);
//! let cx = Context::detached(target, RunId::generate());
//! let health = probe.check(&cx, &Endpoint::none(Role::Live)).await?;
//! assert!(matches!(health, Health::Healthy(_)), "{health:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connection;
mod dialer;
mod failure;
mod generator;
mod judge;
pub mod k6;
mod limit;
mod measured;
mod metric;
mod place;
mod probe;
mod queue;
pub mod request;
mod schedule;
mod sending;
mod source;
pub mod spec;
mod tally;
mod tls;
mod traffic;

pub use crate::{limit::Share, probe::LoadProbe, source::Probes, traffic::TrafficProbe};
