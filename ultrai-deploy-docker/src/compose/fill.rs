//! Filling variables into the values of the tree.

use std::{collections::BTreeSet, fmt::Write, path::PathBuf, sync::Arc};

use super::{
    interpolate::{Failure, LONGEST, interpolate},
    problem::{LoadError, Problem},
    secret,
    variables::Variables,
    yaml::{Kind, Node, Position},
};

/// Why a text cannot be told from a placeholder.
pub(super) const NOT_ALLOWED: &str =
    "the character U+E000 or U+E001, which mark secrets; remove it";

/// Interpolates every value of the tree; keys stay as they are. Answers with the names of the
/// variables that are not set and have no default.
///
/// # Errors
/// All that is wrong in the file, not only the first.
pub(super) fn fill_in(
    tree: &mut Node,
    variables: &Variables,
    file: &Arc<PathBuf>,
) -> Result<BTreeSet<String>, LoadError> {
    let mut filler = Filler {
        variables,
        file,
        path: String::new(),
        problems: Vec::new(),
        unset: BTreeSet::new(),
    };
    filler.node(tree);
    if filler.problems.is_empty() {
        Ok(filler.unset)
    } else {
        Err(LoadError { problems: filler.problems })
    }
}

struct Filler<'a> {
    variables: &'a Variables,
    file: &'a Arc<PathBuf>,
    path: String,
    problems: Vec<Problem>,
    unset: BTreeSet<String>,
}

impl Filler<'_> {
    fn node(&mut self, node: &mut Node) {
        let length = self.path.len();
        let at = node.at;
        match &mut node.kind {
            Kind::Scalar { text, .. } if text.contains([secret::OPEN, secret::CLOSE]) => {
                self.wrong(at, format!("the text holds {NOT_ALLOWED}"));
            }
            Kind::Scalar { text, plain } if text.contains('$') => {
                if let Some(filled) = self.text(text, at) {
                    *text = filled;
                    // What was filled in is a text, also where it looks like a number.
                    *plain = false;
                }
            }
            Kind::Scalar { .. } => {}
            Kind::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let _infallible = write!(self.path, "[{index}]");
                    self.node(item);
                    self.path.truncate(length);
                }
            }
            Kind::Mapping(entries) => {
                for entry in entries {
                    self.path.push_str(if length > 0 { "." } else { "" });
                    self.path.push_str(&entry.key);
                    if entry.key.contains([secret::OPEN, secret::CLOSE]) {
                        self.wrong(entry.at, format!("the key holds {NOT_ALLOWED}"));
                    }
                    self.node(&mut entry.value);
                    self.path.truncate(length);
                }
            }
        }
    }

    fn text(&mut self, text: &str, at: Position) -> Option<String> {
        let (variables, unset) = (self.variables, &mut self.unset);
        let filled = interpolate(text, &|name| variables.lookup(name), &mut |name| {
            unset.insert(name.to_owned());
        });
        let message = match filled {
            Ok(filled) => return Some(filled),
            Err(Failure::Required { name, message }) if message.is_empty() => {
                format!("{name} must be set")
            }
            Err(Failure::Required { name, message }) => format!("{name} must be set: {message}"),
            Err(Failure::Syntax(message)) => message,
            Err(Failure::TooLong) => format!("it grows past {} MiB", LONGEST >> 20),
        };
        self.wrong(at, message);
        None
    }

    fn wrong(&mut self, at: Position, message: String) {
        self.problems.push(Problem {
            position: Some(at),
            path: self.path.clone(),
            ..Problem::of_file(self.file, message)
        });
    }
}
