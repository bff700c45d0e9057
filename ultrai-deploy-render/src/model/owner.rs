//! Workspaces.

use serde::Deserialize;

use super::{OwnerId, absent, word::words};

words! {
    /// Whose a workspace is.
    OwnerKind {
        /// One person's.
        User = "user",
        /// A team's.
        Team = "team",
    }
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Owner {
    /// Its id.
    pub id: OwnerId,
    /// Its name.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub name: String,
    /// The address of whom it belongs to.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub email: String,
    /// Whose it is.
    #[serde(rename = "type", default, deserialize_with = "absent::or_default")]
    pub kind: OwnerKind,
}
