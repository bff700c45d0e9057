//! Compose files: read, interpolated, checked, typed.
//!
//! Pure but for reading the files that are named. Every key is read, refused by name, or an
//! error: nothing is ignored silently. Errors have file, line, column and what to write instead.

mod attach;
mod build;
mod command;
mod depends;
mod documents;
mod environment;
mod field;
mod fill;
mod find;
mod hash;
mod health;
mod limits;
mod link;
mod load;
pub mod model;
mod mounts;
mod name;
mod objects;
mod ports;
mod problem;
mod references;
mod scalar;
mod service;
mod shellwords;
mod timestamp;
mod unhashed;
pub(crate) mod units;
mod variables;

pub use self::{
    hash::{config_hash, network_hash, volume_hash},
    load::{Loaded, Options, load, project_name},
    model::Project,
    problem::{LoadError, Problem},
};
pub use ultrai_deploy_config::{dotenv, interpolate, placeholder as secret};
use ultrai_deploy_yaml as yaml;
pub use ultrai_deploy_yaml::Position;
