//! Takes a release of an application to an environment, proves it there, and takes it back when
//! it is not well: a library for programs that deploy, the same on every platform.
//!
//! A run can be killed at any instant. Every change of the platform lies between two durable
//! records of its journal, an intent and a result, so the next process knows what may have
//! happened, asks the platform, and finishes or undoes it.
//!
//! This crate is the vocabulary, the seams and the engine. It talks to no network and no platform;
//! backends do, by implementing the traits. [`memory`] has reference backends of all of them,
//! [`mod@file`] keeps the state of a real environment on disk.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ultrai_deploy_core::{
//!     Result,
//!     memory::{self, World},
//!     name::{EnvironmentName, ProjectName, ServiceName, Target},
//!     pipeline::{DeployRequest, Pipeline},
//!     spec::{ReleaseSpec, ServiceSpec},
//!     verification::NoProbes,
//!     version::Version,
//! };
//!
//! # fn main() -> Result<()> {
//! #     tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run())
//! # }
//! # async fn run() -> Result<()> {
//! let project = ProjectName::new("shop")?;
//! let target = Target::new(project.clone(), EnvironmentName::new("staging")?);
//! let releases = Arc::new(memory::ReleaseStore::default());
//! let pipeline = Pipeline::builder(
//!     target,
//!     Arc::new(memory::Deployer::new(World::new(), releases.clone())),
//!     Arc::new(memory::Journal::default()),
//!     Arc::new(memory::Lease::default()),
//!     releases,
//!     Arc::new(NoProbes),
//! )
//! .backups(Arc::new(memory::BackupStore::default()))
//! .build()?;
//!
//! let spec = ReleaseSpec::new(project, Version::parse("1.0.0")?)
//!     .with_service(ServiceName::new("web")?, ServiceSpec::default());
//! let report = pipeline.deploy(DeployRequest::new(spec)).join().await?;
//! println!("{report}");
//! # assert_eq!(report.ending, Some(ultrai_deploy_core::Ending::Succeeded { changed: true }));
//! # Ok(())
//! # }
//! ```
//!
//! # A run
//!
//! Its stages come in a fixed order ([`stage::Stage`]); where it is, is a [`state::State`] made of
//! its records alone, by the same code in a live run and after a crash.
//!
//! ```text
//! preflight ─ lock ─ backup ─ configure ─ build ─ push ─ tests ─ deploy ─ verify ─ tests ─ watch ─ finalise
//!     │                                                    │        │                          │       │
//!     └───────────── failed: nothing was touched ──────────┘        └── failed: go back ───────┘  no way back
//!                              ▼                                              ▼                        ▼
//!                           Refused                               undo ─ prove what came back      Succeeded
//!                                                                   │              │
//!                                                                   ▼              ▼
//!                                                                 Stuck       RolledBack
//! ```
//!
//! [`Ending`] says what each one promises. A run that is stuck refuses new ones until a person
//! calls [`Pipeline::resume`](pipeline::Pipeline::resume) with `retry` or
//! [`Pipeline::abandon`](pipeline::Pipeline::abandon).
//!
//! # Where to look
//!
//! - to deploy: [`pipeline`], [`spec`], [`preview`], [`report`], [`history`];
//! - to write a backend: [`Deployer`] and [`Context::effect`], then [`health`], [`task`],
//!   [`image`], [`backup`];
//! - to keep state elsewhere: [`journal`], [`lease`], [`release_store`];
//! - to watch a run: [`observer`], with the [`journal::Event`]s that are also the report.
#![deny(missing_docs)]

pub mod backup;
pub mod clock;
pub mod consequence;
pub mod context;
pub mod current;
pub mod deployer;
pub mod digest;
pub mod ending;
pub mod error;
pub mod evidence;
pub mod file;
pub mod flag;
pub mod health;
pub mod history;
pub mod image;
pub mod journal;
pub mod lease;
pub mod memory;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod migration;
pub mod name;
pub mod observer;
pub mod pipeline;
pub mod plan;
pub mod preflight;
pub mod preview;
pub mod promotion;
pub mod readiness;
pub mod redact;
pub mod release;
pub mod release_backup;
pub mod release_store;
pub mod report;
pub mod retention;
pub mod secret;
pub mod spec;
pub mod stage;
pub mod state;
pub mod task;
pub mod verification;
pub mod version;
pub mod waiting;

pub use crate::{
    context::{Cancel, Context},
    deployer::Deployer,
    ending::Ending,
    error::{Chain, Effect, Error, ErrorKind, Result},
};
