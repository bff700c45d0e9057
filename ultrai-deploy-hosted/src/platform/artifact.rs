//! What runs in a slot.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reference;

/// The shortest form in which git shows a commit.
const SHORT_COMMIT: usize = 7;

/// What a slot shall run, or runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Artifact {
    /// An image.
    Image {
        /// Its reference, as the platform is asked for it.
        reference: String,
        /// Its digest, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// A commit of the repository that the slot is connected to.
    Commit(String),
    /// A source archive, by the digest under which the release store keeps it.
    Source(String),
}

impl Artifact {
    /// An image by its reference; one with a digest names exactly that image.
    pub fn image(reference: impl Into<String>) -> Self {
        let reference = reference.into();
        let digest = reference::digest(&reference).map(str::to_owned);
        Self::Image { reference, digest }
    }

    /// What names an image exactly, wherever its tag moves: the reference with the digest, where
    /// that is known. Nothing for what is built from a source.
    pub fn pinned(&self) -> Option<String> {
        match self {
            Self::Image { reference, digest: Some(digest) } => {
                Some(reference::pinned(reference, digest))
            }
            Self::Image { reference, digest: None } => Some(reference.clone()),
            Self::Commit(_) | Self::Source(_) => None,
        }
    }

    pub(super) fn has_digest_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image { digest: Some(one), .. }, Self::Image { digest: Some(other), .. }) => {
                one == other
            }
            _ => false,
        }
    }

    /// Whether both are the same thing. Digests decide where both are known: a tag may move. Without
    /// them references are compared in their long form. A commit may be written short, as git shows
    /// it.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Image { reference: one, digest: first },
                Self::Image { reference: other, digest: second },
            ) => match (first, second) {
                (Some(first), Some(second)) => first == second,
                _ => reference::canonical(one) == reference::canonical(other),
            },
            (Self::Commit(one), Self::Commit(other)) => is_same_commit(one, other),
            (one, other) => one == other,
        }
    }
}

fn is_same_commit(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let start = long.get(..short.len());
    let is_short_enough = short.len() == long.len() || short.len() >= SHORT_COMMIT;
    is_short_enough && start.is_some_and(|start| start.eq_ignore_ascii_case(short))
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { reference, .. } => write!(f, "image {reference}"),
            Self::Commit(commit) => write!(f, "commit {commit}"),
            Self::Source(digest) => write!(f, "source {}", digest.get(..12).unwrap_or(digest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Artifact;

    #[test]
    fn a_short_commit_is_the_long_one() {
        let long = "c0ffee1c0ffee2c0ffee3c0ffee4c0ffee5c0ffe";
        for (one, other, is_same) in [
            (long, long, true),
            ("c0ffee1", long, true),
            ("C0FFEE1C", long, true),
            (long, "c0ffee1c0ffee2", true),
            ("c0ffee", long, false),
            ("", long, false),
            ("decaf01", long, false),
            ("decaf", "decaf", true),
        ] {
            let (first, second) = (Artifact::Commit(one.into()), Artifact::Commit(other.into()));
            assert_eq!(first.is(&second), is_same, "{one} {other}");
            assert_eq!(second.is(&first), is_same, "{other} {one}");
        }
    }
}
