//! Wall time, which goes into records and nowhere else.

use std::fmt;

use jiff::Timestamp;

/// Gives the wall time for records. Waiting never looks at it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
