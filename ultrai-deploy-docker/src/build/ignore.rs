//! `.dockerignore`: which files of a context are not sent.
//!
//! The rules are those of moby's patternmatcher: patterns are rooted at the context, a pattern
//! that matches a directory matches all that is in it, `!` makes an exception, and the last
//! pattern that matches decides. On purpose we differ in two points: an exception is found below
//! an excluded directory even when wildcards lead there (docker/cli#2919), and a `\` makes every
//! character after it an ordinary one, also letters.

use std::fmt;

use super::pattern::Pattern;

/// The patterns of an ignore file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    exception: bool,
}

/// A line of an ignore file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct BadPattern {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The pattern as it stands there.
    pub(crate) pattern: String,
    why: &'static str,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: pattern `{}`: {}", self.line, self.pattern, self.why)
    }
}

/// Which patterns matched a directory: what is in it inherits them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    excluded: bool,
    matched: Vec<bool>,
}

impl Verdict {
    /// Whether the path is left out.
    pub(crate) fn is_excluded(&self) -> bool {
        self.excluded
    }
}

impl Rules {
    /// Reads the text of an ignore file.
    ///
    /// A byte order mark, lines that begin with `#` and empty lines are skipped; blanks around a
    /// pattern, `/` at its ends and `.` in it mean nothing.
    ///
    /// # Errors
    /// The first pattern that Docker would refuse too.
    pub(crate) fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let bad = |why| BadPattern { line: index + 1, pattern: line.trim().to_owned(), why };
            let (exception, pattern) = match line.trim().strip_prefix('!') {
                None => (false, line.trim()),
                Some(rest) => (true, rest.trim()),
            };
            let path = clean(pattern);
            let is_root = path == "." && pattern.starts_with('/');
            if pattern.is_empty() || (exception && is_root) {
                return Err(bad("nothing follows `!`"));
            }
            let pattern = Pattern::parse(&path).map_err(bad)?;
            rules.push(Rule { pattern, exception });
        }
        Ok(Self { rules })
    }

    /// Makes an exception for `path`, if it is excluded, against all patterns.
    pub(crate) fn always_send(&mut self, path: &str) {
        if self.excludes(path) {
            self.rules.push(Rule { pattern: Pattern::literal(path), exception: true });
        }
    }

    /// Whether `path`, relative to the context and with `/` between its names, is left out.
    pub(crate) fn excludes(&self, path: &str) -> bool {
        let mut verdict = Verdict::default();
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            verdict = self.judge(&path[..end], &verdict);
        }
        verdict.excluded
    }

    /// Judges `path`, given the verdict on its directory (the default one at the top).
    pub(crate) fn judge(&self, path: &str, directory: &Verdict) -> Verdict {
        let chars: Vec<char> = path.chars().collect();
        let mut verdict = Verdict { excluded: false, matched: vec![false; self.rules.len()] };
        for (index, rule) in self.rules.iter().enumerate() {
            // A pattern that would change nothing is not tried, and so not inherited either: a
            // pattern that only repeats an earlier one does not undo exceptions between them.
            let inherited = directory.matched.get(index).copied().unwrap_or(false);
            if inherited || (rule.exception == verdict.excluded && rule.pattern.matches(&chars)) {
                verdict.matched[index] = true;
                verdict.excluded = !rule.exception;
            }
        }
        verdict
    }

    /// Whether an exception may match something below the excluded directory `path`.
    pub(crate) fn has_exception_below(&self, path: &str) -> bool {
        let chars: Vec<char> = path.chars().collect();
        self.rules.iter().any(|rule| rule.exception && rule.pattern.may_match_below(&chars))
    }
}

/// The shortest form of a pattern's path: no empty names, no `.`, `..` resolved, no `/` at its
/// ends. `.` when nothing is left.
fn clean(pattern: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in pattern.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if pattern.starts_with('/') => {}
            name => names.push(name),
        }
    }
    if names.is_empty() { ".".to_owned() } else { names.join("/") }
}

#[cfg(test)]
mod tests;
