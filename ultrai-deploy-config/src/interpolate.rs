//! `$NAME` and `${NAME…}` in values, as Compose reads them.
//!
//! The earliest operator in the braces wins; defaults, errors and replacements are interpolated
//! themselves; `$$` is a dollar; a `$` that begins nothing stays.

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
}

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

fn nested(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, Failure> {
    if depth > DEEPEST {
        return Err(Failure::Syntax(format!("variables are nested deeper than {DEEPEST} levels")));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let end = closing(after).ok_or_else(|| {
                Failure::Syntax(format!("`${{` in `{text}` is not closed; write $$ for a dollar"))
            })?;
            out.push_str(&braced(&after[..end], lookup, unset, depth)?);
            rest = &after[end + 1..];
        } else {
            let length = name_length(after);
            if length == 0 {
                out.push('$');
            } else {
                out.push_str(&plain(&after[..length], lookup, unset));
            }
            rest = &after[length..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn braced(
    inner: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, Failure> {
    let length = name_length(inner);
    let (name, operation) = inner.split_at(length);
    if name.is_empty() {
        return Err(Failure::Syntax(format!(
            "`${{{inner}}}` has no variable name; names are letters, digits and _"
        )));
    }
    if operation.is_empty() {
        return Ok(plain(name, lookup, unset));
    }
    let (operator, argument) = if let Some(after) = operation.strip_prefix(':') {
        let mut chars = after.chars();
        (chars.next().map(|c| (c, true)), chars.as_str())
    } else {
        let mut chars = operation.chars();
        (chars.next().map(|c| (c, false)), chars.as_str())
    };
    let value = lookup(name);
    let given = |empty_counts: bool| match &value {
        Some(value) => !(empty_counts && value.empty),
        None => false,
    };
    match operator {
        Some(('-', or_empty)) => match value.as_ref().filter(|_| given(or_empty)) {
            Some(value) => Ok(value.text.clone()),
            None => nested(argument, lookup, unset, depth + 1),
        },
        Some(('+', or_empty)) if given(or_empty) => nested(argument, lookup, unset, depth + 1),
        Some(('+', _)) => Ok(String::new()),
        Some(('?', or_empty)) => {
            if let Some(value) = value.as_ref().filter(|_| given(or_empty)) {
                return Ok(value.text.clone());
            }
            let message = nested(argument, lookup, unset, depth + 1)?;
            Err(Failure::Required { name: name.to_owned(), message })
        }
        _ => Err(Failure::Syntax(format!(
            "`${{{inner}}}` is not understood; write ${{NAME}}, ${{NAME:-default}}, \
             ${{NAME:?error}} or ${{NAME:+replacement}}"
        ))),
    }
}

fn plain(
    name: &str,
    lookup: &dyn Fn(&str) -> Option<Value>,
    unset: &mut dyn FnMut(&str),
) -> String {
    lookup(name).map_or_else(
        || {
            unset(name);
            String::new()
        },
        |value| value.text,
    )
}

/// Length of the variable name that `text` begins with.
fn name_length(text: &str) -> usize {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !text.starts_with(is_first) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

/// Where the brace that is open at the beginning of `text` closes.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'$') => at += 1,
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, Failure> {
        let lookup = |name: &str| match name {
            "A" => Some(Value { text: "a".into(), empty: false }),
            "EMPTY" => Some(Value { text: String::new(), empty: true }),
            _ => None,
        };
        interpolate(text, &lookup, &mut |_| {})
    }

    #[test]
    fn every_form_reads_as_compose_reads_it() {
        for (text, expected) in [
            ("$A-${A}", "a-a"),
            ("${EMPTY:-d}|${EMPTY-d}", "d|"),
            ("${NO:-d}|${NO-d}", "d|d"),
            ("${A:+r}|${EMPTY:+r}|${EMPTY+r}|${NO+r}", "r||r|"),
            ("${NO:-${EMPTY:-${A}x}}", "ax"),
            ("$$A $${A}", "$A ${A}"),
            ("$1 $ 5$", "$1 $ 5$"),
            ("${NO}", ""),
            ("${NO:-a:?b}", "a:?b"),
            ("${A:?must}", "a"),
            ("pa$$word", "pa$word"),
        ] {
            assert_eq!(run(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_required_is_an_error_with_its_own_message() {
        let required = Failure::Required { name: "NO".into(), message: "set a please".into() };
        assert_eq!(run("${NO:?set $A please}").unwrap_err(), required);
        assert!(run("${EMPTY:?x}").is_err());
        assert_eq!(run("${EMPTY?x}").unwrap(), "");
    }

    #[test]
    fn a_text_that_needs_all_its_variables() {
        let lookup = |name: &str| (name == "A").then(|| "a".to_owned());
        let run = |text| fill(text, &lookup);
        assert_eq!(run("$A-${NO:-d}-${NO:+r}").unwrap(), "a-d-");
        assert_eq!(run("$A-${NO}-$LATER"), Err(Unfilled::Unset("NO".into())));
        let required = run("${NO:?say it}").unwrap_err();
        assert_eq!(required.to_string(), "variable NO is required: say it");
        assert!(matches!(run("${A"), Err(Unfilled::Syntax(_))));
    }

    #[test]
    fn broken_braces_are_errors() {
        for text in ["${A", "${}", "${A!b}", "${1A}", "${NO:-${A}"] {
            assert!(matches!(run(text), Err(Failure::Syntax(_))), "{text}");
        }
        let deep = format!("{}x{}", "${NO:-".repeat(50_000), "}".repeat(50_000));
        assert!(matches!(run(&deep), Err(Failure::Syntax(_))));
    }
}
