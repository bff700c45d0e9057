//! What the platform deploys without being told to. After a rollback a push must not bring back what
//! failed; the next good deploy gives the platform its freedom again.

use serde_json::json;
use ultrai_deploy_core::{Context, Effect, Error, ErrorKind, Result, deployer::Work};

use super::Deployer;
use crate::{
    note::{Held, Note},
    platform::{Pushes, Slot},
};

impl Deployer {
    /// Switches it off where it is on, and remembers that first.
    pub(super) async fn hold_own_deploys(&self, cx: &Context, slot: &Slot) -> Result<()> {
        let Some(pushes @ Pushes::Deployed(_)) = self.platform.pushes(cx, slot).await? else {
            return Ok(());
        };
        // The note is of whoever has the lease.
        cx.guard().await?;
        let mut note = Note::read(&*self.releases).await?;
        note.held.insert(slot.id.clone(), Held { name: slot.name.clone(), pushes });
        note.write(&*self.releases).await?;
        self.set_pushes(cx, slot, &Pushes::Wait).await
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
        match self.platform.pushes(cx, slot).await {
            Err(error) if is_final(&error) => Ok(false),
            pushes => Ok(matches!(pushes?, Some(Pushes::Deployed(_)))),
        }
    }

    /// Switches on again what rollbacks switched off, as long as it has not been looked after by
    /// somebody else. One that cannot be does not keep the others off.
    pub(super) async fn release_own_deploys(&self, cx: &Context) -> Result<()> {
        let mut failed = None;
        for (id, Held { name, pushes }) in Note::read(&*self.releases).await?.held {
            let slot = Slot { id, name, is_exclusive: false };
            if let Err(error) = self.release_one(cx, &slot, &pushes).await {
                failed.get_or_insert(error);
                continue;
            }
            let mut rest = Note::read(&*self.releases).await?;
            rest.held.remove(&slot.id);
            rest.write(&*self.releases).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn release_one(&self, cx: &Context, slot: &Slot, former: &Pushes) -> Result<()> {
        match self.platform.pushes(cx, slot).await {
            Ok(Some(Pushes::Wait)) => self.set_pushes(cx, slot, former).await,
            // It is gone, and its own deploys with it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            pushes => pushes.map(drop),
        }
    }

    /// Whether nothing is to be switched on again by a run.
    pub(super) async fn has_released(&self, work: &Work<'_>) -> Result<bool> {
        Ok(work.is_return || Note::read(&*self.releases).await?.held.is_empty())
    }

    async fn set_pushes(&self, cx: &Context, slot: &Slot, pushes: &Pushes) -> Result<()> {
        let setting = self.platform.set_pushes(cx, slot, pushes);
        let action = match pushes {
            Pushes::Wait => "switch own deploys off",
            Pushes::Deployed(_) => "switch own deploys on",
        };
        cx.effect(action, &slot.name, json!({ "pushes": pushes }), setting).await
    }
}

/// Whether asking again helps nobody.
fn is_final(error: &Error) -> bool {
    !error.is_retryable() && error.effect() == Effect::None
}
