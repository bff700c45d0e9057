//! An archive passed on while it is read.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    entry::{Entry, Kind},
    failure::Refusal,
    header::BLOCK,
    limits::{Limits, PADDING},
    vetting::{Next, Vetting},
};

/// Memory for what is read over.
const OVER: usize = 16 << 10;

/// Passes an archive on as it is, and fails where it could do harm.
///
/// Nothing of an entry is passed on before it has been found harmless. It must be read to its end:
/// only then it is known to be whole.
pub fn screen<R: AsyncRead + Unpin>(archive: R, limits: Limits) -> Screen<R> {
    Screen {
        archive,
        vetting: Vetting::new(limits),
        state: State::Header(BLOCK as u64),
        held: Vec::with_capacity(2 * BLOCK),
        passed: 0,
        released: 0,
        entry: None,
    }
}

/// An archive that is being screened; see [`screen`].
#[derive(Debug)]
pub struct Screen<R> {
    archive: R,
    vetting: Vetting,
    state: State,
    /// Headers and extensions that are not passed on yet.
    held: Vec<u8>,
    /// How much of `held` has been passed on.
    passed: usize,
    /// How much of `held` may be passed on.
    released: usize,
    /// The entry that was found last, until it is taken.
    entry: Option<Entry>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// How much of a header is to come.
    Header(u64),
    /// The kind, the size, and how much of it and its padding is to come.
    Extension(u8, u64, u64),
    /// How much content, and how much padding after it.
    Content(u64, u64),
    /// How many bytes of zeros there were.
    Trailer(u64),
    End,
    Failed,
}

impl<R> Screen<R> {
    /// Takes only what is in the directory of this name, and that as the place to stay inside.
    pub fn within(mut self, directory: &str) -> Self {
        self.vetting.set_root(directory);
        self
    }
}

impl<R: AsyncRead + Unpin> Screen<R> {
    /// The next entry; what is left of the one before is read over.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut over = vec![0; OVER];
        while !matches!(self.state, State::End) {
            if let Some(entry) = self.entry.take() {
                return Ok(Some(entry));
            }
            poll_fn(|cx| self.poll_step(cx, &mut ReadBuf::new(&mut over))).await?;
        }
        Ok(None)
    }

    /// Some of the content of the entry that [`next`](Self::next) gave; nothing at its end.
    pub(crate) async fn content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The header is of no use any more.
        self.passed = self.released;
        match self.state {
            State::Content(1.., _) => {
                poll_fn(|cx| self.poll_step(cx, &mut ReadBuf::new(buffer))).await
            }
            _ => Ok(0),
        }
    }

    /// Puts something into `out`, or gets closer to that. Returns how much.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.passed < self.released {
            let count = out.remaining().min(self.released - self.passed);
            out.put_slice(&self.held[self.passed..self.passed + count]);
            self.passed += count;
            return Poll::Ready(Ok(count));
        }
        self.held.drain(..std::mem::take(&mut self.released));
        self.passed = 0;
        match self.state {
            State::Header(0) => self.take_header()?,
            State::Header(left) => {
                let count = ready!(self.poll_hold(cx, left))?;
                self.state = State::Header(left - count);
            }
            State::Extension(kind, size, 0) => self.take_extension(kind, size)?,
            State::Extension(kind, size, left) => {
                let count = ready!(self.poll_hold(cx, left))?;
                self.state = State::Extension(kind, size, left - count);
            }
            State::Content(0, 0) => self.state = State::Header(BLOCK as u64),
            State::Content(0, left) => {
                let count = ready!(self.poll_archive(cx, out, left))?;
                self.state = State::Content(0, left - count as u64);
                return Poll::Ready(Ok(count));
            }
            State::Content(left, padding) => {
                let count = ready!(self.poll_archive(cx, out, left))?;
                self.state = State::Content(left - count as u64, padding);
                return Poll::Ready(Ok(count));
            }
            State::Trailer(zeros) => return self.poll_trailer(cx, out, zeros),
            State::End => {}
            State::Failed => {
                let why = Refusal::new("the archive was refused");
                return Poll::Ready(Err(why.into_io()));
            }
        }
        Poll::Ready(Ok(0))
    }

    /// Reads at most `left` bytes into `out`; the archive must have them.
    fn poll_archive(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        left: u64,
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_some(cx, out, left))?;
        if count == 0 {
            return Poll::Ready(Err(self.fail(Refusal::new("the archive ends too early"))));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_some(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        left: u64,
    ) -> Poll<io::Result<usize>> {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.remaining());
        let mut part = ReadBuf::new(out.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.archive).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        out.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Holds back at most `left` more bytes.
    fn poll_hold(&mut self, cx: &mut Context<'_>, left: u64) -> Poll<io::Result<u64>> {
        let mut block = [0; BLOCK];
        let count = ready!(self.poll_archive(cx, &mut ReadBuf::new(&mut block), left))?;
        self.held.extend_from_slice(&block[..count]);
        Poll::Ready(Ok(count as u64))
    }

    fn take_header(&mut self) -> io::Result<()> {
        let mut block = [0; BLOCK];
        block.copy_from_slice(&self.held[self.held.len() - BLOCK..]);
        match self.vetting.header(&block).map_err(|why| self.fail(why))? {
            Next::Extension(kind, size) => {
                self.state = State::Extension(kind, size, size + padding(size));
                return Ok(());
            }
            Next::Entry(entry) => {
                let size = if let Kind::File(size) = entry.kind { size } else { 0 };
                self.entry = Some(entry);
                self.state = State::Content(size, padding(size));
            }
            Next::End => self.state = State::Trailer(BLOCK as u64),
        }
        self.released = self.held.len();
        Ok(())
    }

    fn take_extension(&mut self, kind: u8, size: u64) -> io::Result<()> {
        let padded = usize::try_from(size + padding(size)).unwrap_or(usize::MAX);
        let begin = self.held.len().saturating_sub(padded);
        let end = begin + usize::try_from(size).unwrap_or(usize::MAX);
        let added = self.vetting.extension(kind, &self.held[begin..end]);
        added.map_err(|why| self.fail(why))?;
        self.state = State::Header(BLOCK as u64);
        Ok(())
    }

    /// The padding after the end, which other programs do not look at.
    fn poll_trailer(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        zeros: u64,
    ) -> Poll<io::Result<usize>> {
        let before = out.filled().len();
        let count = ready!(self.poll_some(cx, out, u64::MAX))?;
        let why = if out.filled()[before..].iter().any(|byte| *byte != 0) {
            "something comes after the end of the archive"
        } else if zeros > PADDING {
            "the padding after the end of the archive does not end"
        } else if count > 0 {
            self.state = State::Trailer(zeros + count as u64);
            return Poll::Ready(Ok(count));
        } else if zeros >= 2 * BLOCK as u64 {
            self.state = State::End;
            return Poll::Ready(Ok(0));
        } else {
            "the archive ends too early"
        };
        // What is not passed on is not read.
        out.set_filled(before);
        Poll::Ready(Err(self.fail(Refusal::new(why))))
    }

    fn fail(&mut self, why: Refusal) -> io::Error {
        self.state = State::Failed;
        why.into_io()
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Screen<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while out.remaining() > 0 && ready!(self.poll_step(cx, out))? == 0 {
            if matches!(self.state, State::End) {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What fills the last block of so much content.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
