//! `$NAME` and `${NAME…}` in values, as Compose reads them.
//!
//! The earliest operator in the braces wins; defaults, errors and replacements are interpolated
//! themselves, where they are used; `$$` is a dollar; a `$` that begins nothing stays. This is v5;
//! v2 makes them also where they are not used, and refuses mistakes in them.
//!
//! Compose counts braces in a way of its own. It is followed, but for braces that do not pair up:
//! there it loses text, and we refuse. Names are ASCII, where Compose takes the sign for Kelvin
//! for a K.

use std::collections::BTreeSet;

/// What is known of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What takes its place; a placeholder for a secret.
    pub text: String,
    /// Whether its real value is empty.
    pub empty: bool,
}

/// Why a text cannot be interpolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A variable is required (`:?` or `?`); the message is the file's own.
    Required {
        /// The variable.
        name: String,
        /// What the text says of it.
        message: String,
    },
    /// Braces that are not closed, or hold no name.
    Syntax(String),
    /// The text grows longer than [`LONGEST`].
    TooLong,
}

/// Most bytes that a text can grow to: variables that refer to each other twice double with each
/// line. The kernel gives no process a variable that is longer than 128 KiB.
pub const LONGEST: usize = 16 << 20;

/// Why a text that needs all its variables cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfilled {
    /// A variable is not set, and the text has no default for it.
    #[error("variable {0} is not set")]
    Unset(String),
    /// A variable is required (`:?` or `?`).
    #[error("variable {name} is required: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the text says of it.
        message: String,
    },
    /// Braces that are not closed, or hold no name.
    #[error("{0}")]
    Syntax(String),
    /// The text grows longer than [`LONGEST`].
    #[error("the text grows past {} MiB", LONGEST >> 20)]
    TooLong,
}

/// Interpolates `text`, whose variables have to be set where it has no default for them: what a
/// compose file only warns of.
///
/// # Errors
/// The first thing that is wrong.
pub fn fill(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
    let value = |name: &str| lookup(name).map(|text| Value { empty: text.is_empty(), text });
    let mut missing = None;
    let filled = interpolate(text, &value, &mut |name| {
        missing.get_or_insert_with(|| name.to_owned());
    });
    match (filled, missing) {
        (Ok(_), Some(name)) => Err(Unfilled::Unset(name)),
        (Ok(filled), None) => Ok(filled),
        (Err(Failure::Required { name, message }), _) => Err(Unfilled::Required { name, message }),
        (Err(Failure::Syntax(message)), _) => Err(Unfilled::Syntax(message)),
        (Err(Failure::TooLong), _) => Err(Unfilled::TooLong),
    }
}

/// Deepest nesting of defaults, errors and replacements.
const DEEPEST: usize = 50;

/// Interpolates `text`. `lookup` knows the variables; `unset` hears of those that are unset and
/// have no default.
///
/// # Errors
/// The first thing that is wrong.
pub fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
    unset: &mut dyn FnMut(&str),
) -> Result<String, Failure> {
    nested(text, lookup, unset, 0)
}

/// The names of all variables that `text` refers to, those in defaults, errors and replacements
/// included.
///
/// # Errors
/// The first thing that is wrong.
pub fn names(text: &str) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    collect(text, &mut found, 0)?;
    Ok(found)
}

fn nested(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, Failure> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text, depth)? {
        match piece? {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(name) => match lookup(name) {
                Some(value) => out.push_str(&value.text),
                None => unset(name),
            },
            Piece::Choice(choice) => out.push_str(&choice.make(lookup, unset, depth)?),
        }
        if out.len() > LONGEST {
            return Err(Failure::TooLong);
        }
    }
    Ok(out)
}

fn collect(text: &str, found: &mut BTreeSet<String>, depth: usize) -> Result<(), Failure> {
    for piece in pieces(text, depth)? {
        match piece? {
            Piece::Text(_) => {}
            Piece::Variable(name) => drop(found.insert(name.to_owned())),
            Piece::Choice(choice) => {
                found.insert(choice.name.to_owned());
                collect(choice.argument, found, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// What a text is made of.
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
    Choice(Choice<'a>),
}

/// `${NAME:-argument}` and the like.
struct Choice<'a> {
    name: &'a str,
    operator: Operator,
    /// Whether an empty value counts as none.
    or_empty: bool,
    argument: &'a str,
}

enum Operator {
    Default,
    Replacement,
    Required,
}

impl<'a> Choice<'a> {
    /// Reads what stands between braces behind a name.
    fn read(name: &'a str, operation: &'a str) -> Option<Self> {
        let (or_empty, operation) = match operation.strip_prefix(':') {
            Some(operation) => (true, operation),
            None => (false, operation),
        };
        let operator = match operation.chars().next()? {
            '-' => Operator::Default,
            '+' => Operator::Replacement,
            '?' => Operator::Required,
            _ => return None,
        };
        Some(Self { name, operator, or_empty, argument: &operation[1..] })
    }

    fn make(
        &self,
        lookup: &dyn Fn(&str) -> Option<Value>,
        unset: &mut dyn FnMut(&str),
        depth: usize,
    ) -> Result<String, Failure> {
        let given = lookup(self.name).filter(|value| !(self.or_empty && value.empty));
        let mut argument = || nested(self.argument, lookup, unset, depth + 1);
        match (&self.operator, given) {
            (Operator::Default | Operator::Required, Some(value)) => Ok(value.text),
            (Operator::Default, None) | (Operator::Replacement, Some(_)) => argument(),
            (Operator::Replacement, None) => Ok(String::new()),
            (Operator::Required, None) => {
                let message = argument()?;
                Err(Failure::Required { name: self.name.to_owned(), message })
            }
        }
    }
}

fn pieces(text: &str, depth: usize) -> Result<impl Iterator<Item = PieceResult<'_>>, Failure> {
    if depth > DEEPEST {
        return Err(Failure::Syntax(format!("variables are nested deeper than {DEEPEST} levels")));
    }
    // Braces do not reach over the end of a line, so that a line is looked through once for the
    // last of them.
    let lines = text.split_inclusive('\n');
    Ok(lines.flat_map(|line| Pieces { line, at: 0, last: line.rfind('}') }))
}

type PieceResult<'a> = Result<Piece<'a>, Failure>;

/// The pieces of a line.
struct Pieces<'a> {
    line: &'a str,
    at: usize,
    /// Where the last brace closes.
    last: Option<usize>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = PieceResult<'a>;

    fn next(&mut self) -> Option<PieceResult<'a>> {
        let rest = &self.line[self.at..];
        let Some(after) = rest.strip_prefix('$') else {
            let end = rest.find('$').unwrap_or(rest.len());
            self.at += end;
            return (end > 0).then(|| Ok(Piece::Text(&rest[..end])));
        };
        if let Some(inner) = after.strip_prefix('{') {
            self.at += 2;
            return Some(self.braced(inner));
        }
        let length = name_length(after);
        self.at += 1 + length;
        if length > 0 {
            return Some(Ok(Piece::Variable(&after[..length])));
        }
        if after.starts_with('$') {
            self.at += 1;
        }
        Some(Ok(Piece::Text(&rest[..1])))
    }
}

impl<'a> Pieces<'a> {
    /// What stands in braces whose text begins as `inner` does.
    fn braced(&mut self, inner: &'a str) -> PieceResult<'a> {
        let (name, behind) = inner.split_at(name_length(inner));
        let last = self.last.and_then(|last| last.checked_sub(self.at));
        let Some(end) = closing(inner, last) else {
            return Err(Failure::Syntax(format!(
                "`${{{name}` is not closed on its line; write $$ for a dollar"
            )));
        };
        self.at += end + 1;
        if name.is_empty() {
            return Err(Failure::Syntax(
                "`${` must be followed by a variable name; names are letters, digits and _"
                    .to_owned(),
            ));
        }
        if behind.starts_with('}') {
            return Ok(Piece::Variable(name));
        }
        let choice = Choice::read(name, &inner[name.len()..end]).ok_or_else(|| {
            Failure::Syntax(format!(
                "`${{{name}…}}` is not understood; write ${{{name}}}, ${{{name}:-default}}, \
                 ${{{name}:?error}} or ${{{name}:+replacement}}"
            ))
        })?;
        Ok(Piece::Choice(choice))
    }
}

/// Length of the variable name that `text` begins with.
fn name_length(text: &str) -> usize {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !text.starts_with(is_first) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Where the brace that is open at the beginning of `text` closes; `last` is where the last one of
/// its line does.
///
/// Compose counts braces and passes over the character after each that opens; where that finds no
/// end, the last brace of the line is it. What takes in more than the braces that pair up would
/// lose text that stands behind the variable: nothing closes then.
fn closing(text: &str, last: Option<usize>) -> Option<usize> {
    let name = name_length(text);
    if text[name..].starts_with('}') {
        return Some(name);
    }
    let bytes = &text.as_bytes()[..=last?];
    match pairing(bytes, 1) {
        Some(end) => pairing(&bytes[..end], 0).is_none().then_some(end),
        None => pairing(bytes, 0).filter(|end| *end == bytes.len() - 1),
    }
}

/// Where the brace that is open at the beginning of `bytes` closes, when as many as `passed_over`
/// are not looked at behind each that opens.
fn pairing(bytes: &[u8], passed_over: usize) -> Option<usize> {
    let mut open = 1_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => {
                open += 1;
                at += passed_over;
            }
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests;
