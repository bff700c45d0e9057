//! Tables of what may stand in a file, and the check against them.

mod nearest;

use std::{path::PathBuf, sync::Arc};

use crate::{Kind, Node, Position, Problem, Scalar};

/// What a value may be.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Form {
    /// A text.
    Text,
    /// A text or a number.
    TextOrNumber,
    /// A whole number from the first to the second one.
    Whole(i64, i64),
    /// `true` or `false`.
    Truth,
    /// One of these words.
    Words(&'static [&'static str]),
    /// One of these words; another one is told and accepted.
    KnownWords(&'static [&'static str]),
    /// A list of such values.
    List(&'static Form),
    /// Any keys with such values.
    Map(&'static Form),
    /// Certain keys.
    Object(&'static Object),
    /// Such a value, or nothing.
    Maybe(&'static Form),
    /// What the value itself decides.
    By(fn(&Node) -> Form),
    /// Anything.
    Any,
}

/// What keys there are.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tables of other crates are made of it")]
pub struct Object {
    /// The keys.
    pub fields: &'static [Field],
    /// What becomes of others.
    pub others: Others,
}

/// What becomes of a key that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Others {
    /// It is wrong.
    Refused,
    /// It is told.
    Told,
}

/// A key.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tables of other crates are made of it")]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// What its value may be.
    pub form: Form,
    /// Whether it must be there.
    pub is_needed: bool,
    /// What to write in its place, where it is out of use.
    pub instead: Option<&'static str>,
}

impl Field {
    /// A key that may be left out.
    pub const fn new(key: &'static str, form: Form) -> Self {
        Self { key, form, is_needed: false, instead: None }
    }

    /// A key that must be there.
    pub const fn needed(key: &'static str, form: Form) -> Self {
        Self { is_needed: true, ..Self::new(key, form) }
    }

    /// A key that is out of use; `instead` says what to write.
    pub const fn old(key: &'static str, form: Form, instead: &'static str) -> Self {
        Self { instead: Some(instead), ..Self::new(key, form) }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The file, as problems name it.
    pub file: Arc<PathBuf>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is not, and should be known.
    pub warnings: Vec<Problem>,
}

impl Findings {
    /// Nothing yet.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: Arc::new(file.into()), ..Self::default() }
    }

    /// Adds something that is wrong.
    pub fn problem(&mut self, at: Option<Position>, path: &str, message: impl Into<String>) {
        let problem = self.found(at, path, message.into());
        self.problems.push(problem);
    }

    /// Adds something that should be known.
    pub fn warning(&mut self, at: Option<Position>, path: &str, message: impl Into<String>) {
        let warning = self.found(at, path, message.into());
        self.warnings.push(warning);
    }

    fn found(&self, position: Option<Position>, path: &str, message: String) -> Problem {
        Problem { file: Arc::clone(&self.file), position, path: path.to_owned(), message }
    }
}

/// Looks for everything in `node` that is not of a form.
pub fn check(node: &Node, form: Form, path: &str, findings: &mut Findings) {
    let wanted = match form {
        Form::Any => None,
        Form::By(choose) => return check(node, choose(node), path, findings),
        Form::Maybe(_) if node.is_null() => None,
        Form::Maybe(form) => return check(node, *form, path, findings),
        Form::List(of) => match &node.kind {
            Kind::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    check(item, *of, &format!("{path}[{index}]"), findings);
                }
                None
            }
            _ => Some("a list, each entry after `- `".to_owned()),
        },
        Form::Map(of) => match &node.kind {
            Kind::Mapping(entries) => {
                for entry in entries {
                    check(&entry.value, *of, &below(path, &entry.key), findings);
                }
                None
            }
            _ => Some("keys with values".to_owned()),
        },
        Form::Object(object) => match &node.kind {
            Kind::Mapping(_) => {
                check_object(node, object, path, findings);
                None
            }
            _ => Some(format!("keys with values: {}", keys(object))),
        },
        Form::KnownWords(words) => match node.scalar() {
            Some(Scalar::Text(text)) => {
                if !words.contains(&text) {
                    let message = format!("`{text}` is not known; known are {}", words.join(", "));
                    findings.warning(Some(node.at), path, message);
                }
                None
            }
            _ => Some(format!("one of {}", words.join(", "))),
        },
        scalar => wrong_scalar(node, scalar),
    };
    if let Some(wanted) = wanted {
        findings.problem(Some(node.at), path, format!("{} must be {wanted}", shown(node)));
    }
}

/// What a scalar must be that is something else.
fn wrong_scalar(node: &Node, form: Form) -> Option<String> {
    let scalar = node.scalar();
    let quoted = || match (&node.kind, scalar) {
        (Kind::Scalar { text, .. }, Some(Scalar::Number(_) | Scalar::Truth(_))) => {
            format!("a text: write it in quotes, \"{text}\"")
        }
        _ => "a text".to_owned(),
    };
    match (form, scalar) {
        (Form::Text, Some(Scalar::Text(_)))
        | (Form::TextOrNumber, Some(Scalar::Text(_) | Scalar::Number(_)))
        | (Form::Truth, Some(Scalar::Truth(_))) => None,
        (Form::Text | Form::TextOrNumber, _) => Some(quoted()),
        (Form::Truth, _) => Some("true or false".to_owned()),
        (Form::Whole(least, most), _) => {
            let is_in = |number: f64| {
                let whole = as_whole(number);
                whole.is_some_and(|whole| (least..=most).contains(&whole))
            };
            match scalar {
                Some(Scalar::Number(number)) if is_in(number) => None,
                _ if most == i64::MAX => Some(format!("a whole number from {least} on")),
                _ => Some(format!("a whole number from {least} to {most}")),
            }
        }
        (Form::Words(words), Some(Scalar::Text(text))) if words.contains(&text) => None,
        (Form::Words(words), _) => {
            let text = match &node.kind {
                Kind::Scalar { text, .. } => text.as_str(),
                _ => "",
            };
            let meant = match nearest::of(text, words) {
                // It is the word, and not a text.
                Some(word) if word == text => format!("; write it in quotes, \"{word}\""),
                Some(word) => format!("; is `{word}` meant?"),
                None => String::new(),
            };
            Some(format!("one of {}{meant}", words.join(", ")))
        }
        _ => None,
    }
}

/// A number that is whole, also one written as `2.0`.
fn as_whole(number: f64) -> Option<i64> {
    // Exact up to 2^53, and no limit of a table is larger but the open one.
    #[expect(clippy::cast_possible_truncation, reason = "what has a fraction is refused")]
    (number.fract() == 0.0).then_some(number as i64)
}

fn check_object(node: &Node, object: &Object, path: &str, findings: &mut Findings) {
    let Kind::Mapping(entries) = &node.kind else { return };
    for entry in entries {
        let at = below(path, &entry.key);
        if let Some(field) = object.fields.iter().find(|field| field.key == entry.key) {
            if let Some(instead) = field.instead {
                let message = format!("it is out of use: {instead}");
                findings.warning(Some(entry.at), &at, message);
            }
            check(&entry.value, field.form, &at, findings);
            continue;
        }
        let known: Vec<_> = object.fields.iter().map(|field| field.key).collect();
        let meant = match nearest::of(&entry.key, &known) {
            Some(key) => format!("; is `{key}` meant?"),
            None => format!("; there are {}", known.join(", ")),
        };
        let message = format!("there is no such key{meant}");
        match object.others {
            Others::Refused => findings.problem(Some(entry.at), &at, message),
            Others::Told => findings.warning(Some(entry.at), &at, message),
        }
    }
    for field in object.fields.iter().filter(|field| field.is_needed) {
        if node.get(field.key).is_none() {
            let message = format!("`{}` is missing", field.key);
            findings.problem(Some(node.at), path, message);
        }
    }
}

fn keys(object: &Object) -> String {
    let keys: Vec<_> = object.fields.iter().map(|field| field.key).collect();
    keys.join(", ")
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value in a message.
fn shown(node: &Node) -> String {
    match (&node.kind, node.scalar()) {
        (Kind::Sequence(_), _) => "a list is not right here: it".to_owned(),
        (Kind::Mapping(_), _) => "keys with values are not right here: it".to_owned(),
        (_, Some(Scalar::Null)) => "there is no value here: it".to_owned(),
        // Not the text itself: it may be a secret.
        (_, Some(Scalar::Text(_))) => "this text is not right here: it".to_owned(),
        (_, Some(Scalar::Truth(truth))) => format!("`{truth}` is not right here: it"),
        (_, Some(Scalar::Number(number))) => format!("the number {number} is not right here: it"),
        (Kind::Scalar { .. }, None) => "it".to_owned(),
    }
}
