//! What follows when a check does not pass.

use serde::{Deserialize, Serialize};

use crate::health::Verdict;

/// How bad it is when a check does not pass.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// It is written down, and nothing else happens.
    Minor,
    /// There is time for a fix.
    Major,
    /// Users must not meet it a moment longer (the default).
    #[default]
    Critical,
}

impl Severity {
    /// Its name in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }
}

/// What is done about a check that does not pass, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reaction {
    /// It is written down, and the run goes on.
    Note,
    /// The release is held for a person, or for a newer deploy, in a time box; then it goes back.
    Hold,
    /// It goes back at once.
    RollBack,
}

impl Reaction {
    /// Its name in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Hold => "hold",
            Self::RollBack => "roll back",
        }
    }
}

impl From<Severity> for Reaction {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Minor => Self::Note,
            Severity::Major => Self::Hold,
            Severity::Critical => Self::RollBack,
        }
    }
}

/// What follows from each verdict on a check that is no pass.
///
/// Where nothing else is said, its severity decides: critical goes back, major holds, minor notes.
/// Before the switch nothing can be held: what would hold refuses the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consequences {
    /// How bad it is.
    pub severity: Severity,
    /// What is done when it fails, in place of what the severity says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_fail: Option<Reaction>,
    /// What is done when it could not be measured, in place of what the severity says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<Reaction>,
    /// What is done when too little was seen, in place of what the severity says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_inconclusive: Option<Reaction>,
}

impl Consequences {
    /// Those of a severity.
    pub fn of(severity: Severity) -> Self {
        Self { severity, ..Self::default() }
    }

    /// What `verdict` leads to; nothing for a pass.
    pub fn reaction(&self, verdict: Verdict) -> Option<Reaction> {
        let set = match verdict {
            Verdict::Pass => return None,
            Verdict::Fail => self.on_fail,
            Verdict::Error => self.on_error,
            Verdict::Inconclusive => self.on_inconclusive,
        };
        Some(set.unwrap_or_else(|| self.severity.into()))
    }

    /// Whether nothing was said.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_severity_decides_where_nothing_else_is_said() {
        let major = Consequences::of(Severity::Major);
        assert_eq!(major.reaction(Verdict::Pass), None);
        assert_eq!(major.reaction(Verdict::Fail), Some(Reaction::Hold));
        let own = Consequences { on_error: Some(Reaction::Note), ..Consequences::default() };
        assert_eq!(own.reaction(Verdict::Error), Some(Reaction::Note));
        assert_eq!(own.reaction(Verdict::Inconclusive), Some(Reaction::RollBack));
    }
}
