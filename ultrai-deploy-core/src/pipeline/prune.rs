//! Housekeeping after success: old releases, backups and journals. It never changes the outcome.

use std::{cmp::Reverse, collections::BTreeSet};

use super::Driver;
use crate::{
    backup::Backup,
    context::Context,
    error::Result,
    history::{self, Bad, Success, Verdict},
    name::ReleaseId,
    stage::Stage,
};

impl Driver {
    /// Removes what no rollback could need any more; what cannot be removed is named in a note.
    pub(super) async fn prune(&self, cx: &Context) -> Result<()> {
        let backups = cx.bounded(self.prune_backups(cx)).await;
        self.housekeep("old backups were not removed", backups).await?;
        let releases = cx.bounded(self.prune_releases(cx)).await;
        self.housekeep("old releases were not removed", releases).await
    }

    /// Removes old journals; after every success: runs that change nothing have some, too.
    pub(super) async fn prune_journals(&self) -> Result<()> {
        let limit = self.parts.policy.deadline(Stage::Report);
        let cx = self.uncancelled(Stage::Report.as_str()).with_timeout(limit);
        let journals = cx.bounded(self.prune_runs(&cx)).await;
        self.housekeep("old journals were not removed", journals).await
    }

    /// Keeps the newest runs; of the older ones those that are not over, those that tell of a
    /// release that is kept that it is proven and where it stands in the line of rollbacks, and
    /// those for which a release is refused, the newest of them up to the same number.
    async fn prune_runs(&self, cx: &Context) -> Result<()> {
        let journal = self.parts.journal.as_ref();
        let runs = journal.runs().await?;
        let excess = runs.len().saturating_sub(self.parts.policy.keep_runs);
        if excess == 0 {
            return Ok(());
        }
        let (mut old, mut successes, mut verdicts) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (at, run) in runs.iter().enumerate().filter(|(_, run)| *run != self.run()) {
            let Some((state, _)) = history::read(journal, run).await? else { continue };
            successes.extend(Success::of(run, &state));
            verdicts.extend(Verdict::of(run, &state));
            if at < excess && state.is_final() {
                old.insert(run.clone());
            }
        }
        successes.sort_by_key(|success| success.fence);
        let forgettable = history::forgettable(&successes, &old, &self.kept_releases().await?);
        for Success { run, .. } in &successes {
            if !forgettable.contains(run) {
                old.remove(run);
            }
        }
        let mut bad: Vec<_> = history::bad_of(verdicts).into_values().collect();
        bad.sort_by_key(|(fence, _)| Reverse(*fence));
        for (_, Bad { run, .. }) in bad.iter().take(self.parts.policy.keep_runs) {
            old.remove(run);
        }
        for run in &old {
            cx.guard().await?;
            journal.remove(run).await?;
        }
        Ok(())
    }

    /// The releases that a rollback can return to: stored ones, and those of backups.
    async fn kept_releases(&self) -> Result<BTreeSet<ReleaseId>> {
        let mut kept: BTreeSet<_> = self.parts.releases.list().await?.into_iter().collect();
        if let Some(store) = &self.parts.backups {
            let backups = store.list(&self.parts.target).await?;
            kept.extend(backups.into_iter().filter_map(|backup| backup.request.release));
        }
        Ok(kept)
    }

    /// Keeps the backups that the policy names.
    async fn prune_backups(&self, cx: &Context) -> Result<()> {
        let Some(store) = &self.parts.backups else { return Ok(()) };
        let state = self.log.state().await;
        for Backup { request, .. } in self.parts.removable(&**store, Some(&state)).await? {
            cx.guard().await?;
            store.delete(&self.parts.target, &request.id).await?;
        }
        Ok(())
    }

    /// Keeps the release that serves, the one before, those that proved themselves last, and those
    /// that backups belong to.
    async fn prune_releases(&self, cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        let mut keep: BTreeSet<ReleaseId> = BTreeSet::new();
        keep.extend(state.baseline().and_then(|baseline| baseline.release.clone()));
        keep.extend(self.parts.releases.current().await?);
        if let Some(store) = &self.parts.backups {
            let backups = store.list(&self.parts.target).await?;
            keep.extend(backups.into_iter().filter_map(|backup| backup.request.release));
        }
        let wanted = self.parts.policy.keep_releases;
        let mut proven = history::proven(self.parts.journal.as_ref()).await?;
        proven.retain(|id| Some(id) != state.release());
        keep.extend(proven.into_iter().take(wanted));
        keep.extend(state.release().cloned());
        for id in self.parts.releases.list().await? {
            if !keep.contains(&id) {
                cx.guard().await?;
                self.parts.releases.remove(&id).await?;
            }
        }
        Ok(())
    }
}
