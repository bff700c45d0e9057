//! What happened in an environment: a query over its journals.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    context::Context,
    current::Serving,
    ending::Ending,
    error::{Error, ErrorKind, Failure, Result},
    journal::{Journal, Kind},
    name::{ReleaseId, RunId},
    pipeline::Pipeline,
    release::Release,
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
    /// [`ErrorKind::NotFound`] for an unknown run.
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

    /// The release that a rollback without a target returns to: the last one that was proven
    /// before the one that serves, is still stored, and did not fail since. What a rollback has left
    /// is not gone back to, so that one rollback after the other leads to ever earlier releases.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none.
    pub async fn release_before(&self, cx: &Context) -> Result<ReleaseId> {
        let parts = &self.parts;
        let current = match cx.bounded(parts.deployer.current(cx)).await?.serving {
            Serving::Release(id) => Some(id),
            // After all that was proven.
            Serving::Nothing | Serving::Unmanaged(_) => None,
        };
        let mut line = line(parts.journal.as_ref()).await?;
        if let Some(at) = line.iter().rposition(|known| Some(known) == current.as_ref()) {
            line.truncate(at);
        }
        let stored = parts.releases.list().await?;
        let bad = bad(parts.journal.as_ref()).await?;
        let usable = |id: &ReleaseId| {
            Some(id) != current.as_ref() && stored.contains(id) && !bad.contains_key(id)
        };
        line.into_iter().rev().find(usable).ok_or_else(|| {
            let message = match &current {
                Some(id) => format!("nothing was proven in {} before release {id}", parts.target),
                None => format!("nothing was proven in {} yet", parts.target),
            };
            Error::new(ErrorKind::Invalid, "choose a release to return to", message)
                .with_advice("see `ultrai history` and `ultrai backups`")
                .without_effect()
        })
    }

    /// The release that a rollback to a version returns to: the newest one of it that a run has
    /// proven and that is still stored. Whether its images are still to be had is found out by
    /// the run, before it changes anything.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a version that no run has proven, naming those that are;
    /// [`ErrorKind::NotFound`] when its releases are stored no longer.
    pub async fn release_of_version(&self, version: &Version) -> Result<ReleaseId> {
        let parts = &self.parts;
        let (mut known, mut wanted): (Vec<Version>, Vec<ReleaseId>) = (Vec::new(), Vec::new());
        for success in successes(parts.journal.as_ref()).await?.into_iter().rev() {
            let Some(of) = success.version else { continue };
            if of == *version {
                wanted.push(success.release);
            }
            if !known.contains(&of) {
                known.push(of);
            }
        }
        let refuse = |kind, message: String| {
            Error::new(kind, "choose a release to return to", message).without_effect()
        };
        if wanted.is_empty() {
            let message = format!("version {version} was never proven in {}", parts.target);
            return Err(refuse(ErrorKind::Invalid, message).with_advice(if known.is_empty() {
                "nothing was proven there yet".to_owned()
            } else {
                let known: Vec<_> = known.iter().map(Version::as_str).collect();
                format!("the proven ones are {}", known.join(", "))
            }));
        }
        let stored = parts.releases.list().await?;
        wanted.into_iter().find(|id| stored.contains(id)).ok_or_else(|| {
            let message = format!("version {version} was proven, but is not stored any more");
            refuse(ErrorKind::NotFound, message)
                .with_advice("return to a backup of it (`ultrai backups`), or deploy it again")
        })
    }
}

/// A run that has proven a release.
struct Success {
    kind: Option<Kind>,
    release: ReleaseId,
    version: Option<Version>,
}

/// The runs that have proven a release, in the order in which they had the environment.
async fn successes(journal: &dyn Journal) -> Result<Vec<Success>> {
    let mut successes = Vec::new();
    for run in journal.runs().await? {
        let records = journal.load(&run).await?;
        let Some(fence) = records.last().map(|last| last.fence) else { continue };
        let Report { ending, kind, release, version, .. } = Report::from_records(&run, &records);
        if let (Some(Ending::Succeeded { .. }), Some(release)) = (ending, release) {
            successes.push((fence, Success { kind, release, version }));
        }
    }
    // Ids do not tell the order: a run may have waited long for the lease.
    successes.sort_by_key(|(fence, _)| *fence);
    Ok(successes.into_iter().map(|(_, success)| success).collect())
}

/// The proven releases that led to the last one, oldest first: a deploy goes on from what is
/// there, a rollback takes back what came after its target.
async fn line(journal: &dyn Journal) -> Result<Vec<ReleaseId>> {
    let mut line: Vec<ReleaseId> = Vec::new();
    for Success { kind, release, .. } in successes(journal).await? {
        let known = line.iter().rposition(|known| *known == release);
        match (kind, known) {
            (Some(Kind::Rollback { .. }), Some(at)) => line.truncate(at + 1),
            _ if line.last() != Some(&release) => line.push(release),
            _ => {}
        }
    }
    Ok(line)
}

/// A release that failed, and was taken back for it.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    /// By which run.
    pub(crate) run: RunId,
    /// Why.
    pub(crate) cause: Failure,
}

impl Bad {
    /// Refuses to bring it again.
    pub(crate) fn refusal(&self, operation: &'static str, release: &Release) -> Error {
        let Release { id, version, .. } = release;
        let message = format!("run {} took {version} ({id}) back: {}", self.run, self.cause);
        Error::new(ErrorKind::Unhealthy, operation, message)
            .with_advice(format!(
                "change what is wrong with it, or name it to allow it once more: \
                 --allow-failed {version}"
            ))
            .without_effect()
    }
}

/// The releases that failed, and were taken back by the last run that brought them. A run that
/// failed for another reason, such as a platform that did not answer, says nothing about them.
pub(crate) async fn bad(journal: &dyn Journal) -> Result<BTreeMap<ReleaseId, Bad>> {
    let mut verdicts = Vec::new();
    for run in journal.runs().await? {
        let records = journal.load(&run).await?;
        let Some(fence) = records.last().map(|last| last.fence) else { continue };
        let report = Report::from_records(&run, &records);
        let Some(release) = report.release else { continue };
        match report.ending {
            Some(Ending::Succeeded { .. }) => verdicts.push((fence, release, None)),
            // One that came back by itself and passed its checks is well.
            Some(Ending::RolledBack { to, cause })
                if cause.kind == ErrorKind::Unhealthy && to.as_ref() != Some(&release) =>
            {
                verdicts.push((fence, release, Some(Bad { run, cause })));
            }
            _ => {}
        }
    }
    verdicts.sort_by_key(|(fence, ..)| *fence);
    let mut bad = BTreeMap::new();
    for (_, release, verdict) in verdicts {
        match verdict {
            Some(verdict) => bad.insert(release, verdict),
            None => bad.remove(&release),
        };
    }
    Ok(bad)
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
