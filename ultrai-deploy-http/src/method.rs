//! The method of a request.

use std::fmt;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result};

/// The method of a request; GET by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Method {
    /// Asks for something.
    #[default]
    Get,
    /// Asks for the headers only.
    Head,
    /// Gives something to be worked on.
    Post,
    /// Puts something in its place.
    Put,
    /// Changes a part of something.
    Patch,
    /// Removes something.
    Delete,
    /// Asks what may be asked.
    Options,
}

const ALL: [Method; 7] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
];

impl Method {
    /// Parses a method; case does not matter.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for one that is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let found = ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let message = format!("`{}` is no method that is sent here", text.escape_debug());
            Error::new(ErrorKind::Invalid, "read a method", message)
                .with_advice("write GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
                .without_effect()
        })
    }

    /// Its name in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether it only asks, and changes nothing (RFC 9110, section 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Method {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.as_str().to_owned()
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Head => Self::HEAD,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
            Method::Options => Self::OPTIONS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        for method in ALL {
            assert_eq!(Method::parse(&method.as_str().to_lowercase()).unwrap(), method);
            assert_eq!(reqwest::Method::from(method).as_str(), method.as_str());
        }
        assert!(Method::parse("TRACE").unwrap_err().advice().is_some());
    }
}
