//! What an environment keeps, in an object store: local disk, S3 and what speaks its protocol, Google
//! Cloud Storage, Azure Blob Storage, or memory.

mod envelope;
pub mod journal;
mod keys;
pub mod lease;
pub mod location;
mod register;
pub mod releases;
mod sealing;
pub mod shared;

pub use crate::{
    journal::Journal, lease::Lease, location::Location, releases::ReleaseStore, sealing::Sealing,
};
