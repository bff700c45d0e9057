//! Regular expressions in what an answer must be.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// Largest compiled expression, in bytes. The time of a look grows with it, and expressions such as
/// `(a{1000}){1000}` are large however short they are written.
const MAX_COMPILED: usize = 64 * 1024;

/// A regular expression that matches anywhere in a text: `^ok$`, `v1\.[0-9]+`.
///
/// The syntax is that of the crate `regex-lite`: without look-around and back references, so that no
/// answer makes it slow.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// Parses an expression.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is none, or is too large.
    pub fn new(text: &str) -> Result<Self> {
        RegexBuilder::new(text).size_limit(MAX_COMPILED).build().map(Self).map_err(|source| {
            let message = format!("`{}` is no regular expression", text.escape_debug());
            Error::new(ErrorKind::Invalid, "read a pattern", format!("{message}: {source}"))
                .with_advice(
                    "escape special characters with a backslash; look-around and back references \
                     do not exist here",
                )
                .without_effect()
                .with_source(source)
        })
    }

    /// Whether it matches anywhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The expression as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.as_str().escape_debug())
    }
}

impl TryFrom<String> for Pattern {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        assert!(Pattern::new("^v1\\.[0-9]+$").unwrap().matches("v1.42"));
        assert!(!Pattern::new("^v1$").unwrap().matches("v1.42"));
        for bad in ["(", "a{2,1}", "(?=a)", "(a)\\1", "((a{100}){100}){100}"] {
            let error = Pattern::new(bad).unwrap_err();
            assert!(error.advice().is_some(), "{bad}");
        }
    }
}
