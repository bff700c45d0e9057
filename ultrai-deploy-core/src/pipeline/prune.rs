//! Housekeeping after success: old releases and backups. It never changes the outcome.

use std::collections::BTreeSet;

use super::Driver;
use crate::{context::Context, error::Result, history, name::ReleaseId};

impl Driver {
    /// Removes what no rollback could need any more; what cannot be removed is named in a note.
    pub(super) async fn prune(&self, cx: &Context) -> Result<()> {
        let backups = cx.bounded(self.prune_backups(cx)).await;
        self.housekeep("old backups were not removed", backups).await?;
        let releases = cx.bounded(self.prune_releases(cx)).await;
        self.housekeep("old releases were not removed", releases).await
    }

    /// Keeps the newest backups; those of one release count once.
    async fn prune_backups(&self, cx: &Context) -> Result<()> {
        let Some(store) = &self.parts.backups else { return Ok(()) };
        let own = self.log.state().await.backup().cloned();
        let mut releases = BTreeSet::new();
        for backup in store.list(&self.parts.target).await?.into_iter().rev() {
            releases.extend(backup.request.release);
            let is_own = own.as_ref() == Some(&backup.request.id);
            if releases.len() > self.parts.policy.keep_backups && !is_own {
                cx.guard().await?;
                store.delete(&self.parts.target, &backup.request.id).await?;
            }
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
        let mut proven = history::proven(self.parts.journal.as_ref(), |proven| {
            proven.iter().filter(|id| Some(*id) != state.release()).count() >= wanted
        })
        .await?;
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
