//! What the hosted platforms of ultrai-deploy have in common.
//!
//! A hosted platform builds, runs and routes services itself. It has a fixed place for each service,
//! a [`Slot`](platform::Slot), and all it takes is to be told what to run there. What differs from
//! platform to platform are the calls: they are behind [`Platform`]. What has to be right on every
//! one of them, whatever instant a process dies at, is in [`Deployer`], once:
//!
//! ```text
//!             change variables ──► deploy ──► follow until it serves      for each service that changes
//! before ◄─── restore variables ◄── roll back, follow                     and back
//! ```
//!
//! A deploy of our own is known by what came after the newest one that a step's record names, and
//! by what it brings: no id has to survive a crash.
//!
//! What a platform keeps backups of itself, volumes and databases, is in [`backups`].

pub mod backups;
mod definition;
mod deployer;
mod images;
mod kept;
pub mod metrics;
mod note;
mod plan;
pub mod platform;
mod probe;
pub mod promotion;
mod reference;
mod snapshot;

pub use crate::{
    definition::{Definition, Registry, SOURCE},
    deployer::Deployer,
    images::Images,
    platform::Platform,
};
