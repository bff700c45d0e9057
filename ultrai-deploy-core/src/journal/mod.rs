//! The journal: every run's intents and results, durable in order.

mod event;
mod order;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use event::{Event, Initiator, Kind, Skip};
pub use order::{End, unknown};

use crate::{error::Result, lease::Fence, name::RunId};

/// Version of the records' form. Journals of released versions stay readable.
pub const FORMAT: u16 = 1;

/// One record of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number in the run, from 1 without gaps.
    pub seq: u64,
    /// When, by the wall clock of the driver. Nothing is decided on it.
    pub at: Timestamp,
    /// The fence of the driver that wrote it; 0 before the lease is taken.
    pub fence: Fence,
    /// What happened.
    pub event: Event,
}

/// Keeps the records of the runs of one environment.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync + 'static {
    /// Appends a record; durable on return.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the run has a record with this
    /// `seq` or a higher one, or one with a higher fence: this driver must stop.
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when it is not durable; the run must not go on.
    async fn append(&self, run: &RunId, record: &Record) -> Result<()>;

    /// The records of a run up to the last good one; a torn tail is left out.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an unknown run,
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for damage before the tail,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a newer format.
    async fn load(&self, run: &RunId) -> Result<Vec<Record>>;

    /// Cuts off a torn tail. Only the holder of the lease may call it.
    async fn repair(&self, run: &RunId) -> Result<()>;

    /// Removes a run with all its records; durable on return. Removing what is not there is fine.
    /// Only the holder of the lease may call it, and only for a run that is over and that no
    /// rollback needs.
    async fn remove(&self, run: &RunId) -> Result<()>;

    /// All runs, oldest first.
    async fn runs(&self) -> Result<Vec<RunId>>;
}
