//! Rollback: what the run brought goes, what served before comes back.

use std::collections::BTreeMap;

use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    deployer::{Step, StepRecord, Work},
    error::{Error, ErrorKind, Result},
    name::ServiceName,
    plan::{Action, Change, Plan},
    release::{Origin, Release},
};

use super::{
    beside,
    observe::SETTLE,
    restore::{restore, served, wanted},
    set_current,
    stage::{action, create_all},
    switch::keep,
};
use crate::{
    backend::Backend,
    definition::Definition,
    engine::Anonymous,
    guard, network, order,
    order::Dependencies,
    record::Record,
    snapshot::{Container, Snapshot},
    volume,
};

pub(super) async fn rollback(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    record: &StepRecord,
) -> Result<()> {
    let record = Record::before_all(work, record)?;
    guard::take(cx, backend, &[work.to, work.from]).await?;
    set_current(cx, backend, work.to).await?;
    let arriving = may_still_arrive(cx, backend, work).await?;
    if let Some(to) = work.to {
        beside::bring_back(cx, backend, work, &Definition::read(to)?, &record).await?;
    }
    remove_brought(cx, backend, work).await?;
    match work.to {
        Some(to) => bring_back(cx, backend, to, &record).await?,
        // A first deploy takes over nothing; what it found stopped is as it was.
        None => put_back_stopped(cx, backend, &record).await?,
    }
    if arriving {
        tokio::time::sleep(SETTLE).await;
        remove_brought(cx, backend, work).await?;
    }
    network::remove_created(cx, backend, work).await?;
    let volumes = volume::created(cx, backend).await?;
    if !volumes.is_empty() {
        cx.note(&format!("left in place: volume {}", volumes.join(", volume "))).await?;
    }
    guard::release(cx, backend).await
}

/// Whether a driver may have died while it asked for a container: one of those that it was to
/// create is not there. Whatever is still on its way into the engine is waited for at the end, when
/// nobody waits for the old release any more.
async fn may_still_arrive(cx: &Context, backend: &Backend, work: &Work<'_>) -> Result<bool> {
    let Some(from) = work.from else { return Ok(false) };
    if work.plan.unchanged {
        return Ok(false);
    }
    let definition = Definition::read(from)?;
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    Ok(definition.services.iter().any(|(name, service)| {
        action(work.plan, name) != Some(Action::Keep)
            && (1..=service.replicas())
                .any(|number| snapshot.brought_for(cx.run(), name, number).is_none())
    }))
}

/// Removes what this run created for the new release, and those whose place it took for theirs,
/// dependents first.
async fn remove_brought(cx: &Context, backend: &Backend, work: &Work<'_>) -> Result<()> {
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    let mut brought: BTreeMap<ServiceName, Vec<&Container>> = BTreeMap::new();
    for container in snapshot.to_take_back(cx.run(), work) {
        brought.entry(container.service.clone()).or_default().push(container);
    }
    let forwards = work.from.map(Definition::read).transpose()?.map(|one| one.dependencies());
    let mut backwards: Dependencies = order::reversed(&forwards.unwrap_or_default());
    for name in brought.keys() {
        backwards.entry(name.clone()).or_default();
    }
    let brought = &brought;
    order::run(&backwards, backend.config.parallel, |name, _stop| async move {
        let own = brought.get(&name).into_iter().flatten();
        order::all(own.map(|one| remove(cx, backend, one))).await
    })
    .await
}

/// Stops and removes a container that a run brought.
pub(super) async fn remove(cx: &Context, backend: &Backend, one: &Container) -> Result<()> {
    let detail = || json!({ "container": one.id });
    if one.state.running || one.state.restarting {
        let stop = backend.engine.stop(&one.id, one.grace());
        cx.effect("stop", &one.name, detail(), stop).await?;
    }
    let remove = backend.engine.remove(&one.id, Anonymous::Remove);
    cx.effect("remove", &one.name, detail(), remove).await
}

async fn bring_back(cx: &Context, backend: &Backend, to: &Release, record: &Record) -> Result<()> {
    let definition = Definition::read(to)?;
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    let wanted = wanted(record, &snapshot, &definition)?;
    if !served(record, to) {
        let others = snapshot.live().filter(|one| {
            !one.is_made_by(cx.run()) && wanted.iter().all(|wanted| wanted.container.id != one.id)
        });
        order::all(others.map(|one| keep(cx, backend, one))).await?;
    }
    let missing = restore(cx, backend, &definition, &wanted).await?;
    let lost = |name: &ServiceName| {
        missing.iter().any(|one| one.service == *name)
            || wanted.iter().all(|one| one.container.service != *name)
    };
    let lost: Vec<_> = to.services.keys().filter(|name| lost(name)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    if to.origin == Origin::Adopted {
        let names: Vec<_> = lost.iter().map(|name| name.as_str()).collect();
        return Err(Error::new(
            ErrorKind::NotFound,
            "bring back what served before",
            format!("the containers of {} were removed by somebody else", names.join(", ")),
        )
        .with_advice(
            "they were not made by this program: start them as they were started before",
        ));
    }
    recreate(cx, backend, &definition, record, &lost).await
}

/// Brings services of a stored release up again whose containers are gone.
async fn recreate(
    cx: &Context,
    backend: &Backend,
    definition: &Definition<'_>,
    record: &Record,
    lost: &[&ServiceName],
) -> Result<()> {
    let services = definition.services.keys().map(|name| {
        let action = if lost.contains(name) { Action::Create } else { Action::Keep };
        ((*name).clone(), Change { action, reason: "its containers are gone".to_owned() })
    });
    let plan = Plan {
        from: None,
        to: definition.release.id.clone(),
        services: services.collect(),
        resources: Vec::new(),
        not_undoable: Vec::new(),
        unchanged: false,
    };
    let rollout = create_all(cx, backend, definition, &plan, record, Step::Rollback).await?;
    let rollout = &rollout;
    order::run(&definition.dependencies(), backend.config.parallel, |name, stop| async move {
        if lost.contains(&&name) {
            rollout.rename(&stop, &name).await?;
            rollout.start(&stop, &name).await?;
        }
        Ok(())
    })
    .await
}

/// Gives containers that were there before a first deploy, but served nothing, their names back.
async fn put_back_stopped(cx: &Context, backend: &Backend, record: &Record) -> Result<()> {
    for old in &record.before {
        let found = backend.engine.find_container(&old.id).await?.and_then(Container::new);
        if let Some(now) = found.filter(|now| now.name != old.name) {
            let rename = backend.engine.rename(&old.id, &old.name);
            let detail = json!({ "container": old.id });
            cx.effect("put back", &now.name, detail, rename).await?;
        }
    }
    Ok(())
}
