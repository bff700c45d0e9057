//! Housekeeping after success: old releases and backups. It never changes the outcome.

use std::collections::BTreeSet;

use super::Driver;
use crate::{
    error::{Chain, Result},
    journal::Event,
    name::ReleaseId,
};

impl Driver {
    /// Removes what no rollback could need any more; what cannot be removed is named in a note.
    pub(super) async fn prune(&self) -> Result<()> {
        if let Err(error) = self.prune_releases().await {
            let message = format!("old releases were not removed: {}", Chain(&error));
            self.log.record(Event::Note { message }).await?;
        }
        if let Err(error) = self.prune_backups().await {
            let message = format!("old backups were not removed: {}", Chain(&error));
            self.log.record(Event::Note { message }).await?;
        }
        Ok(())
    }

    /// Keeps the current release, those that proved themselves last, and those of kept backups.
    async fn prune_releases(&self) -> Result<()> {
        let state = self.log.state().await;
        let mut keep: BTreeSet<ReleaseId> = BTreeSet::new();
        keep.extend(state.release().cloned());
        keep.extend(state.baseline().and_then(|baseline| baseline.release.clone()));
        keep.extend(self.parts.releases.current().await?);
        if let Some(store) = &self.parts.backups {
            let backups = store.list(&self.parts.target).await?;
            let newest = backups.iter().rev().take(self.parts.policy.keep_backups);
            keep.extend(newest.filter_map(|backup| backup.request.release.clone()));
        }
        let proven = crate::history::proven(self.parts.journal.as_ref()).await?;
        keep.extend(proven.into_iter().take(self.parts.policy.keep_releases + 1));
        for id in self.parts.releases.list().await? {
            if !keep.contains(&id) {
                self.parts.releases.remove(&id).await?;
            }
        }
        Ok(())
    }

    /// Keeps the newest backups; those of one release count once.
    async fn prune_backups(&self) -> Result<()> {
        let Some(store) = &self.parts.backups else { return Ok(()) };
        let own = self.log.state().await.backup().cloned();
        let mut releases = BTreeSet::new();
        for backup in store.list(&self.parts.target).await?.into_iter().rev() {
            if let Some(release) = &backup.request.release {
                releases.insert(release.clone());
            }
            let is_own = Some(&backup.request.id) == own.as_ref();
            if releases.len() > self.parts.policy.keep_backups && !is_own {
                store.delete(&self.parts.target, &backup.request.id).await?;
            }
        }
        Ok(())
    }
}
