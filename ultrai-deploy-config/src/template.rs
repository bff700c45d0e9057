//! Templates: texts with `{{VAR}}`.
//!
//! [`render`] fills whole configuration files (`nginx.conf` and the like), in which conditions and
//! loops may stand; [`Dotenv`] is a dotenv file in whose values `{{VAR}}` may stand. A value is
//! put in as it is: nothing in it is read again, whatever it looks like.

mod dotenv;
mod scan;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io};

use minijinja::{Environment, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig, value::Value};

pub use self::dotenv::{Dotenv, Statement};
use self::scan::{Scan, scan};

/// Most steps that a template can take besides those that its length explains.
const STEPS: u64 = 100_000;
/// Most bytes that a template can become.
const LONGEST: usize = 64 << 20;

/// What is wrong with a template. Values are never shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {problem}", column.map(|column| format!(", column {column}")).unwrap_or_default())]
pub struct TemplateError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A variable is not set.
    #[error("the variable {0} is not set")]
    Unset(String),
    /// The template is not understood, or cannot be filled in; says what to write instead.
    #[error("{0}")]
    Syntax(String),
}

/// Fills the variables into a text.
///
/// `{{VAR}}` is replaced by the value of `VAR`; `{% if VAR == "x" %}`, `{% elif %}`, `{% else %}`,
/// `{% for %}` and `{# comments #}` are those of Jinja, and what stands in `{% raw %}` stays as it
/// is. Every variable that is named must be set, also one in a branch that is not taken: defaults
/// belong into the declaration of the variable. What stands outside of all tags stays as it is, to
/// the last newline.
///
/// # Errors
/// All variables that are not set, each where it is named first; or the first thing that is not
/// understood. A template that takes too many steps (100 000 and one for each byte) or becomes
/// longer than 64 MiB is one.
pub fn render(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Vec<TemplateError>> {
    let scanned = scan(text).map_err(|error| vec![error])?;
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(STEPS + text.len() as u64));
    environment.set_syntax(
        SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| vec![failed(&error)])?,
    );
    let template = environment.template_from_str(text).map_err(|error| vec![failed(&error)])?;
    let mut values = BTreeMap::new();
    let mut unset = Vec::new();
    for name in template.undeclared_variables(false) {
        match lookup(&name) {
            Some(value) => drop(values.insert(name, Value::from(value))),
            None => unset.push(not_set(&scanned, text, name)),
        }
    }
    if !unset.is_empty() {
        unset.sort_by_key(|error| (error.line, error.column));
        return Err(unset);
    }
    let mut out = Bounded(Vec::new());
    template
        .render_captured_to(Value::from_pairs(values), &mut out)
        .map_err(|error| vec![failed(&error)])?;
    String::from_utf8(out.0).map_err(|_| {
        let problem = Problem::Syntax("the text cannot be put together".to_owned());
        vec![TemplateError { line: 1, column: None, problem }]
    })
}

fn not_set(scanned: &Scan<'_>, text: &str, name: String) -> TemplateError {
    let at = scanned.names.iter().find(|(_, found)| *found == name).map(|(at, _)| *at);
    let (line, column) = at.map_or((1, None), |at| position(text, at));
    TemplateError { line, column, problem: Problem::Unset(name) }
}

/// The line and the column of a byte.
fn position(text: &str, at: usize) -> (usize, Option<usize>) {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, Some(before[start..].chars().count() + 1))
}

/// Says what minijinja refuses. Its own words are used for the template's syntax only: those for
/// what happens while values are filled in can hold the values.
fn failed(error: &minijinja::Error) -> TemplateError {
    let message = match error.kind() {
        ErrorKind::SyntaxError => error.detail().unwrap_or("this is not understood").to_owned(),
        ErrorKind::OutOfFuel => "the template takes too many steps; its loops are too long".into(),
        ErrorKind::WriteFailure => format!("the text grows past {} MiB", LONGEST >> 20),
        ErrorKind::UndefinedError => "something that is not set is used here".to_owned(),
        kind => format!("this cannot be filled in: {kind}"),
    };
    TemplateError {
        line: error.line().unwrap_or(1),
        column: None,
        problem: Problem::Syntax(message),
    }
}

/// Takes bytes until there are too many.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
