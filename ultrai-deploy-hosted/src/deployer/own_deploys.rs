//! What the platform deploys without being told to. After a rollback a push must not bring back what
//! failed; the next good deploy gives the platform its freedom again.

use serde_json::json;
use ultrai_deploy_core::{Context, Result, deployer::Work};

use super::Deployer;
use crate::{note::Note, platform::Slot};

impl Deployer {
    /// Switches it off where it is on, and remembers that first.
    pub(super) async fn hold_own_deploys(&self, cx: &Context, slot: &Slot) -> Result<()> {
        if self.platform.auto_deploys(cx, slot).await? != Some(true) {
            return Ok(());
        }
        let mut note = Note::read(&*self.releases).await?;
        note.held.insert(slot.id.clone(), slot.name.clone());
        note.write(&*self.releases).await?;
        self.set_own_deploys(cx, slot, false).await
    }

    /// Switches on again what rollbacks switched off, as long as it has not been looked after by
    /// somebody else.
    pub(super) async fn release_own_deploys(&self, cx: &Context) -> Result<()> {
        let mut note = Note::read(&*self.releases).await?;
        for (id, name) in std::mem::take(&mut note.held) {
            let slot = Slot { id, name, is_exclusive: false };
            if self.platform.auto_deploys(cx, &slot).await? == Some(false) {
                self.set_own_deploys(cx, &slot, true).await?;
            }
            let mut rest = Note::read(&*self.releases).await?;
            rest.held.remove(&slot.id);
            rest.write(&*self.releases).await?;
        }
        Ok(())
    }

    /// Whether nothing is to be switched on again by a run.
    pub(super) async fn has_released(&self, work: &Work<'_>) -> Result<bool> {
        Ok(work.is_return || Note::read(&*self.releases).await?.held.is_empty())
    }

    async fn set_own_deploys(&self, cx: &Context, slot: &Slot, on: bool) -> Result<()> {
        let setting = self.platform.set_auto_deploys(cx, slot, on);
        let action = if on { "switch own deploys on" } else { "switch own deploys off" };
        cx.effect(action, &slot.name, json!({}), setting).await
    }
}
