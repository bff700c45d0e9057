//! The statements of a dotenv file, as they are written.

use super::{
    DotenvError,
    escape::{unescape_double, unescape_single},
};
use crate::placeholder::{CLOSE, OPEN};

/// A variable of a dotenv file, as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) name: String,
    /// The line of its name, from 1.
    pub(crate) line: usize,
    pub(crate) written: Written,
}

/// What is written for a variable.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// A bare name: the value comes from outside.
    Inherited,
    /// A value in single quotes.
    Literal(String),
    /// A value whose variables are yet to be filled in.
    Interpolated(String),
}

/// Reads all statements, and what is wrong with the others. A line that is not understood is
/// passed over; a quote that is not closed ends the file.
pub(crate) fn statements(text: &str) -> (Vec<Statement>, Vec<DotenvError>) {
    let errors = forbidden_characters(text);
    if !errors.is_empty() {
        return (Vec::new(), errors);
    }
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = Reader { rest: text, line: 1 };
    let (mut statements, mut errors) = (Vec::new(), Vec::new());
    while reader.skip_blank() {
        match reader.statement() {
            Ok(statement) => statements.push(statement),
            Err(error) => {
                errors.push(error);
                reader.skip_line();
            }
        }
    }
    (statements, errors)
}

/// No process can be given a NUL; a text with the characters of placeholders could not be told
/// from a secret.
pub(super) fn forbidden_characters(text: &str) -> Vec<DotenvError> {
    let messages = [
        ('\0', "NUL, which no variable can hold; remove it"),
        (OPEN, "the character U+E000, which is not allowed; remove it"),
        (CLOSE, "the character U+E001, which is not allowed; remove it"),
    ];
    let mut errors = Vec::new();
    for (line, text) in text.split('\n').enumerate() {
        for (forbidden, message) in messages {
            if text.contains(forbidden) {
                errors.push(DotenvError { line: line + 1, message: format!("this is {message}") });
            }
        }
    }
    errors
}

/// White space within a line, as Compose knows it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{B}' | '\u{C}' | '\r' | '\u{85}' | '\u{A0}')
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Skips white space, empty lines and comments; false at the end.
    fn skip_blank(&mut self) -> bool {
        loop {
            let trimmed = self.rest.trim_start();
            self.advance(self.rest.len() - trimmed.len());
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.skip_line();
        }
    }

    fn skip_line(&mut self) {
        self.advance(self.end_of_line());
    }

    fn end_of_line(&self) -> usize {
        self.rest.find('\n').unwrap_or(self.rest.len())
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn spaces(&mut self) {
        let trimmed = self.rest.trim_start_matches(is_space);
        self.advance(self.rest.len() - trimmed.len());
    }

    fn statement(&mut self) -> Result<Statement, DotenvError> {
        let line = self.line;
        let name = self.name()?;
        let written = self.value(&name)?;
        Ok(Statement { name, line, written })
    }

    fn name(&mut self) -> Result<String, DotenvError> {
        let separators = [' ', '\t', '\r', '\u{C}'];
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(separators)
        {
            let skip = self.rest.len() - after.trim_start_matches(separators).len();
            self.advance(skip);
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')))
            .unwrap_or(self.rest.len());
        let name = self.advance(end).to_owned();
        if name.is_empty() {
            let found = self.rest.chars().next().unwrap_or('\n');
            return Err(self.error(format!(
                "a name must stand here, not `{}`; write NAME=value",
                found.escape_debug()
            )));
        }
        Ok(name)
    }

    fn value(&mut self, name: &str) -> Result<Written, DotenvError> {
        self.spaces();
        match self.rest.chars().next() {
            None | Some('\n') => return Ok(Written::Inherited),
            Some('=' | ':') => {
                self.advance(1);
            }
            Some(_) => {
                // The name is not shown: it may be a line of a value that should be in quotes.
                return Err(self.error(
                    "`=` must follow the name; a name has no spaces, and a value of several lines \
                     is in quotes"
                        .to_owned(),
                ));
            }
        }
        self.spaces();
        match self.rest.chars().next() {
            Some(quote @ '\'') => {
                let text = self.quoted(quote, name)?;
                Ok(Written::Literal(unescape_single(text)))
            }
            Some(quote @ '"') => {
                let line = self.line;
                let text = unescape_double(self.quoted(quote, name)?);
                let text = text.map_err(|message| DotenvError {
                    line,
                    message: format!("the value of {name} {message}"),
                })?;
                Ok(Written::Interpolated(text))
            }
            _ => {
                let text = self.advance(self.end_of_line());
                let comment = text.find(" #").unwrap_or(text.len());
                Ok(Written::Interpolated(text[..comment].trim_end().to_owned()))
            }
        }
    }

    /// What stands between quotes, the first of which comes next; nothing but a comment may follow
    /// the second.
    fn quoted(&mut self, quote: char, name: &str) -> Result<&'a str, DotenvError> {
        let line = self.line;
        self.advance(1);
        let Some(end) = closing(self.rest, quote) else {
            // Nobody knows where the value was to end.
            self.advance(self.rest.len());
            return Err(DotenvError {
                line,
                message: format!("the quote that begins the value of {name} is not closed"),
            });
        };
        let text = self.advance(end);
        self.advance(1);
        self.spaces();
        match self.rest.chars().next() {
            None | Some('\n' | '#') => Ok(text),
            Some(_) => Err(self.error(format!(
                "something follows the quoted value of {name}; quote the whole value"
            ))),
        }
    }

    fn error(&self, message: String) -> DotenvError {
        DotenvError { line: self.line, message }
    }
}

/// Where the first quote is that no backslash precedes.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return Some(at);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}
