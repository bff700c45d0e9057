//! The one error of all seams: what failed, whether something may have changed, what to do.

use std::{error::Error as StdError, fmt};

use serde::{Deserialize, Serialize};

use crate::{consequence::Reaction, evidence::Evidence};

/// Result of every seam.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is. The engine decides on this and on [`Effect`], never on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong: a file, a field, a flag, a name that does not exist.
    Invalid,
    /// The thing asked for does not exist (any more).
    NotFound,
    /// It exists already, or another writer was first.
    Conflict,
    /// The backend or this engine cannot do it, known before any I/O.
    Unsupported,
    /// A rule of the environment speaks against it, such as its policy, and the input is right.
    Refused,
    /// The other side cannot be reached or is not ready to serve.
    Unavailable,
    /// The other side refused the credentials or the file system the access.
    Denied,
    /// A deadline passed.
    Timeout,
    /// Somebody asked to stop.
    Cancelled,
    /// A check failed: the thing runs, but not as declared.
    Unhealthy,
    /// Stored data is damaged.
    Corrupt,
    /// Another driver holds the environment, or took it over.
    Fenced,
    /// A run is neither finished nor undone, and a person has to act.
    Stuck,
    /// Reading or writing local files failed.
    Io,
    /// Anything else.
    Unexpected,
}

/// May something have changed on the target?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// Certainly nothing: the request was not sent, or rejected by validation.
    None,
    /// Possibly: look with `observe` before deciding.
    Unknown,
}

/// Opaque error of every seam, one word wide.
///
/// `Display` says what this layer failed at and what the user can do, never its source; print a
/// whole chain with [`Chain`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    advice: Option<String>,
    effect: Effect,
    retryable: bool,
    evidence: Vec<Evidence>,
    reaction: Option<Reaction>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` while doing `operation` (a verb phrase: "create container").
    ///
    /// The effect is [`Effect::Unknown`] and it is not retryable until said otherwise.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation,
            message: message.into(),
            advice: None,
            effect: Effect::Unknown,
            retryable: false,
            evidence: Vec::new(),
            reaction: None,
            source: None,
        }))
    }

    /// Attaches the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says what the checks that failed ask for, where that is not what the policy says.
    pub(crate) fn with_reaction(mut self, reaction: Option<Reaction>) -> Self {
        self.0.reaction = reaction;
        self
    }

    pub(crate) fn reaction(&self) -> Option<Reaction> {
        self.0.reaction
    }

    /// Says that certainly nothing has changed.
    pub fn without_effect(mut self) -> Self {
        self.0.effect = Effect::None;
        self
    }

    /// Says that something may have changed after all: what came before the call that failed.
    pub fn with_unknown_effect(mut self) -> Self {
        self.0.effect = Effect::Unknown;
        self
    }

    /// Says that the same call may succeed later.
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// Says that retries are used up, so that no outer layer multiplies them.
    pub fn exhausted(mut self) -> Self {
        self.0.retryable = false;
        self
    }

    /// Tells the user what to do.
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Names the place of the input that is to blame, `file:line:column`, where it is known.
    pub fn at(mut self, place: Option<&str>) -> Self {
        if let Some(place) = place {
            self.0.message.insert_str(0, &format!("{place}: "));
        }
        self
    }

    /// Adds what was last seen: probe answers, log tails, exit codes.
    pub fn with_evidence(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.0.evidence.extend(evidence);
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// May something have changed?
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// May the same call succeed later?
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// What the user can do, if known.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// What was last seen.
    pub fn evidence(&self) -> &[Evidence] {
        &self.0.evidence
    }

    /// The message without operation and advice.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.0.operation, self.0.message)?;
        if let Some(advice) = &self.0.advice {
            write!(f, " ({advice})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message)
            .field("effect", &self.0.effect)
            .field("retryable", &self.0.retryable)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// Prints an error with all its causes, deepest last: `a: b: c`.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn StdError + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// An error as a journal keeps it: everything the engine decides on and a person wants to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// May something have changed?
    pub effect: Effect,
    /// What this layer failed at, with advice.
    pub message: String,
    /// The causes below it, deepest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What was last seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl Failure {
    /// What it comes down to: the first line of the deepest cause.
    pub fn deepest(&self) -> &str {
        let text = self.causes.last().unwrap_or(&self.message);
        text.lines().next().unwrap_or_default()
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            kind: error.kind(),
            effect: error.effect(),
            message: error.to_string(),
            causes,
            evidence: error.evidence().to_vec(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_leaves_the_source_to_the_chain() {
        let error = Error::new(ErrorKind::Io, "write journal", "the disk is full")
            .with_advice("free some space")
            .with_source(std::io::Error::other("ENOSPC"));
        assert_eq!(error.to_string(), "cannot write journal: the disk is full (free some space)");
        assert_eq!(
            Chain(&error).to_string(),
            "cannot write journal: the disk is full (free some space): ENOSPC"
        );
        assert_eq!(Failure::from(&error).causes, ["ENOSPC"]);
    }

    #[test]
    fn one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
