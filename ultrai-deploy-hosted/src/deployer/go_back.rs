//! Back to what served before the run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    deployer::{StepRecord, Work},
    name::{RunId, ServiceName},
    secret::{Fingerprint, Secret, Secrets},
};

use super::{
    Deployer,
    bring::{Settings, names_of, own},
};
use crate::{
    definition::{self, Definition},
    kept::{self, Kind},
    platform::{Artifact, Change, Deploy, Order, Seen, Slot, Status},
    snapshot::{Before, Print, Snapshot},
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
                if cx.check().is_err() {
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
        match failed {
            Some(error) => Err(error.with_unknown_effect()),
            None => {
                self.mark(cx, work.to).await?;
                match work.from {
                    Some(from) => self.drop_kept(from).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// What this run kept, and those whose place it took.
    async fn kept(&self, cx: &Context, work: &Work<'_>) -> Result<Kept> {
        let held = work.inherited.iter().map(|one| &one.run);
        let mut runs: Vec<_> = held.chain([cx.run()]).cloned().collect();
        runs.dedup();
        let mut values = Secrets::new();
        let mut releases = Snapshot::releases(work)?;
        releases.extend(work.from.map(|from| from.id.clone()));
        for id in &releases {
            match self.releases.secrets(id).await {
                Ok(secrets) => values.extend(secrets),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let print = Print::new(&self.releases.fingerprint_key().await?)?;
        Ok(Kept { runs, values, print })
    }

    async fn bring_back(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        scene: &Scene<'_>,
    ) -> Result<()> {
        let before = scene.before;
        let began = scene.began.and_then(|began| began.newest.as_deref());
        let slot = &before.slot;
        let seen = self.stop_own(cx, work, name, before, began).await?;
        let back = Back::new(work, name, self.formers(work, name).await?, scene)?;
        self.restore_set_up(cx, before, &back).await?;
        let now = self.files(cx, slot, &back.definition, &back.formers).await?;
        let files = back.change(Kind::File, &now)?;
        self.change_files(cx, slot, &files).await?;
        let now = self.platform.variables(cx, slot).await?;
        let change = back.change(Kind::Variable, &now)?;
        self.tell_what_is_lost(cx, slot, &back, &now).await?;
        let Some(old) = &before.live else {
            return self.bring_nothing_back(cx, slot, &seen, &change).await;
        };
        let remove = self.change_variables(cx, slot, change).await?;
        if seen.is_suspended {
            self.resume(cx, slot).await?;
        }
        let seen = self.see(cx, slot).await?;
        let artifact = old.artifact.as_ref();
        let (is_there, own) = match seen.live().filter(|live| live.id == old.id) {
            Some(_) => (true, None),
            None => (false, own(&seen, began, artifact)),
        };
        let id = match own {
            _ if is_there => None,
            Some(back) if back.status == Status::Live => None,
            Some(back) => Some(back.id.clone()),
            None => Some(match self.start_keeping(cx, work, old, (&now, &back)).await {
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
        self.mend_variables(cx, name, slot, artifact, (&now, &back)).await
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
        if lost.is_empty() {
            return Ok(());
        }
        let names = lost.join(", ");
        let told =
            format!("{} had other values before that nobody knows any more: {names}", slot.name);
        cx.note(&told).await
    }

    /// Nothing served: nothing shall serve, with the variables that were there.
    async fn bring_nothing_back(
        &self,
        cx: &Context,
        slot: &Slot,
        seen: &Seen,
        change: &Change,
    ) -> Result<()> {
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
        for deploy in seen.deploys.iter().filter(|deploy| deploy.status.is_open()) {
            let cancelling = self.platform.cancel(cx, slot, &deploy.id);
            cx.effect("cancel", &deploy.id, json!({}), cancelling).await?;
        }
        if seen.live().is_some() { self.suspend(cx, slot).await } else { Ok(()) }
    }

    /// Settings that the run's release named are as they were, and so is what the platform deploys
    /// by itself.
    async fn restore_set_up(&self, cx: &Context, before: &Before, back: &Back<'_>) -> Result<()> {
        let now = self.platform.configured(cx, &before.slot).await?;
        let mut settings = Settings::new();
        for setting in back.formers.iter().flat_map(|former| former.settings.keys()) {
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
        self.set_up(cx, &before.slot, artifact, &settings).await
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
            self.keep_with(cx, from, slot, Kind::Variable, &others).await?;
        }
        self.start_back(cx, slot, old).await
    }

    async fn start_back(&self, cx: &Context, slot: &Slot, old: &Deploy) -> Result<Option<String>> {
        let starting = self.platform.start_back(cx, slot, old);
        cx.effect("roll back", &slot.name, json!({ "to": old.id }), starting).await
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
        let mut seen = self.see(cx, slot).await?;
        let newest = before.newest.as_deref();
        let brought = work.from.and_then(|from| from.services.get(name));
        let brought = brought.map(|service| definition::artifact(name, service)).transpose()?;
        // Where nothing served nothing is begun to go back.
        let back: Vec<_> = match before.live {
            Some(_) => seen.since(began).map(|deploy| deploy.id.clone()).collect(),
            None => Vec::new(),
        };
        let open: Vec<_> = seen
            .since(newest)
            .filter(|deploy| deploy.status.is_open() && !back.contains(&deploy.id))
            .filter(|deploy| match (&deploy.artifact, &brought) {
                (Some(one), Some(brought)) => one.is(brought),
                _ => true,
            })
            .map(|deploy| deploy.id.clone())
            .collect();
        for id in &open {
            cx.effect("cancel", id, json!({}), self.platform.cancel(cx, slot, id)).await?;
        }
        if !open.is_empty() {
            // It may have come to serve instead, which a list may show late.
            let is_over = |seen: &Seen| {
                !seen.deploys.iter().any(|one| one.status.is_open() && open.contains(&one.id))
            };
            self.until(cx, slot, "done with what was stopped", is_over).await?;
            seen = self.see(cx, slot).await?;
        }
        Ok(seen)
    }
}

/// What there is for a service to go back.
#[derive(Clone, Copy)]
struct Scene<'a> {
    before: &'a Before,
    /// What there was when the way back began.
    began: Option<&'a Before>,
    /// Those of the release that is gone back to.
    secrets: &'a Secrets,
    kept: &'a Kept,
}

/// What runs kept of what was set before them.
struct Kept {
    /// Oldest first: it was there before all others.
    runs: Vec<RunId>,
    values: Secrets,
    print: Print,
}

/// What a service goes back to.
struct Back<'a> {
    definition: Definition,
    /// What the run brought, and those whose place it took.
    formers: Vec<Definition>,
    scene: Scene<'a>,
}

impl<'a> Back<'a> {
    fn new(
        work: &Work<'_>,
        name: &ServiceName,
        formers: Vec<Definition>,
        scene: &Scene<'a>,
    ) -> Result<Self> {
        let of_target = work.to.and_then(|to| to.services.get(name));
        let definition = match of_target {
            Some(service) => Definition::read(name, &service.config)?,
            None => Definition::default(),
        };
        Ok(Self { definition, formers, scene: *scene })
    }

    /// What the release has is set; what else the run has touched is as it was before.
    fn change(&self, kind: Kind, now: &BTreeMap<String, Secret>) -> Result<Change> {
        let Scene { before, secrets, kept, .. } = self.scene;
        let mut change = self.definition.change(kind, now, &[], secrets)?;
        for name in self.touched(kind) {
            let (is, was) = (now.get(name), before.of_kind(kind).get(name));
            match was {
                None if is.is_some() => change.remove.push(name.clone()),
                Some(was) if is.map(|is| kept.print.of(is)).as_ref() != Some(was) => {
                    let value = kept.value(&before.slot, kind, name, was)?;
                    change.set.extend(value.map(|value| (name.clone(), value.clone())));
                }
                _ => {}
            }
        }
        Ok(change)
    }

    /// The variables whose former values nobody knows.
    fn lost(&self, now: &BTreeMap<String, Secret>) -> Vec<&str> {
        let Scene { before, kept, .. } = self.scene;
        let is_lost = |name: &&String| {
            before.variables.get(*name).is_some_and(|was| {
                let is = now.get(*name).map(|is| kept.print.of(is));
                let value = kept.value(&before.slot, Kind::Variable, name, was);
                is.as_ref() != Some(was) && !matches!(value, Ok(Some(_)))
            })
        };
        self.touched(Kind::Variable).into_iter().filter(is_lost).map(String::as_str).collect()
    }

    /// The names that the run has to do with and the release that is gone back to has not.
    fn touched(&self, kind: Kind) -> BTreeSet<&String> {
        let own: BTreeSet<_> = self.definition.names(kind).collect();
        let names = self.formers.iter().flat_map(|former| former.names(kind));
        names.filter(|name| !own.contains(name)).collect()
    }

    /// Those that no release has anything to do with, that are others than when the way back began,
    /// and were read before it: now, or by a process that died.
    fn changed(
        &self,
        former: &BTreeMap<String, Secret>,
        now: &BTreeMap<String, Secret>,
    ) -> Result<Vec<(String, Secret)>> {
        let Scene { before, began, kept, .. } = self.scene;
        let mut found = Vec::new();
        let Some(began) = began else { return Ok(found) };
        for (name, was) in began.variables.iter().filter(|(name, _)| !self.names().contains(name)) {
            let is_it = |value: &&Secret| kept.print.of(value) == *was;
            if now.get(name).filter(is_it).is_some() {
                continue;
            }
            let value = match former.get(name).filter(is_it) {
                None => kept.value(&before.slot, Kind::Variable, name, was)?,
                value => value,
            };
            found.extend(value.map(|value| (name.clone(), value.clone())));
        }
        Ok(found)
    }

    /// The variables that a release has to do with.
    fn names(&self) -> BTreeSet<&String> {
        let formers = self.formers.iter().flat_map(|former| former.names(Kind::Variable));
        self.definition.names(Kind::Variable).chain(formers).collect()
    }

    /// Those of `variables` that no release has anything to do with.
    fn others<'b>(
        &'b self,
        variables: &'b BTreeMap<String, Secret>,
    ) -> impl Iterator<Item = (&'b String, &'b Secret)> {
        let named = self.names();
        variables.iter().filter(move |(name, _)| !named.contains(name))
    }
}

impl Kept {
    fn value(
        &self,
        slot: &Slot,
        kind: Kind,
        name: &str,
        was: &Fingerprint,
    ) -> Result<Option<&Secret>> {
        for run in &self.runs {
            let value = self.values.get(&kept::key(run, &slot.id, kind, name)?);
            if let Some(value) = value.filter(|value| self.print.of(value) == *was) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}
