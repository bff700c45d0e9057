//! Which record may follow: the one rule of all journals.

use super::Record;
use crate::{
    error::{Error, ErrorKind, Result},
    lease::Fence,
    name::RunId,
};

/// Where a run's journal ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// The number of the last record; 0 when there is none.
    pub seq: u64,
    /// The highest fence of all records.
    pub fence: Fence,
}

impl End {
    /// The end of these records.
    pub fn of(records: &[Record]) -> Self {
        Self {
            seq: records.last().map_or(0, |record| record.seq),
            fence: records.iter().map(|record| record.fence).max().unwrap_or_default(),
        }
    }

    /// Fails when `record` may not follow.
    ///
    /// # Errors
    /// Those that [`Journal::append`](super::Journal::append) promises.
    pub fn check(&self, run: &RunId, record: &Record) -> Result<()> {
        let (kind, message) = if record.seq <= self.seq {
            (ErrorKind::Conflict, format!("run {run} has record {} already", record.seq))
        } else if record.fence < self.fence {
            let message =
                format!("run {run} was taken over: fence {} after {}", record.fence, self.fence);
            (ErrorKind::Conflict, message)
        } else if record.seq > self.seq + 1 {
            let message = format!("record {} of run {run} after {}", record.seq, self.seq);
            (ErrorKind::Invalid, message)
        } else {
            return Ok(());
        };
        Err(Error::new(kind, "append to the journal", message).without_effect())
    }
}

/// There is no journal of this run.
pub fn unknown(run: &RunId, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no run {run}"))
        .with_advice("look at the history for the runs that there are")
        .without_effect()
}
