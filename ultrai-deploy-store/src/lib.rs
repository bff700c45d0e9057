//! What an environment keeps, in an object store: local disk, S3 and what speaks its protocol, Google
//! Cloud Storage, Azure Blob Storage, or memory.
#![deny(missing_docs)]

pub mod backup;
mod chunk;
#[cfg(feature = "age")]
pub mod crypt;
#[cfg(not(feature = "age"))]
#[path = "locked.rs"]
pub mod crypt;
mod cut;
mod index;
mod manifest;
mod pack;
mod place;
mod recipe;

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
