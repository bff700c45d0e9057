//! The text of a configuration file, and places in it.

use std::{fmt, path::PathBuf};

/// A place in a file: line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The text of a file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) file: PathBuf,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The place of a byte.
    pub(super) fn place(&self, offset: usize) -> Place {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before[line_begin..].chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source { file: "f".into(), text: "ä = 1\nüü = 2\n" };
        assert_eq!(source.place(0), Place { line: 1, column: 1 });
        assert_eq!(source.place(source.text.find("= 2").unwrap()), Place { line: 2, column: 4 });
        assert_eq!(source.place(1000), Place { line: 3, column: 1 });
    }
}
