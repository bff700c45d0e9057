//! The migrations that a run has begun, and what is known of each.

use super::{Phase, State};
use crate::{error::Failure, migration::Status, name::ReleaseId};

/// All of them, in their order. Only the last one can be open.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Migrations(Vec<(String, Option<Status>)>);

impl Migrations {
    /// The one without a result, if any.
    pub(super) fn open(&self) -> Option<&str> {
        self.0.last().filter(|(_, status)| status.is_none()).map(|(name, _)| name.as_str())
    }

    /// One that ended with an error.
    pub(super) fn failed(&self) -> Option<&str> {
        let mut failed = self.0.iter().filter(|(_, status)| *status == Some(Status::Failed));
        failed.next().map(|(name, _)| name.as_str())
    }

    /// Whether one was begun that may have done anything.
    pub(super) fn have_effects(&self) -> bool {
        self.0.iter().any(|(_, status)| *status != Some(Status::Pending))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens one; false while another is open.
    pub(super) fn begin(&mut self, name: &str) -> bool {
        let legal = self.open().is_none();
        self.0.push((name.to_owned(), None));
        legal
    }

    /// Closes the open one; false when it is not `name`.
    pub(super) fn close(&mut self, name: &str, found: Status) -> bool {
        match self.0.last_mut() {
            Some((open, status @ None)) if open == name => {
                *status = Some(found);
                true
            }
            _ => false,
        }
    }
}

impl State {
    /// What only migrations were run of, or only data put into, left the platform as it was: there is
    /// nothing of it to undo, and it has to be proven all the same.
    pub(super) fn turn_back(&mut self, cause: Failure, to: Option<ReleaseId>) {
        if self.steps.is_empty() && self.inherited.is_none() {
            self.go_on_back(cause, to);
        } else {
            self.phase = Phase::Undoing { cause, to };
        }
    }
}
