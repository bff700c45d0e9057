//! Brings releases to a hosted platform and takes them back, whatever the platform.

mod back;
mod bring;
mod go_back;
mod keeping;
mod observe;
mod own_deploys;
mod places;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::json;
use ultrai_deploy_core::{
    Context, Deployer as Seam, Error, ErrorKind, Result,
    current::{Current, Running, Serving},
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    name::{ReleaseId, ServiceName},
    plan::{Action, Plan},
    release::{Image, Origin, Release, ReleaseService},
    release_store::ReleaseStore,
    spec::ReleaseSpec,
    version::Version,
};

use crate::{
    definition::{self, Definition, SOURCE},
    kept::Kind,
    note::Note,
    plan,
    platform::{Artifact, Platform, Seen, Slot},
    probe,
    snapshot::{Before, Set, Snapshot},
};

/// Deploys to the slots of a platform. Which release serves is what the release store's `current`
/// says, as long as the slots run what that release brought; it changes last in a step.
#[derive(Clone, Debug)]
pub struct Deployer {
    platform: Arc<dyn Platform>,
    /// The slots of the services that are deployed here, by name or id.
    slots: BTreeMap<ServiceName, String>,
    releases: Arc<dyn ReleaseStore>,
    /// Where slots are reached, by their ids.
    urls: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// A slot and what is in it.
type Looked = (Slot, Seen);

impl Deployer {
    /// A deployer to `slots`: the platform's names or ids of the services.
    pub fn new(
        platform: Arc<dyn Platform>,
        slots: BTreeMap<ServiceName, String>,
        releases: Arc<dyn ReleaseStore>,
    ) -> Self {
        Self { platform, slots, releases, urls: Arc::default() }
    }

    /// The release that is marked as current.
    async fn marked(&self) -> Result<Option<Arc<Release>>> {
        match self.releases.current().await? {
            Some(id) => Ok(Some(self.releases.get(&id).await?)),
            None => Ok(None),
        }
    }

    /// The slots that are ours: those of the configuration, and those of `releases`.
    fn names<'a>(
        &self,
        releases: impl IntoIterator<Item = &'a Release>,
    ) -> Result<BTreeMap<ServiceName, String>> {
        let mut names = self.slots.clone();
        for release in releases {
            for (name, service) in &release.services {
                if !names.contains_key(name) {
                    let slot = Definition::read(name, &service.config)?.slot(name).to_owned();
                    names.insert(name.clone(), slot);
                }
            }
        }
        Ok(names)
    }

    fn urls(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a slot is reached, as it was last seen.
    async fn url(&self, cx: &Context, slot: &Slot) -> Result<Option<String>> {
        let known = self.urls().get(&slot.id).cloned();
        match known {
            Some(url) => Ok(url),
            None => Ok(self.see(cx, slot).await?.url),
        }
    }

    /// What is in a slot, with what only the note knows.
    async fn see(&self, cx: &Context, slot: &Slot) -> Result<Seen> {
        let mut seen = self.platform.look(cx, slot).await?;
        self.urls().insert(slot.id.clone(), seen.url.clone());
        if seen.deploys.iter().any(|deploy| deploy.artifact.is_none()) {
            let note = Note::read(&*self.releases).await?;
            seen.deploys.iter_mut().for_each(|deploy| note.complete(deploy));
        }
        Ok(seen)
    }

    async fn look(
        &self,
        cx: &Context,
        names: &BTreeMap<ServiceName, String>,
    ) -> Result<BTreeMap<ServiceName, Looked>> {
        let mut looked = BTreeMap::new();
        for (name, slot) in names {
            let slot = match self.platform.find(cx, slot).await {
                // Somebody deleted it, and nobody wants it any more.
                Err(error)
                    if error.kind() == ErrorKind::NotFound && !self.slots.contains_key(name) =>
                {
                    continue;
                }
                slot => slot.map_err(places::is_wrong)?,
            };
            let seen = self.see(cx, &slot).await?;
            looked.insert(name.clone(), (slot, seen));
        }
        Ok(looked)
    }

    async fn snapshot(&self, cx: &Context, work: &Work<'_>) -> Result<Snapshot> {
        let marked = self.marked().await?;
        let releases = marked.as_deref().into_iter().chain(work.from).chain(work.to);
        let names = self.names(releases.clone())?;
        let with_files = with_files(releases)?;
        let key = self.releases.fingerprint_key().await?;
        let mut slots = BTreeMap::new();
        for (name, (slot, seen)) in self.look(cx, &names).await? {
            let set = Set {
                variables: self.platform.variables(cx, &slot).await?,
                files: if with_files.contains(&name) {
                    self.platform.files(cx, &slot).await?
                } else {
                    BTreeMap::new()
                },
                configured: self.platform.configured(cx, &slot).await?,
            };
            slots.insert(name, Before::of(slot, &seen, set, &key)?);
        }
        let marked = marked.map(|release| release.id.clone());
        Ok(Snapshot { marked, brings: work.to.map(|to| to.id.clone()), slots })
    }

    /// The release store is told what serves.
    async fn mark(&self, cx: &Context, release: Option<&Release>) -> Result<()> {
        let id = mark_of(release);
        if self.releases.current().await? == id {
            return Ok(());
        }
        let object = id.as_ref().map_or("nothing", ReleaseId::as_str);
        cx.effect("make current", object, json!({}), self.releases.set_current(id.as_ref())).await
    }

    async fn suspend(&self, cx: &Context, slot: &Slot) -> Result<()> {
        cx.effect("suspend", &slot.name, json!({}), self.platform.suspend(cx, slot)).await?;
        self.until(cx, slot, "suspended", |seen| seen.live().is_none()).await
    }
}

#[async_trait]
impl Seam for Deployer {
    fn name(&self) -> &'static str {
        self.platform.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { staging: false, redeploy: true, keeping: false }
    }

    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        let mut wanted = Vec::new();
        for (name, service) in &spec.services {
            wanted.push((name, definition::check(&*self.platform, name, service)?));
        }
        self.stays(cx, wanted.into_iter()).await
    }

    async fn current(&self, cx: &Context) -> Result<Current> {
        let marked = self.marked().await?;
        let names = self.names(marked.as_deref())?;
        let looked = self.look(cx, &names).await?;
        let mut services = BTreeMap::new();
        for (name, (slot, seen)) in &looked {
            let Some(live) = seen.live() else { continue };
            let of_marked = marked.as_deref().and_then(|release| release.services.get(name));
            let as_marked = match of_marked {
                Some(service) => {
                    let wanted = definition::artifact(name, service)?;
                    of_marked.filter(|_| seen.serves(&wanted))
                }
                None => None,
            };
            services.insert(
                name.clone(),
                Running {
                    instances: vec![slot.id.clone()],
                    // Named as in the release: only the platform knows what it found behind a tag.
                    image: match as_marked {
                        Some(service) => service.image.clone(),
                        None => live.artifact.as_ref().and_then(image),
                    },
                    spec_hash: as_marked.map(|service| service.spec_hash.clone()),
                    up: true,
                    started_at: live.began.clone(),
                    status: "live".to_owned(),
                    addresses: seen.url.clone().into_iter().collect(),
                    takes_over: if slot.is_exclusive {
                        vec!["disk".to_owned()]
                    } else {
                        Vec::new()
                    },
                    unreadable: self.platform.sealed(cx, slot).await?.into_iter().collect(),
                    is_by_tag: matches!(live.artifact, Some(Artifact::Image { digest: None, .. })),
                },
            );
        }
        if let Some(release) = marked.as_deref().filter(|one| runs_as_marked(&services, one)) {
            for (name, running) in &mut services {
                let definition = Definition::read(name, &definition::of(release, name)?.config)?;
                let known: BTreeSet<_> = definition.names(Kind::Variable).collect();
                running.unreadable.retain(|name| !known.contains(name));
            }
        }
        let serving = match marked {
            _ if services.is_empty() => Serving::Nothing,
            Some(release) if runs_as_marked(&services, &release) => {
                Serving::Release(release.id.clone())
            }
            _ => Serving::Unmanaged(Box::new(adopted(cx, &looked)?)),
        };
        Ok(Current { serving, services })
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        plan::plan(current, release)
    }

    async fn prepare(&self, cx: &Context, step: Step, work: &Work<'_>) -> Result<StepRecord> {
        if step == Step::Rollback {
            // All that came before the way back must be told from the way back itself.
            self.wait_for_the_unseen(cx).await?;
        }
        if step == Step::Switch {
            let mut wanted = Vec::new();
            for (name, service) in &target(work)?.services {
                wanted.push((name, Definition::read(name, &service.config)?));
            }
            self.stays(cx, wanted.into_iter()).await?;
        }
        Ok(self.snapshot(cx, work).await?.record())
    }

    /// A slot has room for one deploy: nothing runs beside what serves.
    async fn stage(&self, cx: &Context, _work: &Work<'_>, _record: &StepRecord) -> Result<()> {
        cx.check()
    }

    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        let to = target(work)?;
        let before = Snapshot::before_run(work, record)?;
        let secrets = self.releases.secrets(&to.id).await?;
        for name in to.in_dependency_order() {
            let action = work.plan.services.get(name).map(|change| change.action);
            if action != Some(Action::Keep) {
                self.bring(cx, work, &before, name, &secrets).await?;
            }
        }
        for name in work.plan.with_action(Action::Remove) {
            if let Some(before) = before.slots.get(name)
                && !self.see(cx, &before.slot).await?.is_suspended
            {
                self.suspend(cx, &before.slot).await?;
            }
        }
        self.mark(cx, Some(to)).await
    }

    /// The platform keeps and forgets former deploys by its own rules.
    async fn retire(&self, cx: &Context, work: &Work<'_>, _record: &StepRecord) -> Result<()> {
        self.drop_kept(target(work)?).await?;
        if work.is_return { Ok(()) } else { self.release_own_deploys(cx).await }
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.go_back(cx, work, record).await
    }

    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        match step {
            Step::Stage => Ok(Observation::Done),
            Step::Retire if self.has_released(work).await? => Ok(Observation::Done),
            Step::Retire => Ok(Observation::NotDone),
            Step::Rollback => self.observe_rollback(cx, work, record).await,
            _ => self.observe_switch(cx, work, record).await,
        }
    }

    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        probe::checks(&self.platform, release)
    }

    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        if role != Role::Live {
            return Ok(Vec::new());
        }
        let mut endpoints = Vec::new();
        for (name, service) in &release.services {
            let definition = Definition::read(name, &service.config)?;
            let slot = self.platform.find(cx, definition.slot(name)).await?;
            let endpoint = Endpoint::new(role, name.clone(), slot.id.clone());
            endpoints.push(match self.url(cx, &slot).await? {
                Some(url) => endpoint.with_url(url),
                None => endpoint,
            });
        }
        Ok(endpoints)
    }

    async fn evidence(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        let Ok(slot) = self.platform.find(cx, &endpoint.instance).await else { return Vec::new() };
        let Ok(seen) = self.see(cx, &slot).await else { return Vec::new() };
        match seen.deploys.first() {
            Some(newest) => self.platform.evidence(cx, &slot, newest).await,
            None => Vec::new(),
        }
    }
}

/// The services that have files with secrets in any of these releases.
fn with_files<'a>(
    releases: impl IntoIterator<Item = &'a Release>,
) -> Result<BTreeSet<&'a ServiceName>> {
    let mut found = BTreeSet::new();
    for (name, service) in releases.into_iter().flat_map(|release| &release.services) {
        if !Definition::read(name, &service.config)?.secret_files.is_empty() {
            found.insert(name);
        }
    }
    Ok(found)
}

/// What the release store is told: it marks releases of its own only.
fn mark_of(release: Option<&Release>) -> Option<ReleaseId> {
    release.filter(|one| one.origin == Origin::Sealed).map(|one| one.id.clone())
}

fn target<'a>(work: &Work<'a>) -> Result<&'a Release> {
    work.to.ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, "bring a release", "there is none").without_effect()
    })
}

fn runs_as_marked(services: &BTreeMap<ServiceName, Running>, release: &Release) -> bool {
    services.keys().eq(release.services.keys())
        && services.values().all(|running| running.spec_hash.is_some())
}

fn image(artifact: &Artifact) -> Option<Image> {
    match artifact {
        Artifact::Image { reference, digest } => Some(Image {
            reference: reference.clone(),
            id: digest.clone().unwrap_or_else(|| reference.clone()),
            digest: digest.clone(),
        }),
        Artifact::Commit(_) | Artifact::Source(_) => None,
    }
}

/// What others deployed, as far as it can be told.
fn adopted(cx: &Context, looked: &BTreeMap<ServiceName, Looked>) -> Result<Release> {
    let mut services = BTreeMap::new();
    for (name, (slot, seen)) in looked {
        let Some(artifact) = seen.live().and_then(|live| live.artifact.as_ref()) else { continue };
        let mut definition = Definition { slot: Some(slot.id.clone()), ..Definition::default() };
        let mut files = BTreeMap::new();
        match artifact {
            Artifact::Commit(commit) => definition.commit = Some(commit.clone()),
            Artifact::Source(digest) => {
                files.insert(SOURCE.to_owned(), digest.clone());
            }
            Artifact::Image { .. } => {}
        }
        let service = ReleaseService::new(image(artifact), json!(definition)).with_files(files);
        services.insert(name.clone(), service);
    }
    Release::new(cx.target().project.clone(), Version::parse("0.0.0")?, services)?.adopted()
}
