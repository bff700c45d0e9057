//! What people are told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    consequence::Severity,
    error::Failure,
    journal::Initiator,
    name::{ReleaseId, RunId, Target},
    redact::Redactor,
    version::Version,
};

/// Longest line of a cause that is told, in characters; more is in the report.
const LONGEST_CAUSE: usize = 500;
/// How many causes of one failure are told.
const MOST_CAUSES: usize = 6;

/// One thing that happened in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The same whenever the same thing is told again, and of nothing else: receivers leave out what
    /// they have seen.
    pub key: String,
    /// What happened.
    pub what: What,
    /// Where.
    pub target: Target,
    /// The run that it is about; nothing for alerts outside of runs.
    pub run: Option<RunId>,
    /// The version that the run brings, or the one that an alert is about.
    pub version: Option<Version>,
    /// The version that served before the run.
    pub version_before: Option<Version>,
    /// Who started the run.
    pub initiator: Option<Initiator>,
    /// When it happened, by the wall clock.
    pub at: Timestamp,
}

/// What happened. Causes are lines, the deepest first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A run began.
    Started,
    /// The intended release serves and is proven.
    Succeeded {
        /// Whether anything had to change.
        changed: bool,
    },
    /// The run ended before it touched anything.
    Refused {
        /// Why.
        cause: Vec<String>,
    },
    /// Somebody stopped the run before it touched anything.
    Cancelled,
    /// The release failed, and the run begins to go back.
    Failed {
        /// Why.
        cause: Vec<String>,
    },
    /// What served before serves again.
    RolledBack {
        /// Why.
        cause: Vec<String>,
        /// The release that serves again; nothing after a failed first deploy.
        to: Option<ReleaseId>,
    },
    /// Going back failed: a person has to look.
    Stuck {
        /// What went wrong first.
        cause: Vec<String>,
        /// What went wrong on the way back.
        undo: Vec<String>,
    },
    /// The release is held: a person has to accept it or take it back.
    ApprovalNeeded {
        /// Why.
        cause: Vec<String>,
        /// When it goes back by itself.
        until: Timestamp,
    },
    /// A person closed a stuck or unfinished run.
    Abandoned {
        /// Why.
        reason: String,
    },
    /// A newer run took the place of this one, which was held.
    Superseded {
        /// Which.
        by: RunId,
    },
    /// Something is not well that ends no run: a rule of a watch, a minor check.
    Alert {
        /// The check or rule.
        check: String,
        /// How bad it is.
        severity: Severity,
        /// What was seen.
        why: String,
    },
    /// What an alert was about is well again.
    Recovered {
        /// The check or rule.
        check: String,
        /// How bad it was.
        severity: Severity,
    },
}

/// The names of what can happen, as filters have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Name {
    /// [`What::Started`].
    Started,
    /// [`What::Succeeded`].
    Succeeded,
    /// [`What::Refused`].
    Refused,
    /// [`What::Cancelled`].
    Cancelled,
    /// [`What::Failed`].
    Failed,
    /// [`What::RolledBack`].
    RolledBack,
    /// [`What::Stuck`].
    Stuck,
    /// [`What::ApprovalNeeded`].
    ApprovalNeeded,
    /// [`What::Abandoned`].
    Abandoned,
    /// [`What::Superseded`].
    Superseded,
    /// [`What::Alert`].
    Alert,
    /// [`What::Recovered`].
    Recovered,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Started,
        Self::Succeeded,
        Self::Refused,
        Self::Cancelled,
        Self::Failed,
        Self::RolledBack,
        Self::Stuck,
        Self::ApprovalNeeded,
        Self::Abandoned,
        Self::Superseded,
        Self::Alert,
        Self::Recovered,
    ];

    /// As it is written in filters and payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Stuck => "stuck",
            Self::ApprovalNeeded => "approval_needed",
            Self::Abandoned => "abandoned",
            Self::Superseded => "superseded",
            Self::Alert => "alert",
            Self::Recovered => "recovered",
        }
    }

    /// Whether a run is over with it, or waits for a person. These are told also when the process
    /// that saw them died, and are never left out for being many.
    pub fn ends_run(self) -> bool {
        !matches!(self, Self::Started | Self::Failed | Self::Alert | Self::Recovered)
    }
}

impl What {
    /// Its name.
    pub fn name(&self) -> Name {
        match self {
            Self::Started => Name::Started,
            Self::Succeeded { .. } => Name::Succeeded,
            Self::Refused { .. } => Name::Refused,
            Self::Cancelled => Name::Cancelled,
            Self::Failed { .. } => Name::Failed,
            Self::RolledBack { .. } => Name::RolledBack,
            Self::Stuck { .. } => Name::Stuck,
            Self::ApprovalNeeded { .. } => Name::ApprovalNeeded,
            Self::Abandoned { .. } => Name::Abandoned,
            Self::Superseded { .. } => Name::Superseded,
            Self::Alert { .. } => Name::Alert,
            Self::Recovered { .. } => Name::Recovered,
        }
    }

    /// How bad it is; nothing where nothing is bad.
    pub fn severity(&self) -> Option<Severity> {
        match self {
            Self::Started
            | Self::Succeeded { .. }
            | Self::Cancelled
            | Self::Abandoned { .. }
            | Self::Superseded { .. } => None,
            Self::Refused { .. } | Self::ApprovalNeeded { .. } => Some(Severity::Major),
            Self::Failed { .. } | Self::RolledBack { .. } | Self::Stuck { .. } => {
                Some(Severity::Critical)
            }
            Self::Alert { severity, .. } | Self::Recovered { severity, .. } => Some(*severity),
        }
    }

    /// Why, the deepest cause first; empty where nothing is bad.
    pub fn cause(&self) -> &[String] {
        match self {
            Self::Refused { cause }
            | Self::Failed { cause }
            | Self::RolledBack { cause, .. }
            | Self::Stuck { cause, .. }
            | Self::ApprovalNeeded { cause, .. } => cause,
            Self::Abandoned { reason } => std::slice::from_ref(reason),
            Self::Alert { why, .. } => std::slice::from_ref(why),
            Self::Started
            | Self::Succeeded { .. }
            | Self::Cancelled
            | Self::Superseded { .. }
            | Self::Recovered { .. } => &[],
        }
    }

    /// What a person can do now, as commands.
    pub fn commands(&self) -> &'static [&'static str] {
        match self {
            Self::ApprovalNeeded { .. } => &["ultrai resume --proceed", "ultrai rollback"],
            Self::Stuck { .. } => &["ultrai status", "ultrai resume --retry", "ultrai abandon"],
            _ => &[],
        }
    }
}

impl Notice {
    /// An alert of a watch outside of runs.
    pub fn alert(
        target: Target,
        check: impl Into<String>,
        severity: Severity,
        why: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        let (check, why) = (check.into(), why.into());
        Self::outside(target, What::Alert { check, severity, why }, at)
    }

    /// The end of what an alert was about.
    pub fn recovered(
        target: Target,
        check: impl Into<String>,
        severity: Severity,
        at: Timestamp,
    ) -> Self {
        Self::outside(target, What::Recovered { check: check.into(), severity }, at)
    }

    fn outside(target: Target, what: What, at: Timestamp) -> Self {
        let mut notice = Self {
            key: String::new(),
            what,
            target,
            run: None,
            version: None,
            version_before: None,
            initiator: None,
            at,
        };
        notice.key = format!("{}/{}/{at}", notice.incident(), notice.what.name().as_str());
        notice
    }

    /// What alerts and their ends have in common, and all runs of an environment: whoever keeps
    /// incidents opens and closes one under this name.
    pub fn incident(&self) -> String {
        let Target { project, environment } = &self.target;
        match &self.what {
            What::Alert { check, .. } | What::Recovered { check, .. } => {
                format!("{project}/{environment}/check/{check}")
            }
            _ => format!("{project}/{environment}/deploy"),
        }
    }

    /// One line that says it all: what, where, and the deepest cause.
    pub fn summary(&self) -> String {
        let (target, version) = (&self.target, self.version.as_ref());
        let release = version.map_or_else(|| "the release".to_owned(), ToString::to_string);
        let before = || {
            let before = self.version_before.as_ref();
            before.map_or_else(|| "what served before".to_owned(), ToString::to_string)
        };
        let said = match &self.what {
            What::Started => format!("{release} is being brought to {target}"),
            What::Succeeded { changed: true } => format!("{release} serves in {target}"),
            What::Succeeded { changed: false } => {
                format!("{release} serves in {target}; nothing had to change")
            }
            What::Refused { .. } => {
                format!("{release} was refused in {target}, nothing was touched")
            }
            What::Cancelled => {
                format!("bringing {release} to {target} was cancelled, nothing was touched")
            }
            What::Failed { .. } => format!("{release} failed in {target}, going back"),
            What::RolledBack { to: None, .. } => {
                format!("{release} failed in {target} and was taken away; nothing served before")
            }
            What::RolledBack { .. } => {
                format!("{release} was rolled back in {target}, {} serves again", before())
            }
            What::Stuck { .. } => {
                format!("{target} is STUCK: {release} failed, and going back failed, too")
            }
            What::ApprovalNeeded { until, .. } => {
                format!("{release} is held in {target} and goes back at {until} unless accepted")
            }
            What::Abandoned { .. } => format!("the run of {release} in {target} was abandoned"),
            What::Superseded { .. } => {
                format!("{release}, held in {target}, was superseded by a newer run")
            }
            What::Alert { check, severity, .. } => {
                format!("{} alert in {target}: {check}", severity.as_str())
            }
            What::Recovered { check, .. } => format!("{check} is well again in {target}"),
        };
        match self.what.cause().first() {
            Some(cause) => format!("{said}: {cause}"),
            None => said,
        }
    }

    /// The notice without known secret values.
    pub(crate) fn redacted(mut self, redactor: &Redactor) -> Self {
        let cut = |text: &mut String| *text = redactor.text(text);
        match &mut self.what {
            What::Refused { cause }
            | What::Failed { cause }
            | What::RolledBack { cause, .. }
            | What::ApprovalNeeded { cause, .. } => cause.iter_mut().for_each(cut),
            What::Stuck { cause, undo } => cause.iter_mut().chain(undo).for_each(cut),
            What::Abandoned { reason } => cut(reason),
            What::Alert { check, why, .. } => {
                cut(check);
                cut(why);
            }
            What::Recovered { check, .. } => cut(check),
            What::Started | What::Succeeded { .. } | What::Cancelled | What::Superseded { .. } => {}
        }
        if let Some(reason) = self.initiator.as_mut().and_then(|one| one.reason.as_mut()) {
            cut(reason);
        }
        cut(&mut self.key);
        self
    }
}

/// The lines of a failure, deepest first, bounded.
pub(crate) fn cause(failure: &Failure) -> Vec<String> {
    let lines = failure.causes.iter().rev().chain([&failure.message]);
    let short = lines.map(|line| shortened(line, LONGEST_CAUSE));
    let mut cause: Vec<String> = short.filter(|line| !line.is_empty()).collect();
    if cause.len() > MOST_CAUSES {
        // The outermost says what was being done, the deepest ones why it failed.
        let outermost = cause.pop();
        cause.truncate(MOST_CAUSES - 1);
        cause.extend(outermost);
    }
    cause
}

/// The beginning of a text, on one line.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::{
        Effect, ErrorKind,
        name::{EnvironmentName, ProjectName, SecretName},
        secret::Secret,
    };

    use super::*;

    fn failure(causes: usize) -> Failure {
        Failure {
            kind: ErrorKind::Unhealthy,
            effect: Effect::Unknown,
            message: "cannot verify".into(),
            causes: (0..causes).map(|n| format!("cause {n}")).collect(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn the_deepest_cause_comes_first_and_the_outermost_stays() {
        assert_eq!(cause(&failure(2)), ["cause 1", "cause 0", "cannot verify"]);
        let many = cause(&failure(40));
        assert_eq!((many.len(), many[0].as_str()), (MOST_CAUSES, "cause 39"));
        assert_eq!(many.last().map(String::as_str), Some("cannot verify"));
        let long = Failure { message: "ä\n".repeat(9000), ..failure(0) };
        assert!(cause(&long)[0].chars().count() <= LONGEST_CAUSE + 1);
    }

    #[test]
    fn no_text_of_a_notice_keeps_a_secret() {
        let target =
            Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("e").unwrap());
        let secret = Secret::new("hunter2-hunter2");
        let name = SecretName::new("A").unwrap();
        let redactor = Redactor::new(&std::iter::once((name, secret)).collect());
        let mut notice = Notice::alert(
            target,
            "key hunter2-hunter2",
            Severity::Critical,
            "401 for hunter2-hunter2",
            Timestamp::UNIX_EPOCH,
        );
        let reason = Some("use hunter2-hunter2".to_owned());
        notice.initiator = Some(Initiator { reason, ..Initiator::default() });
        let clean = notice.redacted(&redactor);
        let text = format!("{clean:?} {} {}", clean.summary(), clean.incident());
        assert!(!text.contains("hunter2"), "{text}");
        assert!(clean.summary().ends_with("401 for ***"), "{}", clean.summary());
    }
}
