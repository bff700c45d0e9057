//! A writer that cuts known values out of what passes through it.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, PoisonError, RwLock},
};

use zeroize::Zeroizing;

use super::{Redactor, values::Pass};

/// How much of a line without an end is held back, in bytes, before its beginning is let go.
const LONGEST_LINE: usize = 64 * 1024;

/// A redactor that learns: writers that were made before a value was known cut it out after.
/// Clones are one.
#[derive(Clone, Debug, Default)]
pub struct SharedRedactor(Arc<RwLock<Redactor>>);

impl SharedRedactor {
    /// Looks for these values from now on, too.
    pub fn extend(&self, redactor: Redactor) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(redactor);
    }

    /// The text without known values.
    pub fn text(&self, text: &str) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).text(text)
    }

    /// What it looks for now.
    pub fn current(&self) -> Redactor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From<Redactor> for SharedRedactor {
    fn from(redactor: Redactor) -> Self {
        Self(Arc::new(RwLock::new(redactor)))
    }
}

/// Cuts known values out of what is written, line by line, however the writes divide it.
///
/// A line is passed on when it ends; [`flush`](Write::flush) passes on of an unfinished one what no
/// value can begin in any more, and dropping it all that is left. What an error of the writer below
/// left unwritten on dropping is lost.
pub struct RedactingWriter<W: Write> {
    below: W,
    redactor: SharedRedactor,
    /// What was not passed on yet; no line end but at its end.
    held: Zeroizing<Vec<u8>>,
    pass: Pass,
    longest_line: usize,
}

impl<W: Write> RedactingWriter<W> {
    /// Writes to `below`.
    pub fn new(below: W, redactor: impl Into<SharedRedactor>) -> Self {
        Self {
            below,
            redactor: redactor.into(),
            held: Zeroizing::default(),
            pass: Pass::default(),
            longest_line: LONGEST_LINE,
        }
    }

    /// Twice a value, or more and more would be held back byte by byte.
    fn limit(&self) -> usize {
        let redactor = self.redactor.0.read().unwrap_or_else(PoisonError::into_inner);
        self.longest_line.max(2 * redactor.values.longest())
    }

    /// Keeps `piece`; a buffer that grows leaves no copy behind.
    fn hold(&mut self, piece: &[u8]) {
        let needed = self.held.len() + piece.len();
        if needed > self.held.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.held.len())));
            larger.extend_from_slice(&self.held);
            self.held = larger;
        }
        self.held.extend_from_slice(piece);
    }

    /// Passes on what is decided; everything at the end of a line.
    fn pass_on(&mut self, end: bool) -> io::Result<()> {
        let mut out = Vec::with_capacity(self.held.len());
        let redactor = self.redactor.0.read().unwrap_or_else(PoisonError::into_inner);
        let done = redactor.values.pass(&mut self.pass, &self.held, end, &mut out);
        drop(redactor);
        // Before it is written: after an error nobody knows how much of it was.
        let rest = Zeroizing::new(self.held[done..].to_vec());
        self.held = rest;
        if end {
            self.pass = Pass::default();
        }
        self.below.write_all(&out)
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.limit().saturating_sub(self.held.len()).max(1);
        let piece = bytes.get(..room).unwrap_or(bytes);
        let line_end = piece.iter().position(|byte| *byte == b'\n');
        let piece = line_end.map_or(piece, |at| &piece[..=at]);
        self.hold(piece);
        if line_end.is_some() {
            self.pass_on(true)?;
        } else if self.held.len() >= self.limit() {
            self.pass_on(false)?;
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on(false)?;
        self.below.flush()
    }
}

impl<W: Write> Drop for RedactingWriter<W> {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _lost = self.pass_on(true).and_then(|()| self.below.flush());
    }
}

impl<W: Write> fmt::Debug for RedactingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactingWriter").field("redactor", &self.redactor).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        name::SecretName,
        secret::{Secret, Secrets},
    };

    struct Sink<'a>(&'a RefCell<Vec<u8>>);

    impl Write for Sink<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn redactor(values: &[&str]) -> Redactor {
        let named = values.iter().enumerate();
        let secrets = named
            .map(|(at, value)| (SecretName::new(format!("S{at}")).unwrap(), Secret::new(*value)));
        Redactor::new(&secrets.collect::<Secrets>())
    }

    fn written(redactor: &Redactor, pieces: &[&[u8]], longest_line: usize, flush: bool) -> String {
        let sink = RefCell::default();
        let mut writer = RedactingWriter::new(Sink(&sink), redactor.clone());
        writer.longest_line = longest_line;
        for piece in pieces {
            writer.write_all(piece).unwrap();
            if flush {
                writer.flush().unwrap();
            }
        }
        drop(writer);
        String::from_utf8(sink.into_inner()).unwrap()
    }

    #[test]
    fn a_value_split_across_writes_is_cut_out() {
        let redactor = redactor(&["hunter2hunter2"]);
        let sink = RefCell::default();
        let mut writer = RedactingWriter::new(Sink(&sink), redactor);
        writer.write_all(b"one\nthe token=hunter2").unwrap();
        writer.flush().unwrap();
        let shown = String::from_utf8(sink.borrow().clone()).unwrap();
        assert_eq!(shown, "one\nthe ", "only what can be in no value");
        writer.write_all(b"hunter2, ok").unwrap();
        drop(writer);
        assert_eq!(String::from_utf8(sink.into_inner()).unwrap(), "one\nthe token=***, ok");
    }

    #[test]
    fn what_is_learnt_later_is_cut_out_from_then_on() {
        let shared = SharedRedactor::default();
        let sink = RefCell::default();
        let mut writer = RedactingWriter::new(Sink(&sink), shared.clone());
        writer.write_all(b"hunter2\nhun").unwrap();
        shared.extend(redactor(&["hunter2"]));
        writer.write_all(b"ter2\n").unwrap();
        drop(writer);
        assert_eq!(sink.into_inner(), b"hunter2\n***\n");
    }

    #[test]
    fn the_lines_of_a_value_are_cut_out_one_by_one() {
        let redactor = redactor(&["-----BEGIN-----\nMIIEvQ\n"]);
        let shown = written(&redactor, &[b"a MIIEvQ\n-----BEGIN-----\nMIIEvQ\nb"], 1 << 16, false);
        assert_eq!(shown, "a ***\n***\n***\nb");
    }

    proptest! {
        #[test]
        fn any_split_gives_what_the_whole_gives(
            text in "[abc\n]{0,120}",
            values in proptest::collection::vec("[abc]{6,9}", 0..4),
            splits in proptest::collection::vec(0_usize..=120, 0..12),
            longest_line in 1_usize..40,
            flush: bool,
        ) {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let redactor = redactor(&values);
            let whole: String = text.split_inclusive('\n').map(|line| redactor.text(line)).collect();
            prop_assert_eq!(&redactor.text(&text), &whole, "values of one line stay in one line");
            let mut at: Vec<_> = splits.into_iter().map(|at| at.min(text.len())).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces: Vec<_> = at.windows(2).map(|ends| &text.as_bytes()[ends[0]..ends[1]]).collect();
            prop_assert_eq!(&written(&redactor, &pieces, longest_line, flush), &whole);
            for value in values {
                prop_assert!(!whole.contains(value));
            }
        }
    }
}
