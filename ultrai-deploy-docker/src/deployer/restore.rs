//! Putting old containers back: their names, restart policies and networks, running again.

use std::{collections::BTreeMap, sync::Mutex};

use bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use serde_json::json;
use ultrai_deploy_core::{
    Cancel,
    context::Context,
    error::{Error, Result},
    health::{Endpoint, Role},
    name::ServiceName,
    release::{Origin, Release},
    waiting::wait_until_healthy,
};

use super::rollout::check;
use crate::{
    backend::Backend,
    checks,
    compose::model::Condition,
    container::host,
    definition::Definition,
    evidence,
    names::{self, Place},
    order::{self, Dependencies},
    record::Record,
    snapshot::{Attachment, Container, Snapshot},
};

/// A container of the release that comes back, as it shall be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) container: Container,
    /// Whether it shall run.
    pub(super) running: bool,
}

/// The containers of what served before the run: those that the record names, or, where it served
/// another release than `to`, those that earlier runs have kept of it.
pub(super) fn wanted(
    record: &Record,
    snapshot: &Snapshot,
    to: &Definition<'_>,
) -> Result<Vec<Wanted>> {
    let release = to.release;
    if served(record, release) {
        return Ok(record
            .before
            .iter()
            .map(|one| Wanted {
                container: one.clone(),
                running: one.state.running || one.state.restarting,
            })
            .collect());
    }
    let mut found = BTreeMap::new();
    for container in snapshot.containers.values() {
        let sealed = release.services.get(&container.service);
        let fits = sealed
            .is_some_and(|sealed| container.marks.spec_hash.as_ref() == Some(&sealed.spec_hash));
        if !fits || matches!(container.place(), Place::Staged(_)) {
            continue;
        }
        let service = to.service(&container.service)?;
        let mut as_it_was = container.clone();
        names::base(&container.name).clone_into(&mut as_it_was.name);
        as_it_was.restart = service.restart.map(host::restart).unwrap_or_default();
        let running = !to.completes(&container.service);
        found.insert(
            (container.service.clone(), container.number),
            Wanted { container: as_it_was, running },
        );
    }
    Ok(found.into_values().collect())
}

/// Whether `release` is what served before the run.
pub(super) fn served(record: &Record, release: &Release) -> bool {
    match release.origin {
        Origin::Adopted => {
            record.current.is_none() || record.before.iter().all(|one| one.marks.release.is_none())
        }
        _ => record.current.as_ref() == Some(&release.id),
    }
}

/// Puts containers back in dependency order. One that cannot come back does not keep the others
/// from it. Returns the ids of those that are gone.
///
/// # Errors
/// The first failure, after all were tried.
pub(super) async fn restore(
    cx: &Context,
    backend: &Backend,
    to: &Definition<'_>,
    wanted: &[Wanted],
) -> Result<Vec<Container>> {
    let restore =
        Restore { cx, backend, to, wanted, missing: Mutex::default(), failure: Mutex::default() };
    let one = &restore;
    order::run(&dependencies(wanted), backend.config.parallel, |name, stop| async move {
        if let Err(error) = one.service(&stop, &name).await {
            hold(&one.failure).get_or_insert(error);
        }
        Ok(())
    })
    .await?;
    match restore.failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *hold(&restore.missing))),
    }
}

/// What the containers themselves say that they depend on.
pub(super) fn dependencies(wanted: &[Wanted]) -> Dependencies {
    let mut dependencies = Dependencies::new();
    for Wanted { container, .. } in wanted {
        let needed = dependencies.entry(container.service.clone()).or_default();
        let names = container.marks.depends_on.keys();
        needed.extend(names.filter_map(|name| ServiceName::new(name.as_str()).ok()));
    }
    dependencies
}

struct Restore<'a> {
    cx: &'a Context,
    backend: &'a Backend,
    to: &'a Definition<'a>,
    wanted: &'a [Wanted],
    missing: Mutex<Vec<Container>>,
    failure: Mutex<Option<Error>>,
}

impl Restore<'_> {
    async fn service(&self, stop: &Cancel, name: &ServiceName) -> Result<()> {
        let own = || self.wanted.iter().filter(|one| one.container.service == *name);
        let mut started = false;
        for wanted in own() {
            check(stop)?;
            started |= self.container(wanted).await?;
        }
        let is_awaited = self
            .wanted
            .iter()
            .filter_map(|one| one.container.marks.depends_on.get(name.as_str()))
            .any(|condition| *condition == Condition::Healthy);
        if !started || !is_awaited || !self.to.services.contains_key(name) {
            return Ok(());
        }
        let check = checks::of(self.backend, self.to, name)?;
        for wanted in own().filter(|one| one.running) {
            let id = wanted.container.id.clone();
            let endpoint = Endpoint::new(Role::Live, name.clone(), id);
            let result = wait_until_healthy(self.cx, &check, &endpoint).await?;
            if !result.passed() {
                let seen = evidence::collect(self.backend, &endpoint).await;
                return Err(result.into_error(&check).with_evidence(seen));
            }
        }
        Ok(())
    }

    /// Puts one container back; tells whether it was started.
    async fn container(&self, wanted: &Wanted) -> Result<bool> {
        let old = &wanted.container;
        let engine = &self.backend.engine;
        let Some(now) = engine.find_container(&old.id).await?.and_then(Container::new) else {
            hold(&self.missing).push(old.clone());
            return Ok(false);
        };
        let detail = || json!({ "container": old.id });
        // Asking for it again waits until it is over.
        let stop_was_asked = stop_was_asked(&now, old);
        reveal(self.cx, self.backend, old, &now).await?;
        if now.state.running && stop_was_asked && wanted.running {
            let stop = engine.stop(&old.id, now.grace());
            self.cx.effect("stop", &old.name, detail(), stop).await?;
        }
        if !same(&now.restart, &old.restart) {
            let set = engine.set_restart(&old.id, old.restart.clone());
            self.cx.effect("restart policy", &old.name, detail(), set).await?;
        }
        let starts = wanted.running && (stop_was_asked || !now.state.is_up());
        if starts {
            self.cx.effect("start", &old.name, detail(), engine.start(&old.id)).await?;
        }
        // Last, since the name it was given when it was set aside tells that it was.
        if now.name != old.name {
            let rename = engine.rename(&old.id, &old.name);
            self.cx.effect("put back", &now.name, detail(), rename).await?;
        }
        Ok(starts)
    }
}

/// Whether a stop that a driver asked for before it died may still be under way: the engine waits for
/// the process to end and would end what is started meanwhile.
pub(super) fn stop_was_asked(now: &Container, old: &Container) -> bool {
    let returns = now.networks.values().any(|one| is_hidden(now, one));
    matches!(now.place(), Place::Kept(_))
        && !returns
        && (!old.restarts() || !same(&now.restart, &old.restart))
}

/// Whether a kept container is on a network without the names of its service: it was stopped, and
/// is about to come back beside the new one.
pub(super) fn is_hidden(now: &Container, on: &Attachment) -> bool {
    matches!(now.place(), Place::Kept(_)) && on.has_alias(&now.name)
}

/// Gives a container the names back that it had on its networks.
pub(super) async fn reveal(
    cx: &Context,
    backend: &Backend,
    old: &Container,
    now: &Container,
) -> Result<()> {
    let engine = &backend.engine;
    for (network, attachment) in &old.networks {
        let is_attached = now.networks.get(network);
        if is_attached.is_some_and(|one| !is_hidden(now, one)) {
            continue;
        }
        let connect = async {
            if is_attached.is_some() {
                engine.disconnect(network, &old.id).await?;
            }
            engine.connect(network, &old.id, attachment.endpoint.clone()).await
        };
        cx.effect("connect", &old.name, json!({ "network": network }), connect).await?;
    }
    Ok(())
}

/// Whether two restart policies mean the same; the engine shows "none" in two ways.
pub(super) fn same(one: &RestartPolicy, other: &RestartPolicy) -> bool {
    let name = |policy: &RestartPolicy| match policy.name {
        None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO) => None,
        name => name,
    };
    name(one) == name(other)
        && one.maximum_retry_count.unwrap_or(0) == other.maximum_retry_count.unwrap_or(0)
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
