//! Those who watch a run.

use std::fmt;

use crate::{journal::Record, name::RunId};

/// Sees every record after it is durable: progress, metrics, logs. One that panics changes no
/// outcome; it is told of the next record all the same.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// One record. Must not block.
    fn on_record(&self, run: &RunId, record: &Record);

    /// One line of output of a running task or build. Not journaled, must not block.
    fn on_output(&self, run: &RunId, subject: &str, line: &str);
}
