//! Texts with `${NAME}` in them, filled in when it is known what is deployed.

use std::{cell::RefCell, collections::BTreeMap, fmt};

use ultrai_deploy_config::interpolate::{Unfilled, fill};
use ultrai_deploy_core::{Error, Result};

use super::{Place, Problem, reader::Field};

/// Variables that let in to a platform.
const TOKENS: [&str; 3] = ["RAILWAY_TOKEN", "RAILWAY_API_TOKEN", "RENDER_API_KEY"];

/// A text with `${NAME}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    written: String,
    references: References,
    field: String,
    place: Place,
}

/// What is known when texts are filled in.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The values of variables.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a variable is secret, so that its value must not be stored with the release.
    pub is_secret: &'a dyn Fn(&str) -> bool,
}

impl fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

/// All of `texts`, filled in.
///
/// # Errors
/// Every one that cannot be.
pub(super) fn fill_all(
    texts: &BTreeMap<String, Text>,
    known: &Known<'_>,
) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let (mut filled, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, text) in texts {
        match text.filled(known, |text| Ok(text.to_owned())) {
            Ok(value) => {
                filled.insert(name.clone(), value);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(filled) } else { Err(problems) }
}

/// What becomes of `${{…}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum References {
    /// It is no `${NAME}`, and wrong.
    Wrong,
    /// It is a reference that the platform itself looks up.
    Kept,
}

impl Text {
    /// Reads a text; one without variables has to have the form that `parse` knows.
    pub(super) fn read<T>(
        field: &Field<'_>,
        references: References,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Option<Self> {
        let text = field.text()?.to_owned();
        let text = Self { written: text, references, field: field.path(), place: field.place() };
        // Whatever is not known yet stands for something.
        match text.fill(&|_| Some("x".to_owned())) {
            Err(Unfilled::Syntax(message)) => {
                // It says what to write.
                field.problem(message, "");
                return None;
            }
            Ok(filled) if !text.written.contains('$') => {
                field.parse(|_| parse(&filled))?;
            }
            _ => {}
        }
        Some(text)
    }

    /// The text with what `lookup` knows, in the form that `parse` knows. No secret and no token of
    /// a platform gets into it.
    pub(super) fn filled<T>(
        &self,
        known: &Known<'_>,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Result<T, Problem> {
        let hidden = RefCell::new(None);
        let filled = self.fill(&|name| {
            if (known.is_secret)(name) || TOKENS.contains(&name) {
                hidden.borrow_mut().get_or_insert_with(|| name.to_owned());
            }
            (known.lookup)(name)
        });
        if let Some(name) = hidden.into_inner() {
            return Err(self.problem(
                format!(
                    "variable {name} is a secret, and its value would be stored with the release"
                ),
                format!("take it out here; a service gets it by secrets = [\"{name}\"]"),
            ));
        }
        let filled = filled.map_err(|error| {
            let remedy = match &error {
                Unfilled::Unset(name) => format!(
                    "set {name} in the environment of this program, in `variables` or an env file \
                     of [environments.…], or write ${{{name}:-…}} with a default"
                ),
                _ => String::new(),
            };
            self.problem(error.to_string(), remedy)
        })?;
        parse(&filled).map_err(|error: Error| {
            self.problem(error.message(), error.advice().unwrap_or_default())
        })
    }

    fn fill(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
        if self.references == References::Wrong {
            return fill(&self.written, lookup);
        }
        let (mut out, mut rest) = (String::new(), self.written.as_str());
        while let Some((begin, end)) = reference(rest) {
            out.push_str(&fill(&rest[..begin], lookup)?);
            out.push_str(&rest[begin..end]);
            rest = &rest[end..];
        }
        Ok(out + &fill(rest, lookup)?)
    }

    fn problem(&self, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
        let (what, remedy) = (what.into(), remedy.into());
        Problem { place: self.place, field: self.field.clone(), what, remedy }
    }
}

/// Where the first `${{…}}` begins and ends; `$${{` is a dollar and no reference.
fn reference(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let begin = from + text[from..].find("${{")?;
        let dollars = text[..begin].bytes().rev().take_while(|byte| *byte == b'$').count();
        if dollars % 2 == 0 {
            let end = begin + text[begin..].find("}}")? + 2;
            return Some((begin, end));
        }
        from = begin + 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, references: References) -> Text {
        let place = Place { line: 1, column: 1 };
        Text { written: text.to_owned(), references, field: "f".to_owned(), place }
    }

    #[test]
    fn references_of_the_platform_are_kept_and_variables_are_not() {
        let known = Known {
            lookup: &|name: &str| (name == "A").then(|| "a".to_owned()),
            is_secret: &|_| false,
        };
        for (written, filled) in [
            ("${{Postgres.URL}}", "${{Postgres.URL}}"),
            ("$A ${{Redis.URL}} ${A}", "a ${{Redis.URL}} a"),
            ("$${{A}}", "${{A}}"),
            ("$$${{A}}", "$${{A}}"),
            ("none", "none"),
        ] {
            let text = text(written, References::Kept);
            let kept = text.filled(&known, |text| Ok(text.to_owned()));
            assert_eq!(kept.unwrap(), filled, "{written}");
        }
        let wrong = text("${{A}}", References::Wrong);
        assert!(wrong.filled(&known, |_| Ok(())).is_err());
    }
}
