//! What was seen: the proof behind a verdict, bounded in size.

use serde::{Deserialize, Serialize};

/// Longest text kept per piece of evidence, in bytes; the end is kept, since causes come last.
pub const MAX_EVIDENCE: usize = 8 * 1024;

/// What kind of thing was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvidenceKind {
    /// The answer of a probe.
    Probe,
    /// The end of a log.
    Log,
    /// An exit code.
    Exit,
    /// A state that a platform reported.
    Status,
    /// What was measured, in the JSON form of whatever measured it.
    Measurement,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What kind of thing it is.
    pub kind: EvidenceKind,
    /// Of whom: a check, a container, a process.
    pub subject: String,
    /// What was seen, at most [`MAX_EVIDENCE`] bytes.
    pub text: String,
}

impl Evidence {
    /// Evidence about `subject`; keeps the end of a text that is too long.
    pub fn new(kind: EvidenceKind, subject: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > MAX_EVIDENCE {
            let mut start = text.len() - MAX_EVIDENCE;
            while !text.is_char_boundary(start) {
                start += 1;
            }
            text = format!("…{}", &text[start..]);
        }
        Self { kind, subject: subject.into(), text }
    }

    /// Whether it is what was measured.
    pub fn is_measurement(&self) -> bool {
        self.kind == EvidenceKind::Measurement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_text_is_kept() {
        let text = format!("{}the cause", "ä".repeat(MAX_EVIDENCE));
        let evidence = Evidence::new(EvidenceKind::Log, "backend", text);
        assert!(evidence.text.ends_with("the cause"));
        assert!(evidence.text.len() <= MAX_EVIDENCE + '…'.len_utf8());
    }
}
