//! Back to what served before the run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use ultrai_deploy_core::{
    Context, Effect, ErrorKind, Result,
    deployer::{StepRecord, Work},
    name::ServiceName,
    secret::{Secret, Secrets},
};

use super::{
    Deployer,
    bring::{Settings, former, names_of, own},
};
use crate::{
    definition::{self, Definition},
    platform::{Artifact, Change, Deploy, Order, Seen, Slot, Status},
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
        let seen = self.stop_own(cx, work, name, before, began).await?;
        if let Err(error) = self.hold_own_deploys(cx, slot).await {
            if error.is_retryable() || error.effect() != Effect::None {
                return Err(error);
            }
            // Going back matters more.
            let told = format!("{} goes on deploying what is pushed: {error}", slot.name);
            cx.note(&told).await?;
        }
        let back = Back::new(work, name, secrets)?;
        // What the platform deploys by itself comes first: it may do so as soon as variables change.
        let is_set_up = self.restore_set_up(cx, before, &back).await?;
        let files =
            self.file_change(cx, slot, &back.definition, back.former.as_ref(), secrets).await?;
        self.change_files(cx, slot, &files).await?;
        let now = self.platform.variables(cx, slot).await?;
        let change = back.change(&now)?;
        let Some(old) = &before.live else {
            return self.bring_nothing_back(cx, before, &seen, &change).await;
        };
        let is_whole = is_set_up && files.is_empty() && change.is_empty();
        let remove = self.change_variables(cx, slot, change).await?;
        if seen.is_suspended {
            self.resume(cx, slot).await?;
        }
        let seen = self.see(cx, slot).await?;
        let Some(artifact) = &old.artifact else {
            if seen.live().is_none_or(|live| live.id != old.id) {
                self.start_back(cx, slot, old).await?;
            }
            return Ok(());
        };
        let (is_there, own) = match seen.live().filter(|live| live.id == old.id) {
            Some(_) => (true, None),
            // A deploy that began before all was set does not have it.
            None => (false, own(&seen, began, artifact).filter(|_| is_whole)),
        };
        let order = Order { remove: &remove, ..self.order(artifact) };
        let id = match own {
            _ if is_there => None,
            Some(back) if back.status == Status::Live => None,
            Some(back) => Some(back.id.clone()),
            None => Some(match self.start_back(cx, slot, old).await {
                Ok(Some(id)) => id,
                Ok(None) => self.appears(cx, slot, &seen, artifact).await?,
                // It is kept no longer: the same thing once more.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let told = format!("{}; {artifact} is deployed again", error.message());
                    cx.note(&told).await?;
                    self.start(cx, slot, &seen, &order).await?
                }
                Err(error) => return Err(error),
            }),
        };
        if let Some(id) = id {
            self.follow(cx, name, slot, &id, artifact).await?;
        }
        self.mend_variables(cx, name, slot, artifact, (&now, &back)).await
    }

    /// Nothing served: nothing shall serve, with the variables that were there.
    async fn bring_nothing_back(
        &self,
        cx: &Context,
        before: &Before,
        seen: &Seen,
        change: &Change,
    ) -> Result<()> {
        let slot = &before.slot;
        if seen.live().is_some() {
            self.suspend(cx, slot).await?;
        }
        if change.is_empty() {
            return Ok(());
        }
        let changing = self.platform.change_variables(cx, slot, change);
        cx.effect("change variables", &slot.name, names_of(change), changing).await?;
        if !self.platform.removes_with_deploy() {
            return Ok(());
        }
        // That may have started what is configured.
        self.wait_for_the_unseen(cx).await?;
        let seen = self.see(cx, slot).await?;
        self.stop(cx, slot, seen.since(before.newest.as_deref())).await?;
        if self.see(cx, slot).await?.live().is_some() {
            self.suspend(cx, slot).await
        } else {
            Ok(())
        }
    }

    /// Settings that the run's release named are as they were, and so is what the platform deploys
    /// by itself. Whether no setting had to change for that.
    async fn restore_set_up(&self, cx: &Context, before: &Before, back: &Back<'_>) -> Result<bool> {
        let now = self.platform.configured(cx, &before.slot).await?;
        let mut settings = Settings::new();
        for setting in back.former.iter().flat_map(|former| former.settings.keys()) {
            let was = before.settings.get(setting);
            if now.settings.get(setting) != was {
                settings.insert(*setting, was.cloned());
            }
        }
        let artifact = match (&before.configured, &now.artifact) {
            (Some(was), Some(is)) if is.is(was) => None,
            (was, Some(_)) => was.as_ref(),
            (_, None) => None,
        };
        self.set_up(cx, &before.slot, artifact, &settings).await?;
        Ok(settings.is_empty())
    }

    /// A platform may bring a deploy's variables back with it, or leave those that are to go.
    async fn mend_variables(
        &self,
        cx: &Context,
        name: &ServiceName,
        slot: &Slot,
        artifact: &Artifact,
        (former, back): (&BTreeMap<String, Secret>, &Back<'_>),
    ) -> Result<()> {
        let now = self.platform.variables(cx, slot).await?;
        let mut change = back.change(&now)?;
        let others = back
            .others(former)
            .filter(|(name, value)| now.get(*name).map(Secret::expose) != Some(value.expose()));
        let others: Vec<_> = others.map(|(name, value)| (name.clone(), value.clone())).collect();
        if !others.is_empty() {
            let names: Vec<_> = others.iter().map(|(name, _)| name.as_str()).collect();
            let told = format!(
                "{} brought back the variables of its former deploy; {} set again, for the next one",
                slot.name,
                names.join(", ")
            );
            cx.note(&told).await?;
        }
        change.set.extend(others);
        let remove = self.change_variables(cx, slot, change).await?;
        if remove.is_empty() {
            return Ok(());
        }
        let seen = self.see(cx, slot).await?;
        let order = Order { remove: &remove, ..self.order(artifact) };
        let id = self.start(cx, slot, &seen, &order).await?;
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

    /// Stops what this run has under way, and looks.
    async fn stop_own(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        before: &Before,
        began: Option<&str>,
    ) -> Result<Seen> {
        let slot = &before.slot;
        let seen = self.see(cx, slot).await?;
        let newest = before.newest.as_deref();
        let brought = work.from.and_then(|from| from.services.get(name));
        let brought = brought.map(|service| definition::artifact(name, service)).transpose()?;
        let back: Vec<_> = seen.since(began).map(|deploy| deploy.id.as_str()).collect();
        let came = seen.since(newest).filter(|deploy| !back.contains(&deploy.id.as_str()));
        let came = came.filter(|deploy| match (&deploy.artifact, &brought) {
            (Some(one), Some(brought)) => one.is(brought),
            _ => true,
        });
        self.stop(cx, slot, came).await?;
        self.see(cx, slot).await
    }
}

/// What a service goes back to.
struct Back<'a> {
    definition: Definition,
    /// What the run brought.
    former: Option<Definition>,
    secrets: &'a Secrets,
}

impl<'a> Back<'a> {
    fn new(work: &Work<'_>, name: &ServiceName, secrets: &'a Secrets) -> Result<Self> {
        let of_target = work.to.and_then(|to| to.services.get(name));
        let definition = match of_target {
            Some(service) => Definition::read(name, &service.config)?,
            None => Definition::default(),
        };
        Ok(Self { definition, former: former(work, name)?, secrets })
    }

    fn change(&self, now: &BTreeMap<String, Secret>) -> Result<Change> {
        self.definition.change(now, self.former.as_ref(), self.secrets)
    }

    /// Those of `variables` that no release has anything to do with.
    fn others<'b>(
        &'b self,
        variables: &'b BTreeMap<String, Secret>,
    ) -> impl Iterator<Item = (&'b String, &'b Secret)> {
        let named: BTreeSet<_> =
            self.definition.names().chain(self.former.iter().flat_map(Definition::names)).collect();
        variables.iter().filter(move |(name, _)| !named.contains(name))
    }
}
