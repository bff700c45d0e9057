//! What went wrong with a call, for people and for the engine.

use std::time::Duration;

use reqwest::{
    Url,
    header::{HeaderMap, LOCATION},
};
use serde_json::Value;
use ultrai_deploy_core::{Error, ErrorKind, redact::Redactor};

use super::{
    Call, Repeat,
    reply::{Broken, is_html},
    retry::Outcome,
};
use crate::{client::deepest, seen};

/// Longest message of a platform that is shown, in bytes.
const LONGEST_MESSAGE: usize = 500;

/// A platform's refusal, the source of the error that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it answers {status}: {message}")]
#[non_exhaustive]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// What the platform says; nothing of the token.
    pub message: String,
}

/// An answer, read whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

/// The error for an answer with a status that the call does not accept; `credential` is the kind of
/// what it was called with.
pub(super) fn refused(
    call: &Call,
    answer: Answer<'_>,
    credential: &str,
    redactor: &Redactor,
) -> Error {
    let Answer { status, headers, body } = answer;
    let told = message(headers, body);
    let told = seen::beginning(&redactor.text(&told), LONGEST_MESSAGE);
    let path = call.shown_path();
    let what = |what: &str| format!("{} {path}: {what}", call.method());
    let (kind, text, advice) = match status {
        300..=399 => (
            ErrorKind::Unexpected,
            what(&redirect(headers, redactor)),
            Some(
                "write that address into the configuration if it is right; no token is sent along"
                    .to_owned(),
            ),
        ),
        401 => (
            ErrorKind::Denied,
            what(&format!("the {credential} is not accepted")),
            Some("look whether it is the right kind of token, complete and not revoked".to_owned()),
        ),
        402 => (ErrorKind::Denied, what("the account's plan does not include it"), None),
        403 => (
            ErrorKind::Denied,
            what(&format!("the {credential} may not do this")),
            Some("use a token of somebody who may".to_owned()),
        ),
        404 | 410 => (
            ErrorKind::NotFound,
            what("there is no such thing, or the token does not see it"),
            None,
        ),
        409 => (ErrorKind::Conflict, what("it is not possible in the present state"), None),
        408 | 425 | 500.. => (ErrorKind::Unavailable, what("the platform failed"), None),
        429 => (ErrorKind::Unavailable, what("too many calls"), None),
        _ => (ErrorKind::Invalid, what("the platform refuses it"), None),
    };
    let mut error =
        Error::new(kind, call.operation(), text).with_source(Refused { status, message: told });
    if let Some(advice) = advice {
        error = error.with_advice(advice);
    }
    // A server that fails may have failed after it did what was asked.
    let may_be_done = matches!(status, 408 | 425 | 500..) && call.repeat() != Repeat::Safe;
    if !may_be_done {
        error = error.without_effect();
    }
    if kind == ErrorKind::Unavailable { error.retryable() } else { error }
}

/// The error for a call that no answer came to.
pub(super) fn unanswered(
    call: &Call,
    error: reqwest::Error,
    timeout: Duration,
) -> (Error, Outcome) {
    let (kind, what, outcome) = if error.is_connect() {
        let what = if error.is_timeout() {
            "no connection in time".to_owned()
        } else {
            format!("could not connect: {}", deepest(&error))
        };
        (ErrorKind::Unavailable, what, Outcome::NotSent)
    } else if error.is_builder() {
        (ErrorKind::Invalid, format!("it cannot be sent: {}", deepest(&error)), Outcome::Impossible)
    } else if error.is_timeout() {
        (ErrorKind::Timeout, format!("no answer within {timeout:?}"), Outcome::Lost)
    } else {
        (ErrorKind::Unavailable, format!("no HTTP answer: {}", deepest(&error)), Outcome::Lost)
    };
    let message = format!("{} {}: {what}", call.method(), call.shown_path());
    // Without the URL: its query is not for everybody.
    let error = Error::new(kind, call.operation(), message).with_source(error.without_url());
    let error = if outcome == Outcome::Impossible { error } else { error.retryable() };
    let is_known = call.repeat() == Repeat::Safe || outcome != Outcome::Lost;
    (if is_known { error.without_effect() } else { error }, outcome)
}

/// The error for an answer whose body was not read whole.
pub(super) fn half_an_answer(
    call: &Call,
    status: u16,
    broken: Broken,
    timeout: Duration,
) -> (Error, Outcome) {
    let (kind, what, outcome) = match broken {
        Broken::TooLong(limit) => {
            let what = format!("the answer ({status}) is longer than {limit} bytes");
            (ErrorKind::Unexpected, what, Outcome::Useless)
        }
        Broken::Late => {
            let what = format!("the answer ({status}) did not end within {timeout:?}");
            (ErrorKind::Timeout, what, Outcome::Lost)
        }
        Broken::Lost(why) => {
            let what = format!("the answer ({status}) broke off: {why}");
            (ErrorKind::Unavailable, what, Outcome::Lost)
        }
    };
    let message = format!("{} {}: {what}", call.method(), call.shown_path());
    let error = Error::new(kind, call.operation(), message);
    let error = if outcome == Outcome::Lost { error.retryable() } else { error };
    let is_known = call.repeat() == Repeat::Safe;
    (if is_known { error.without_effect() } else { error }, outcome)
}

/// The error for a call that was not made, because its time was over.
pub(super) fn no_time(call: &Call) -> Error {
    let message = format!("{} {}: the time for it is over", call.method(), call.shown_path());
    Error::new(ErrorKind::Timeout, call.operation(), message).without_effect().exhausted()
}

/// The error for a call that was not made, because none was allowed soon enough.
pub(super) fn too_many(call: &Call, wait: Duration) -> Error {
    let message = format!(
        "{} {}: no more calls are allowed for {} s, which is longer than there is time",
        call.method(),
        call.shown_path(),
        wait.as_secs()
    );
    Error::new(ErrorKind::Unavailable, call.operation(), message)
        .with_advice("wait, or look what else uses this account's limit")
        .without_effect()
        .exhausted()
}

/// Where a redirect leads, without what its query may hold.
fn redirect(headers: &HeaderMap, redactor: &Redactor) -> String {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    // A host may be made of the token, and a parsed one is in lower case.
    let harmless = location.filter(|location| redactor.text(location) == *location);
    let url = harmless.and_then(|location| Url::parse(location).ok());
    match url.as_ref().and_then(Url::host_str) {
        Some(host) => format!("it leads elsewhere, to {host}, and is not followed"),
        None => "it leads elsewhere, and is not followed".to_owned(),
    }
}

/// What the platform says in the body of a refusal.
fn message(headers: &HeaderMap, body: &[u8]) -> String {
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let places = ["/message", "/error/message", "/error", "/errors/0/message", "/errors/0"];
        if let Some(text) = places.iter().find_map(|place| value.pointer(place)?.as_str()) {
            return text.to_owned();
        }
    }
    if is_html(headers, body) {
        return "an HTML page".to_owned();
    }
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() { "nothing more".to_owned() } else { text.trim().to_owned() }
}
