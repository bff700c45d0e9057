//! The embedded default of ultrai-deploy: releases as processes of this machine, without Docker.
//!
//! A release is a set of commands with environment, port and health check ([`Service`]). Each
//! runs as a process that outlives the program that started it; it is found again by its pid,
//! start time and boot, or by a mark in its environment.
//!
//! | port of a service | a new process | the old one |
//! |---|---|---|
//! | fixed, or none | starts when the old one has stopped | is kept stopped; a rollback starts it again |
//! | `"auto"` | starts first, on a free port | goes on running until the deploy is final; a rollback only publishes its port again |
//!
//! ```
//! use std::sync::Arc;
//! use serde_json::json;
//! use ultrai_deploy_core::{
//!     Context, Deployer,
//!     file, health::Timing,
//!     name::{EnvironmentName, ProjectName, RunId, ServiceName, Target},
//!     spec::ReleaseSpec,
//!     version::Version,
//! };
//! use ultrai_deploy_local as local;
//! # use ultrai_deploy_core::{Result, verification::NoProbes as Probes};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! let target = Target::new(ProjectName::new("shop")?, EnvironmentName::new("test")?);
//! let state = file::open(directory.path(), &target)?;
//! let deployer = local::Deployer::new(state.releases, Arc::new(Probes))?;
//!
//! let web = ServiceName::new("web")?;
//! let service = local::Service::new(["sh", "-c", "exec my-server --port $PORT"])
//!     .with_port(local::Port::Auto)
//!     .with_health(json!({"tcp": {"service": {}}}), Timing::default());
//! let spec = ReleaseSpec::new(target.project.clone(), Version::parse("1.0.0")?)
//!     .with_service(web.clone(), service.to_spec(&web)?);
//! deployer.preflight(&Context::detached(target, RunId::generate()), &spec).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//! Nothing restarts a process that crashed, or after the machine started anew: there is no
//! supervisor. `current` then shows the service as down, and a deploy of the same release starts
//! it again.
//!
//! # The state directory
//! Beside what the file backends of the core keep there:
//! ```text
//! instances/<instance>.json     what is known of a process; written before it is started
//! instances/<instance>/         where it runs: links to its files, and output.log
//! releases/<id>/run/<service>   leads to the instance of a release
//! start.lock                    held while a process is being started
//! current-ports.json            which instance serves each service, and on which port
//! tasks/<run>/                  where tasks run
//! ```
//! So `current/run/web/output.log` is always the log of the `web` that serves. An instance that a
//! newer release keeps as it is outlives the release that it was started for, so it has a
//! directory of its own. A process is stopped with all that it started: SIGTERM, and SIGKILL
//! after the service's grace period. Linux only: it reads `/proc`.

pub mod checklist;
mod config;
pub mod data;
mod deployer;
mod disk;
mod host;
mod instance;
mod placeholder;
mod plan;
mod ports;
mod preflight;
mod probe;
mod process;
mod snapshot;
mod task;
mod teardown;
mod traffic;

pub use crate::{
    config::{Health, Port, STOP_GRACE, Service},
    deployer::Deployer,
    task::Tasks,
    traffic::{CurrentPorts, Published},
};
