//! What a test sends and expects, once its variables are known. Pure.

use reqwest::header::{self, HeaderMap};
use serde_json::Value;

use super::{
    spec::{CaptureFrom, TestAt, TestSpec},
    variables::{Variables, path_part},
};
use crate::{
    address::{HttpUrl, UrlPath},
    body::Body,
    client::{Answer, Request},
    spec::Expect,
};

/// Longest captured value, in bytes: it is an id or a token, not a document.
const MAX_CAPTURED: usize = 8 * 1024;
/// Shortest secret: a shorter one is not cut out of reports.
const MIN_SECRET: usize = 6;

impl TestSpec {
    /// Its request with the values of its variables; `secret` are its secret headers.
    ///
    /// # Errors
    /// Why it cannot be made of these values, for people.
    pub(super) fn request(
        &self,
        base: Option<&HttpUrl>,
        variables: &Variables,
        secret: &HeaderMap,
    ) -> Result<Request, String> {
        let url = match (&self.at, base) {
            (TestAt::Url(url), _) => url.clone(),
            (TestAt::Path(_), None) => return Err("nothing says where its path is".to_owned()),
            (TestAt::Path(path), Some(base)) => {
                let filled =
                    variables.fill(path.as_str(), |name, value| path_part(name, &value))?;
                base.below(&UrlPath::parse(&filled).map_err(|error| error.message().to_owned())?)
            }
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.request_headers {
            let filled = variables.fill(value.as_str(), |_, value| Ok(value))?;
            // Neither names the value: it may be secret.
            let name = header::HeaderName::from_bytes(name.as_str().as_bytes())
                .map_err(|_| format!("`{name}` is no header name"))?;
            let mut value = header::HeaderValue::from_str(&filled)
                .map_err(|_| format!("what was captured for header {name} cannot be a header"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.extend(secret.clone());
        let body = match &self.body {
            Some(Body::Json(json)) => Some(Body::Json(variables.fill_json(json)?)),
            Some(Body::Text(text)) => Some(Body::Text(variables.fill(text, |_, value| Ok(value))?)),
            other => other.clone(),
        };
        Ok(Request { method: self.method, url, headers, body })
    }

    /// What its answer must be, with the values of its variables.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub(super) fn expected(&self, variables: &Variables) -> Result<Expect, String> {
        let mut expect = self.expect.clone();
        for value in expect.json.values_mut() {
            *value = variables.fill_json(value)?;
        }
        Ok(expect)
    }
}

/// What `answer` holds there.
///
/// # Errors
/// Why it cannot be captured, for people.
pub(super) fn captured(from: &CaptureFrom, answer: &Answer, secret: bool) -> Result<Value, String> {
    let value = match from {
        CaptureFrom::Json(at) => serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .and_then(|body| body.pointer(at.as_str()).cloned())
            .filter(|value| !value.is_null())
            .ok_or_else(|| format!("there is nothing at {at} to be captured"))?,
        CaptureFrom::Header(name) => answer
            .headers
            .get(name.as_str())
            .and_then(|value| value.to_str().ok())
            .map(|text| Value::String(text.to_owned()))
            .ok_or_else(|| format!("there is no header {name} to be captured"))?,
    };
    let length = value.as_str().map_or_else(|| value.to_string().len(), str::len);
    if length > MAX_CAPTURED {
        return Err(format!(
            "what was to be captured has {length} bytes, more than {MAX_CAPTURED}"
        ));
    }
    if secret && length < MIN_SECRET {
        return Err(format!(
            "a secret of less than {MIN_SECRET} bytes cannot be kept out of reports"
        ));
    }
    Ok(value)
}
