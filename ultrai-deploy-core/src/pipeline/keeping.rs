//! Taking backups: of everything before a run, and of data again right before it is changed.

use std::{sync::Arc, time::Duration};

use super::{Driver, Parts};
use crate::{
    backup::{
        Backup, BackupRequest, BackupSource, BackupStore, Content, Occasion, Part, Selection,
    },
    context::Context,
    deployer::Step,
    error::{ErrorKind, Result},
    journal::{Event, Kind},
    name::{BackupId, ReleaseId, RunId},
    secret::Secrets,
    stage::Stage,
    state::{Phase, State},
    version::Version,
};

/// What the ids of backups end in that hold what a failed release left of the data.
pub(super) const OF_FAILED: &str = "-rollback";

/// How long what a failed backup left may take to be put right.
pub(super) const SETTLE: Duration = Duration::from_mins(2);

impl Driver {
    /// Takes a backup, verifies it, and journals it.
    pub(super) async fn keep(&self, cx: &Context, occasion: Occasion) -> Result<()> {
        let state = self.log.state().await;
        let baseline = state.baseline();
        let Some(store) = &self.parts.backups else { return Ok(()) };
        let at = self.parts.clock.now();
        let request = BackupRequest {
            id: name(at, self.run(), suffix(occasion, &state))?,
            target: self.parts.target.clone(),
            run: self.run().clone(),
            at,
            release: baseline.and_then(|baseline| baseline.release.clone()),
            version: baseline.and_then(|baseline| baseline.version.clone()),
            reason: reason(occasion, &state),
        };
        let cx = &cx.clone().with_secrets(self.parts.secrets_of(serving(&state)).await?);
        let all = &self.parts.sources;
        let data = || all.iter().filter(|source| source.content() == Content::Data);
        let taken = match occasion {
            Occasion::Begin => self.parts.take(cx, &**store, &request, all).await,
            Occasion::Refresh | Occasion::Restore => {
                let data: Vec<_> = data().cloned().collect();
                self.parts.take(cx, &**store, &request, &data).await
            }
        };
        if taken.is_err() {
            self.settle_sources().await?;
        }
        let backup = taken?;
        let bytes = backup.parts.iter().map(|part| part.size).sum();
        let data = self.parts.data_of(&backup);
        let (backup, parts) = (request.id, backup.parts.len());
        self.log
            .record(Event::BackedUp { backup, parts, bytes, occasion, data, at: Some(at) })
            .await
    }

    /// Lets what was stopped for a backup that failed, or was cut off, run again. What cannot be is told,
    /// and does not hide why it failed.
    pub(super) async fn settle_sources(&self) -> Result<()> {
        // The stage's time may be over, and a cancelled run must not leave services stopped.
        let cx = self.uncancelled("settle").with_timeout(SETTLE);
        for source in &self.parts.sources {
            let what = format!("what an unfinished backup of {} left stays", source.name());
            self.housekeep(&what, cx.bounded(source.settle(&cx)).await).await?;
        }
        Ok(())
    }

    /// Takes the data again before the first effect, when the backup of it is old by then.
    pub(super) async fn refresh(&self, cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        let before = state.data_before();
        let is_there = before.is_some() || self.parts.has_data();
        if state.touched() || state.backup().is_none() || !is_there {
            return Ok(());
        }
        let now = self.parts.clock.now();
        let age = before.and_then(|before| before.at).map(|at| now.duration_since(at));
        // After a clock was set back, nothing is known of its age.
        let age = age.and_then(|age| Duration::try_from(age).ok());
        if age.is_some_and(|age| age < self.parts.policy.backup_max_age) {
            return Ok(());
        }
        let cx = cx.clone().with_timeout(self.parts.policy.deadline(Stage::Backup));
        self.keep(&cx, Occasion::Refresh).await
    }
}

impl Parts {
    /// Takes a backup and reads it back.
    pub(super) async fn take(
        &self,
        cx: &Context,
        store: &dyn BackupStore,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        let backup = cx.bounded(store.create(cx, request, sources)).await?;
        cx.bounded(store.verify(&self.target, &request.id)).await?;
        Ok(backup)
    }

    /// Whether any source of data is declared.
    pub(super) fn has_data(&self) -> bool {
        self.sources.iter().any(|source| source.content() == Content::Data)
    }

    /// The sources that have parts in a backup: declared ones, and the store's own.
    pub(super) fn sources_of(&self, what: &Selection) -> Vec<Arc<dyn BackupSource>> {
        let mut sources = self.sources.clone();
        let own = self.backups.iter().flat_map(|store| store.own_sources(what));
        for source in own {
            if sources.iter().all(|known| known.name() != source.name()) {
                sources.push(source);
            }
        }
        sources
    }

    /// The names of the parts of a backup that are data.
    pub(super) fn data_of(&self, backup: &Backup) -> Vec<String> {
        let what = Selection::all(self.target.clone(), backup.request.id.clone());
        let sources = self.sources_of(&what);
        let is_data = |name: &str| {
            sources.iter().any(|one| one.name() == name && one.content() == Content::Data)
        };
        let data = backup.parts.iter().filter(|part| is_data(&part.source));
        data.map(Part::full_name).collect()
    }

    /// The secrets of a release; none where it is not stored.
    pub(super) async fn secrets_of(&self, release: Option<&ReleaseId>) -> Result<Secrets> {
        let Some(release) = release else { return Ok(Secrets::new()) };
        match self.releases.secrets(release).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Secrets::new()),
            found => found,
        }
    }
}

/// The release that serves where the run is now, as far as it is known.
pub(super) fn serving(state: &State) -> Option<&ReleaseId> {
    let before = state.baseline().and_then(|baseline| baseline.release.as_ref());
    let is_new = state.is_done(Step::Switch) && matches!(state.phase(), Phase::Running(_));
    if is_new { state.release() } else { before }
}

/// Told apart by what a run takes it for, since it may take two within a second.
pub(super) fn name(at: jiff::Timestamp, run: &RunId, suffix: &str) -> Result<BackupId> {
    let stamp = at.strftime("%Y%m%dT%H%M%SZ");
    BackupId::new(format!("{stamp}-{}{suffix}", run.short()))
}

fn suffix(occasion: Occasion, state: &State) -> &'static str {
    match (occasion, state.phase()) {
        (Occasion::Begin, _) => "",
        (Occasion::Refresh, _) => "-deploy",
        (Occasion::Restore, Phase::Restoring { .. }) => OF_FAILED,
        (Occasion::Restore, _) => "-restore",
    }
}

fn reason(occasion: Occasion, state: &State) -> String {
    let facts = state.facts();
    let version = facts.and_then(|facts| facts.version.as_ref()).map(Version::as_str);
    let kind = facts.map(|facts| &facts.kind);
    let what = match (kind, version) {
        (Some(Kind::Rollback { .. }), Some(version)) => format!("rollback to {version}"),
        (_, Some(version)) => format!("deploy of {version}"),
        (_, None) => "a run".to_owned(),
    };
    match occasion {
        Occasion::Begin => format!("before {what}"),
        Occasion::Refresh => format!("data again, right before {what}"),
        Occasion::Restore => {
            let wanted = match state.phase() {
                Phase::Restoring { .. } => state.data_to_return(),
                _ => state.requested_data(),
            };
            let from = wanted.map_or("a backup", |what| what.backup.as_str());
            format!("data that {from} takes the place of, in the {what}")
        }
    }
}
