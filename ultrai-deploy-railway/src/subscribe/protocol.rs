//! The messages of `graphql-transport-ws`, and what its closing codes mean: pure.

use serde::Deserialize;
use serde_json::{Value, json};
use ultrai_deploy_core::{Error, ErrorKind, redact::Redactor};

use crate::{documents::Document, refusal::Complaint, token::TokenKind};

/// The protocol's name, as a WebSocket names what is spoken over it.
pub(super) const NAME: &str = "graphql-transport-ws";
/// There is one operation on each connection.
const ID: &str = "1";
/// Longest reason of a close that is shown, in characters.
const LONGEST_REASON: usize = 200;

/// The first message. The token is in the headers, where no one repeats it.
pub(super) fn init() -> String {
    json!({ "type": "connection_init" }).to_string()
}

/// Asks for the operation.
pub(super) fn subscribe(document: Document, variables: &Value) -> String {
    let payload = json!({
        "query": document.text, "variables": variables, "operationName": document.name(),
    });
    json!({ "id": ID, "type": "subscribe", "payload": payload }).to_string()
}

/// Asks for a sign of life.
pub(super) fn ping() -> String {
    json!({ "type": "ping" }).to_string()
}

/// Gives one.
pub(super) fn pong() -> String {
    json!({ "type": "pong" }).to_string()
}

/// What the server says.
#[derive(Debug)]
pub(super) enum Said {
    /// One is let in.
    Ack,
    /// It wants a sign of life.
    Ping,
    /// Nothing that matters.
    Nothing,
    /// The `data` of an item.
    Item(Value),
    /// It refuses the operation.
    Refused(Vec<Complaint>),
    /// There is no more.
    Complete,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    payload: Value,
}

/// Reads a message; `None` when it is none. A kind that is not known says nothing.
pub(super) fn read(text: &str) -> Option<Said> {
    let Envelope { kind, mut payload } = serde_json::from_str(text).ok()?;
    Some(match kind.as_str() {
        "connection_ack" => Said::Ack,
        "ping" => Said::Ping,
        "next" => {
            let errors = payload.get_mut("errors").map(Value::take).unwrap_or_default();
            match complaints(errors) {
                Some(complaints) => Said::Refused(complaints),
                None => Said::Item(payload.get_mut("data")?.take()),
            }
        }
        "error" => Said::Refused(complaints(payload)?),
        "complete" => Said::Complete,
        _ => Said::Nothing,
    })
}

fn complaints(errors: Value) -> Option<Vec<Complaint>> {
    let complaints: Vec<Complaint> = serde_json::from_value(errors).ok()?;
    (!complaints.is_empty()).then_some(complaints)
}

/// What a connection that was closed means; `None` when it was closed in peace.
pub(super) fn closed(
    document: Document,
    token: TokenKind,
    redactor: &Redactor,
    code: u16,
    reason: &str,
) -> Option<Error> {
    // Redacted first: half a secret would not be found.
    let reason: String = redactor.text(reason).chars().take(LONGEST_REASON).collect();
    let reason = reason.escape_debug();
    let what = format!("Railway closed the connection with {code}: {reason}");
    let of = |kind| Error::new(kind, document.purpose, what.clone());
    Some(match code {
        1000 => return None,
        // By the protocol 4401 is for who subscribes before being let in; others say it of tokens.
        4401 | 4403 => {
            let what = format!("the {token} is not let in: {what}");
            Error::new(ErrorKind::Denied, document.purpose, what).with_advice(token.advice())
        }
        4400 | 4406 | 4409 | 4429 => of(ErrorKind::Unsupported)
            .with_advice("use a newer version of ultrai-deploy, or follow by looking"),
        _ => of(ErrorKind::Unavailable).retryable(),
    })
}

/// A connection that came to nothing.
pub(super) fn lost(document: Document, what: &str) -> Error {
    let message = format!("the connection to Railway was lost: {what}");
    Error::new(ErrorKind::Unavailable, document.purpose, message).retryable()
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::secret::Secret;

    use super::*;
    use crate::{documents, graphql};

    #[test]
    fn messages_are_read_also_those_of_tomorrow() {
        for (text, expected) in [
            (r#"{"type":"connection_ack","payload":{"a":1}}"#, "Ack"),
            (r#"{"type":"ping"}"#, "Ping"),
            (r#"{"type":"pong","payload":null}"#, "Nothing"),
            (r#"{"type":"whatever","id":7}"#, "Nothing"),
            (r#"{"type":"next","id":"1","payload":{"data":{"a":1}}}"#, "Item"),
            (r#"{"type":"next","id":"1","payload":{"data":null,"errors":[]}}"#, "Item"),
            (r#"{"type":"next","id":"1","payload":{"errors":[{"message":"x"}]}}"#, "Refused"),
            (r#"{"type":"error","id":"1","payload":[{"message":"x"}]}"#, "Refused"),
            (r#"{"type":"complete","id":"1"}"#, "Complete"),
        ] {
            let said = format!("{:?}", read(text).unwrap());
            assert!(said.starts_with(expected), "{text}: {said}");
        }
        for bad in ["", "[]", "{}", "null", r#"{"type":1}"#, r#"{"type":"error"}"#] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_close_says_whether_it_is_worth_trying_again_and_no_secret() {
        let redactor = graphql::redactor([&Secret::new("hunter2-token")]).unwrap();
        for (code, kind, is_retryable) in [
            (4400, ErrorKind::Unsupported, false),
            (4401, ErrorKind::Denied, false),
            (4403, ErrorKind::Denied, false),
            (4406, ErrorKind::Unsupported, false),
            (4408, ErrorKind::Unavailable, true),
            (4500, ErrorKind::Unavailable, true),
            (1001, ErrorKind::Unavailable, true),
            (1006, ErrorKind::Unavailable, true),
        ] {
            let (document, token) = (documents::WATCH_DEPLOYMENT, TokenKind::Project);
            let reason = "no: hunter2-token\n";
            let error = closed(document, token, &redactor, code, reason).unwrap();
            assert_eq!((error.kind(), error.is_retryable()), (kind, is_retryable), "{code}");
            assert!(error.message().contains(&code.to_string()), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
