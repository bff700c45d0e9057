//! One connection with one operation on it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use ultrai_deploy_core::{Context, Error, ErrorKind, Result};
use ultrai_deploy_http::api::{Call, Repeat, Upgraded};

use super::protocol::{self, Said};
use crate::{
    documents::Document,
    graphql::{CLASS, Graphql},
    refusal::{self, Asked},
};

/// Longest message that is read, in bytes: more than 5,000 lines of log, which are the most that come
/// at once.
const LONGEST: usize = 4 * 1024 * 1024;

/// What comes over a connection.
pub(super) enum Message {
    Item(Value),
    /// There is no more.
    End,
    /// It was closed, and nothing is wrong.
    Closed,
}

/// A connection on which the operation was asked for.
pub(super) struct Socket {
    stream: WebSocketStream<Upgraded>,
    graphql: Graphql,
    document: Document,
    /// Whether a sign of life was asked for and nothing came since.
    is_asked: bool,
}

impl Socket {
    /// Connects, and asks for the operation once it is let in.
    pub(super) async fn open(
        graphql: &Graphql,
        cx: &Context,
        document: Document,
        variables: &Value,
        timeout: Duration,
    ) -> Result<Self> {
        let open = async {
            let stream = connect(graphql, cx, document, timeout).await?;
            let mut socket = Self { stream, graphql: graphql.clone(), document, is_asked: false };
            socket.send(protocol::init()).await?;
            loop {
                match socket.said().await? {
                    Some(Said::Ack) => break,
                    Some(Said::Ping | Said::Nothing) => {}
                    Some(Said::Refused(complaints)) => return Err(socket.refused(&complaints)),
                    Some(Said::Item(_) | Said::Complete) => {
                        return Err(socket.odd("answers before it was asked"));
                    }
                    None => return Err(socket.lost("it was closed before anything was asked")),
                }
            }
            socket.send(protocol::subscribe(document, variables)).await?;
            Ok(socket)
        };
        match tokio::time::timeout(timeout, open).await {
            Ok(opened) => opened,
            Err(_) => Err(protocol::lost(document, &format!("not let in within {timeout:?}"))),
        }
    }

    /// Waits for what comes next. Dropped half-way, nothing is lost.
    pub(super) async fn message(&mut self, quiet: Duration) -> Result<Message> {
        loop {
            let said = match tokio::time::timeout(quiet, self.said()).await {
                Ok(said) => said?,
                Err(_) if self.is_asked => {
                    return Err(self.lost(&format!("no sign of life within {:?}", quiet * 2)));
                }
                Err(_) => {
                    self.is_asked = true;
                    self.send(protocol::ping()).await?;
                    continue;
                }
            };
            match said {
                Some(Said::Item(data)) => return Ok(Message::Item(data)),
                Some(Said::Complete) => return Ok(Message::End),
                Some(Said::Refused(complaints)) => return Err(self.refused(&complaints)),
                Some(Said::Ack | Said::Ping | Said::Nothing) => {}
                None => return Ok(Message::Closed),
            }
        }
    }

    /// What the server says next; `None` when it closed the connection in peace.
    async fn said(&mut self) -> Result<Option<Said>> {
        loop {
            let text = match self.stream.next().await {
                Some(Ok(tungstenite::Message::Text(text))) => text,
                Some(Ok(tungstenite::Message::Close(frame))) => return self.closed(frame.as_ref()),
                Some(Ok(tungstenite::Message::Binary(_))) => {
                    return Err(self.odd("speaks in bytes"));
                }
                // Pings are answered below this.
                Some(Ok(_)) => {
                    self.is_asked = false;
                    continue;
                }
                Some(Err(error)) => return Err(self.broken(error)),
                None => return Err(self.lost("it ended")),
            };
            self.is_asked = false;
            let said = protocol::read(&text).ok_or_else(|| self.odd("says what is no message"))?;
            if matches!(said, Said::Ping) {
                self.send(protocol::pong()).await?;
            }
            return Ok(Some(said));
        }
    }

    async fn send(&mut self, text: String) -> Result<()> {
        let sent = self.stream.send(tungstenite::Message::Text(text.into())).await;
        sent.map_err(|error| self.broken(error))
    }

    fn closed(&self, frame: Option<&CloseFrame>) -> Result<Option<Said>> {
        // 1005 stands for a close that says nothing.
        let (code, reason) =
            frame.map_or((1005, ""), |frame| (frame.code.into(), frame.reason.as_str()));
        let Graphql { token, api } = &self.graphql;
        protocol::closed(self.document, *token, &api.redactor(), code, reason).map_or(Ok(None), Err)
    }

    fn refused(&self, complaints: &[refusal::Complaint]) -> Error {
        let redactor = &self.graphql.api.redactor();
        let (document, repeat, token) = (self.document, Repeat::Safe, self.graphql.token);
        refusal::error(Asked { document, repeat, token, redactor }, 200, complaints)
    }

    fn broken(&self, error: tungstenite::Error) -> Error {
        match error {
            tungstenite::Error::Capacity(why) => {
                self.odd(&format!("sends more than {LONGEST} bytes at once")).with_source(why)
            }
            tungstenite::Error::Protocol(why) => self.lost("it is no WebSocket").with_source(why),
            tungstenite::Error::Utf8(_) => self.odd("sends text that is none"),
            tungstenite::Error::Io(why) => self.lost("it broke").with_source(why),
            _ => self.lost("it ended"),
        }
    }

    fn lost(&self, what: &str) -> Error {
        protocol::lost(self.document, what)
    }

    fn odd(&self, what: &str) -> Error {
        odd(self.document, what)
    }
}

fn odd(document: Document, what: &str) -> Error {
    let message = format!("what answers does not speak {}: it {what}", protocol::NAME);
    Error::new(ErrorKind::Unexpected, document.purpose, message)
        .with_advice("look whether the address is that of Railway, and whether a proxy is between")
}

async fn connect(
    graphql: &Graphql,
    cx: &Context,
    document: Document,
    timeout: Duration,
) -> Result<WebSocketStream<Upgraded>> {
    let key = generate_key();
    let headers = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", protocol::NAME),
        ("sec-websocket-key", &key),
    ];
    let call = Call::get(document.purpose, [] as [&str; 0])
        .with_query("op", document.name())
        .with_class(CLASS)
        .with_timeout(timeout);
    let upgraded = graphql.api.upgrade(cx, &call, &headers).await?;
    if upgraded.header("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
        return Err(odd(document, "agrees to a connection that was not asked for"));
    }
    if upgraded.header("sec-websocket-protocol") != Some(protocol::NAME) {
        return Err(odd(document, "agrees to another protocol"));
    }
    let config =
        WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}
