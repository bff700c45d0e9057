//! Connections that are read up to a limit.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use ultrai_deploy_core::Result;

use crate::{place::Spot, trust::Trust};

/// Most bytes that one look reads. What is asked for needs a few hundred.
pub(crate) const MOST: usize = 1024 * 1024;

/// A connection; reading more than [`MOST`] bytes of it fails.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    left: usize,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

impl Connection {
    /// Connects. What went wrong is a text for people.
    pub(crate) async fn open(spot: &Spot) -> Result<Self, String> {
        match TcpStream::connect((spot.host.as_str(), spot.port)).await {
            Ok(stream) => Ok(Self { stream: Box::new(stream), left: MOST }),
            Err(error) => Err(format!("could not connect: {error}")),
        }
    }

    /// The same through TLS, with a server that proves to be `name`. What went wrong on the way is a
    /// text for people.
    ///
    /// # Errors
    /// When TLS cannot be used here at all.
    pub(crate) async fn secured(self, name: &str, trust: &Trust) -> Result<Result<Self, String>> {
        let config = trust.strict().await?;
        let Ok(name) = ServerName::try_from(name.to_owned()) else {
            return Ok(Err(format!("`{name}` is no name that a certificate could be for")));
        };
        let left = self.left;
        Ok(match TlsConnector::from(config).connect(name, self).await {
            Ok(stream) => Ok(Self { stream: Box::new(stream), left }),
            Err(error) => Err(format!("no TLS: {error}")),
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("left", &self.left).finish_non_exhaustive()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            let message = format!("it sent more than {MOST} bytes");
            return Poll::Ready(Err(io::Error::other(message)));
        }
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut *self.stream).poll_read(cx, buffer))?;
        // One read may go beyond the limit, by as much as the reader has room for.
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
