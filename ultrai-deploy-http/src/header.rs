//! Header names and values, parsed once.

use std::fmt;

use reqwest::header;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// The name of a header, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(String);

impl HeaderName {
    /// Parses a name; case does not matter.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when HTTP does not allow it.
    pub fn new(text: &str) -> Result<Self> {
        match header::HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => Ok(Self(name.as_str().to_owned())),
            Err(source) => Err(Error::new(
                ErrorKind::Invalid,
                "read a header name",
                format!("`{}` is no header name", text.escape_default()),
            )
            .with_advice("use letters, digits and `-`, for example X-Request-Id")
            .without_effect()
            .with_source(source)),
        }
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its value is a credential by its nature: never stored, never shown.
    pub fn is_credential(&self) -> bool {
        matches!(
            self.as_str(),
            "authorization"
                | "proxy-authorization"
                | "cookie"
                | "set-cookie"
                | "x-api-key"
                | "x-auth-token"
        )
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HeaderName {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> String {
        name.0
    }
}

/// The value of a header: visible ASCII and spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderValue(String);

impl HeaderValue {
    /// Parses a value.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it holds a line break or anything else that HTTP does not
    /// allow. The message does not show the value.
    pub fn new(text: &str) -> Result<Self> {
        match header::HeaderValue::from_str(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(source) => Err(Error::new(
                ErrorKind::Invalid,
                "read a header value",
                "it holds a line break or another character that HTTP does not allow",
            )
            .with_advice("use visible ASCII characters and spaces")
            .without_effect()
            .with_source(source)),
        }
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HeaderValue {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::new(&text)
    }
}

impl From<HeaderValue> for String {
    fn from(value: HeaderValue) -> String {
        value.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case() {
        assert_eq!(HeaderName::new("Content-Type").unwrap().as_str(), "content-type");
        assert!(HeaderName::new("AUTHORIZATION").unwrap().is_credential());
        assert!(HeaderName::new("a b").is_err());
    }

    #[test]
    fn a_value_cannot_add_a_header_and_is_not_shown() {
        let error = HeaderValue::new("token\r\nX-Evil: 1").unwrap_err();
        assert!(!error.to_string().contains("token"), "{error}");
    }
}
