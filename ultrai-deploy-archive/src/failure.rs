//! What is wrong with an archive.

use std::{fmt, io};

use ultrai_deploy_core::{Error, ErrorKind};

/// Longest quotation of a name.
const QUOTED: usize = 120;

/// Why an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The entry, as far as its name is known.
    entry: Option<String>,
    why: String,
}

impl Refusal {
    pub(crate) fn of(entry: &[u8], why: impl Into<String>) -> Self {
        Self { entry: Some(quote(entry)), why: why.into() }
    }

    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { entry: None, why: why.into() }
    }

    /// The same, of an entry whose name became known.
    pub(crate) fn named(self, entry: &[u8]) -> Self {
        Self { entry: Some(self.entry.unwrap_or_else(|| quote(entry))), ..self }
    }

    pub(crate) fn into_error(self) -> Error {
        Error::new(ErrorKind::Corrupt, "read an archive", self.to_string())
    }

    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self.into_error())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "`{entry}`: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// A name as it can be shown: nothing of it acts on a terminal, and it is not endless.
pub(crate) fn quote(name: &[u8]) -> String {
    let shown: String = name.escape_ascii().take(QUOTED).map(char::from).collect();
    if name.escape_ascii().count() > QUOTED { format!("{shown}…") } else { shown }
}
