//! Where a run can be, and what can be next.

use super::Stage;
use crate::{deployer::Step, ending::Ending, error::Failure, journal::Event, name::ReleaseId};

/// Where a run is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Phase {
    /// Before its first record.
    New,
    /// A stage is next.
    Ready(Stage),
    /// A stage has begun.
    Running(Stage),
    /// A stage has failed and nothing is decided yet.
    Failed {
        /// Which.
        stage: Stage,
        /// Why.
        cause: Failure,
    },
    /// Waiting for a person or a newer deploy.
    Held {
        /// The stage that failed.
        stage: Stage,
        /// Why.
        cause: Failure,
        /// When the wait is over.
        until: jiff::Timestamp,
    },
    /// Going back.
    Undoing {
        /// Why.
        cause: Failure,
        /// To which release.
        to: Option<ReleaseId>,
    },
    /// Gone back, and putting the data back, too.
    Restoring {
        /// Why it went back.
        cause: Failure,
        /// To which release.
        to: Option<ReleaseId>,
    },
    /// Gone back, and proving that what came back is well.
    Proving {
        /// Why it went back.
        cause: Failure,
        /// To which release.
        to: Option<ReleaseId>,
    },
    /// Over.
    Ended(Ending),
}

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Write the first record.
    Create,
    /// Run a stage, from its beginning or again.
    Run(Stage),
    /// Find out what became of a step.
    Reconcile(Step),
    /// End without having touched anything.
    Refuse,
    /// Decide to go back.
    GoBack,
    /// Go back, or try again to.
    Undo,
    /// Put the data back, or try again to.
    RestoreData,
    /// Prove what came back.
    Prove,
    /// Wait for a person or the deadline.
    Wait,
    /// End well.
    Conclude,
    /// Nothing: it is over.
    Nothing,
}

/// An event that cannot follow what happened before: the journal is damaged, or from other code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen while the run is {phase}")]
pub struct IllegalTransition {
    event: String,
    phase: String,
}

impl IllegalTransition {
    /// Names the event by its tag, as the journal writes it.
    pub(super) fn new(event: &Event, phase: &Phase) -> Self {
        let value = crate::digest::json(event);
        let tag = value.get("type").and_then(|tag| tag.as_str()).unwrap_or("an event");
        Self { event: tag.to_owned(), phase: phase.describe() }
    }
}
