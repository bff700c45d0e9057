//! Back to what served before the run.

use serde_json::json;
use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    deployer::{StepRecord, Work},
    name::ServiceName,
    secret::Secrets,
};

use super::{
    Deployer,
    bring::{former, own},
};
use crate::{
    definition::{self, Definition},
    platform::{Change, Deploy, Slot, Status},
    snapshot::{Before, Snapshot},
};

impl Deployer {
    pub(super) async fn go_back(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<()> {
        let before = Snapshot::before_all(work, record)?;
        let began = Snapshot::before_rollback(work, record)?;
        let secrets = match work.to {
            Some(to) => self.releases.secrets(&to.id).await?,
            None => Secrets::new(),
        };
        let order = work.to.map(|to| to.in_dependency_order()).unwrap_or_default();
        let rest = before.slots.keys().filter(|name| !order.contains(name));
        for name in order.iter().copied().chain(rest) {
            let Some(before) = before.slots.get(name) else { continue };
            let newest = began.slots.get(name).and_then(|slot| slot.newest.as_deref());
            self.bring_back(cx, work, name, before, newest, &secrets).await?;
        }
        self.mark(cx, work.to).await
    }

    /// `began` is the newest deploy of when the way back began.
    async fn bring_back(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        before: &Before,
        began: Option<&str>,
        secrets: &Secrets,
    ) -> Result<()> {
        let slot = &before.slot;
        self.stop_own(cx, work, name, before, began).await?;
        // First: there are platforms that deploy when a variable is removed, and then it is this.
        if let Some(configured) = &before.configured {
            self.configure(cx, slot, configured).await?;
        }
        let changed = self.restore_variables(cx, work, name, slot, secrets).await?;
        if !changed.remove.is_empty() {
            self.wait_for_the_unseen(cx).await?;
        }
        let seen = self.platform.look(cx, slot).await?;
        let is_back = |old: &Deploy| seen.live().is_some_and(|live| live.id == old.id);
        if before.live.as_ref().is_none_or(is_back) {
            self.stop(cx, slot, seen.since(before.newest.as_deref())).await?;
        }
        let Some(old) = &before.live else {
            if self.platform.look(cx, slot).await?.live().is_some() {
                self.suspend(cx, slot).await?;
            }
            return Ok(());
        };
        if seen.is_suspended {
            self.resume(cx, slot).await?;
        }
        let seen = self.platform.look(cx, slot).await?;
        if seen.live().is_some_and(|live| live.id == old.id) {
            return Ok(());
        }
        let Some(artifact) = &old.artifact else {
            return self.start_back(cx, slot, old).await.map(drop);
        };
        // A deploy that began before the variables were whole does not have them.
        let back = if changed.is_empty() { own(&seen, began, artifact) } else { None };
        let id = match back {
            Some(back) if back.status == Status::Live => return Ok(()),
            Some(back) => back.id.clone(),
            None => match self.start_back(cx, slot, old).await {
                Ok(Some(id)) => id,
                Ok(None) => self.appears(cx, slot, &seen, artifact).await?,
                // It is kept no longer: the same thing once more.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.start(cx, slot, &seen, artifact).await?
                }
                Err(error) => return Err(error),
            },
        };
        self.follow(cx, name, slot, &id, artifact).await
    }

    async fn start_back(&self, cx: &Context, slot: &Slot, old: &Deploy) -> Result<Option<String>> {
        let starting = self.platform.start_back(cx, slot, old);
        cx.effect("roll back", &slot.name, json!({ "to": old.id }), starting).await
    }

    /// Stops those of `deploys` that are under way.
    async fn stop<'a>(
        &self,
        cx: &Context,
        slot: &Slot,
        deploys: impl Iterator<Item = &'a Deploy>,
    ) -> Result<()> {
        for deploy in deploys.filter(|deploy| deploy.status.is_open()) {
            let id = &deploy.id;
            cx.effect("cancel", id, json!({}), self.platform.cancel(cx, slot, id)).await?;
        }
        Ok(())
    }

    /// Stops what this run has under way.
    async fn stop_own(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        before: &Before,
        began: Option<&str>,
    ) -> Result<()> {
        let slot = &before.slot;
        let seen = self.platform.look(cx, slot).await?;
        let newest = before.newest.as_deref();
        let brought = work.from.and_then(|from| from.services.get(name));
        let brought = brought.map(|service| definition::artifact(name, service)).transpose()?;
        let back: Vec<_> = seen.since(began).map(|deploy| deploy.id.as_str()).collect();
        let came = seen.since(newest).filter(|deploy| !back.contains(&deploy.id.as_str())).filter(
            |deploy| match (&deploy.artifact, &brought) {
                (Some(one), Some(brought)) => one.is(brought),
                _ => true,
            },
        );
        self.stop(cx, slot, came).await
    }

    /// What there was to do.
    async fn restore_variables(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        slot: &Slot,
        secrets: &Secrets,
    ) -> Result<Change> {
        let of_target = work.to.and_then(|to| to.services.get(name));
        let definition = match of_target {
            Some(service) => Definition::read(name, &service.config)?,
            None => Definition::default(),
        };
        let now = self.platform.variables(cx, slot).await?;
        let change = definition.change(&now, former(work, name)?.as_ref(), secrets)?;
        self.change_variables(cx, slot, &change).await?;
        Ok(change)
    }
}
