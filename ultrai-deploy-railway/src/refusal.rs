//! What Railway's errors mean. They come with HTTP 200 as well as 400.

use serde::Deserialize;
use ultrai_deploy_core::{Error, ErrorKind, redact::Redactor};
use ultrai_deploy_http::api::Repeat;

use crate::{documents::Document, token::TokenKind};

/// Longest message of Railway's that is shown, in characters.
const LONGEST_MESSAGE: usize = 500;

/// What Railway said when it refused or failed, the source of the error that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Railway says: {message}{}", trace(trace_id.as_deref()))]
#[non_exhaustive]
pub struct Refusal {
    /// Its words; no secret that was sent is in them.
    pub message: String,
    /// Its code: `BAD_USER_INPUT`.
    pub code: Option<String>,
    /// Under which id its support finds the call.
    pub trace_id: Option<String>,
}

fn trace(id: Option<&str>) -> String {
    id.map(|id| format!(" (trace {id})")).unwrap_or_default()
}

/// An error as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Complaint {
    message: Option<String>,
    path: Option<Vec<serde_json::Value>>,
    extensions: Option<Extensions>,
    trace_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extensions {
    code: Option<String>,
    trace_id: Option<String>,
}

impl Complaint {
    fn code(&self) -> Option<&str> {
        self.extensions.as_ref()?.code.as_deref()
    }

    fn trace_id(&self) -> Option<&str> {
        let inner = self.extensions.as_ref().and_then(|extensions| extensions.trace_id.as_deref());
        self.trace_id.as_deref().or(inner)
    }

    /// Whether what was asked for was done, and only something in the answer could not be told.
    fn is_below_the_root(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.len() > 1)
    }
}

/// What was asked, as far as its errors need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) document: Document,
    pub(crate) repeat: Repeat,
    pub(crate) token: TokenKind,
    pub(crate) redactor: &'a Redactor,
}

/// The error for complaints; the first one decides.
pub(crate) fn error(asked: Asked<'_>, status: u16, complaints: &[Complaint]) -> Error {
    let first = complaints.first();
    let code = first.and_then(Complaint::code);
    let messages = complaints.iter().filter_map(|complaint| complaint.message.as_deref());
    let message = messages.collect::<Vec<_>>().join("; ");
    let message = if message.is_empty() { "nothing about why".to_owned() } else { message };
    // Redacted first: half a secret would not be found.
    let message = asked.redactor.text(&message).chars().take(LONGEST_MESSAGE).collect::<String>();
    let refusal = Refusal {
        message,
        code: code.map(str::to_owned),
        trace_id: complaints.iter().find_map(Complaint::trace_id).map(str::to_owned),
    };

    let text = first.and_then(|complaint| complaint.message.as_deref()).unwrap_or_default();
    let (kind, what, advice) = meaning(asked.token, status, text, code);
    let mut error = Error::new(kind, asked.document.purpose, what);
    if let Some(advice) = advice {
        error = error.with_advice(advice);
    }
    let nothing_done = match kind {
        ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Unsupported => true,
        // An earlier attempt of the same call may be why it is gone.
        ErrorKind::NotFound => asked.repeat != Repeat::Keyed,
        _ => false,
    };
    let below = complaints.iter().any(Complaint::is_below_the_root);
    if asked.document.is_query() || (nothing_done && !below) {
        error = error.without_effect();
    }
    if kind == ErrorKind::Unavailable {
        error = error.retryable();
    }
    error.with_source(refusal)
}

/// Railway has codes for few of its errors and gives the rest the code of a failure, so the words
/// have to be looked at first, as its own CLI does.
fn meaning(
    token: TokenKind,
    status: u16,
    text: &str,
    code: Option<&str>,
) -> (ErrorKind, String, Option<&'static str>) {
    let text = text.to_ascii_lowercase();
    let says = |words: &str| text.contains(words);
    let is_denied = says("not authorized")
        || says("unauthorized")
        || says("project token not found")
        || matches!(code, Some("UNAUTHENTICATED" | "FORBIDDEN"));
    if is_denied {
        let what = format!("the {token} is not accepted, or may not do this");
        return (ErrorKind::Denied, what, Some(token.advice()));
    }
    if says("two factor authentication required") {
        let what = format!("the workspace asks for two factors, and the {token} has one");
        let advice = "use a token of somebody who has set up two-factor authentication";
        return (ErrorKind::Denied, what, Some(advice));
    }
    if matches!(code, Some("GRAPHQL_VALIDATION_FAILED" | "GRAPHQL_PARSE_FAILED")) {
        let what = "Railway does not know this call: the schema of its API has changed".to_owned();
        return (ErrorKind::Unsupported, what, Some("use a newer version of ultrai-deploy"));
    }
    if says("not found") {
        let what = "there is no such thing, or the token does not see it".to_owned();
        return (ErrorKind::NotFound, what, None);
    }
    match code {
        Some("BAD_USER_INPUT") => (ErrorKind::Invalid, "Railway refuses it".to_owned(), None),
        Some("INTERNAL_SERVER_ERROR") => {
            (ErrorKind::Unavailable, "Railway failed".to_owned(), None)
        }
        _ if status == 400 => (ErrorKind::Invalid, "Railway refuses it".to_owned(), None),
        _ => (ErrorKind::Unexpected, "Railway did not do it".to_owned(), None),
    }
}
