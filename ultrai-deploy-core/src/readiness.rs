//! Whether a deploy could be taken back, found out before it touches anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind},
    name::{BackupId, ReleaseId},
};

/// What was found out about going back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Readiness {
    /// The release that a failed deploy goes back to; nothing for a first deploy.
    pub to: Option<ReleaseId>,
    /// What was looked at, in the order of [`Aspect`].
    pub findings: Vec<Finding>,
}

/// One thing that going back needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at.
    pub aspect: Aspect,
    /// Whether it is as it has to be.
    pub ready: bool,
    /// Why, in plain words.
    pub why: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What going back needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aspect {
    /// The images of the release that serves can still be had.
    Images,
    /// A backup exists and is whole.
    Backup,
    /// The data that goes back with a release is declared and kept; looked at where the policy has it
    /// go back.
    Data,
    /// What migrations do can be taken back.
    Migrations,
    /// Every declared flag is switched on or off.
    Flags,
}

impl Aspect {
    /// Its name in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Images => "previous images",
            Self::Backup => "backup",
            Self::Data => "data",
            Self::Migrations => "migrations",
            Self::Flags => "feature flags",
        }
    }
}

impl Readiness {
    pub(crate) fn new(to: Option<ReleaseId>) -> Self {
        Self { to, findings: Vec::new() }
    }

    pub(crate) fn good(&mut self, aspect: Aspect, why: impl Into<String>) {
        self.findings.push(Finding { aspect, ready: true, why: why.into(), advice: None });
    }

    pub(crate) fn bad(
        &mut self,
        aspect: Aspect,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let advice = Some(advice.into());
        self.findings.push(Finding { aspect, ready: false, why: why.into(), advice });
    }

    /// What is not as it has to be.
    pub fn gaps(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.ready)
    }

    /// Whether nothing speaks against going back. A first deploy has nothing to go back to, and is
    /// removed when it fails, so nothing does.
    pub fn is_ready(&self) -> bool {
        self.to.is_none() || self.gaps().next().is_none()
    }

    /// The backup that was announced is there.
    pub(crate) fn backed_up(&mut self, backup: &BackupId) {
        let announced = self.findings.iter_mut().filter(|one| one.aspect == Aspect::Backup);
        for finding in announced.filter(|finding| finding.ready) {
            finding.why = format!("{backup} is whole");
        }
    }

    /// Refuses a deploy that could not be taken back.
    pub(crate) fn refusal(&self) -> Error {
        let (mut gaps, mut advice) = (Vec::new(), Vec::new());
        for gap in self.gaps() {
            gaps.push(format!("{}: {}", gap.aspect.as_str(), gap.why));
            advice.extend(gap.advice.clone());
        }
        let message = format!("it could not be taken back; {}", gaps.join("; "));
        advice.push("readiness = \"warn\" in [policy] deploys it all the same".to_owned());
        Error::new(ErrorKind::Refused, "go on", message)
            .with_advice(advice.join("; "))
            .without_effect()
    }
}

impl fmt::Display for Readiness {
    /// A line each; only the gaps, when there are some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.to.is_none() {
            writeln!(f, "going back: nothing serves yet, so a failed deploy is removed")?;
        } else if self.is_ready() {
            writeln!(f, "going back: ready")?;
        }
        for gap in self.gaps() {
            write!(f, "going back: NOT READY: {}: {}", gap.aspect.as_str(), gap.why)?;
            match &gap.advice {
                Some(advice) => writeln!(f, " ({advice})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
