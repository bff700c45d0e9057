//! Dotenv files in whose values `{{VAR}}` may stand.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::{Problem, TemplateError};
use crate::{
    dotenv::{
        DotenvError, Entry, Outside, expand,
        reader::{Statement as Read, Written, statements},
        scope::Scope,
    },
    interpolate::{self, Value},
};

/// Stands around the number of a `{{VAR}}` while the `$VAR` beside it are filled in, so that
/// nothing in its value is read. A text that has the character itself doubles it.
const MARK: char = '\u{E002}';

/// A dotenv file in Compose's dialect, in whose values `{{VAR}}` may stand. A literal `{{` is
/// written `{{ "{{" }}`.
///
/// What is filled in for `{{VAR}}` is not read again: quotes, `#`, `$`, newlines and `{{` in it
/// stay as they are. `$VAR` in the template itself is filled in as in any dotenv file, and can
/// refer to earlier lines; `{{VAR}}` cannot.
#[derive(Clone, Debug)]
pub struct Dotenv {
    statements: Vec<Statement>,
}

/// A variable of a dotenv template.
#[derive(Clone, Debug)]
pub struct Statement {
    name: String,
    line: usize,
    written: Written,
    inserts: Vec<Insert>,
    interpolates: BTreeSet<String>,
}

/// What stands between `{{` and `}}`.
#[derive(Clone, Debug)]
enum Insert {
    Variable(String),
    Literal(String),
}

impl Statement {
    /// The name of the variable.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of its name, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The variables that `{{VAR}}` in its value refer to; they must be set.
    pub fn inserted(&self) -> impl Iterator<Item = &str> {
        self.inserts.iter().filter_map(|insert| match insert {
            Insert::Variable(name) => Some(name.as_str()),
            Insert::Literal(_) => None,
        })
    }

    /// The variables that `$VAR` and the like in its value refer to, defaults included.
    pub fn interpolated(&self) -> impl Iterator<Item = &str> {
        self.interpolates.iter().map(String::as_str)
    }

    /// Whether it has no value of its own: a bare name, whose value comes from outside.
    pub fn is_inherited(&self) -> bool {
        matches!(self.written, Written::Inherited)
    }
}

impl Dotenv {
    /// Reads a template.
    ///
    /// # Errors
    /// All lines that are not understood; a quote that is not closed ends the file.
    pub fn parse(text: &str) -> Result<Self, Vec<TemplateError>> {
        let (read, errors) = statements(text);
        let mut errors: Vec<_> = errors
            .into_iter()
            .map(|DotenvError { line, message }| problem(line, message))
            .collect();
        let mut statements = Vec::new();
        for read in read {
            let line = read.line;
            match Statement::read(read) {
                Ok(statement) => statements.push(statement),
                Err(message) => errors.push(problem(line, message)),
            }
        }
        if errors.is_empty() {
            return Ok(Self { statements });
        }
        errors.sort_by_key(|error| error.line);
        Err(errors)
    }

    /// The variables, in the order of the file.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The value of every variable. Those from outside are for `{{VAR}}`, and for `$VAR` before
    /// earlier lines and then earlier files.
    ///
    /// # Errors
    /// All variables that are not set though `{{VAR}}` or `${VAR:?…}` needs them, each on the line
    /// of the value that does.
    pub fn fill(
        &self,
        outside: &Outside<'_>,
    ) -> Result<IndexMap<String, Entry>, Vec<TemplateError>> {
        let mut scope = Scope::new(outside);
        let mut errors = Vec::new();
        for statement in &self.statements {
            let line = statement.line;
            match statement.values(&scope) {
                Ok(Some((real, shown))) => {
                    if let Err(message) = scope.set(&statement.name, Entry { real, shown, line }) {
                        errors.push(problem(line, message));
                    }
                }
                Ok(None) => {}
                Err(problems) => errors.extend(problems.into_iter().map(|problem| TemplateError {
                    line,
                    column: None,
                    problem,
                })),
            }
        }
        if errors.is_empty() { Ok(scope.entries) } else { Err(errors) }
    }
}

fn problem(line: usize, message: String) -> TemplateError {
    TemplateError { line, column: None, problem: Problem::Syntax(message) }
}

impl Statement {
    fn read(Read { name, line, written }: Read) -> Result<Self, String> {
        let mut inserts = Vec::new();
        let mut interpolates = BTreeSet::new();
        let mut mark = |text: &str| {
            marked(text, &mut inserts).map_err(|what| format!("in the value of {name}, {what}"))
        };
        let written = match written {
            Written::Inherited => Written::Inherited,
            Written::Literal(text) => Written::Literal(mark(&text)?),
            Written::Interpolated(text) => {
                let text = mark(&text)?;
                interpolates = interpolate::names(&text).map_err(|_| {
                    format!(
                        "in the value of {name}, a `${{` is not closed or not understood; write \
                         $$ for a dollar, or put the value in single quotes"
                    )
                })?;
                Written::Interpolated(text)
            }
        };
        Ok(Self { name, line, written, inserts, interpolates })
    }

    /// The real value and the one that is shown; nothing for a name that is not set outside.
    fn values(&self, scope: &Scope<'_>) -> Result<Option<(String, String)>, Vec<Problem>> {
        let mut real = Vec::new();
        let mut shown = Vec::new();
        let mut problems = Vec::new();
        for insert in &self.inserts {
            match insert {
                Insert::Literal(text) => {
                    real.push(text.clone());
                    shown.push(text.clone());
                }
                Insert::Variable(name) => {
                    if let Some((value, visible)) = scope.inherited(name) {
                        real.push(value);
                        shown.push(visible);
                    } else if !problems.contains(&Problem::Unset(name.clone())) {
                        problems.push(Problem::Unset(name.clone()));
                    }
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let fill = |text: &str, lookup: &dyn Fn(&str) -> Option<Value>| {
            let lookup = |name: &str| {
                lookup(name).map(|value| Value { text: doubled(&value.text), ..value })
            };
            expand(text, &lookup).map_err(|what| {
                let what = unmarked(&what, |at| self.written_as(at));
                vec![Problem::Syntax(format!("in the value of {}, {what}", self.name))]
            })
        };
        let (in_real, in_shown) = match &self.written {
            Written::Inherited => return Ok(scope.inherited(&self.name)),
            Written::Literal(text) => (text.clone(), text.clone()),
            Written::Interpolated(text) => {
                (fill(text, &|name| scope.real(name))?, fill(text, &|name| scope.shown(name))?)
            }
        };
        let take = |values: &[String], at: usize| values.get(at).cloned().unwrap_or_default();
        let real = unmarked(&in_real, |at| take(&real, at));
        let shown = unmarked(&in_shown, |at| take(&shown, at));
        Ok(Some((real, shown)))
    }

    /// What stands in the template for an insertion.
    fn written_as(&self, at: usize) -> String {
        match self.inserts.get(at) {
            Some(Insert::Variable(name)) => format!("{{{{{name}}}}}"),
            Some(Insert::Literal(text)) => text.clone(),
            None => String::new(),
        }
    }
}

/// `text` with marks in the place of every `{{…}}`, which go to `inserts`.
fn marked(text: &str, inserts: &mut Vec<Insert>) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        out.push_str(&doubled(before));
        if after.starts_with("{%") || after.starts_with("{#") {
            return Err(
                "there is `{%` or `{#`; only {{NAME}} may stand in a dotenv template, and \
                        `{{ \"{%\" }}` for the characters themselves",
            );
        }
        let Some(inner) = after.strip_prefix("{{") else {
            out.push('{');
            rest = &after[1..];
            continue;
        };
        let (insert, behind) = insert(inner).ok_or(
            "`{{` is not followed by a name and `}}`; write {{NAME}}, or `{{ \"{{\" }}` for the \
             characters themselves",
        )?;
        out.extend([MARK.to_string(), inserts.len().to_string(), MARK.to_string()]);
        inserts.push(insert);
        rest = behind;
    }
    out.push_str(&doubled(rest));
    Ok(out)
}

/// What `text` begins with, and what follows its `}}`.
fn insert(text: &str) -> Option<(Insert, &str)> {
    let text = text.trim_start();
    let first = text.chars().next()?;
    let (insert, rest) = if matches!(first, '"' | '\'') {
        let (literal, rest) = text[1..].split_once(first)?;
        (Insert::Literal(literal.to_owned()), rest)
    } else {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, rest) = text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()));
        if name.is_empty() || first.is_ascii_digit() {
            return None;
        }
        (Insert::Variable(name.to_owned()), rest)
    };
    Some((insert, rest.trim_start().strip_prefix("}}")?))
}

fn doubled(text: &str) -> String {
    text.replace(MARK, "\u{E002}\u{E002}")
}

/// `text` with `value` in the place of every mark.
fn unmarked(text: &str, value: impl Fn(usize) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        out.push_str(before);
        let Some((number, after)) = after.split_once(MARK) else {
            rest = after;
            break;
        };
        match number.parse() {
            Ok(at) => out.push_str(&value(at)),
            Err(_) => out.push(MARK),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
