//! What the platform deploys without being told to. After a rollback a push must not bring back what
//! failed; the next good deploy gives the platform its freedom again.

use serde_json::json;
use ultrai_deploy_core::{Context, Effect, Error, ErrorKind, Result, deployer::Work};

use super::Deployer;
use crate::{note::Note, platform::Slot};

impl Deployer {
    /// Switches it off where it is on, and remembers that first.
    pub(super) async fn hold_own_deploys(&self, cx: &Context, slot: &Slot) -> Result<()> {
        if self.platform.auto_deploys(cx, slot).await? != Some(true) {
            return Ok(());
        }
        // The note is of whoever has the lease.
        cx.guard().await?;
        let mut note = Note::read(&*self.releases).await?;
        note.held.insert(slot.id.clone(), slot.name.clone());
        note.write(&*self.releases).await?;
        self.set_own_deploys(cx, slot, false).await
    }

    /// The same; where it cannot be done at all that is only told.
    pub(super) async fn hold_or_tell(&self, cx: &Context, slot: &Slot) -> Result<()> {
        match self.hold_own_deploys(cx, slot).await {
            Err(error) if is_final(&error) => {
                let told = format!("{} goes on deploying what is pushed: {error}", slot.name);
                cx.note(&told).await
            }
            held => held,
        }
    }

    /// Whether a slot does, as far as can be known.
    pub(super) async fn deploys_itself(&self, cx: &Context, slot: &Slot) -> Result<bool> {
        match self.platform.auto_deploys(cx, slot).await {
            Err(error) if is_final(&error) => Ok(false),
            deploys => Ok(deploys? == Some(true)),
        }
    }

    /// Switches on again what rollbacks switched off, as long as it has not been looked after by
    /// somebody else. One that cannot be does not keep the others off.
    pub(super) async fn release_own_deploys(&self, cx: &Context) -> Result<()> {
        let mut failed = None;
        for (id, name) in Note::read(&*self.releases).await?.held {
            let slot = Slot { id, name, is_exclusive: false };
            if let Err(error) = self.release_one(cx, &slot).await {
                failed.get_or_insert(error);
                continue;
            }
            let mut rest = Note::read(&*self.releases).await?;
            rest.held.remove(&slot.id);
            rest.write(&*self.releases).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn release_one(&self, cx: &Context, slot: &Slot) -> Result<()> {
        match self.platform.auto_deploys(cx, slot).await {
            Ok(Some(false)) => self.set_own_deploys(cx, slot, true).await,
            // It is gone, and its own deploys with it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            deploys => deploys.map(drop),
        }
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

/// Whether asking again helps nobody.
fn is_final(error: &Error) -> bool {
    !error.is_retryable() && error.effect() == Effect::None
}
