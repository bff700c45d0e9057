//! What every call of a platform's API obeys, and what it is let in with.

use std::{fmt, time::Duration};

use reqwest::header;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Error, ErrorKind, Result, name::SecretName, pipeline::Backoff, redact::Redactor, secret::Secret,
};

use crate::{header::HeaderName, seen};

/// The limits of an [`Api`](super::Api).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest time to connect, name resolution and TLS included; 10 s.
    pub connect_timeout: Duration,
    /// Longest time of one attempt, from its beginning to the last byte of the answer; 60 s.
    pub timeout: Duration,
    /// Longest time of a call with all its attempts and pauses; 5 minutes. The deadline of the
    /// context counts as well.
    pub deadline: Duration,
    /// Longest answer that is read, in bytes; 16 MiB. A longer one is an error.
    pub body_limit: usize,
    /// How often what may be repeated is tried altogether; 5. Being told to slow down does not
    /// count as a try.
    pub attempts: u32,
    /// Pause after the first try, doubled from try to try and shortened by chance; 500 ms.
    pub pause: Duration,
    /// Longest of these pauses; 20 s. One that the platform asks for may be longer.
    pub longest_pause: Duration,
    /// How many calls of a window are left to others that use the same account; 3. When so few
    /// remain, a call waits for the next window.
    pub reserve: u32,
}

impl Limits {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff { attempts: self.attempts, first: self.pause, longest: self.longest_pause }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_mins(1),
            deadline: Duration::from_mins(5),
            body_limit: 16 * 1024 * 1024,
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            reserve: 3,
        }
    }
}

/// What an API is called with. `Debug` shows no value.
#[derive(Clone)]
pub struct Credential {
    kind: String,
    header: Option<(header::HeaderName, header::HeaderValue)>,
    redactor: Redactor,
}

impl Credential {
    /// Nothing: for calls that everybody may make, such as a login.
    pub fn none() -> Self {
        Self { kind: "call".to_owned(), header: None, redactor: Redactor::default() }
    }

    /// `Authorization: Bearer …`. `kind` tells people what it is: `Render API key`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the token is empty or no header can hold it.
    pub fn bearer(kind: impl Into<String>, token: &Secret) -> Result<Self> {
        Self::new(kind.into(), header::AUTHORIZATION, "Bearer ", token)
    }

    /// A header of its own: `Project-Access-Token: …`.
    ///
    /// # Errors
    /// As [`Credential::bearer`].
    pub fn in_header(kind: impl Into<String>, name: &HeaderName, token: &Secret) -> Result<Self> {
        let kind = kind.into();
        let name = header::HeaderName::from_bytes(name.as_str().as_bytes())
            .map_err(|source| refused(&kind, "its header has no name").with_source(source))?;
        Self::new(kind, name, "", token)
    }

    fn new(kind: String, header: header::HeaderName, scheme: &str, token: &Secret) -> Result<Self> {
        if token.expose().trim().is_empty() {
            return Err(refused(&kind, "it is empty").with_advice("set it to the token itself"));
        }
        let text = format!("{scheme}{}", token.expose());
        // Not the source: it may show the value.
        let Ok(mut value) = header::HeaderValue::from_str(&text) else {
            let error =
                refused(&kind, "it holds a line break or another character that no header has");
            return Err(
                error.with_advice("set it to the token itself, without quotes or line breaks")
            );
        };
        value.set_sensitive(true);
        let secrets = [(SecretName::new("TOKEN")?, token.clone())].into();
        Ok(Self { kind, header: Some((header, value)), redactor: seen::redactor(&secrets) })
    }

    /// What it is, for people.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// A request that carries it.
    pub(super) fn on(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.header {
            Some((name, value)) => request.header(name, value),
            None => request,
        }
    }

    /// Cuts it out of texts.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn refused(kind: &str, why: &str) -> Error {
    Error::new(ErrorKind::Invalid, "read a token", format!("the {kind} is no token: {why}"))
        .without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let credential = Credential::bearer("API key", &Secret::new("rnd_hunter2")).unwrap();
        assert!(!format!("{credential:?}").contains("hunter2"));
        assert!(!format!("{:?}", credential.header).contains("hunter2"));
        for bad in ["", " ", "rnd_hunter2\n", "hunter2\u{e4}\r\n"] {
            let error = Credential::bearer("API key", &Secret::new(bad)).unwrap_err();
            assert!(error.to_string().contains("API key"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
