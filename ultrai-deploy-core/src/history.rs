//! What happened in an environment: a query over its journals.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    ending::Ending,
    error::Result,
    journal::{Journal, Kind},
    name::{ReleaseId, RunId},
    pipeline::Pipeline,
    report::Report,
    version::Version,
};

/// One run of the past, or the one under way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Deploy or rollback.
    pub kind: Option<Kind>,
    /// The version that was to run.
    pub version: Option<Version>,
    /// The release that was to run.
    pub release: Option<ReleaseId>,
    /// Who started it.
    pub user: Option<String>,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// How it ended; nothing while it is unfinished, or when it died before it had the lease: such
    /// a run changed nothing, and nobody has to finish it.
    pub ending: Option<Ending>,
}

impl Pipeline {
    /// All runs, newest first.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub async fn history(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for run in self.parts.journal.runs().await?.into_iter().rev() {
            let report = self.report(&run).await?;
            entries.push(Entry {
                user: report.initiator.as_ref().map(|initiator| initiator.user.clone()),
                reason: report.initiator.and_then(|initiator| initiator.reason),
                run: report.run,
                started: report.started,
                millis: report.millis,
                kind: report.kind,
                version: report.version,
                release: report.release,
                ending: report.ending,
            });
        }
        Ok(entries)
    }

    /// The report of a run of the past.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an unknown run.
    pub async fn report(&self, run: &RunId) -> Result<Report> {
        let records = self.parts.journal.load(run).await?;
        Ok(Report::from_records(run, &records))
    }

    /// The releases that a run has proven, newest proof first, each once.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub async fn proven(&self) -> Result<Vec<ReleaseId>> {
        proven(self.parts.journal.as_ref(), |_| false).await
    }
}

/// Whether a run has proven `release`.
pub(crate) async fn is_proven(journal: &dyn Journal, release: &ReleaseId) -> Result<bool> {
    Ok(proven(journal, |proven| proven.contains(release)).await?.contains(release))
}

/// The releases that a run has proven, newest proof first, each once. Reads no further back once
/// it is `enough`.
pub(crate) async fn proven(
    journal: &dyn Journal,
    enough: impl Fn(&[ReleaseId]) -> bool,
) -> Result<Vec<ReleaseId>> {
    let mut releases = Vec::new();
    let mut runs = journal.runs().await?;
    while !enough(&releases)
        && let Some(run) = runs.pop()
    {
        let report = Report::from_records(&run, &journal.load(&run).await?);
        if let (Some(Ending::Succeeded { .. }), Some(release)) = (report.ending, report.release)
            && !releases.contains(&release)
        {
            releases.push(release);
        }
    }
    Ok(releases)
}
