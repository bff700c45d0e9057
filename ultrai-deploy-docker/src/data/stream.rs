//! Streams of pieces as readers and the other way round.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as Waker, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use ultrai_deploy_core::{
    backup::PartStream,
    context::Context,
    error::{Error, ErrorKind, Result},
};

/// Memory for one piece.
const PIECE: usize = 64 << 10;

/// Reads what a stream has. After its first error it has nothing else.
pub(super) fn reader(pieces: impl Stream<Item = Result<Bytes>> + Send + 'static) -> PartStream {
    Box::pin(Reader { pieces: Box::pin(pieces), piece: Bytes::new() })
}

struct Reader {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
    piece: Bytes,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Waker<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(self.pieces.as_mut().poll_next(cx)) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = out.remaining().min(self.piece.len());
        out.put_slice(&self.piece[..count]);
        self.piece.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// One more piece of a reader, within the time that there is; nothing at its end.
pub(super) async fn piece(
    cx: &Context,
    reader: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Bytes>> {
    let mut buffer = vec![0; PIECE];
    let work = async { reader.read(&mut buffer).await.map_err(read_error) };
    let count = cx.bounded(work).await?;
    buffer.truncate(count);
    Ok((count > 0).then(|| buffer.into()))
}

/// The pieces of a reader for a request's body, and why they ended early. A client tells of a broken
/// body only that it is broken.
pub(super) fn body(
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Why) {
    let why = Why::default();
    let told = why.clone();
    let pieces = stream::try_unfold(reader, move |mut reader| {
        let told = told.clone();
        async move {
            let mut buffer = vec![0; PIECE];
            match reader.read(&mut buffer).await {
                Ok(0) => Ok(None),
                Ok(count) => {
                    buffer.truncate(count);
                    Ok(Some((Bytes::from(buffer), reader)))
                }
                Err(error) => {
                    let kind = error.kind();
                    told.0
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .replace(read_error(error));
                    Err(io::Error::from(kind))
                }
            }
        }
    });
    (pieces, why)
}

/// Why a body ended early, if it did.
#[derive(Clone, Debug, Default)]
pub(super) struct Why(Arc<Mutex<Option<Error>>>);

impl Why {
    /// The cause of a request's failure.
    pub(super) fn instead_of(&self, error: Error) -> Error {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }
}

/// The error behind one of a reader.
pub(super) fn read_error(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|source| {
        Error::new(ErrorKind::Io, "read a part", "it could not be read to its end")
            .with_source(source)
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn broken() -> PartStream {
        let fails = Error::new(ErrorKind::Corrupt, "read it", "it is broken");
        reader(stream::iter([Ok(Bytes::from_static(b"ab")), Err(fails)]))
    }

    #[tokio::test]
    async fn an_error_is_no_end() {
        let mut text = String::new();
        let error = broken().read_to_string(&mut text).await.unwrap_err();
        assert_eq!(read_error(error).message(), "it is broken");
    }

    #[tokio::test]
    async fn a_broken_body_tells_why() {
        let (body, why) = body(broken());
        let pieces: Vec<_> = body.collect().await;
        assert!(matches!(pieces.as_slice(), [Ok(_), Err(_)]));
        let other = Error::new(ErrorKind::Unavailable, "send", "connection closed");
        assert_eq!(why.instead_of(other).kind(), ErrorKind::Corrupt);
    }
}
