//! Backups outside of runs, and which of them are needed no more.

use std::collections::BTreeSet;

use super::{
    Parts, Pipeline,
    keeping::{OF_FAILED, SETTLE, name},
    takeover::{Unfinished, find},
};
use crate::{
    backup::{Backup, BackupRequest, BackupStore, Selection},
    context::Context,
    current::Serving,
    error::{Chain, ErrorKind, Result},
    history,
    lease::{Fence, Wait},
    name::{BackupId, ReleaseId, RunId},
    retention,
    stage::Stage,
    state::State,
};

impl Pipeline {
    /// Takes a backup of everything now, outside of a run, and reads it back.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where there is no store; [`ErrorKind::Fenced`] while a run has the
    /// environment; what the store and the sources fail with.
    pub async fn back_up(&self, reason: &str, wait: Wait) -> Result<Backup> {
        let parts = &self.parts;
        let store = parts.backup_store()?;
        let run = RunId::generate();
        parts
            .alone(&run, wait, async |_| {
                let limit = parts.policy.deadline(Stage::Backup);
                let cx = Context::detached(parts.target.clone(), run.clone()).with_timeout(limit);
                let release = match cx.bounded(parts.deployer.current(&cx)).await?.serving {
                    Serving::Release(id) => Some(parts.releases.get(&id).await?),
                    Serving::Nothing | Serving::Unmanaged(_) => None,
                };
                let (release, version) =
                    release.map(|one| (one.id.clone(), one.version.clone())).unzip();
                let at = parts.clock.now();
                let cx = cx.with_secrets(parts.secrets_of(release.as_ref()).await?);
                let request = BackupRequest {
                    id: name(at, &run, "")?,
                    target: parts.target.clone(),
                    run: run.clone(),
                    at,
                    release,
                    version,
                    reason: reason.to_owned(),
                };
                let taken = parts.take(&cx, &**store, &request, &parts.sources).await;
                if taken.is_err() {
                    parts.settle_sources(&run).await;
                }
                taken
            })
            .await
    }

    /// Puts right what a backup left that was taken outside of a run and killed: services that were
    /// stopped for it run again. A run's own is put right by who takes the run over.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] while a run has the environment; what a source fails with.
    pub async fn settle(&self, wait: Wait) -> Result<()> {
        let (parts, run) = (&self.parts, RunId::generate());
        parts
            .alone(&run, wait, async |_| {
                let cx = Context::detached(parts.target.clone(), run.clone()).with_timeout(SETTLE);
                for source in &parts.sources {
                    cx.bounded(source.settle(&cx)).await?;
                }
                Ok(())
            })
            .await
    }

    /// The parts of a backup that are data, as [`Selection::parts`]
    /// names them.
    pub fn data_of(&self, backup: &Backup) -> Vec<String> {
        self.parts.data_of(backup)
    }

    /// The names of the sources of a backup that nobody takes: no such data is declared any more.
    pub fn untaken(&self, backup: &Backup) -> BTreeSet<String> {
        let all = Selection::all(self.parts.target.clone(), backup.request.id.clone());
        let sources = self.parts.sources_of(&all);
        let is_taken = |name: &str| sources.iter().any(|source| source.name() == name);
        let names = backup.parts.iter().map(|part| &part.source);
        names.filter(|name| !is_taken(name)).cloned().collect()
    }

    /// The newest data that belong to a release: their backup and its parts; nothing where there are
    /// none. What a release that failed left of the data is kept under the one that served before it,
    /// and belongs to neither.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where there is no store; when it cannot be read.
    pub async fn newest_data(
        &self,
        release: &ReleaseId,
    ) -> Result<Option<(BackupId, Vec<String>)>> {
        let backups = self.parts.backup_store()?.list(&self.parts.target).await?;
        let is_of = |one: &&Backup| {
            let Backup { request, .. } = one;
            request.release.as_ref() == Some(release) && !request.id.as_str().ends_with(OF_FAILED)
        };
        let of_release = backups.iter().rev().filter(is_of);
        let mut data = of_release.map(|one| (one.request.id.clone(), self.data_of(one)));
        Ok(data.find(|(_, parts)| !parts.is_empty()))
    }

    /// The backups that [`prune_backups`](Self::prune_backups) would remove, oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where there is no store; when it or the journals cannot be read.
    pub async fn removable_backups(&self) -> Result<Vec<Backup>> {
        let cx = self.look().with_timeout(self.parts.policy.deadline(Stage::Backup));
        let store = self.parts.backup_store()?;
        cx.bounded(self.parts.removable(&**store, None)).await
    }

    /// Removes the backups that the policy does not keep, and tells which.
    ///
    /// # Errors
    /// As [`removable_backups`](Self::removable_backups); [`ErrorKind::Fenced`] while a run has the
    /// environment.
    pub async fn prune_backups(&self, wait: Wait) -> Result<Vec<Backup>> {
        let parts = &self.parts;
        let store = parts.backup_store()?;
        parts
            .alone(&RunId::generate(), wait, async |fence| {
                let cx = self.look().with_timeout(parts.policy.deadline(Stage::Backup));
                let removable = cx.bounded(parts.removable(&**store, None)).await?;
                for backup in &removable {
                    parts.lease.renew(&parts.target, fence).await?;
                    cx.bounded(store.delete(&parts.target, &backup.request.id)).await?;
                }
                Ok(removable)
            })
            .await
    }
}

impl Parts {
    /// Lets what was stopped for a backup that failed run again.
    async fn settle_sources(&self, run: &RunId) {
        let cx = Context::detached(self.target.clone(), run.clone()).with_timeout(SETTLE);
        for source in &self.sources {
            if let Err(error) = cx.bounded(source.settle(&cx)).await {
                let (source, error) = (source.name(), Chain(&error).to_string());
                tracing::warn!(source, error, "what an unfinished backup left stays");
            }
        }
    }

    /// Does `work` with the environment to itself, and keeps the lease meanwhile.
    async fn alone<T>(
        &self,
        run: &RunId,
        wait: Wait,
        work: impl AsyncFnOnce(Fence) -> Result<T>,
    ) -> Result<T> {
        let fence = self.acquire(&self.holder(run), wait).await?;
        let done = tokio::select! {
            done = work(fence) => done,
            lost = self.renew_until_lost(fence) => lost,
        };
        let released = self.lease.release(&self.target, fence).await;
        let done = done?;
        released?;
        Ok(done)
    }

    async fn renew_until_lost<T>(&self, fence: Fence) -> Result<T> {
        loop {
            tokio::time::sleep(self.policy.renew_every).await;
            match self.lease.renew(&self.target, fence).await {
                Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
                // It lives for some pauses more.
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// The backups that nobody needs, oldest first. `own` is the run that asks: what it took is
    /// needed, and was read back.
    pub(super) async fn removable(
        &self,
        store: &dyn BackupStore,
        own: Option<&State>,
    ) -> Result<Vec<Backup>> {
        let mut backups = store.list(&self.target).await?;
        let mut needed = self.needed_backups(&backups).await?;
        match own.and_then(State::backup) {
            Some(_) => needed.extend(own.into_iter().flat_map(of_state)),
            None => needed.extend(self.newest_good(store, &backups).await?),
        }
        let now = self.clock.now();
        let kept = retention::keep(&backups, &self.policy.retention, now, &needed);
        backups.retain(|backup| !kept.contains(&backup.request.id));
        Ok(backups)
    }

    /// The newest that can be read back: one that is damaged is as good as none.
    async fn newest_good(
        &self,
        store: &dyn BackupStore,
        backups: &[Backup],
    ) -> Result<Option<BackupId>> {
        for Backup { request, .. } in backups.iter().rev() {
            match store.verify(&self.target, &request.id).await {
                Ok(()) => return Ok(Some(request.id.clone())),
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Those that a rollback could need: the newest of what serves, of what proved itself and is
    /// kept; and all of runs that are not over.
    async fn needed_backups(&self, backups: &[Backup]) -> Result<BTreeSet<BackupId>> {
        let journal = self.journal.as_ref();
        let mut releases: BTreeSet<ReleaseId> = BTreeSet::new();
        releases.extend(self.releases.current().await?);
        let mut proven = history::proven(journal).await?;
        proven.retain(|id| !releases.contains(id));
        // The first of them served before what serves.
        releases.extend(proven.into_iter().take(self.policy.keep_releases.max(1)));
        let (mut needed, mut runs) = (BTreeSet::new(), BTreeSet::new());
        for found in find(journal, None).await? {
            let mut next = Some(&found);
            while let Some(Unfinished { run, state, held, .. }) = next {
                runs.insert(run.clone());
                runs.extend(state.inherited().into_iter().flatten().map(|one| one.run.clone()));
                releases.extend(state.baseline().and_then(|before| before.release.clone()));
                needed.extend(of_state(state));
                next = held.as_deref();
            }
        }
        for Backup { request, .. } in backups.iter().rev() {
            // What its run took stays with it.
            let is_newest = request.release.as_ref().is_some_and(|id| releases.remove(id));
            if is_newest || runs.contains(&request.run) {
                needed.insert(request.id.clone());
            }
        }
        Ok(needed)
    }
}

/// The backups that a run names.
fn of_state(state: &State) -> impl Iterator<Item = BackupId> {
    let data = state.data_before().map(|before| &before.backup);
    let asked = state.requested_data().map(|what| &what.backup);
    state.backup().into_iter().chain(data).chain(asked).cloned()
}
