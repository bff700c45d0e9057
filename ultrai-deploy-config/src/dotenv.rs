//! Dotenv files in Compose's dialect.
//!
//! `export ` before a name, `NAME=value` and `NAME: value`, a bare `NAME` that is inherited,
//! comments only after a space, literal single quotes, double quotes with escapes and
//! variables, quoted values over several lines. Nothing is cut off or guessed: what is not
//! understood is an error with its line.
//!
//! Files are UTF-8; who reads one that is not says so with its name. Compose itself takes some
//! lines that it loses part of, or that no process can be given; they are refused here:
//!
//! | line | what Compose makes of it |
//! |---|---|
//! | `=value`, `export =value` | a variable without a name |
//! | `A<tab>B=value` | a name with white space |
//! | `A="a"b`, `A="a" B=b` | the rest of the line is a statement of its own |
//! | `A="\012"` and other `\0` that are not three octal digits up to 377 | `\12`: the zero is lost |
//! | a NUL, or `\0000` in double quotes | a value that ends at it for every process |
//! | `A=${B:-{}} x}`, `A=${B:-{x}` | what stands behind the variable is lost, or a brace is |
//! | `A` without `=` in a file of `format: raw` | nothing |
//!
//! A bare name at the very end of a file without a newline is inherited, as it is with one;
//! Compose makes a variable without a name of it.

mod escape;
pub(crate) mod reader;
pub(crate) mod scope;
#[cfg(test)]
mod tests;

use std::fmt;

use indexmap::IndexMap;

pub use self::escape::quote;
use self::{
    reader::{Statement, Written, forbidden_characters, statements},
    scope::Scope,
};
use crate::{
    interpolate::{Failure, LONGEST, Value, interpolate},
    placeholder::names_in,
};

/// What is wrong with a line of a dotenv file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DotenvError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead. Values are not shown.
    pub message: String,
}

/// A variable of a dotenv file. Its `Debug` shows no real value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its value, also when it is secret or refers to a secret.
    pub real: String,
    /// Its value with placeholders for secrets.
    pub shown: String,
    /// The line of its name, from 1.
    pub line: usize,
}

impl Entry {
    /// What takes the place of this variable.
    pub fn value(&self) -> Value {
        Value { text: self.shown.clone(), empty: self.real.is_empty() }
    }

    /// Whether it is a secret, or made from one.
    pub fn is_secret(&self) -> bool {
        !names_in(&self.shown).is_empty()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { real: _, shown, line } = self;
        f.debug_struct("Entry").field("shown", shown).field("line", line).finish_non_exhaustive()
    }
}

/// What could be read of a dotenv file, and what is wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The variables of the lines that are understood, in the order of the file.
    pub entries: IndexMap<String, Entry>,
    /// What is wrong, in the order of the file. Empty when the file is as it should be.
    pub errors: Vec<DotenvError>,
    /// References to variables that are not set and have no default: nothing takes their place.
    pub blanks: Vec<Blank>,
}

/// A reference to a variable that is not set and has no default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blank {
    /// The variable whose value refers to it.
    pub of: String,
    /// The variable that is not set.
    pub name: String,
    /// The line of the value, from 1.
    pub line: usize,
}

impl Reading {
    /// The variables.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn or_first_error(self) -> Result<IndexMap<String, Entry>, DotenvError> {
        match self.errors.into_iter().next() {
            None => Ok(self.entries),
            Some(error) => Err(error),
        }
    }
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
    let earlier = IndexMap::new();
    read(text, &Outside { real, shown, is_secret, earlier: &earlier }).or_first_error()
}

/// What a dotenv file can refer to besides its own earlier lines, and what of it is secret.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// The values of the variables that win over those of all lines.
    pub real: &'a dyn Fn(&str) -> Option<String>,
    /// What takes the place of these variables; placeholders for secrets.
    pub shown: &'a dyn Fn(&str) -> Option<Value>,
    /// The names of secrets.
    pub is_secret: &'a dyn Fn(&str) -> bool,
    /// The variables of earlier files, which those of earlier lines win over.
    pub earlier: &'a IndexMap<String, Entry>,
}

impl fmt::Debug for Outside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("earlier", self.earlier).finish_non_exhaustive()
    }
}

/// Reads a dotenv file, and goes on after a line that is not understood: all that is wrong with
/// the file is told at once. A quote that is not closed ends the file.
pub fn read(text: &str, outside: &Outside<'_>) -> Reading {
    let (statements, mut errors) = statements(text);
    let mut scope = Scope::new(outside);
    let mut blanks = Vec::new();
    for Statement { name, line, written } in statements {
        let expanded = match written {
            Written::Inherited => match scope.inherited(&name) {
                Some(values) => Ok(values),
                None => continue,
            },
            Written::Literal(value) => Ok((value.clone(), value)),
            Written::Interpolated(text) => {
                let mut unset = |blank: &str| {
                    blanks.push(Blank { of: name.clone(), name: blank.to_owned(), line });
                };
                expand_hearing(&text, &|name| scope.real(name), &mut unset)
                    .and_then(|real| Ok((real, expand(&text, &|name| scope.shown(name))?)))
            }
        };
        let set = expanded
            .map_err(|what| format!("in the value of {name}, {what}"))
            .and_then(|(real, shown)| scope.set(&name, Entry { real, shown, line }));
        if let Err(message) = set {
            errors.push(DotenvError { line, message });
        }
    }
    errors.sort_by_key(|error| error.line);
    blanks.dedup();
    Reading { entries: scope.entries, errors, blanks }
}

/// Fills the variables into a value.
///
/// # Errors
/// What is wrong, without any value: neither of a variable nor of the text itself.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<String, String> {
    expand_hearing(text, lookup, &mut |_| {})
}

/// The same; `unset` hears of variables that are not set and have no default.
fn expand_hearing(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
    unset: &mut dyn FnMut(&str),
) -> Result<String, String> {
    interpolate(text, lookup, unset).map_err(|failure| match failure {
        Failure::Required { name, .. } => {
            // The message of a `:?` is the file's own; the variables in it are named.
            let named = |name: &str| {
                lookup(name).map(|value| Value { text: format!("${name}"), empty: value.empty })
            };
            match interpolate(text, &named, &mut |_| {}) {
                Err(Failure::Required { message, .. }) => format!("{name} is required: {message}"),
                _ => format!("{name} is required"),
            }
        }
        Failure::TooLong => format!("the text grows past {} MiB", LONGEST >> 20),
        Failure::Syntax(_) => "a `${` is not closed or not understood; write $$ for a dollar, or \
             put the value in single quotes"
            .to_owned(),
    })
}

/// Reads a dotenv file without variables (`format: raw`): values are taken as they stand.
///
/// # Errors
/// A line without `=`, which Compose passes over; a name that is empty or holds white space.
pub fn parse_raw(text: &str) -> Result<IndexMap<String, String>, DotenvError> {
    let entries = parse_raw_hiding(text, &|_| false)?;
    Ok(entries.into_iter().map(|(name, entry)| (name, entry.real)).collect())
}

/// As [`parse_raw`], with placeholders in the place of what `is_secret`.
///
/// # Errors
/// As for [`parse_raw`].
pub fn parse_raw_hiding(
    text: &str,
    is_secret: &dyn Fn(&str) -> bool,
) -> Result<IndexMap<String, Entry>, DotenvError> {
    if let Some(error) = forbidden_characters(text).into_iter().next() {
        return Err(error);
    }
    let earlier = IndexMap::new();
    let outside = Outside { real: &|_| None, shown: &|_| None, is_secret, earlier: &earlier };
    let mut scope = Scope::new(&outside);
    for (number, text) in text.strip_prefix('\u{FEFF}').unwrap_or(text).split('\n').enumerate() {
        let line = number + 1;
        let text = text.strip_suffix('\r').unwrap_or(text).trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, value) = text.split_once('=').ok_or_else(|| DotenvError {
            line,
            message: "there is no `=`; write NAME=value".to_owned(),
        })?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            let message = "a name without white space must stand before the `=`".to_owned();
            return Err(DotenvError { line, message });
        }
        let value = value.to_owned();
        scope
            .set(name, Entry { real: value.clone(), shown: value, line })
            .map_err(|message| DotenvError { line, message })?;
    }
    Ok(scope.entries)
}
