//! Asking an API that wants a key for JSON.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use ultrai_deploy_core::{Error, ErrorKind, Result, verification::CheckSpec};
use ultrai_deploy_http::{
    Client,
    address::HttpUrl,
    client::{BodyEnd, Request},
};

use crate::{look::Looking, source::wrong};

/// How an API is asked.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    pub(crate) looking: &'a Looking,
    /// Longest time of one answer.
    pub(crate) limit: Duration,
}

impl Asking<'_> {
    /// The JSON that a GET request gives, with a status of 200 to 299; anything else is a text for
    /// people.
    ///
    /// # Errors
    /// When this machine cannot send the request.
    pub(crate) async fn json(
        &self,
        url: &HttpUrl,
        headers: HeaderMap,
    ) -> Result<Result<Value, String>> {
        let answer = match self
            .client
            .send(Request { headers, ..Request::get(url.clone()) }, self.limit)
            .await
        {
            Ok(answer) => answer,
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                return Ok(Err(error.message().to_owned()));
            }
            Err(error) => return Err(error),
        };
        let body = if answer.body.is_empty() {
            String::new()
        } else {
            format!(": {}", self.looking.said(&answer.body))
        };
        let status = answer.status;
        let refused = match status {
            200..300 => None,
            401 | 403 => Some("the key is refused"),
            429 => Some("the rate limit or the quota of the key is used up"),
            500..600 => Some("the provider fails"),
            _ => Some("the answer is not what was asked for"),
        };
        if let Some(refused) = refused {
            return Ok(Err(format!("{refused} (status {status}){body}")));
        }
        match answer.end {
            BodyEnd::Whole => {}
            BodyEnd::Cut => return Ok(Err("its answer is too long".to_owned())),
            BodyEnd::Late(limit) => {
                return Ok(Err(format!("its answer had not ended after {limit:?}")));
            }
            _ => return Ok(Err("its answer broke off".to_owned())),
        }
        Ok(serde_json::from_slice(&answer.body)
            .map_err(|_not_json| format!("its answer is not JSON{body}")))
    }
}

/// The URL, unless a key that is sent there could be read on the way.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a URL without TLS, but on this machine or where that is allowed.
pub(crate) fn confidential(check: &CheckSpec, url: HttpUrl, clear_text: bool) -> Result<HttpUrl> {
    if url.to_string().starts_with("https:") || url.is_loopback() || clear_text {
        return Ok(url);
    }
    Err(wrong(check, &format!("would send a key to {url} in the clear"))
        .with_advice("use https, or set clear_text = true for a gateway in your own network"))
}

/// The value of a header that is shown nowhere.
///
/// # Errors
/// [`ErrorKind::Invalid`] when HTTP does not allow it. The message does not show it.
pub(crate) fn credential(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|source| {
        let message = "the key holds a line break or another character that HTTP does not allow";
        Error::new(ErrorKind::Invalid, "send a key", message).without_effect().with_source(source)
    })?;
    value.set_sensitive(true);
    Ok(value)
}
