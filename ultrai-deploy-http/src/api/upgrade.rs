//! Connections that go on in another protocol, under the same policy: TLS, token and limits are those
//! of every call.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use reqwest::{StatusCode, header::HeaderMap};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use ultrai_deploy_core::{Context, Error, ErrorKind, Result};

use super::{Api, Call, client, failure, reply};

impl Api {
    /// Makes a call that asks for another protocol with `headers` of its own (`Upgrade` and what
    /// belongs to it), and gives the connection once the platform has agreed. It is made once: who
    /// needs the connection for long has to connect anew anyway.
    ///
    /// # Errors
    /// As [`Api::send`]; [`ErrorKind::Unexpected`] when the platform answers as if nothing else had
    /// been asked for.
    pub async fn upgrade(
        &self,
        cx: &Context,
        call: &Call,
        headers: &[(&'static str, &str)],
    ) -> Result<Upgraded> {
        let limits = &self.0.limits;
        let end = Instant::now() + limits.deadline;
        let end = cx.deadline().map_or(end, |deadline| deadline.min(end));
        self.wait_for_window(cx, call, end).await?;
        let exchange = self.ask_for_upgrade(call, headers);
        cx.bounded(exchange).await.map_err(Error::without_effect)
    }

    async fn ask_for_upgrade(
        &self,
        call: &Call,
        headers: &[(&'static str, &str)],
    ) -> Result<Upgraded> {
        let inner = &*self.0;
        let timeout = call.timeout().unwrap_or(inner.limits.timeout);
        // No other version of HTTP has upgrades.
        let http = client(
            &inner.connection,
            &inner.base,
            &inner.limits,
            reqwest::ClientBuilder::http1_only,
        )?;
        let mut request = call.request(&http, &inner.base)?;
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = inner.credential.on(request).timeout(timeout).send().await;
        let mut response = sent.map_err(|error| failure::unanswered(call, error, timeout).0)?;
        let wall = inner.clock.now();
        self.pace().learn(call.class(), response.headers(), Instant::now(), wall);
        let (status, headers) = (response.status(), response.headers().clone());
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body = reply::read(&mut response, inner.limits.body_limit).await;
            let status = status.as_u16();
            return Err(match body {
                Ok(_) if call.accepts(status) => odd(call, &format!("it answers {status}")),
                Ok(body) => {
                    let answer = failure::Answer { status, headers: &headers, body: &body };
                    let (kind, redactor) = (inner.credential.kind(), inner.credential.redactor());
                    failure::refused(call, answer, kind, redactor)
                }
                Err(broken) => failure::half_an_answer(call, status, broken, timeout).0,
            });
        }
        match response.upgrade().await {
            Ok(stream) => Ok(Upgraded { headers, stream }),
            Err(error) => {
                Err(odd(call, "it agrees, and does not").with_source(error.without_url()))
            }
        }
    }
}

fn odd(call: &Call, what: &str) -> Error {
    let message = format!("{} {}: no other protocol: {what}", call.method(), call.shown_path());
    Error::new(ErrorKind::Unexpected, call.operation(), message)
        .with_advice("look whether the address is that of the API, and whether a proxy is between")
}

/// A connection that goes on in the protocol that was asked for.
pub struct Upgraded {
    headers: HeaderMap,
    stream: reqwest::Upgraded,
}

impl Upgraded {
    /// A header of the answer, where it is text; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").finish_non_exhaustive()
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
