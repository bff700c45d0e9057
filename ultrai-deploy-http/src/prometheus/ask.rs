//! Sends a query and reads what comes back.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use ultrai_deploy_core::{Context, Error, ErrorKind, Result, secret::SecretSource};

use super::{
    PrometheusSpec,
    answer::{Answer, Sample},
};
use crate::{
    address::UrlPath,
    body::Body,
    client::{BodyEnd, Client, Request},
    expect::shorten,
    headers,
    method::Method,
    probe::is_silence,
    seen,
};

/// What came of a query.
pub(super) enum Asked {
    /// A result, and what the server warns of.
    Samples(Vec<Sample>, Vec<String>),
    /// The server could not be asked, or could not evaluate it now.
    Unreachable(Error),
}

/// Asks once, within `timeout`. Known secrets are not in what comes back.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the server says that the query is wrong, or the result cannot be
/// compared; [`ErrorKind::Unexpected`] when what answers is no Prometheus;
/// [`ErrorKind::Denied`] when it lets nobody in.
pub(super) async fn ask(
    name: &str,
    spec: &PrometheusSpec,
    client: &Client,
    secrets: Option<&dyn SecretSource>,
    cx: &Context,
    timeout: Duration,
) -> Result<Asked> {
    let values = headers::resolve(name, &spec.headers, &spec.secret_headers, cx, secrets);
    let (mut headers, used) = cx.bounded(values).await?;
    let redactor = seen::redactor(&used);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    // POST: a query may be longer than a URL can be.
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("query", &spec.query)
        .finish();
    let url = spec.url.below(&UrlPath::parse("/api/v1/query")?);
    let shown = url.to_string();
    let request = Request { method: Method::Post, url, headers, body: Some(Body::Text(form)) };
    let look = async { Ok(client.send(request, timeout).await) };
    let answer = match cx.bounded(look).await? {
        Ok(answer) => answer,
        Err(error) if is_silence(&error) => return Ok(Asked::Unreachable(error)),
        Err(error) => return Err(error),
    };
    let status = answer.status;
    let error = |kind, what: &str| {
        let what = format!("{shown} answered {status}: {what}");
        Error::new(kind, "ask Prometheus", what).without_effect()
    };
    match answer.end {
        BodyEnd::Whole => {}
        BodyEnd::Cut => {
            return Err(error(ErrorKind::Invalid, "the result is too large")
                .with_advice("put sum() or topk() around the query"));
        }
        BodyEnd::Late(_) | BodyEnd::Broken(_) => {
            let late = error(ErrorKind::Unavailable, "the answer broke off");
            return Ok(Asked::Unreachable(late.retryable()));
        }
    }
    let body = redactor.text(&String::from_utf8_lossy(&answer.body));
    match Answer::read(body.as_bytes()) {
        Some(Answer::Samples(samples, notes)) => Ok(Asked::Samples(samples, notes)),
        Some(Answer::Unusable(why)) => {
            Err(error(ErrorKind::Invalid, &why)
                .with_advice("ask for an instant vector or a scalar"))
        }
        // The types are those of the API's `errorType`; `bad_data` is a query that does not parse.
        Some(Answer::Failed(kind, why)) if kind == "bad_data" => {
            Err(error(ErrorKind::Invalid, &format!("the query is wrong: {}", shorten(&why)))
                .with_advice("try it in the server's own page, /graph"))
        }
        Some(Answer::Failed(kind, why)) => {
            let what = format!("{kind}: {}", shorten(&why));
            Ok(Asked::Unreachable(error(ErrorKind::Unavailable, &what).retryable()))
        }
        None if status >= 500 => {
            Ok(Asked::Unreachable(error(ErrorKind::Unavailable, "no result").retryable()))
        }
        None if matches!(status, 401 | 403) => {
            Err(error(ErrorKind::Denied, "it lets nobody in without a credential")
                .with_advice("name the secret of its authorization header in secret_headers"))
        }
        None => Err(error(ErrorKind::Unexpected, "this is not Prometheus's API")
            .with_advice("give the address under which /api/v1/query answers")),
    }
}
