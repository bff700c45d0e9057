//! An answer that was accepted.

use std::fmt;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap};
use serde::de::DeserializeOwned;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    redact::Redactor,
};

use crate::{client::deepest, seen};

/// How much of a body is shown where it makes no sense, in bytes.
const SHOWN: usize = 500;

/// An answer with a status that the call accepts, read whole.
#[derive(Clone)]
pub struct Reply {
    operation: &'static str,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    redactor: Redactor,
}

impl Reply {
    pub(super) fn new(
        operation: &'static str,
        status: u16,
        headers: HeaderMap,
        body: Vec<u8>,
        redactor: Redactor,
    ) -> Self {
        Self { operation, status, headers, body, redactor }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, for whoever zeroes it.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// When it was answered, by the platform's clock and to the second before; nothing where it does
    /// not tell.
    pub fn date(&self) -> Option<Timestamp> {
        let date = self.headers.get(DATE)?.to_str().ok()?;
        Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
    }

    /// Whether there is nothing in the body.
    pub fn is_empty(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// The body, read from JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when it is no JSON or has another shape, with its beginning as
    /// evidence. What the call did is done: the effect is unknown.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|source| {
            let message = if self.is_empty() {
                format!("the answer ({}) is empty", self.status)
            } else if is_html(&self.headers, &self.body) {
                format!("the answer ({}) is an HTML page and no JSON", self.status)
            } else {
                format!("the answer ({}) does not have the form that it should", self.status)
            };
            let beginning = seen::beginning(&self.redacted(), SHOWN);
            let error = Error::new(ErrorKind::Unexpected, self.operation, message)
                .with_advice("look whether the address is that of the API")
                .with_evidence([Evidence::new(EvidenceKind::Probe, self.operation, beginning)])
                .with_source(source);
            // What cannot be read is quoted by whoever tried.
            self.redactor.error(error)
        })
    }

    fn redacted(&self) -> String {
        self.redactor.text(&String::from_utf8_lossy(&self.body))
    }
}

/// Shows nothing of the body: it may hold values of variables.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("operation", &self.operation)
            .field("status", &self.status)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why a body was not read whole.
#[derive(Debug)]
pub(super) enum Broken {
    TooLong(usize),
    Late,
    Lost(String),
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, Broken> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(Broken::TooLong(limit));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(Broken::Late),
            Err(error) => return Err(Broken::Lost(deepest(&error))),
        }
    }
}

pub(super) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    told.is_some_and(|told| told.starts_with("text/html"))
        || body.trim_ascii_start().starts_with(b"<")
}
