//! A deployer that publishes pages: releases are directories, and a link says which one serves.
//!
//! ```text
//! pages/<service>-<run>/     index.html, and `spec` once it is whole
//! sets/<run>/<service>    -> the service's page, its own or one that is kept
//! sets/<run>/release         the release's id, once the set is whole
//! current                 -> sets/<run>
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    current::{Current, Running, Serving},
    deployer::{Capabilities, Deployer, Observation, Step, StepRecord, Work},
    evidence::{Evidence, EvidenceKind},
    health::{Check, Endpoint, Health, HealthProbe, Role, Timing},
    name::{ReleaseId, ServiceName},
    plan::{Action, Change, Plan},
    release::Release,
    release_store::ReleaseStore,
    spec::ReleaseSpec,
};

/// Publishes pages below a directory.
#[derive(Debug)]
pub struct Directories {
    root: PathBuf,
    releases: Arc<dyn ReleaseStore>,
}

/// All that a step could change: what is durable before each step, and compared after a crash.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Snapshot {
    /// The set that `current` leads to.
    set: Option<String>,
    /// The release that is marked as current.
    marked: Option<ReleaseId>,
    sets: Vec<String>,
    pages: Vec<String>,
}

impl Snapshot {
    fn read(record: &StepRecord) -> Result<Self> {
        Self::deserialize(&record.data).map_err(|source| {
            Error::new(ErrorKind::Corrupt, "read a step's record", "its data is damaged")
                .with_source(source)
        })
    }

    /// How it was before the run: later steps of it see what earlier ones did.
    fn before_run(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        Self::read(work.records.first().map_or(record, |(_, first)| first))
    }

    /// How it was before this run, and before held ones whose place it took: there a rollback goes.
    fn before_all(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        match work.inherited.first() {
            Some(first) => Self::read(&first.record),
            None => Self::before_run(work, record),
        }
    }

    fn has_of(&self, runs: &[&str]) -> bool {
        let mut all = self.sets.iter().chain(&self.pages);
        all.any(|name| is_of(name, runs))
    }
}

impl Directories {
    pub fn new(root: impl Into<PathBuf>, releases: Arc<dyn ReleaseStore>) -> Self {
        Self { root: root.into(), releases }
    }

    fn page(&self, page: &str) -> PathBuf {
        self.root.join("pages").join(page)
    }

    fn set(&self, set: &str) -> PathBuf {
        self.root.join("sets").join(set)
    }

    async fn look(&self) -> Result<Snapshot> {
        let marked = self.releases.current().await?;
        let set = self.current_set()?;
        Ok(Snapshot { set, marked, sets: self.names("sets")?, pages: self.names("pages")? })
    }

    fn current_set(&self) -> Result<Option<String>> {
        let link = missing_is_none(fs::read_link(self.root.join("current")));
        Ok(done("see what serves", link)?.as_deref().map(last))
    }

    fn names(&self, kind: &str) -> Result<Vec<String>> {
        let listed = missing_is_none(fs::read_dir(self.root.join(kind)));
        let entries = done("list what is there", listed)?.into_iter().flatten();
        let names: io::Result<Vec<_>> = entries.map(|entry| Ok(last(&entry?.path()))).collect();
        let mut names = done("list what is there", names)?;
        names.sort();
        Ok(names)
    }

    /// The release of a set, if the set is whole.
    fn release_of(&self, set: &str) -> Result<Option<ReleaseId>> {
        let text = missing_is_none(fs::read_to_string(self.set(set).join("release")));
        done("read a set", text)?.map(ReleaseId::new).transpose()
    }

    /// The page of each service in a set, or in none.
    fn pages_of(&self, set: Option<&str>) -> Result<BTreeMap<ServiceName, String>> {
        let Some(set) = set else { return Ok(BTreeMap::new()) };
        let names = self.names(&format!("sets/{set}"))?.into_iter().filter(|one| one != "release");
        names
            .map(|name| {
                let page = done("read a set", fs::read_link(self.set(set).join(&name)))?;
                Ok((ServiceName::new(name)?, last(&page)))
            })
            .collect()
    }

    /// The definition that a page was made from; nothing while it is not whole.
    fn spec_of(&self, page: &str) -> Option<String> {
        fs::read_to_string(self.page(page).join("spec")).ok()
    }

    /// Makes the pages and the set of this run, those that are not there yet.
    async fn fill(&self, cx: &Context, work: &Work<'_>, before: &Snapshot) -> Result<()> {
        let (to, set) = (target(work)?, cx.run().short());
        if self.release_of(set)?.is_some() {
            return Ok(());
        }
        let mut pages = self.pages_of(before.set.as_deref())?;
        pages.retain(|name, _| to.services.contains_key(name));
        for (name, service) in &to.services {
            if work.plan.services.get(name).is_some_and(|change| change.action == Action::Keep) {
                continue;
            }
            let page = format!("{name}-{set}");
            if self.spec_of(&page).is_none() {
                let text = text(name, &service.config)?;
                cx.effect("write", &page, json!({}), async {
                    // The definition comes last: it says that the page is whole.
                    let directory = self.page(&page);
                    let written = fs::create_dir_all(&directory)
                        .and_then(|()| fs::write(directory.join("index.html"), text))
                        .and_then(|()| fs::write(directory.join("spec"), &service.spec_hash));
                    done("write a page", written)
                })
                .await?;
            }
            pages.insert(name.clone(), page);
        }
        cx.effect("gather", set, json!({ "release": to.id }), async {
            done("gather a set", self.gather(set, &pages, to))
        })
        .await
    }

    fn gather(
        &self,
        set: &str,
        pages: &BTreeMap<ServiceName, String>,
        to: &Release,
    ) -> io::Result<()> {
        fs::create_dir_all(self.set(set))?;
        for (name, page) in pages {
            let link = self.set(set).join(name.as_str());
            missing_is_none(fs::remove_file(&link))?;
            symlink(Path::new("../../pages").join(page), link)?;
        }
        fs::write(self.set(set).join("release"), to.id.as_str())
    }

    /// Lets `current` lead to another set, or to none, at once.
    async fn lead_to(&self, cx: &Context, set: Option<&str>) -> Result<()> {
        cx.effect("lead", set.unwrap_or("nowhere"), json!({}), async {
            let (current, new) = (self.root.join("current"), self.root.join("current.new"));
            let lead = || match set {
                None => missing_is_none(fs::remove_file(&current)).map(drop),
                Some(set) => {
                    missing_is_none(fs::remove_file(&new))?;
                    symlink(Path::new("sets").join(set), &new)?;
                    fs::rename(&new, &current)
                }
            };
            done("switch", lead())
        })
        .await
    }

    /// The release store is told what serves, so that it keeps it.
    async fn mark(&self, cx: &Context, release: Option<&ReleaseId>) -> Result<()> {
        if self.releases.current().await?.as_ref() == release {
            return Ok(());
        }
        let object = release.map_or("nothing", |id| id.as_str());
        cx.effect("mark", object, json!({}), self.releases.set_current(release)).await
    }

    async fn remove(&self, cx: &Context, path: PathBuf) -> Result<()> {
        cx.effect("remove", &last(&path), json!({}), async {
            done("remove", missing_is_none(fs::remove_dir_all(&path)).map(drop))
        })
        .await
    }

    /// What neither serves nor is needed by what serves.
    fn unused(&self, now: &Snapshot) -> Result<Vec<PathBuf>> {
        let used = self.pages_of(now.set.as_deref())?;
        let sets = now.sets.iter().filter(|set| Some(*set) != now.set.as_ref());
        let pages = now.pages.iter().filter(|page| used.values().all(|used| used != *page));
        Ok(sets.map(|set| self.set(set)).chain(pages.map(|page| self.page(page))).collect())
    }
}

#[async_trait]
impl Deployer for Directories {
    fn name(&self) -> &'static str {
        "directories"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { staging: true, redeploy: true, keeping: true }
    }

    async fn preflight(&self, _cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        spec.services.iter().try_for_each(|(name, service)| text(name, &service.config).map(drop))
    }

    async fn current(&self, _cx: &Context) -> Result<Current> {
        let Some(set) = self.current_set()? else { return Ok(Current::default()) };
        let serving = self.release_of(&set)?.map_or(Serving::Nothing, Serving::Release);
        let pages = self.pages_of(Some(&set))?.into_iter();
        let services = pages.map(|(name, page)| {
            let up = self.page(&page).join("index.html").exists();
            let spec_hash = self.spec_of(&page);
            (name, Running { instances: vec![page], spec_hash, up, ..Running::default() })
        });
        Ok(Current { serving, services: services.collect() })
    }

    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        let change = |action| Change { action, reason: String::new() };
        let mut services: BTreeMap<_, _> =
            (current.services.keys()).map(|name| (name.clone(), change(Action::Remove))).collect();
        for (name, service) in &release.services {
            let action = match current.services.get(name) {
                None => Action::Create,
                Some(one) if one.up && one.spec_hash.as_ref() == Some(&service.spec_hash) => {
                    Action::Keep
                }
                Some(_) => Action::StartFirst,
            };
            services.insert(name.clone(), change(action));
        }
        let from = match &current.serving {
            Serving::Release(id) => Some(id.clone()),
            _ => None,
        };
        let (to, none) = (release.id.clone(), Vec::new());
        let (resources, not_undoable) = (none.clone(), none);
        let mut plan = Plan { from, to, services, resources, not_undoable, unchanged: false };
        plan.unchanged = plan.from.as_ref() == Some(&plan.to) && plan.keeps_all_services();
        Ok(plan)
    }

    async fn prepare(&self, _cx: &Context, _step: Step, _work: &Work<'_>) -> Result<StepRecord> {
        Ok(StepRecord::new(1, json!(self.look().await?)))
    }

    async fn stage(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        if work.plan.unchanged {
            return Ok(());
        }
        self.fill(cx, work, &Snapshot::before_run(work, record)?).await
    }

    async fn switch(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        self.stage(cx, work, record).await?;
        let set = cx.run().short();
        if !work.plan.unchanged && self.current_set()?.as_deref() != Some(set) {
            self.lead_to(cx, Some(set)).await?;
        }
        self.mark(cx, Some(&target(work)?.id)).await
    }

    async fn retire(&self, cx: &Context, _work: &Work<'_>, _record: &StepRecord) -> Result<()> {
        for path in self.unused(&self.look().await?)? {
            self.remove(cx, path).await?;
        }
        Ok(())
    }

    async fn rollback(&self, cx: &Context, work: &Work<'_>, record: &StepRecord) -> Result<()> {
        let (before, now) = (Snapshot::before_all(work, record)?, self.look().await?);
        let runs = answers_for(cx, work);
        if now.set.as_deref().is_some_and(|set| is_of(set, &runs)) {
            self.lead_to(cx, before.set.as_deref()).await?;
        }
        self.mark(cx, work.to.map(|to| &to.id)).await?;
        for set in now.sets.iter().filter(|set| is_of(set, &runs)) {
            self.remove(cx, self.set(set)).await?;
        }
        for page in now.pages.iter().filter(|page| is_of(page, &runs)) {
            self.remove(cx, self.page(page)).await?;
        }
        Ok(())
    }

    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        let (now, run) = (self.look().await?, cx.run().short());
        let wanted = work.to.map(|to| &to.id);
        let is_done = match step {
            Step::Stage => work.plan.unchanged || self.release_of(run)?.is_some(),
            Step::Switch => {
                let led = work.plan.unchanged || now.set.as_deref() == Some(run);
                led && now.marked.as_ref() == wanted
            }
            Step::Retire => self.unused(&now)?.is_empty(),
            Step::Rollback => {
                let before = Snapshot::before_all(work, record)?;
                let has_of = now.has_of(&answers_for(cx, work));
                now.set == before.set && now.marked.as_ref() == wanted && !has_of
            }
            _ => false,
        };
        Ok(match is_done {
            true => Observation::Done,
            false if now == Snapshot::read(record)? => Observation::NotDone,
            false => Observation::Partial,
        })
    }

    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        let check = |name: &ServiceName| {
            let probe = Arc::new(Content(self.root.join("pages")));
            let timing = Timing { deadline: Some(Duration::from_secs(1)), ..Timing::default() };
            Check::new(format!("{name} has content"), Some(name.clone()), probe, timing)
        };
        Ok(release.services.keys().map(check).collect())
    }

    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        let live = self.pages_of(self.current_set()?.as_deref())?;
        let mut endpoints = Vec::new();
        for page in self.names("pages")? {
            let of = match (live.values().any(|one| *one == page), page.ends_with(cx.run().short()))
            {
                (true, _) => Role::Live,
                (false, true) => Role::Staged,
                (false, false) => Role::Previous,
            };
            let spec = self.spec_of(&page);
            let is_of = |name: &ServiceName| {
                page.rsplit_once('-').is_some_and(|(own, _)| own == name.as_str())
            };
            let mut services = release.services.iter();
            let found =
                services.find(|(name, one)| is_of(name) && spec.as_ref() == Some(&one.spec_hash));
            if let Some((name, _)) = found.filter(|_| of == role) {
                endpoints.push(Endpoint::new(role, name.clone(), page));
            }
        }
        Ok(endpoints)
    }

    async fn evidence(&self, _cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        let seen = fs::read_to_string(self.page(&endpoint.instance).join("index.html"));
        let text = seen.unwrap_or_else(|error| error.to_string());
        vec![Evidence::new(EvidenceKind::Status, &endpoint.instance, text)]
    }
}

/// A page is well when there is something on it.
#[derive(Debug)]
struct Content(PathBuf);

#[async_trait]
impl HealthProbe for Content {
    async fn check(&self, _cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let page = self.0.join(&endpoint.instance).join("index.html");
        let seen = |text: &str| vec![Evidence::new(EvidenceKind::Probe, &endpoint.instance, text)];
        Ok(match fs::read_to_string(page) {
            Ok(text) if text.is_empty() => {
                Health::Unhealthy { why: "the page is empty".to_owned(), evidence: seen("0 bytes") }
            }
            Ok(text) => Health::Healthy(seen(&text)),
            Err(error) => {
                Health::Dead { why: "it is gone".to_owned(), evidence: seen(&error.to_string()) }
            }
        })
    }
}

/// What a service's definition says: `{"page": "text"}`.
fn text<'a>(name: &ServiceName, config: &'a Value) -> Result<&'a str> {
    config["page"].as_str().ok_or_else(|| {
        let message = format!("{name} has no `page`");
        Error::new(ErrorKind::Invalid, "read a definition", message).without_effect()
    })
}

/// The runs whose sets and pages go with a rollback: this one, and held ones whose place it took.
fn answers_for<'a>(cx: &'a Context, work: &Work<'a>) -> Vec<&'a str> {
    let held = work.inherited.iter().map(|one| one.run.short());
    held.chain([cx.run().short()]).collect()
}

/// Whether a set or a page was made by one of these runs.
fn is_of(name: &str, runs: &[&str]) -> bool {
    runs.iter().any(|run| name.ends_with(run))
}

fn target<'a>(work: &Work<'a>) -> Result<&'a Release> {
    work.to.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "publish", "no release was given").without_effect()
    })
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn done<T>(operation: &'static str, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| {
        Error::new(ErrorKind::Io, operation, "the file system refused it").with_source(source)
    })
}
