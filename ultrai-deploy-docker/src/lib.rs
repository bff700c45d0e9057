//! Docker Compose for ultrai-deploy, natively over the Engine API: no `docker` program is called.
//!
//! A compose file is [loaded](compose::load) and turned into a [release spec](spec()); the
//! [`Deployer`] brings the sealed release to an engine and takes it back.
//!
//! ```no_run
//! use std::{collections::BTreeMap, path::Path, sync::Arc};
//!
//! use ultrai_deploy_core::{Context, Deployer as _, file, name::*, version::Version};
//! use ultrai_deploy_docker::{self as docker, compose};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let loaded = compose::load(&compose::Options {
//!     path: "/srv/shop/compose.yaml".into(),
//!     env: BTreeMap::from([("VERSION".to_owned(), "v1.4.0".to_owned())]),
//!     ..compose::Options::default()
//! })?;
//! let spec = docker::spec(&loaded.project, Version::parse("v1.4.0")?)?;
//!
//! let target = Target::new(spec.project.clone(), EnvironmentName::new("production")?);
//! let state = file::open(Path::new("/var/lib/ultrai"), &target)?;
//! let deployer = docker::Deployer::connect(docker::Config::default(), state.releases);
//! let cx = Context::detached(target, RunId::generate());
//! deployer.preflight(&cx, &spec).await?;
//! println!("{:?}", deployer.current(&cx).await?);
//! # Ok(())
//! # }
//! ```
//!
//! # What a container's name says
//!
//! Labels cannot be changed after creation, so what a container is now stands in its name, and
//! each of these arrows is one journaled effect that may be repeated:
//!
//! ```text
//!              stage                   switch                      switch of the next run
//! (created) ──────────► web-1-new-RUN ─────────► web-1 (serves) ──────────► web-1-kept-RUN
//!                             │                    │    ▲                         │
//!                             │ rollback           │    └───── rollback ──────────┤
//!                             ▼                    ▼                              ▼ retire
//!                          (removed)           (removed)                      (removed)
//! ```
//!
//! Everything is created while the old release serves, so that what the engine refuses is known
//! before anything stops. A service that can run twice is started then, too, hidden from its
//! network's names; `switch` gives it the names, looks again and stops the old one. Any other is
//! started inside `switch`, after its old container has stopped. Kept containers are stopped, do
//! not restart by themselves, and are the very ones that a rollback starts again.
//!
//! Networks and volumes are shared by releases. A rollback removes the networks that its run has
//! made; volumes are never removed. Each bears a digest of its definition: one that exists and that a
//! release describes in another way is refused, for it could only be changed by making it anew. With
//! another name it is another one, and the services that use it are replaced.

mod adopt;
mod backend;
pub mod backup;
mod build;
pub mod checklist;
mod checks;
mod claim;
mod command;
pub mod compose;
pub mod config;
mod container;
mod current;
pub mod data;
pub mod definition;
pub mod deployer;
mod drift;
pub mod engine;
mod evidence;
mod guard;
pub mod image;
pub mod labels;
mod lines;
mod names;
mod network;
mod order;
mod plan;
mod preflight;
mod probe;
pub mod probes;
mod record;
pub mod registry;
mod snapshot;
pub mod spec;
mod support;
pub mod task;
mod volume;

pub use bollard;

pub use crate::{config::Config, deployer::Deployer, engine::Engine, probes::Probes, spec::spec};
