//! What is wrong with a configuration file: all of it at once.

use std::{fmt, path::PathBuf};

use ultrai_deploy_core::{Error, ErrorKind};

use super::source::Place;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it begins.
    pub place: Place,
    /// The field: `policy.watch`.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// All that is wrong with a file, in the order of its lines; at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}: ", self.file.display(), problem.place)?;
            if !problem.field.is_empty() {
                write!(f, "{}: ", problem.field)?;
            }
            write!(f, "{}", problem.what)?;
            if !problem.remedy.is_empty() {
                write!(f, "; {}", problem.remedy)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        let message = match problems.problems.as_slice() {
            [_] => problems.to_string(),
            all => format!("{} problems:\n{problems}", all.len()),
        };
        Self::new(ErrorKind::Invalid, "use the configuration", message).without_effect()
    }
}
