//! What a look found, before it is told.

use ultrai_deploy_core::{
    evidence::{Evidence, EvidenceKind},
    health::Health,
    redact::Redactor,
};

/// Longest reason that is told, in bytes: one line for people.
const MAX_WHY: usize = 600;
/// How much of what a server says is repeated, in bytes.
const MAX_SAID: usize = 120;

/// What a look found. Its texts may hold what a server said; [`Finding::told`] makes them fit to be
/// kept and shown.
#[derive(Debug)]
pub(crate) struct Finding {
    state: State,
    why: String,
    evidence: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    NotYet,
    Bad,
}

impl Finding {
    /// As declared; `what` was seen.
    pub(crate) fn good(what: impl Into<String>) -> Self {
        Self::new(State::Good, what)
    }

    /// It is still coming up.
    pub(crate) fn not_yet(why: impl Into<String>) -> Self {
        Self::new(State::NotYet, why)
    }

    /// Not as declared.
    pub(crate) fn bad(why: impl Into<String>) -> Self {
        Self::new(State::Bad, why)
    }

    /// Sets what was seen, where that is more than the reason.
    pub(crate) fn with_evidence(mut self, text: impl Into<String>) -> Self {
        self.evidence = Some(text.into());
        self
    }

    fn new(state: State, why: impl Into<String>) -> Self {
        Self { state, why: why.into(), evidence: None }
    }

    /// The health of what `check` looked at, with known secrets cut out.
    pub(crate) fn told(self, check: &str, redactor: &Redactor) -> Health {
        let whole = self.evidence.as_ref().unwrap_or(&self.why);
        let seen = harmless(&redactor.text(whole), |c| matches!(c, '\n' | '\t'));
        let why = one_line(&redactor.text(&self.why), MAX_WHY);
        let evidence = vec![Evidence::new(EvidenceKind::Probe, check, seen)];
        match self.state {
            State::Good => Health::Healthy(evidence),
            State::NotYet => Health::Pending { why, evidence },
            State::Bad => Health::Unhealthy { why, evidence },
        }
    }
}

/// What a server said, quoted: its beginning, in one line.
pub(crate) fn said(bytes: &[u8]) -> String {
    format!("`{}`", one_line(String::from_utf8_lossy(bytes).trim_end(), MAX_SAID))
}

/// The beginning of a text without characters that would break the line or steer a terminal.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut line = harmless(&text[..end], |_| false);
    if end < text.len() {
        line.push('…');
    }
    line
}

/// The text without characters that would steer a terminal, but those that may stay.
fn harmless(text: &str, may_stay: impl Fn(char) -> bool) -> String {
    let replaced = |c: char| if c.is_control() && !may_stay(c) { '\u{fffd}' } else { c };
    text.chars().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::{
        name::SecretName,
        secret::{Secret, Secrets},
    };

    use super::*;

    #[test]
    fn what_is_told_is_short_shows_no_secret_and_steers_no_terminal() {
        let name = SecretName::new("S").unwrap();
        let redactor = Redactor::new(&Secrets::from([(name, Secret::new("hunter2-hunter2"))]));
        let why = format!("said \u{1b}[2J\r\nhunter2-hunter2 {}", "ä".repeat(MAX_WHY));
        let told = Finding::bad(why).with_evidence("hunter2-hunter2").told("c", &redactor);
        let Health::Unhealthy { why, evidence } = told else { panic!("{told:?}") };
        assert!(why.len() <= MAX_WHY + 8, "{}", why.len());
        assert!(!why.contains(char::is_control) && why.ends_with('…'), "{why:?}");
        assert_eq!(why.lines().count(), 1);
        assert!(!format!("{why}{evidence:?}").contains("hunter2"), "{why}");
    }

    #[test]
    fn junk_is_quoted_in_a_line() {
        assert_eq!(said(b"SSH-2.0-OpenSSH_9.6\r\n"), "`SSH-2.0-OpenSSH_9.6`");
        assert_eq!(said(&[0xff; 4]).chars().count(), 6);
        assert!(said(&[b'x'; 5000]).len() < 200);
    }
}
