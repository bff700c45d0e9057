//! What is wrong with a compose file: where, what, and what to write instead.

use std::{fmt, path::PathBuf, sync::Arc};

use ultrai_deploy_core::{Error, ErrorKind};

use super::yaml::Position;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: Arc<PathBuf>,
    /// The line and column, where there is one.
    pub position: Option<Position>,
    /// The place in the document: `services.web.ports[0]`.
    pub path: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem of a whole file.
    pub(super) fn of_file(file: &Arc<PathBuf>, message: impl Into<String>) -> Self {
        let (position, path) = (None, String::new());
        Self { file: Arc::clone(file), position, path, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a compose project cannot be loaded: everything that was found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// At least one problem, in the order of the file.
    pub problems: Vec<Problem>,
}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        Self::new(ErrorKind::Invalid, "load the compose file", error.to_string()).without_effect()
    }
}
