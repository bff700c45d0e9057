//! Chunks as a stream of bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::mpsc,
};
use ultrai_deploy_core::backup::PartStream;

/// Chunks that wait for a slow source.
const WAITING: usize = 2;

/// What is sent comes out of the stream; an error comes in place of the end.
pub(super) fn channel() -> (mpsc::Sender<io::Result<Bytes>>, PartStream) {
    let (sender, chunks) = mpsc::channel(WAITING);
    (sender, Box::pin(Chunks { chunks, current: Bytes::new() }))
}

#[derive(Debug)]
struct Chunks {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl AsyncRead for Chunks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(Ok(bytes)) => self.current = bytes,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current[..length]);
        self.current.advance(length);
        Poll::Ready(Ok(()))
    }
}
