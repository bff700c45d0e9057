//! Parts that are made piece by piece.

use std::{pin::Pin, task};

use async_trait::async_trait;
use tokio::io::{AsyncRead, ReadBuf};
use ultrai_deploy_core::{Context, Error, ErrorKind, Result, backup::PartStream};

/// Makes a part.
#[async_trait]
pub(super) trait Pieces: Send + 'static {
    /// The next piece; an empty one at the end, when all of it was made.
    async fn next(&mut self, cx: &Context) -> Result<Vec<u8>>;
}

/// Reads what is made, within the time that there is. After an error there is nothing else.
pub(super) fn reader(cx: &Context, pieces: impl Pieces) -> PartStream {
    Box::pin(Reader { cx: cx.clone(), state: State::Idle(Box::new(pieces)), piece: Vec::new() })
}

struct Reader {
    cx: Context,
    state: State,
    piece: Vec<u8>,
}

/// A piece, and who makes the next one.
type Made = (Vec<u8>, Box<dyn Pieces>);

enum State {
    Idle(Box<dyn Pieces>),
    Reading(Pin<Box<dyn Future<Output = Result<Made>> + Send>>),
    Over,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        waker: &mut task::Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> task::Poll<std::io::Result<()>> {
        loop {
            if !self.piece.is_empty() {
                let count = out.remaining().min(self.piece.len());
                out.put_slice(&self.piece[..count]);
                self.piece.drain(..count);
                return task::Poll::Ready(Ok(()));
            }
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return task::Poll::Ready(Ok(())),
                State::Idle(mut pieces) => {
                    let cx = self.cx.clone();
                    self.state = State::Reading(Box::pin(async move {
                        let piece = pieces.next(&cx).await?;
                        Ok((piece, pieces))
                    }));
                }
                State::Reading(mut reading) => match reading.as_mut().poll(waker) {
                    task::Poll::Pending => {
                        self.state = State::Reading(reading);
                        return task::Poll::Pending;
                    }
                    task::Poll::Ready(Err(error)) => {
                        return task::Poll::Ready(Err(std::io::Error::other(error)));
                    }
                    task::Poll::Ready(Ok((piece, pieces))) if !piece.is_empty() => {
                        self.piece = piece;
                        self.state = State::Idle(pieces);
                    }
                    task::Poll::Ready(Ok(_end)) => return task::Poll::Ready(Ok(())),
                },
            }
        }
    }
}

/// The error behind one of a reader.
pub(super) fn unreadable(error: std::io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|source| {
        Error::new(ErrorKind::Io, "read a part", "it could not be read to its end")
            .with_source(source)
    })
}
