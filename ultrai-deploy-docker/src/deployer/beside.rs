//! Taking services back without a gap: the old containers run again beside the new ones, are proven,
//! and take the service's names back before the new ones go. The mirror of a start-first switch.
//!
//! It is a head start and nothing more: whatever it leaves undone, the rest of the rollback does
//! after the new containers are gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bollard::models::EndpointSettings;
use futures_util::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Cancel,
    context::Context,
    deployer::Work,
    error::{Chain, Error, ErrorKind, Result},
    health::{Endpoint, Role},
    name::{RunId, ServiceName},
    release::Origin,
    waiting::wait_until_healthy,
};

use super::{
    restore::{Wanted, dependencies, is_hidden, reveal, same, served, stop_was_asked, wanted},
    rollback::remove,
    rollout::{Patience, check, drain},
};
use crate::{
    backend::Backend,
    checks,
    definition::{Definition, only_once},
    names::{self, Place},
    order,
    record::Record,
    snapshot::{Container, Snapshot},
};

/// Brings back beside the new ones those services that can run twice. What cannot, or fails at it,
/// is left as it is.
///
/// # Errors
/// When the journal cannot be written.
pub(super) async fn bring_back(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    to: &Definition<'_>,
    record: &Record,
) -> Result<()> {
    // Of what others started it is not known what it writes to.
    if !served(record, to.release) || to.release.origin == Origin::Adopted {
        return Ok(());
    }
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    let wanted = wanted(record, &snapshot, to)?;
    let from = work.from.map(Definition::read).transpose()?;
    let mut brought: BTreeMap<&ServiceName, Vec<&Container>> = BTreeMap::new();
    for one in snapshot.to_take_back(cx.run(), work) {
        brought.entry(&one.service).or_default().push(one);
    }
    let services = Candidates { to, from: from.as_ref(), snapshot: &snapshot, brought: &brought }
        .choose(&wanted);
    if services.is_empty() {
        return Ok(());
    }
    let beside = Beside { cx, backend, to, brought, services, given_up: Mutex::default() };
    let (one, needed) = (&beside, &dependencies(&wanted));
    order::run(needed, backend.config.parallel, |name, stop| async move {
        let needs = needed.get(&name).into_iter().flatten();
        one.service(&stop, &name, needs).await
    })
    .await
}

/// Chooses the services that may run beside the new ones.
struct Candidates<'a> {
    to: &'a Definition<'a>,
    from: Option<&'a Definition<'a>>,
    snapshot: &'a Snapshot,
    brought: &'a BTreeMap<&'a ServiceName, Vec<&'a Container>>,
}

impl Candidates<'_> {
    fn choose<'w>(&self, wanted: &'w [Wanted]) -> BTreeMap<ServiceName, Vec<&'w Container>> {
        let mut groups: BTreeMap<ServiceName, Vec<&Wanted>> = BTreeMap::new();
        for one in wanted {
            groups.entry(one.container.service.clone()).or_default().push(one);
        }
        let needed = dependencies(wanted);
        let mut chosen: BTreeSet<&ServiceName> =
            groups.iter().filter(|(name, own)| self.can(name, own)).map(|(name, _)| name).collect();
        let is_there = |name: &ServiceName, chosen: &BTreeSet<&ServiceName>| {
            let own = groups.get(name).into_iter().flatten();
            chosen.contains(name) || own.clone().all(|one| !one.running || self.serves(one))
        };
        loop {
            let late = chosen.iter().find(|name| {
                needed.get(**name).into_iter().flatten().any(|name| !is_there(name, &chosen))
            });
            let Some(late) = late.copied() else { break };
            chosen.remove(late);
        }
        let containers = |own: &Vec<&'w Wanted>| own.iter().map(|one| &one.container).collect();
        let chosen = chosen.into_iter().filter_map(|name| groups.get_key_value(name));
        chosen.map(|(name, own)| (name.clone(), containers(own))).collect()
    }

    /// Whether a service serves by new containers only, and both can run at the same time.
    fn can(&self, name: &ServiceName, own: &[&Wanted]) -> bool {
        let twice = |of: &Definition<'_>| {
            of.services.get(name).is_none_or(|one| only_once(one, &of.shared).is_none())
        };
        let kept = |one: &&&Wanted| {
            let now = self.snapshot.containers.get(&one.container.id);
            now.is_some_and(|now| matches!(now.place(), Place::Kept(_)))
        };
        self.to.services.contains_key(name)
            && !self.to.completes(name)
            && twice(self.to)
            && self.from.is_none_or(twice)
            && own.iter().all(|one| one.running && one.container.anonymous.is_empty())
            && own.iter().all(|one| kept(&one) || self.serves(one))
            && own.iter().any(|one| kept(&one))
            && self.brought.get(name).into_iter().flatten().any(|one| one.state.is_up())
    }

    /// Whether a container runs under the name that it serves by.
    fn serves(&self, wanted: &Wanted) -> bool {
        let now = self.snapshot.containers.get(&wanted.container.id);
        now.is_some_and(|now| now.place() == Place::Live && now.state.is_up())
    }
}

struct Beside<'a> {
    cx: &'a Context,
    backend: &'a Backend,
    to: &'a Definition<'a>,
    /// What goes with the rollback, by service.
    brought: BTreeMap<&'a ServiceName, Vec<&'a Container>>,
    /// The old containers of those that come back beside it.
    services: BTreeMap<ServiceName, Vec<&'a Container>>,
    /// Those that are left to the rest of the rollback.
    given_up: Mutex<BTreeSet<ServiceName>>,
}

impl Beside<'_> {
    async fn service(
        &self,
        stop: &Cancel,
        name: &ServiceName,
        mut needed: impl Iterator<Item = &ServiceName>,
    ) -> Result<()> {
        let Some(own) = self.services.get(name) else { return Ok(()) };
        let given_up = || self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        if needed.any(|needed| given_up().contains(needed)) {
            given_up().insert(name.clone());
            return Ok(());
        }
        let Err(error) = self.hand_back(stop, name, own).await else { return Ok(()) };
        given_up().insert(name.clone());
        let why = Chain(&error).to_string();
        self.cx.note(&format!("{name} comes back only after the new one is gone: {why}")).await
    }

    /// Each part is safe to repeat, and tells from what there is whether it was done.
    async fn hand_back(&self, stop: &Cancel, name: &ServiceName, own: &[&Container]) -> Result<()> {
        for old in own {
            check(stop)?;
            self.start(old).await?;
        }
        let mut well = self.wait(name, own, Patience::Declared).await?;
        for old in own {
            let now = self.find(old).await?;
            reveal(self.cx, self.backend, old, &now).await?;
        }
        if well {
            well = self.wait(name, own, Patience::OnePass).await?;
        }
        if well {
            drain(self.cx, self.backend, stop).await;
        }
        let brought = self.brought.get(name).into_iter().flatten();
        order::all(brought.clone().map(|one| self.set_aside(one))).await?;
        for old in own {
            self.give_name(old).await?;
        }
        order::all(brought.map(|one| remove(self.cx, self.backend, one))).await
    }

    /// Starts an old container without the names of its service.
    async fn start(&self, old: &Container) -> Result<()> {
        let engine = &self.backend.engine;
        let now = self.find(old).await?;
        let detail = || json!({ "container": old.id });
        let stops = now.state.running && stop_was_asked(&now, old);
        if stops {
            let stop = engine.stop(&old.id, now.grace());
            self.cx.effect("stop", &now.name, detail(), stop).await?;
        }
        if !same(&now.restart, &old.restart) {
            let set = engine.set_restart(&old.id, old.restart.clone());
            self.cx.effect("restart policy", &now.name, detail(), set).await?;
        }
        if now.state.is_up() && !stops {
            return Ok(());
        }
        for (network, attachment) in &old.networks {
            let is_attached = now.networks.get(network);
            // Where it has no names, there is nothing to hide.
            if !attachment.has_alias(old.service.as_str())
                || is_attached.is_some_and(|one| is_hidden(&now, one))
            {
                continue;
            }
            let endpoint = EndpointSettings {
                aliases: Some(vec![now.name.clone()]),
                ..attachment.endpoint.clone()
            };
            let reconnect = async {
                if is_attached.is_some() {
                    engine.disconnect(network, &old.id).await?;
                }
                engine.connect(network, &old.id, endpoint).await
            };
            let detail = json!({ "network": network, "names": "its own only" });
            self.cx.effect("reconnect", &now.name, detail, reconnect).await?;
        }
        self.cx.effect("start", &now.name, detail(), engine.start(&old.id)).await
    }

    /// Whether the old containers pass their check. What does not, comes back all the same: that it
    /// is proven is up to whoever asked for the rollback.
    async fn wait(
        &self,
        name: &ServiceName,
        own: &[&Container],
        patience: Patience,
    ) -> Result<bool> {
        let mut check = checks::of(self.backend, self.to, name)?;
        if patience == Patience::OnePass {
            check.timing.stability = Duration::ZERO;
        }
        if let Some(deadline) = self.cx.deadline() {
            // The rest of the rollback needs its time, too.
            let half = deadline.saturating_duration_since(Instant::now()) / 2;
            check.timing.deadline = Some(check.timing.boot_deadline().min(half));
        }
        let waits = own.iter().map(|old| {
            let endpoint = Endpoint::new(Role::Previous, name.clone(), old.id.clone());
            let check = &check;
            async move { wait_until_healthy(self.cx, check, &endpoint).await }
        });
        let results = try_join_all(waits).await?;
        let Some(sick) = results.into_iter().find(|one| !one.passed()) else { return Ok(true) };
        let why = sick.why.unwrap_or_else(|| "its check did not pass".to_owned());
        self.cx.note(&format!("{name} takes over again though it is not well: {why}")).await?;
        Ok(false)
    }

    /// Takes the name from a new container that serves.
    async fn set_aside(&self, new: &Container) -> Result<()> {
        let engine = &self.backend.engine;
        let Some(now) = engine.find_container(&new.id).await?.and_then(Container::new) else {
            return Ok(());
        };
        if now.place() != Place::Live {
            return Ok(());
        }
        let run = now.marks.run.as_deref().map(RunId::new).transpose()?;
        let aside = names::staged(&now.name, run.as_ref().unwrap_or(self.cx.run()));
        let detail = json!({ "to": aside, "container": new.id });
        self.cx.effect("set aside", &now.name, detail, engine.rename(&new.id, &aside)).await
    }

    async fn give_name(&self, old: &Container) -> Result<()> {
        let now = self.find(old).await?;
        if now.name == old.name {
            return Ok(());
        }
        let rename = self.backend.engine.rename(&old.id, &old.name);
        let detail = json!({ "container": old.id });
        self.cx.effect("put back", &now.name, detail, rename).await
    }

    async fn find(&self, old: &Container) -> Result<Container> {
        let found = self.backend.engine.find_container(&old.id).await?.and_then(Container::new);
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "bring back what served before",
                format!("container {} was removed by somebody else", old.name),
            )
        })
    }
}

#[cfg(test)]
mod tests;
