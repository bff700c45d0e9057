//! Places in a JSON document.

use std::fmt;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// A JSON Pointer (RFC 6901): `/status`, `/providers/0/name`; empty for the whole document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer(String);

impl Pointer {
    /// Parses a pointer.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it neither is empty nor begins with `/`, or has a `~` that is
    /// not followed by `0` or `1`.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let wrong = if !text.is_empty() && !text.starts_with('/') {
            Some(format!("begin it with `/`: write \"/{}\"", text.replace('.', "/")))
        } else if text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
            Some("write `~0` for `~` and `~1` for `/` inside a key".to_owned())
        } else {
            None
        };
        match wrong {
            None => Ok(Self(text)),
            Some(advice) => Err(Error::new(
                ErrorKind::Invalid,
                "read a JSON pointer",
                format!("`{}` is no JSON pointer", text.escape_default()),
            )
            .with_advice(advice)
            .without_effect()),
        }
    }

    /// The pointer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("(whole body)") } else { f.write_str(&self.0) }
    }
}

impl TryFrom<String> for Pointer {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(text)
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> String {
        pointer.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_named() {
        let error = Pointer::new("data.status").unwrap_err();
        assert_eq!(error.advice(), Some("begin it with `/`: write \"/data/status\""), "{error}");
        for bad in ["/a~", "/a~2b"] {
            assert!(Pointer::new(bad).is_err(), "{bad}");
        }
        for good in ["", "/", "/a/0", "/a~1b/~0"] {
            assert!(Pointer::new(good).is_ok(), "{good}");
        }
    }
}
