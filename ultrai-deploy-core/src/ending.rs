//! How a run ends. Every run ends in one of these.

use serde::{Deserialize, Serialize};

use crate::{
    error::Failure,
    name::{ReleaseId, RunId},
};

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// The intended release serves and all its checks passed after the switch.
    Succeeded {
        /// Whether anything had to change.
        changed: bool,
    },
    /// The environment was not touched.
    Refused {
        /// Why.
        cause: Failure,
    },
    /// The release before serves again and its checks passed after the switch back.
    RolledBack {
        /// Which; nothing after a failed first deploy.
        to: Option<ReleaseId>,
        /// Why.
        cause: Failure,
    },
    /// A person has to look: going back failed, or what came back is not well.
    Stuck {
        /// What went wrong first.
        cause: Failure,
        /// What went wrong on the way back.
        undo: Failure,
    },
    /// A person closed a stuck or unfinished run.
    Abandoned {
        /// Why.
        reason: String,
    },
    /// A newer run took the place of one that was held.
    Superseded {
        /// Which.
        by: RunId,
    },
}

impl Ending {
    /// Whether the environment is in the hands of nobody: new runs are refused until a person
    /// acts.
    pub fn is_stuck(&self) -> bool {
        matches!(self, Self::Stuck { .. })
    }

    /// Its name in reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded { changed: true } => "succeeded",
            Self::Succeeded { changed: false } => "succeeded, nothing changed",
            Self::Refused { .. } => "refused",
            Self::RolledBack { .. } => "rolled back",
            Self::Stuck { .. } => "stuck",
            Self::Abandoned { .. } => "abandoned",
            Self::Superseded { .. } => "superseded",
        }
    }
}
