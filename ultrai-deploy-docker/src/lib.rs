//! Docker Compose for ultrai-deploy, natively over the Engine API.

mod adopt;
mod backend;
pub mod backup;
mod build;
mod checks;
mod claim;
pub mod compose;
pub mod config;
mod container;
mod current;
pub mod definition;
pub mod deployer;
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
mod record;
mod snapshot;
pub mod spec;
mod support;
pub mod task;
mod volume;

pub use bollard;

pub use crate::{config::Config, deployer::Deployer, engine::Engine, spec::spec};
