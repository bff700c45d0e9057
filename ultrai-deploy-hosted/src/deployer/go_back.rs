//! Back to what served before the run.

use std::collections::BTreeMap;

use serde_json::json;
use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    deployer::{StepRecord, Work},
    name::ServiceName,
    secret::{Secret, Secrets},
};

use super::{
    Deployer,
    back::{Back, Scene},
    bring::{Settings, names_of, own},
};
use crate::{
    definition,
    kept::Kind,
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
        let kept = self.kept(cx, work).await?;
        let order = work.to.map(|to| to.in_dependency_order()).unwrap_or_default();
        let rest = before.slots.keys().filter(|name| !order.contains(name));
        let mut failed = None;
        let mut unheld = Vec::new();
        for name in order.iter().copied().chain(rest) {
            let Some(before) = before.slots.get(name) else { continue };
            if self.hold_own_deploys(cx, &before.slot).await.is_err() {
                // Going back matters more.
                unheld.push(&before.slot);
            }
            let began = began.slots.get(name);
            let scene = Scene { before, began, secrets: &secrets, kept: &kept };
            if let Err(error) = self.bring_back(cx, work, name, &scene).await {
                if cx.check().is_err() || cx.guard().await.is_err() {
                    return Err(error.with_unknown_effect());
                }
                // The others go back all the same.
                failed.get_or_insert(error);
            }
        }
        for slot in unheld {
            if let Err(error) = self.hold_or_tell(cx, slot).await {
                failed.get_or_insert(error);
            }
        }
        if let Some(error) = failed {
            return Err(error.with_unknown_effect());
        }
        self.mark(cx, work.to).await?;
        match work.from {
            Some(from) => self.drop_kept(from).await,
            None => Ok(()),
        }
    }

    async fn bring_back(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        scene: &Scene<'_>,
    ) -> Result<()> {
        let back = Back::new(work, name, self.formers(work, name).await?, scene)?;
        self.bring_back_to(cx, work, name, &back).await?;
        if back.ends_maintenance() {
            self.set_maintenance(cx, &scene.before.slot, false).await?;
        }
        Ok(())
    }

    async fn bring_back_to(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        back: &Back<'_>,
    ) -> Result<()> {
        let before = back.scene.before;
        let began = back.scene.began.and_then(|began| began.newest.as_deref());
        let slot = &before.slot;
        let seen = self.stop_own(cx, work, name, before, began).await?;
        // What the platform deploys by itself comes first: it may do so as soon as variables change.
        let is_set_up = self.restore_set_up(cx, before, back).await?;
        let now = self.files(cx, slot, &back.definition, &back.formers).await?;
        let files = back.change(Kind::File, &now)?;
        self.change_files(cx, slot, &files).await?;
        let now = self.platform.variables(cx, slot).await?;
        let change = back.change(Kind::Variable, &now)?;
        self.tell_what_is_lost(cx, slot, back, &now).await?;
        let Some(old) = &before.live else {
            return self.bring_nothing_back(cx, before, &seen, &change).await;
        };
        let is_whole = is_set_up && files.is_empty() && change.is_empty();
        let remove = self.change_variables(cx, slot, change).await?;
        if seen.is_suspended {
            self.resume(cx, slot).await?;
        }
        let seen = self.see(cx, slot).await?;
        let artifact = old.artifact.as_ref();
        let (is_there, own) = match seen.live().filter(|live| live.id == old.id) {
            Some(_) => (true, None),
            // A deploy that began before all was set does not have it.
            None => (false, own(&seen, began, artifact).filter(|_| is_whole)),
        };
        let id = match own {
            _ if is_there => None,
            Some(back) if back.status == Status::Live => None,
            Some(back) => Some(back.id.clone()),
            None => Some(match self.start_keeping(cx, work, old, (&now, back)).await {
                Ok(Some(id)) => id,
                Ok(None) => self.appears(cx, slot, &seen, artifact).await?,
                // It is kept no longer: the same thing once more.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let Some(artifact) = artifact else { return Err(error) };
                    let told = format!("{}; {artifact} is deployed again", error.message());
                    cx.note(&told).await?;
                    let order = Order { remove: &remove, ..self.order(artifact) };
                    self.start(cx, slot, &seen, &order).await?
                }
                Err(error) => return Err(error),
            }),
        };
        if let Some(id) = id {
            self.remember(&id, artifact).await?;
            self.follow(cx, name, slot, &id, artifact).await?;
        }
        self.mend_variables(cx, name, slot, artifact, (&now, back)).await
    }

    /// Nobody else says so before somebody misses it.
    async fn tell_what_is_lost(
        &self,
        cx: &Context,
        slot: &Slot,
        back: &Back<'_>,
        now: &BTreeMap<String, Secret>,
    ) -> Result<()> {
        let lost = back.lost(now);
        if !lost.is_empty() {
            let (slot, names) = (&slot.name, lost.join(", "));
            let told =
                format!("{slot} had other values before that nobody knows any more: {names}");
            cx.note(&told).await?;
        }
        let sealed = back.sealed()?;
        if !sealed.is_empty() {
            let (slot, names) = (&slot.name, sealed.join(", "));
            let told = format!(
                "{slot} had sealed values before, which nobody can read: {names}; look whether they \
                 are what they were, or set them again"
            );
            cx.note(&told).await?;
        }
        Ok(())
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
        let is = back.scene.kept.print.of_settings(&now.settings);
        let mut settings = Settings::new();
        for setting in back.formers.iter().flat_map(|former| former.settings.keys()) {
            let was = before.settings.get(setting);
            if is.get(setting) == was {
                continue;
            }
            let value = was.map(|was| back.setting(*setting, was)).transpose()?;
            if value == Some(None) {
                let name = &before.slot.name;
                let told =
                    format!("{setting} of {name} was something else before that nobody knows");
                cx.note(&told).await?;
                continue;
            }
            settings.insert(*setting, value.flatten());
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
        artifact: Option<&Artifact>,
        (former, back): (&BTreeMap<String, Secret>, &Back<'_>),
    ) -> Result<()> {
        let now = self.platform.variables(cx, slot).await?;
        let mut change = back.change(Kind::Variable, &now)?;
        let others = back.changed(former, &now)?;
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
        let Some(artifact) = artifact else {
            let names = remove.join(", ");
            let told = format!(
                "{} keeps {names}: removing them would deploy, and nobody knows what serves there",
                slot.name
            );
            return cx.note(&told).await;
        };
        let seen = self.see(cx, slot).await?;
        let order = Order { remove: &remove, ..self.order(artifact) };
        let id = self.start(cx, slot, &seen, &order).await?;
        self.follow(cx, name, slot, &id, Some(artifact)).await
    }

    /// Starts to go back, after keeping what the platform brings back with it.
    async fn start_keeping(
        &self,
        cx: &Context,
        work: &Work<'_>,
        old: &Deploy,
        (now, back): (&BTreeMap<String, Secret>, &Back<'_>),
    ) -> Result<Option<String>> {
        let slot = &back.scene.before.slot;
        if let Some(from) = work.from.filter(|_| self.platform.brings_variables_back()) {
            let others: Vec<_> = back.others(now).collect();
            self.keep_with(cx, from, slot, Kind::Variable.as_str(), &others).await?;
        }
        self.start_back(cx, slot, old).await
    }

    async fn start_back(&self, cx: &Context, slot: &Slot, old: &Deploy) -> Result<Option<String>> {
        let starting = self.platform.start_back(cx, slot, old);
        cx.effect("roll back", &slot.name, json!({ "to": old.id }), starting).await
    }

    /// Stops those of `deploys` that are under way, and waits until they are seen to be over: one
    /// may have come to serve instead, which a list may show late.
    async fn stop<'a>(
        &self,
        cx: &Context,
        slot: &Slot,
        deploys: impl Iterator<Item = &'a Deploy>,
    ) -> Result<()> {
        let open = deploys.filter(|deploy| deploy.status.is_open());
        let open: Vec<_> = open.map(|deploy| deploy.id.as_str()).collect();
        for id in &open {
            cx.effect("cancel", id, json!({}), self.platform.cancel(cx, slot, id)).await?;
        }
        if open.is_empty() {
            return Ok(());
        }
        let is_over = |seen: &Seen| {
            let mut deploys = seen.deploys.iter();
            !deploys.any(|one| one.status.is_open() && open.contains(&one.id.as_str()))
        };
        self.until(cx, slot, "done with what was stopped", is_over).await
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
        // Where nothing served nothing is begun to go back.
        let back: Vec<_> = match before.live {
            Some(_) => seen.since(began).map(|deploy| deploy.id.clone()).collect(),
            None => Vec::new(),
        };
        let came = seen.since(newest).filter(|deploy| !back.contains(&deploy.id));
        let came = came.filter(|deploy| match (&deploy.artifact, &brought) {
            (Some(one), Some(brought)) => one.is(brought),
            _ => true,
        });
        self.stop(cx, slot, came).await?;
        self.see(cx, slot).await
    }
}
