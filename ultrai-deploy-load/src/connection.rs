//! One connection: a request at a time, driven by the task that sends it.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::{
    dialer::{Dialer, Stream},
    failure::{Failure, deepest},
};

/// Longest body that is read, in bytes. One that goes on for longer is no answer but a flood, and
/// none that fits is kept.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// Longest head of an answer, in bytes; servers allow 8 to 16 KiB of a request's.
const MAX_HEAD: usize = 64 * 1024;

/// A connection on which requests follow each other.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    is_open: bool,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
}

/// Why nothing came back.
pub(crate) enum Broken {
    /// The connection was closed before anything was sent: the request goes on another one.
    NotSent(Box<Request<Full<Bytes>>>),
    Failed(Failure, String),
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(dialer: &Dialer) -> Result<Self, String> {
        let stream = dialer.dial().await?;
        Self::over(stream).await.map_err(|error| deepest(&error))
    }

    async fn over(stream: Stream) -> hyper::Result<Self> {
        let mut http = http1::Builder::new();
        http.max_buf_size(MAX_HEAD);
        let (sender, driver) = match stream {
            Stream::Plain(stream) => {
                let (sender, driver) = http.handshake(TokioIo::new(stream)).await?;
                (sender, Box::pin(driver) as Driver)
            }
            Stream::Tls(stream) => {
                let (sender, driver) = http.handshake(TokioIo::new(stream)).await?;
                (sender, Box::pin(driver) as Driver)
            }
        };
        Ok(Self { sender, driver, is_open: true })
    }

    /// Whether the next request can go on it.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open && !self.sender.is_closed()
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&mut self) {
        if self.is_open {
            // How it ended is of no interest: nothing was under way.
            let _ended = self.driver.as_mut().await;
            self.is_open = false;
        }
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Broken> {
        let Self { sender, driver, is_open } = self;
        let mut work = pin!(send(sender, request));
        poll_fn(|cx| {
            // What the request says reaches the socket, and what the socket says the answer, within
            // one poll: each of them would otherwise wake this task again for the other.
            for _ in 0..3 {
                if let Poll::Ready(result) = work.as_mut().poll(cx) {
                    return Poll::Ready(result);
                }
                if *is_open && driver.as_mut().poll(cx).is_ready() {
                    *is_open = false;
                }
            }
            work.as_mut().poll(cx)
        })
        .await
    }
}

async fn send(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Broken> {
    if sender.ready().await.is_err() {
        return Err(Broken::NotSent(Box::new(request)));
    }
    let response = match sender.try_send_request(request).await {
        Ok(response) => response,
        Err(mut error) => {
            return Err(match error.take_message() {
                Some(request) => Broken::NotSent(Box::new(request)),
                None => failed(&error.into_error()),
            });
        }
    };
    let status = response.status().as_u16();
    let (mut body, mut bytes) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failed(&error))?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > MAX_BODY {
            let text = format!("the body is longer than {} MiB", MAX_BODY >> 20);
            return Err(Broken::Failed(Failure::TooLarge, text));
        }
    }
    Ok(Answer { status, bytes })
}

fn failed(error: &hyper::Error) -> Broken {
    let failure = if error.is_parse() { Failure::Malformed } else { Failure::Closed };
    Broken::Failed(failure, deepest(error))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}
