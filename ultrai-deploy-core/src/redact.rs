//! The second line of defence: known secret values are cut out of whatever is written or shown.

mod values;
mod writer;

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

pub use self::writer::{RedactingWriter, SharedRedactor};

use self::values::Values;

use crate::{
    ending::Ending,
    error::{Effect, Error, Failure},
    evidence::Evidence,
    journal::Event,
    plan::Plan,
    readiness::Readiness,
    secret::{Secret, Secrets},
};

/// Shortest value that is looked for; shorter ones would cut up ordinary words.
const SHORTEST: usize = 6;

/// Replaces known secret values by `***`. It holds them zeroed when dropped, as secrets are.
#[derive(Clone, Default)]
pub struct Redactor {
    values: Values,
}

impl Redactor {
    /// Looks for the values of `secrets` that have at least 6 bytes, also as JSON writes them, and
    /// for the lines of those that have several, since output comes line by line.
    pub fn new(secrets: &Secrets) -> Self {
        let mut found = Vec::new();
        for value in secrets.values().map(Secret::expose) {
            let json = Zeroizing::new(serde_json::to_string(value).unwrap_or_default());
            let quoted = json.trim_matches('"');
            let texts = [value, quoted].into_iter().chain(value.lines()).map(str::trim);
            let texts = texts.filter(|text| text.len() >= SHORTEST);
            found.extend(texts.map(|text| Zeroizing::new(text.to_owned())));
        }
        let mut redactor = Self::default();
        redactor.values.add(found);
        redactor
    }

    /// Looks for the values of `other`, too.
    pub fn extend(&mut self, other: Self) {
        self.values.add(other.values);
    }

    /// The text without known values; what overlapping ones cover is cut out whole.
    pub fn text(&self, text: &str) -> String {
        if self.values.is_in(text) { self.values.cut(text) } else { text.to_owned() }
    }

    /// Cuts known values out of what was seen.
    pub fn evidence(&self, evidence: &mut [Evidence]) {
        for piece in evidence {
            self.cut(&mut piece.subject);
            self.cut(&mut piece.text);
        }
    }

    /// The error without known values in its own texts and in those of its causes.
    pub fn error(&self, error: Error) -> Error {
        let shown = Failure::from(&error);
        let mut clean = shown.clone();
        self.failure(&mut clean);
        if clean == shown {
            return error;
        }
        let message = self.text(error.message());
        let mut cut = Error::new(error.kind(), error.operation(), message);
        if let Some(advice) = error.advice() {
            cut = cut.with_advice(self.text(advice));
        }
        if error.effect() == Effect::None {
            cut = cut.without_effect();
        }
        if error.is_retryable() {
            cut = cut.retryable();
        }
        if !clean.causes.is_empty() {
            cut = cut.with_source(clean.causes.join(": "));
        }
        cut.with_evidence(clean.evidence)
    }

    /// The event without known values in any of its free texts.
    pub(crate) fn event(&self, mut event: Event) -> Event {
        match &mut event {
            Event::Created { skips, initiator, .. } => {
                for skip in skips {
                    self.cut(&mut skip.why);
                }
                initiator.reason.iter_mut().for_each(|reason| self.cut(reason));
            }
            Event::HoldReleased { initiator: Some(initiator), .. }
            | Event::RollbackRetried { initiator } => {
                initiator.reason.iter_mut().for_each(|reason| self.cut(reason));
            }
            Event::StageSkipped { why: text, .. }
            | Event::CancelRequested { why: text }
            | Event::TaskEnded { tail: text, .. }
            | Event::MigrationEnded { tail: text, .. }
            | Event::Note { message: text } => self.cut(text),
            Event::StageFailed { failure, .. }
            | Event::FailureIgnored { failure, .. }
            | Event::StepFailed { failure, .. }
            | Event::EffectFailed { failure, .. }
            | Event::DataRestoreFailed { failure }
            | Event::RollbackDecided { cause: failure, .. }
            | Event::Held { cause: failure, .. } => self.failure(failure),
            Event::Planned { plan } => self.plan(plan),
            Event::Assessed { readiness } => self.readiness(readiness),
            Event::Checked { evidence, why, .. } => {
                if let Some(why) = why {
                    self.cut(why);
                }
                self.evidence(evidence);
            }
            Event::Prepared { found, .. } => {
                self.cut(&mut found.what);
                if let Some(remedy) = &mut found.remedy {
                    self.cut(remedy);
                }
            }
            Event::Effect { action, object, detail, .. } => {
                self.cut(action);
                self.cut(object);
                self.walk(detail);
            }
            Event::EffectDone { output, .. } => self.walk(output),
            Event::Ended { ending } => match ending {
                Ending::Refused { cause } | Ending::RolledBack { cause, .. } => self.failure(cause),
                Ending::Stuck { cause, undo } => {
                    self.failure(cause);
                    self.failure(undo);
                }
                Ending::Abandoned { reason } => self.cut(reason),
                Ending::Succeeded { .. } | Ending::Superseded { .. } => {}
            },
            // Names, ids, numbers; and the backend's own record, which undo needs as it was made.
            Event::Locked { .. }
            | Event::Adopted { .. }
            | Event::StageStarted { .. }
            | Event::StageFinished { .. }
            | Event::Observed { .. }
            | Event::BackedUp { .. }
            | Event::DataRestoreStarted { .. }
            | Event::DataRestored { .. }
            | Event::ImageResolved { .. }
            | Event::Sealed { .. }
            | Event::MigrationStarted { .. }
            | Event::MigrationFound { .. }
            | Event::Intent { .. }
            | Event::StepDone { .. }
            | Event::HoldReleased { initiator: None, .. }
            | Event::Inherited { .. }
            | Event::Reconciled { .. } => {}
        }
        event
    }

    /// Cuts known values out of what is told of a plan.
    pub(crate) fn plan(&self, plan: &mut Plan) {
        plan.services.values_mut().for_each(|change| self.cut(&mut change.reason));
        plan.resources.iter_mut().for_each(|text| self.cut(text));
        plan.not_undoable.iter_mut().for_each(|text| self.cut(text));
    }

    /// Cuts known values out of what is told about going back.
    pub(crate) fn readiness(&self, readiness: &mut Readiness) {
        for finding in &mut readiness.findings {
            self.cut(&mut finding.why);
            finding.advice.iter_mut().for_each(|advice| self.cut(advice));
        }
    }

    fn failure(&self, failure: &mut Failure) {
        self.cut(&mut failure.message);
        failure.causes.iter_mut().for_each(|cause| self.cut(cause));
        self.evidence(&mut failure.evidence);
    }

    pub(crate) fn walk(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.cut(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.walk(item)),
            _ => {}
        }
    }

    fn cut(&self, text: &mut String) {
        if self.values.is_in(text) {
            *text = self.values.cut(text);
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{name::SecretName, secret::Secret};

    fn redactor() -> Redactor {
        let secrets = [("A", "hunter2hunter2"), ("B", "hunter2"), ("C", "no")];
        Redactor::new(
            &secrets
                .into_iter()
                .map(|(name, value)| (SecretName::new(name).unwrap(), Secret::new(value)))
                .collect(),
        )
    }

    #[test]
    fn values_are_cut_out_longest_first() {
        let text = redactor().text("a=hunter2hunter2 b=hunter2 no");
        assert_eq!(text, "a=*** b=*** no");
        assert_eq!(redactor().text("hunter2hunter2hunter2, ünter2"), "***, ünter2");
        assert!(!format!("{:?}", redactor()).contains("hunter2"));
    }

    #[test]
    fn a_value_of_several_lines_is_cut_out_of_each_line() {
        let name = SecretName::new("KEY").unwrap();
        let value = Secret::new("-----BEGIN-----\nMIIEvQ\n-----END-----\n");
        let redactor = Redactor::new(&Secrets::from([(name, value)]));
        assert_eq!(redactor.text("read MIIEvQ"), "read ***");
    }

    #[test]
    fn a_value_that_is_also_a_name_leaves_names_alone() {
        let name = SecretName::new("A").unwrap();
        let redactor = Redactor::new(&Secrets::from([(name, Secret::new("switch"))]));
        let failure = Failure {
            kind: crate::ErrorKind::Unexpected,
            effect: crate::Effect::Unknown,
            message: "switch".into(),
            causes: vec!["switch".into()],
            evidence: vec![],
        };
        let step = crate::deployer::Step::Switch;
        let clean = redactor.event(Event::StepFailed { step, failure });
        let Event::StepFailed { step, failure } = clean else { panic!("another event") };
        assert_eq!(step, crate::deployer::Step::Switch);
        assert_eq!((failure.message.as_str(), failure.causes[0].as_str()), ("***", "***"));
    }

    #[test]
    fn an_error_keeps_what_is_decided_on() {
        let error = Error::new(crate::ErrorKind::Denied, "log in", "hunter2 is wrong")
            .with_advice("do not use hunter2")
            .with_source(std::io::Error::other("401 for hunter2"))
            .without_effect()
            .retryable();
        let clean = redactor().error(error);
        let text = format!("{} {clean:?}", crate::Chain(&clean));
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("401 for ***"), "{text}");
        assert_eq!((clean.kind(), clean.effect()), (crate::ErrorKind::Denied, Effect::None));
        assert!(clean.is_retryable());
    }

    #[test]
    fn no_text_of_an_event_is_left_out() {
        let event = Event::TaskEnded {
            task: "t".into(),
            exit_code: 1,
            tail: "key \"hunter2\" refused".into(),
        };
        let text = serde_json::to_string(&redactor().event(event)).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("refused"), "{text}");
    }
}
