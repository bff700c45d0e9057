//! Dotenv files in Compose's dialect.
//!
//! `export ` before a name, `NAME=value` and `NAME: value`, a bare `NAME` that is inherited,
//! comments only after a space, literal single quotes, double quotes with escapes and
//! variables, quoted values over several lines. Nothing is cut off or guessed: what is not
//! understood is an error with its line.

use std::fmt;

use indexmap::IndexMap;

use crate::{
    interpolate::{Failure, Value, interpolate},
    placeholder::{CLOSE, OPEN, placeholder},
};

/// Why a dotenv file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DotenvError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead. Values are not shown.
    pub message: String,
}

/// Reads a dotenv file. `lookup` knows the variables from outside, which win over earlier lines
/// when a value refers to one.
///
/// # Errors
/// The first line that is not understood.
pub fn parse(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<IndexMap<String, String>, DotenvError> {
    let shown = |name: &str| lookup(name).map(|text| Value { empty: text.is_empty(), text });
    let entries = parse_hiding(text, lookup, &shown, &|_| false)?;
    Ok(entries.into_iter().map(|(name, entry)| (name, entry.real)).collect())
}

/// A variable of a dotenv file. Its `Debug` shows no real value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its value, also when it is secret or refers to a secret.
    pub real: String,
    /// Its value with placeholders for secrets.
    pub shown: String,
    /// The line that it begins in, from 1.
    pub line: usize,
}

impl Entry {
    /// What takes the place of this variable.
    pub fn value(&self) -> Value {
        Value { text: self.shown.clone(), empty: self.real.is_empty() }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// As [`parse`], with placeholders in the place of what `is_secret`. `real` and `shown` know the
/// variables from outside.
///
/// # Errors
/// As for [`parse`].
pub fn parse_hiding(
    text: &str,
    real: &dyn Fn(&str) -> Option<String>,
    shown: &dyn Fn(&str) -> Option<Value>,
    is_secret: &dyn Fn(&str) -> bool,
) -> Result<IndexMap<String, Entry>, DotenvError> {
    let mut entries: IndexMap<String, Entry> = IndexMap::new();
    for (line, name, written) in statements(text)? {
        let mut entry = match written {
            Written::Inherited => match (real(&name), shown(&name)) {
                (Some(real), Some(shown)) => Entry { real, shown: shown.text, line },
                _ => continue,
            },
            Written::Literal(value) => Entry { real: value.clone(), shown: value, line },
            Written::Template { line: at, text } => {
                let in_real = |name: &str| {
                    let value = real(name).or_else(|| Some(entries.get(name)?.real.clone()));
                    value.map(|text| Value { empty: text.is_empty(), text })
                };
                let in_shown =
                    |name: &str| shown(name).or_else(|| entries.get(name).map(Entry::value));
                Entry {
                    real: expand(&name, at, &text, &in_real)?,
                    shown: expand(&name, at, &text, &in_shown)?,
                    line,
                }
            }
        };
        if is_secret(&name) {
            entry.shown = placeholder(&name);
        }
        entries.insert(name, entry);
    }
    Ok(entries)
}

fn expand(
    name: &str,
    line: usize,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
) -> Result<String, DotenvError> {
    interpolate(text, lookup, &mut |_| {}).map_err(|failure| DotenvError {
        line,
        message: match failure {
            Failure::Required { name, message } => format!("{name} is required: {message}"),
            Failure::Syntax(_) => format!(
                "the value of {name} has a `$` that begins nothing; write $$, or put the value \
                 in single quotes"
            ),
        },
    })
}

/// Reads a dotenv file without variables (`format: raw`): values are taken as they stand.
///
/// # Errors
/// A line without `=`.
pub fn parse_raw(text: &str) -> Result<IndexMap<String, String>, DotenvError> {
    check_characters(text)?;
    let mut variables = IndexMap::new();
    for (number, line) in text.strip_prefix('\u{FEFF}').unwrap_or(text).lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| DotenvError {
            line: number + 1,
            message: "there is no `=`; write NAME=value".to_owned(),
        })?;
        variables.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(variables)
}

enum Written {
    Inherited,
    Literal(String),
    Template { line: usize, text: String },
}

/// A text with the characters of placeholders could not be told from a secret.
fn check_characters(text: &str) -> Result<(), DotenvError> {
    match text.find([OPEN, CLOSE]) {
        None => Ok(()),
        Some(at) => Err(DotenvError {
            line: text[..at].matches('\n').count() + 1,
            message: "the characters U+E000 and U+E001 are not allowed; remove them".to_owned(),
        }),
    }
}

fn statements(text: &str) -> Result<Vec<(usize, String, Written)>, DotenvError> {
    check_characters(text)?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1 };
    let mut statements = Vec::new();
    while reader.skip_blank() {
        let line = reader.line;
        let name = reader.name()?;
        let written = reader.value(&name)?;
        statements.push((line, name, written));
    }
    Ok(statements)
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
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn name(&mut self) -> Result<String, DotenvError> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            let skip = self.rest.len() - after.trim_start_matches([' ', '\t']).len();
            self.advance(skip);
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')))
            .unwrap_or(self.rest.len());
        let name = self.advance(end).to_owned();
        if name.is_empty() {
            let found = self.rest.chars().next().unwrap_or(' ');
            return Err(self.error(format!(
                "a name must stand here, not `{}`; write NAME=value",
                found.escape_default()
            )));
        }
        Ok(name)
    }

    fn value(&mut self, name: &str) -> Result<Written, DotenvError> {
        self.spaces();
        match self.rest.chars().next() {
            None | Some('\n' | '#') => return Ok(Written::Inherited),
            Some('=' | ':') => {
                self.advance(1);
            }
            Some(_) => {
                return Err(self.error(format!(
                    "`=` must follow {name}; a value with spaces needs no quotes, a name has none"
                )));
            }
        }
        self.spaces();
        let line = self.line;
        match self.rest.chars().next() {
            Some('\'') => {
                self.advance(1);
                let text = self.until_quote('\'', name, line)?;
                self.end_of_line(name)?;
                Ok(Written::Literal(text.to_owned()))
            }
            Some('"') => {
                self.advance(1);
                let text = unescape(self.until_quote('"', name, line)?);
                self.end_of_line(name)?;
                Ok(Written::Template { line, text })
            }
            _ => {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                let text = self.advance(end);
                let comment = text.find(" #").unwrap_or(text.len());
                let text = text[..comment].trim_end().to_owned();
                Ok(Written::Template { line, text })
            }
        }
    }

    /// The text up to a quote that no backslash precedes, and past it.
    fn until_quote(
        &mut self,
        quote: char,
        name: &str,
        line: usize,
    ) -> Result<&'a str, DotenvError> {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            if c == quote && !escaped {
                let text = self.advance(at);
                self.advance(1);
                return Ok(text);
            }
            escaped = c == '\\' && !escaped;
        }
        let message = format!("the quote that begins the value of {name} is not closed");
        Err(DotenvError { line, message })
    }

    fn end_of_line(&mut self, name: &str) -> Result<(), DotenvError> {
        self.spaces();
        match self.rest.chars().next() {
            None | Some('\n' | '#') => Ok(()),
            Some(_) => Err(self.error(format!(
                "something follows the quoted value of {name}; quote the whole value"
            ))),
        }
    }

    fn spaces(&mut self) {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\r']);
        self.advance(self.rest.len() - trimmed.len());
    }

    fn error(&self, message: String) -> DotenvError {
        DotenvError { line: self.line, message }
    }
}

/// Resolves the escapes of a double-quoted value; `\$` becomes `$$`, which stays a dollar when
/// variables are filled in.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('$') => out.push_str("$$"),
            Some('0') => {
                let mut code = 0;
                for _ in 0..3 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    chars.next();
                }
                out.extend(char::from_u32(code));
            }
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let outside = |name: &str| (name == "OUTSIDE").then(|| "out".to_owned());
        parse(text, &outside).unwrap().into_iter().collect()
    }

    #[test]
    fn every_form_reads_as_compose_reads_it() {
        for (text, expected) in [
            ("A=1", "1"),
            ("export A=1", "1"),
            ("A: 1", "1"),
            ("A = a b c  ", "a b c"),
            ("A=a # b", "a"),
            ("A=a#b", "a#b"),
            ("A=#a", "#a"),
            ("A=", ""),
            ("A='$X \\n'", "$X \\n"),
            ("A=\"a\\nb\" # c", "a\nb"),
            ("A=\"\\$X \\\"q\\\" \\\\\"", "$X \"q\" \\"),
            ("A=pa$$word", "pa$word"),
            ("A=${X:-d}", "d"),
            ("A=${OUTSIDE}", "out"),
            ("OUTSIDE=in\nA=$OUTSIDE", "out"),
            ("B=1\nA=${B}2", "12"),
            ("A='line 1\nline 2'", "line 1\nline 2"),
            ("\u{FEFF}A=1", "1"),
            ("# c\n\n  A=1\r\n", "1"),
            ("A=1\nA=2", "2"),
            ("A=a\tb", "a\tb"),
        ] {
            let variables = read(text);
            let value = variables.iter().find(|(name, _)| name == "A").map(|(_, value)| value);
            assert_eq!(value.map(String::as_str), Some(expected), "{text:?}");
        }
        assert_eq!(read("OUTSIDE\nMISSING\n"), [("OUTSIDE".to_owned(), "out".to_owned())]);
        assert_eq!(read("a.b-c[0]=1")[0].0, "a.b-c[0]");
    }

    #[test]
    fn errors_name_the_line_and_no_value() {
        for (text, line) in [
            ("A=1\n=2", 2),
            ("A=1\nB='hunter2", 2),
            ("A=1\n\nB=\"hunter2\" x", 3),
            ("A B=1", 1),
            ("A=hunter2${", 1),
        ] {
            let error = parse(text, &|_| None).unwrap_err();
            assert_eq!(error.line, line, "{text:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn raw_values_are_taken_as_they_stand() {
        let variables = parse_raw("A='$X' # c\n").unwrap();
        assert_eq!(variables["A"], "'$X' # c");
    }
}
