//! The vocabulary, the seams and the pipeline of ultrai-deploy.
pub mod backup;
pub mod clock;
pub mod context;
pub mod current;
pub mod deployer;
pub mod digest;
pub mod ending;
pub mod error;
pub mod evidence;
pub mod file;
pub mod health;
pub mod history;
pub mod image;
pub mod journal;
pub mod lease;
pub mod memory;
pub mod name;
pub mod observer;
pub mod pipeline;
pub mod plan;
pub mod redact;
pub mod release;
pub mod release_backup;
pub mod release_store;
pub mod report;
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
