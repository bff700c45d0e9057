//! Versions: semantic, with the text kept as it was given.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A semantic version; a leading `v` is allowed and kept in the text.
///
/// Comparison is by the parsed version: `v1.2.0` equals `1.2.0`. Build metadata takes part as the
/// `semver` crate orders it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    parsed: semver::Version,
}

impl Version {
    /// Parses `1.2.3` or `v1.2.3`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is no semantic version.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed =
            semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).map_err(|source| {
                Error::new(
                    ErrorKind::Invalid,
                    "read a version",
                    format!("`{}` is not a semantic version", text.escape_default()),
                )
                .with_advice("write three numbers, for example 1.4.0 or v1.4.0-rc.1")
                .without_effect()
                .with_source(source)
            })?;
        Ok(Self { text: text.to_owned(), parsed })
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it compares by the precedence of semantic versioning, for which build metadata does not
    /// count: `1.2.0+1` and `1.2.0+2` are equal.
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.parsed.cmp_precedence(&other.parsed)
    }

    /// Whether it comes before the release that it is called after: `1.2.0-rc.1`.
    pub fn is_pre_release(&self) -> bool {
        !self.parsed.pre.is_empty()
    }

    /// The parsed version.
    pub fn semver(&self) -> &semver::Version {
        &self.parsed
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.parsed == other.parsed
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parsed.cmp(&other.parsed)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Version {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Version {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_and_comparison_is_by_value() {
        let with = Version::parse("v1.2.0").unwrap();
        assert_eq!(with.as_str(), "v1.2.0");
        assert_eq!(with, Version::parse("1.2.0").unwrap());
        assert!(Version::parse("1.10.0").unwrap() > Version::parse("1.9.0").unwrap());
    }

    #[test]
    fn what_is_not_semantic_is_refused() {
        for bad in ["", "1.2", "latest", "vv1.0.0", "1.0.0 ", "01.0.0"] {
            assert!(Version::parse(bad).is_err(), "{bad:?}");
        }
    }
}
