//! Following what happens at Railway instead of asking again and again: GraphQL subscriptions over
//! `graphql-transport-ws`.
//!
//! ```text
//! next() ──► connected? ──no──► pause ──► connect ──► init, ack, subscribe
//!               │ yes                        ▲               │
//!               ▼                            │ lost          │
//!          wait for a message ───────────────┴───────────────╯
//!               ├─► an item
//!               ├─► the end
//!               ╰─► refused, or lost too often: an error
//! ```
//!
//! Nothing runs by itself: a subscription does what it does while somebody waits for its next item,
//! and a wait that is dropped loses nothing. What comes, or that nothing comes, is a reason to look and
//! never the verdict: logs and subscriptions end at Railway's for reasons of their own.

mod changes;
mod lines;
mod protocol;
mod socket;

use std::{fmt, marker::PhantomData, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    pipeline::{Backoff, SystemRandomness},
};

use self::socket::{Message, Socket};
use crate::{documents::Document, graphql::Graphql};

pub use self::{
    changes::Changes,
    lines::{Lines, Log},
};

/// How long a subscription goes on when nothing comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often it connects in a row without anything coming, and the pauses between: 12 times, 1 s at
    /// first and 8 s at most.
    pub again: Backoff,
    /// Longest time until it is connected and let in; 10 s, as in Railway's own CLI.
    pub connect: Duration,
    /// After how long without a sign of life it asks for one, and after how long again it takes the
    /// connection for lost; 30 s.
    pub quiet: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(8));
        Self {
            again: Backoff { attempts: 12, first, longest },
            connect: Duration::from_secs(10),
            quiet: Duration::from_secs(30),
        }
    }
}

/// What happens, as it happens. Lost connections are made anew; what happened meanwhile is not told, or
/// told twice.
pub struct Subscription<T> {
    graphql: Graphql,
    document: Document,
    variables: Value,
    patience: Patience,
    socket: Option<Socket>,
    /// How often in a row nothing came of a connection.
    failed: u32,
    /// Whether anything ever came.
    has_come: bool,
    is_over: bool,
    items: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Subscription<T> {
    pub(crate) fn new(graphql: Graphql, document: Document, variables: Value) -> Self {
        Self {
            graphql,
            document,
            variables,
            patience: Patience::default(),
            socket: None,
            failed: 0,
            has_come: false,
            is_over: false,
            items: PhantomData,
        }
    }

    /// Goes on for longer or shorter when nothing comes.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Waits for the next item; `None` when there are no more. It may be dropped and called again.
    ///
    /// # Errors
    /// As [`Client`](crate::Client) says: what Railway refuses, and
    /// [`Unavailable`](ErrorKind::Unavailable) when it was not reached, or nothing came of it, often
    /// enough. After an error there are no more items: ask Railway in another way.
    /// [`Timeout`](ErrorKind::Timeout) and [`Cancelled`](ErrorKind::Cancelled) when the context ends.
    pub async fn next(&mut self, cx: &Context) -> Result<Option<T>> {
        let next = cx.bounded(self.follow(cx)).await;
        self.is_over |= !matches!(next, Ok(Some(_)));
        // Whatever answers may repeat what it was sent.
        next.map_err(|error| self.graphql.api.redactor().error(error).without_effect())
    }

    async fn follow(&mut self, cx: &Context) -> Result<Option<T>> {
        while !self.is_over {
            let lost = match self.message(cx).await {
                Ok(Message::Item(value)) => {
                    (self.failed, self.has_come) = (0, true);
                    return self.read(value).map(Some);
                }
                Ok(Message::End) => return Ok(None),
                // A stream that has said something and is closed in peace is over.
                Ok(Message::Closed) if self.has_come => return Ok(None),
                Ok(Message::Closed) => protocol::lost(self.document, "it was closed"),
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            self.socket = None;
            self.failed += 1;
            if !self.patience.again.goes_on(self.failed) {
                return Err(lost.exhausted());
            }
        }
        Ok(None)
    }

    async fn message(&mut self, cx: &Context) -> Result<Message> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                if self.failed > 0 {
                    let pause = self.patience.again.pause(self.failed, &SystemRandomness);
                    tokio::time::sleep(pause).await;
                }
                let (document, variables) = (self.document, &self.variables);
                let timeout = self.patience.connect;
                let opened = Socket::open(&self.graphql, cx, document, variables, timeout);
                none.insert(opened.await?)
            }
        };
        socket.message(self.patience.quiet).await
    }

    fn read(&self, mut data: Value) -> Result<T> {
        let odd = |what: &str| {
            let message = format!("what comes {what} at {}", self.document.answer);
            Error::new(ErrorKind::Unexpected, self.document.purpose, message)
        };
        let place = data.pointer_mut(self.document.answer).map(Value::take);
        let value = place.filter(|value| !value.is_null()).ok_or_else(|| odd("has nothing"))?;
        serde_json::from_value(value)
            .map_err(|source| odd("is of another form").with_source(source))
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("document", &self.document.name())
            .field("is_connected", &self.socket.is_some())
            .field("failed", &self.failed)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
