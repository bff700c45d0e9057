//! Output that comes in pieces, as lines, with its end kept.

use ultrai_deploy_core::evidence::MAX_EVIDENCE;

/// Longest line that is handed on whole, in bytes; longer ones come in several.
const MAX_LINE: usize = 16 * 1024;

/// Joins pieces to lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes a piece and hands every line that it completes to `take`, without its end.
    pub(crate) fn push(&mut self, piece: &[u8], mut take: impl FnMut(&str)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") || self.begun.len() >= MAX_LINE {
                self.finish(&mut take);
            }
        }
    }

    /// Hands on what has no line end yet.
    pub(crate) fn finish(&mut self, mut take: impl FnMut(&str)) {
        if !self.begun.is_empty() {
            let line = String::from_utf8_lossy(&self.begun);
            take(line.trim_end_matches(['\n', '\r']));
            self.begun.clear();
        }
    }
}

/// The last lines of an output, at most [`MAX_EVIDENCE`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    text: String,
}

impl Tail {
    /// Adds a line.
    pub(crate) fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        // Cut rarely, so that a long output costs no copy for each of its lines.
        if self.text.len() > 2 * MAX_EVIDENCE {
            self.cut();
        }
    }

    /// The kept text, without a line end after it.
    pub(crate) fn into_text(mut self) -> String {
        self.cut();
        let end = self.text.trim_end_matches('\n').len();
        self.text.truncate(end);
        self.text
    }

    fn cut(&mut self) {
        let Some(mut start) = self.text.len().checked_sub(MAX_EVIDENCE) else { return };
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        self.text.drain(..start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut take = |line: &str| seen.push(line.to_owned());
        for piece in ["a", "b\nc\r\n\n", "d\u{e9}", "f"] {
            lines.push(piece.as_bytes(), &mut take);
        }
        lines.finish(&mut take);
        lines.finish(&mut take);
        assert_eq!(seen, ["ab", "c", "", "d\u{e9}f"]);
    }

    #[test]
    fn a_line_without_end_does_not_grow_for_ever() {
        let mut lines = Lines::default();
        let mut longest = 0;
        for _piece in 0..100 {
            lines.push(&[b'x'; 1000], |line| longest = longest.max(line.len()));
        }
        assert!((MAX_LINE..MAX_LINE + 1000).contains(&longest), "{longest}");
    }

    #[test]
    fn the_end_is_kept() {
        let mut tail = Tail::default();
        for number in 0..10_000 {
            tail.push(&format!("line {number} \u{e4}"));
        }
        let text = tail.into_text();
        assert!(text.len() <= MAX_EVIDENCE && text.len() > MAX_EVIDENCE - 20);
        assert!(text.ends_with("line 9999 \u{e4}"));
    }
}
