//! What happened in an environment: a query over its journals.

mod bad;
mod line;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

pub use bad::Bad;
pub(crate) use bad::{Verdict, bad as bad_of};
use line::line;
pub(crate) use line::{Success, forgettable};

use crate::{
    context::Context,
    current::Serving,
    ending::Ending,
    error::{Error, ErrorKind, Failure, Result},
    journal::{Journal, Kind, Record},
    name::{BackupId, ReleaseId, RunId, SecretName},
    pipeline::Pipeline,
    report::Report,
    state::State,
    version::Version,
};

/// Which runs are asked for; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Those of this version.
    pub version: Option<Version>,
    /// Those of this release.
    pub release: Option<ReleaseId>,
    /// Those that came out so.
    pub outcome: Option<Outcome>,
    /// Those that began at this time or later.
    pub since: Option<Timestamp>,
    /// Those that began before this time.
    pub until: Option<Timestamp>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

/// How a run came out: its [`Ending`] without particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// [`Ending::Succeeded`], whether anything changed or not.
    Succeeded,
    /// [`Ending::Refused`].
    Refused,
    /// [`Ending::RolledBack`].
    RolledBack,
    /// [`Ending::Stuck`].
    Stuck,
    /// [`Ending::Abandoned`].
    Abandoned,
    /// [`Ending::Superseded`].
    Superseded,
    /// It has no ending: it is under way, held, or its process died.
    Unfinished,
}

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
    /// The secrets that have another value in that release than in the one that served before; none
    /// where one of the two is not stored any more. It is what tells two releases of a version
    /// apart after a secret was rotated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets_changed: Vec<SecretName>,
    /// Who started it.
    pub user: Option<String>,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// How it ended; nothing while it is unfinished, or when it died before it had the lease: such
    /// a run changed nothing, and nobody has to finish it.
    pub ending: Option<Ending>,
    /// The backup that it put data back from, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_restored: Option<BackupId>,
    /// The backup that it has begun to put data back from, without coming to the end of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_half_restored: Option<BackupId>,
    /// Until when it waits for a person, if it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Why nothing else is known of the run: its journal is damaged, or of a newer version of this
    /// program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Failure>,
}

impl Entry {
    /// How the run came out; nothing when its journal is damaged.
    pub fn outcome(&self) -> Option<Outcome> {
        if self.damage.is_some() {
            return None;
        }
        Some(match &self.ending {
            None => Outcome::Unfinished,
            Some(Ending::Succeeded { .. }) => Outcome::Succeeded,
            Some(Ending::Refused { .. }) => Outcome::Refused,
            Some(Ending::RolledBack { .. }) => Outcome::RolledBack,
            Some(Ending::Stuck { .. }) => Outcome::Stuck,
            Some(Ending::Abandoned { .. }) => Outcome::Abandoned,
            Some(Ending::Superseded { .. }) => Outcome::Superseded,
        })
    }

    fn new(report: Report) -> Self {
        Self {
            user: report.initiator.as_ref().map(|initiator| initiator.user.clone()),
            reason: report.initiator.and_then(|initiator| initiator.reason),
            run: report.run,
            started: report.started,
            millis: report.millis,
            kind: report.kind,
            version: report.version,
            release: report.release,
            secrets_changed: Vec::new(),
            ending: report.ending,
            data_restored: report.data.restored.map(|data| data.backup),
            data_half_restored: report.data.half_restored.map(|what| what.backup),
            held_until: report.held_until,
            damage: None,
        }
    }

    fn damaged(run: &RunId, error: &Error) -> Self {
        let nothing = Report::from_records(run, &[]);
        Self { damage: Some(Failure::from(error)), ..Self::new(nothing) }
    }
}

impl Query {
    fn asks_for(&self, entry: &Entry) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(self.version.as_ref(), entry.version.as_ref())
            && is(self.release.as_ref(), entry.release.as_ref())
            && is(self.outcome.as_ref(), entry.outcome().as_ref())
            && self.since.is_none_or(|since| entry.started.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| entry.started.is_some_and(|at| at < until))
    }
}

impl Pipeline {
    /// The runs of this environment that `query` asks for, newest first.
    ///
    /// A run whose journal is damaged is among them whatever is asked for, as far back as the
    /// limit lets the query look: nobody can say that it was not meant.
    ///
    /// # Errors
    /// When the journals or the releases cannot be reached.
    pub async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        let journal = self.parts.journal.as_ref();
        let (mut entries, mut left) = (Vec::new(), query.limit.unwrap_or(usize::MAX));
        let mut runs = journal.runs().await?;
        while left > 0
            && let Some(run) = runs.pop()
        {
            match read(journal, &run).await {
                Ok(Some((_, records))) => {
                    let report = Report::from_records(&run, &records);
                    let previous = report.previous.clone();
                    let mut entry = Entry::new(report);
                    if query.asks_for(&entry) {
                        entry.secrets_changed =
                            self.changed_secrets(previous.as_ref(), entry.release.as_ref()).await?;
                        entries.push(entry);
                        left -= 1;
                    }
                }
                Ok(None) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) =>
                {
                    entries.push(Entry::damaged(&run, &error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    async fn changed_secrets(
        &self,
        from: Option<&ReleaseId>,
        to: Option<&ReleaseId>,
    ) -> Result<Vec<SecretName>> {
        let (Some(from), Some(to)) = (from, to) else { return Ok(Vec::new()) };
        if from == to {
            return Ok(Vec::new());
        }
        let store = &self.parts.releases;
        match (store.get(from).await, store.get(to).await) {
            (Ok(from), Ok(to)) => Ok(to.secrets_changed_since(&from)),
            // What is gone or damaged hides a detail, and not what happened.
            (Err(error), _) | (_, Err(error))
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::Unsupported
                ) =>
            {
                Ok(Vec::new())
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
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
        proven(self.parts.journal.as_ref()).await
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
        let successes = successes(parts.journal.as_ref()).await?;
        let mut line = line(&successes);
        if let Some(at) = line.iter().rposition(|known| Some(*known) == current.as_ref()) {
            line.truncate(at);
        }
        let stored = parts.releases.list().await?;
        let bad = bad(parts.journal.as_ref()).await?;
        let usable = |id: &ReleaseId| {
            Some(id) != current.as_ref() && stored.contains(id) && !bad.contains_key(id)
        };
        line.into_iter().rev().find(|id| usable(id)).cloned().ok_or_else(|| {
            let message = match &current {
                Some(id) => format!("nothing was proven in {} before release {id}", parts.target),
                None => format!("nothing was proven in {} yet", parts.target),
            };
            Error::new(ErrorKind::Invalid, "choose a release to return to", message)
                .with_advice("see `ultrai history` and `ultrai backup list`")
                .without_effect()
        })
    }

    /// Why this release is refused unless its version is allowed by name: the last run that brought
    /// it took it back. Nothing when it is not.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub async fn refusal(&self, release: &ReleaseId) -> Result<Option<Bad>> {
        Ok(bad(self.parts.journal.as_ref()).await?.remove(release))
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
                .with_advice("return to a backup of it (`ultrai backup list`), or deploy it again")
        })
    }
}

/// A run's state and records; nothing when it was removed since it was listed.
///
/// # Errors
/// [`ErrorKind::Corrupt`] also when the records cannot have happened in this order.
pub(crate) async fn read(
    journal: &dyn Journal,
    run: &RunId,
) -> Result<Option<(State, Vec<Record>)>> {
    let Some(records) = load(journal, run).await? else { return Ok(None) };
    let state = State::replay(&records).map_err(|source| {
        Error::new(ErrorKind::Corrupt, "replay the journal", format!("of run {run}"))
            .with_advice("look at what runs, then move this journal away")
            .without_effect()
            .with_source(source)
    })?;
    Ok(Some((state, records)))
}

async fn load(journal: &dyn Journal, run: &RunId) -> Result<Option<Vec<Record>>> {
    match journal.load(run).await {
        Ok(records) => Ok(Some(records)),
        // Only what is over and needed by nobody is ever removed.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// All runs that have proven a release, in their order.
async fn successes(journal: &dyn Journal) -> Result<Vec<Success>> {
    let mut successes = Vec::new();
    for run in journal.runs().await? {
        let Some((state, _)) = read(journal, &run).await? else { continue };
        successes.extend(Success::of(&run, &state));
    }
    successes.sort_by_key(|success| success.fence);
    Ok(successes)
}

/// The releases that failed, and were taken back by the last run that brought them.
pub(crate) async fn bad(journal: &dyn Journal) -> Result<BTreeMap<ReleaseId, Bad>> {
    let mut verdicts = Vec::new();
    for run in journal.runs().await? {
        let Some((state, _)) = read(journal, &run).await? else { continue };
        verdicts.extend(Verdict::of(&run, &state));
    }
    Ok(bad_of(verdicts).into_iter().map(|(release, (_, bad))| (release, bad)).collect())
}

/// Whether a run has proven `release`.
pub(crate) async fn is_proven(journal: &dyn Journal, release: &ReleaseId) -> Result<bool> {
    Ok(proving_run(journal, release).await?.is_some())
}

/// The last run that has proven `release`.
pub(crate) async fn proving_run(
    journal: &dyn Journal,
    release: &ReleaseId,
) -> Result<Option<RunId>> {
    let mut runs = journal.runs().await?;
    while let Some(run) = runs.pop() {
        let Some((state, _)) = read(journal, &run).await? else { continue };
        if Success::of(&run, &state).is_some_and(|success| success.release == *release) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The newest run whose state is meant, and where it is.
pub(crate) async fn last_run(
    journal: &dyn Journal,
    is_meant: impl Fn(&State) -> bool,
) -> Result<Option<(RunId, String)>> {
    let mut runs = journal.runs().await?;
    while let Some(run) = runs.pop() {
        let Some((state, _)) = read(journal, &run).await? else { continue };
        if is_meant(&state) {
            return Ok(Some((run, state.phase().describe())));
        }
    }
    Ok(None)
}

/// The releases that a run has proven, newest proof first, each once.
pub(crate) async fn proven(journal: &dyn Journal) -> Result<Vec<ReleaseId>> {
    let mut releases = Vec::new();
    for Success { release, .. } in successes(journal).await?.into_iter().rev() {
        if !releases.contains(&release) {
            releases.push(release);
        }
    }
    Ok(releases)
}
