//! From what runs in a slot to what shall run there.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    deployer::Work,
    name::ServiceName,
    secret::{Secret, Secrets},
};

use super::{Deployer, target};
use crate::{
    definition::{self, Definition},
    kept::{self, Kind},
    note::Note,
    platform::{Artifact, Change, Deploy, Order, Seen, Setting, Slot, Status, rest},
    snapshot::Snapshot,
};

/// Settings to change; those without a value are cleared.
pub(super) type Settings = BTreeMap<Setting, Option<String>>;

/// How many times its lag a deploy that was accepted is waited for: it may be queued first.
const PATIENCE: u32 = 6;

impl Deployer {
    /// Brings what the run's release has for a service, and waits until it serves.
    pub(super) async fn bring(
        &self,
        cx: &Context,
        work: &Work<'_>,
        before: &Snapshot,
        name: &ServiceName,
        secrets: &Secrets,
    ) -> Result<()> {
        let service = definition::of(target(work)?, name)?;
        let wanted = definition::artifact(name, service)?;
        let definition = Definition::read(name, &service.config)?;
        let slot = self.platform.find(cx, definition.slot(name)).await?;
        if work.is_return {
            self.hold_or_tell(cx, &slot).await?;
        }
        if definition.maintenance {
            self.set_maintenance(cx, &slot, true).await?;
        }
        let formers = self.formers(work, name).await?;
        let settings = self.settings_to_change(cx, work, &slot, &definition).await?;
        self.set_up(cx, &slot, None, &settings).await?;
        let now = self.files(cx, &slot, &definition, &formers).await?;
        let files = definition.change(Kind::File, &now, &formers, secrets)?;
        self.keep(cx, work, name, &slot, Kind::File, (&now, &files)).await?;
        self.change_files(cx, &slot, &files).await?;
        let now = self.platform.variables(cx, &slot).await?;
        let change = definition.change(Kind::Variable, &now, &formers, secrets)?;
        self.keep(cx, work, name, &slot, Kind::Variable, (&now, &change)).await?;
        let is_set = settings.is_empty() && files.is_empty() && change.is_empty();
        let remove = self.change_variables(cx, &slot, change).await?;

        let seen = self.see(cx, &slot).await?;
        let newest = before.slots.get(name).and_then(|before| before.newest.as_deref());
        // A deploy that began before all was set does not have it.
        let own = if is_set { own(&seen, newest, Some(&wanted)) } else { None };
        let id = match own {
            Some(own) if own.status == Status::Live => None,
            Some(own) => Some(own.id.clone()),
            None => {
                let login = definition.login(secrets)?;
                let order = Order { remove: &remove, login, ..self.order(&wanted) };
                Some(self.start(cx, &slot, &seen, &order).await?)
            }
        };
        if let Some(id) = id {
            self.follow(cx, name, &slot, &id, Some(&wanted)).await?;
        }
        self.configure(cx, &slot, &wanted).await?;
        // What is suspended is resumed last: its old deploy must not serve in between.
        if self.see(cx, &slot).await?.is_suspended {
            self.resume(cx, &slot).await?;
        }
        // It has to be seen that it serves.
        if definition.maintenance {
            self.set_maintenance(cx, &slot, false).await?;
        }
        Ok(())
    }

    /// Shows a page instead of the service, or the service again.
    pub(super) async fn set_maintenance(&self, cx: &Context, slot: &Slot, on: bool) -> Result<()> {
        if self.platform.maintenance(cx, slot).await? == Some(on) {
            return Ok(());
        }
        let action = if on { "begin maintenance" } else { "end maintenance" };
        cx.effect(action, &slot.name, json!({}), self.platform.set_maintenance(cx, slot, on)).await
    }

    /// What is asked for to bring `artifact`.
    pub(super) fn order<'a>(&self, artifact: &'a Artifact) -> Order<'a> {
        let archive = match artifact {
            Artifact::Source(digest) => self.releases.file_path(digest),
            _ => None,
        };
        Order { archive, ..Order::new(artifact) }
    }

    /// The settings of `definition` that the slot does not have. What it has is kept: nobody else
    /// knows it.
    async fn settings_to_change(
        &self,
        cx: &Context,
        work: &Work<'_>,
        slot: &Slot,
        definition: &Definition,
    ) -> Result<Settings> {
        if definition.settings.is_empty() {
            return Ok(Settings::new());
        }
        let now = self.platform.configured(cx, slot).await?.settings;
        let differ = definition.settings.iter().filter(|(setting, value)| {
            // What is not set and what is empty is the same.
            now.get(setting).map_or("", String::as_str) != value.as_str()
        });
        let differ: Settings =
            differ.map(|(setting, value)| (*setting, Some(value.clone()))).collect();
        let lost: Vec<_> = now
            .iter()
            .filter(|(setting, _)| differ.contains_key(setting))
            .map(|(setting, value)| (setting.as_str().to_owned(), Secret::new(value.as_str())))
            .collect();
        let lost: Vec<_> = lost.iter().map(|(name, value)| (name, value)).collect();
        self.keep_with(cx, target(work)?, slot, kept::SETTING, &lost).await?;
        Ok(differ)
    }

    /// Sets what the platform deploys by itself, where that is given, and settings.
    pub(super) async fn set_up(
        &self,
        cx: &Context,
        slot: &Slot,
        artifact: Option<&Artifact>,
        settings: &Settings,
    ) -> Result<()> {
        if artifact.is_none() && settings.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = settings.keys().collect();
        let detail = json!({ "artifact": artifact, "settings": names });
        let configuring = self.platform.configure(cx, slot, artifact, settings);
        cx.effect("configure", &slot.name, detail, configuring).await
    }

    /// The files that are set, where a release has to do with some.
    pub(super) async fn files(
        &self,
        cx: &Context,
        slot: &Slot,
        definition: &Definition,
        formers: &[Definition],
    ) -> Result<BTreeMap<String, Secret>> {
        let has_files = |one: &Definition| !one.secret_files.is_empty();
        if !has_files(definition) && !formers.iter().any(has_files) {
            return Ok(BTreeMap::new());
        }
        self.platform.files(cx, slot).await
    }

    pub(super) async fn change_files(
        &self,
        cx: &Context,
        slot: &Slot,
        change: &Change,
    ) -> Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        let changing = self.platform.change_files(cx, slot, change);
        cx.effect("change files", &slot.name, names_of(change), changing).await
    }

    /// Changes variables; those that come back are to be removed with the deploy.
    pub(super) async fn change_variables(
        &self,
        cx: &Context,
        slot: &Slot,
        mut change: Change,
    ) -> Result<Vec<String>> {
        let mut later = Vec::new();
        if self.platform.removes_with_deploy() {
            later = std::mem::take(&mut change.remove);
        }
        if !change.is_empty() {
            let changing = self.platform.change_variables(cx, slot, &change);
            cx.effect("change variables", &slot.name, names_of(&change), changing).await?;
        }
        Ok(later)
    }

    /// What the platform does by itself must not bring back what was there, nor what failed.
    pub(super) async fn configure(
        &self,
        cx: &Context,
        slot: &Slot,
        artifact: &Artifact,
    ) -> Result<()> {
        match self.platform.configured(cx, slot).await?.artifact {
            Some(configured) if !configured.is(artifact) => {
                self.set_up(cx, slot, Some(artifact), &Settings::new()).await
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn resume(&self, cx: &Context, slot: &Slot) -> Result<()> {
        cx.effect("resume", &slot.name, json!({}), self.platform.resume(cx, slot)).await?;
        self.until(cx, slot, "resumed", |seen| !seen.is_suspended).await
    }

    /// Waits until what was accepted is the case.
    pub(super) async fn until(
        &self,
        cx: &Context,
        slot: &Slot,
        what: &str,
        is_so: impl Fn(&Seen) -> bool + Send,
    ) -> Result<()> {
        let end = Instant::now() + PATIENCE * self.platform.lag();
        while !is_so(&self.see(cx, slot).await?) {
            if Instant::now() >= end {
                let message = format!("{} was told to be {what}, and is not", slot.name);
                return Err(Error::new(ErrorKind::Timeout, "wait for the platform", message)
                    .with_advice("look at the platform's dashboard what keeps it"));
            }
            self.rest(cx).await?;
        }
        Ok(())
    }

    /// Starts a deploy, and finds out which one it is.
    pub(super) async fn start(
        &self,
        cx: &Context,
        slot: &Slot,
        seen: &Seen,
        order: &Order<'_>,
    ) -> Result<String> {
        let wanted = order.artifact;
        let detail = json!({ "artifact": wanted, "remove": order.remove });
        let starting = self.platform.start(cx, slot, order);
        let id = match cx.effect("deploy", &slot.name, detail, starting).await? {
            Some(id) => id,
            None => self.appears(cx, slot, seen, Some(wanted)).await?,
        };
        self.remember(&id, Some(wanted)).await?;
        Ok(id)
    }

    /// What an upload is only the one knows who made it.
    pub(super) async fn remember(&self, id: &str, brings: Option<&Artifact>) -> Result<()> {
        let Some(Artifact::Source(digest)) = brings else { return Ok(()) };
        let mut note = Note::read(&*self.releases).await?;
        note.remember(id, digest);
        note.write(&*self.releases).await
    }

    /// The id of the deploy that has come since; any one where nobody knows what it brings.
    pub(super) async fn appears(
        &self,
        cx: &Context,
        slot: &Slot,
        before: &Seen,
        wanted: Option<&Artifact>,
    ) -> Result<String> {
        let newest = before.deploys.first().map(|deploy| deploy.id.as_str());
        let end = Instant::now() + PATIENCE * self.platform.lag();
        loop {
            let seen = self.see(cx, slot).await?;
            // However it has ended meanwhile.
            if let Some(own) = seen.since(newest).find(|deploy| may_be(deploy, wanted)) {
                return Ok(own.id.clone());
            }
            if Instant::now() >= end {
                if let Some(wanted) = wanted
                    && let Some(other) = seen.since(newest).find(|one| one.status == Status::Live)
                {
                    is_what_was_asked(&format!("{} of {}", other.id, slot.name), other, wanted)?;
                }
                let what = wanted.map_or_else(|| "what served".to_owned(), Artifact::to_string);
                let message = format!("the deploy of {what} to {} does not show up", slot.name);
                return Err(Error::new(ErrorKind::Timeout, "find the deploy", message)
                    .with_advice(
                        "look at the platform's dashboard whether another one is in its way",
                    ));
            }
            self.rest(cx).await?;
        }
    }

    /// Waits until a deploy serves.
    pub(super) async fn follow(
        &self,
        cx: &Context,
        name: &ServiceName,
        slot: &Slot,
        id: &str,
        wanted: Option<&Artifact>,
    ) -> Result<()> {
        let end = Instant::now() + PATIENCE * self.platform.lag();
        let what = format!("deploy {id} of {name}");
        let mut last = "it is not seen yet".to_owned();
        loop {
            let deploy = match self.platform.deploy(cx, slot, id).await {
                // Not everywhere yet.
                Err(error) if error.kind() == ErrorKind::NotFound && Instant::now() < end => {
                    self.rest(cx).await?;
                    continue;
                }
                deploy => deploy.map_err(|error| in_time(cx, error, &what, &last))?,
            };
            let (kind, message, advice) = match &deploy.status {
                Status::UnderWay(word) => {
                    last.clone_from(word);
                    let changed = self.platform.changed(cx, slot, &deploy).await;
                    changed.map_err(|error| in_time(cx, error, &what, &last))?;
                    continue;
                }
                Status::Live => {
                    self.is_listed(cx, slot, id).await?;
                    return wanted.map_or(Ok(()), |wanted| {
                        is_what_was_asked(&format!("{id} of {name}"), &deploy, wanted)
                    });
                }
                Status::Blocked(word) => (
                    ErrorKind::Unavailable,
                    format!("{what} waits for a person: {word}"),
                    "approve it on the platform, or have it deploy without approval",
                ),
                Status::Failed(word) => (
                    ErrorKind::Unhealthy,
                    format!("{what} failed: {word}"),
                    "see what was seen of it",
                ),
                Status::Replaced => (
                    ErrorKind::Conflict,
                    format!("{what} was overtaken by another one"),
                    "switch the platform's own deploys off, or let nobody else deploy at the same time",
                ),
                Status::Dropped(word) => (
                    ErrorKind::Conflict,
                    format!("{what} was not gone on with: {word}"),
                    "look on the platform who stopped it or what overtook it, or why it is left out",
                ),
            };
            let evidence = self.platform.evidence(cx, slot, &deploy).await;
            return Err(Error::new(kind, "deploy", message)
                .with_advice(advice)
                .with_evidence(evidence));
        }
    }

    /// Waits until the list of deploys shows one as over, too: whoever looks next looks there.
    async fn is_listed(&self, cx: &Context, slot: &Slot, id: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE * self.platform.lag();
        let shows =
            |seen: &Seen| seen.deploys.iter().any(|one| one.id == id && !one.status.is_open());
        while !shows(&self.see(cx, slot).await?) && Instant::now() < end {
            self.rest(cx).await?;
        }
        Ok(())
    }

    async fn rest(&self, cx: &Context) -> Result<()> {
        rest(cx, self.platform.pause()).await
    }

    /// A call of a process that died may have been accepted, and not be seen yet.
    pub(super) async fn wait_for_the_unseen(&self, cx: &Context) -> Result<()> {
        rest(cx, self.platform.lag()).await
    }
}

/// The run's own deploy of `wanted`: the newest that came after `newest` and may serve.
pub(super) fn own<'a>(
    seen: &'a Seen,
    newest: Option<&str>,
    wanted: Option<&Artifact>,
) -> Option<&'a Deploy> {
    let may_serve = |deploy: &&Deploy| deploy.status == Status::Live || deploy.status.is_open();
    // An upload of which nobody knows what it is may be anybody's.
    let is_known = |deploy: &&Deploy| {
        deploy.artifact.is_some() || !matches!(wanted, Some(Artifact::Source(_)))
    };
    seen.since(newest).filter(|deploy| may_be(deploy, wanted)).filter(is_known).find(may_serve)
}

/// Whether a deploy brings `wanted`, as far as the platform tells.
fn may_be(deploy: &Deploy, wanted: Option<&Artifact>) -> bool {
    let (Some(one), Some(wanted)) = (&deploy.artifact, wanted) else { return true };
    one.is(wanted)
}

/// Of a deploy that takes longer than there is time, people want to know how far it came.
fn in_time(cx: &Context, error: Error, what: &str, last: &str) -> Error {
    let is_over = cx.deadline().is_some_and(|deadline| Instant::now() >= deadline);
    if error.kind() != ErrorKind::Timeout || !is_over {
        return error;
    }
    let message = format!("{what} was not over in time: {last}");
    Error::new(ErrorKind::Timeout, "deploy", message)
        .with_advice("look at it on the platform, or allow more time for the stage")
        .with_source(error)
}

/// Names only.
pub(super) fn names_of(change: &Change) -> Value {
    json!({ "set": change.set.keys().collect::<Vec<_>>(), "remove": change.remove })
}

fn is_what_was_asked(what: &str, deploy: &Deploy, wanted: &Artifact) -> Result<()> {
    match &deploy.artifact {
        Some(runs) if !runs.is(wanted) => {
            let message = format!("deploy {what} serves {runs} instead of {wanted}");
            Err(Error::new(ErrorKind::Unhealthy, "deploy", message)
                .with_advice("look whether the platform deployed what it had before"))
        }
        _ => Ok(()),
    }
}
