//! What became of a step whose result is not known. Looks only.

use std::time::Duration;

use bollard::models::RestartPolicy;
use ultrai_deploy_core::{
    context::Context,
    deployer::{Observation, Step, StepRecord, Work},
    error::Result,
    plan::Action,
    release::Release,
};

use super::{
    restore::{same, served, wanted},
    retire::removable,
    stage::{action, startable},
    target,
};
use crate::{
    backend::Backend,
    definition::Definition,
    labels, names,
    names::Place,
    record::Record,
    snapshot::{Container, Snapshot},
};

/// How long a request of a driver that died may still be on its way into the engine. The engine
/// goes on with a request whose connection is closed.
pub(super) const SETTLE: Duration = Duration::from_secs(1);

pub(super) async fn observe(
    cx: &Context,
    backend: &Backend,
    step: Step,
    work: &Work<'_>,
    record: &StepRecord,
) -> Result<Observation> {
    let seen = look(cx, backend, step, work, record).await?;
    if seen != Observation::NotDone {
        return Ok(seen);
    }
    tokio::time::sleep(SETTLE).await;
    cx.check()?;
    look(cx, backend, step, work, record).await
}

async fn look(
    cx: &Context,
    backend: &Backend,
    step: Step,
    work: &Work<'_>,
    own: &StepRecord,
) -> Result<Observation> {
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    let record = &match step {
        Step::Rollback => Record::before_all(work, own)?,
        _ => Record::before_run(work, own)?,
    };
    let seen = match step {
        Step::Stage => stage(cx, backend, work, record, &snapshot, target(work)?).await?,
        Step::Switch => switch(cx, backend, work, record, &snapshot, target(work)?).await?,
        Step::Retire => retire(cx, backend, record, &snapshot).await?,
        Step::Rollback => rollback(cx, backend, work, record, &snapshot).await?,
        _ => Observation::Partial,
    };
    if step == Step::Rollback && seen == Observation::Partial {
        let current = backend.releases.current().await?;
        let untouched = Record::is_untouched(own, &snapshot, current)?;
        return Ok(if untouched { Observation::NotDone } else { seen });
    }
    Ok(seen)
}

async fn stage(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    record: &Record,
    snapshot: &Snapshot,
    to: &Release,
) -> Result<Observation> {
    let definition = Definition::read(to)?;
    let startable = startable(work.plan, &definition, record);
    let mut done = true;
    for (name, service) in &definition.services {
        if action(work.plan, name) == Some(Action::Keep) {
            continue;
        }
        done &= (1..=service.replicas()).all(|number| {
            snapshot
                .brought_for(cx.run(), name, number)
                .is_some_and(|one| !startable.contains(*name) || !one.state.started_at.is_empty())
        });
    }
    let any = snapshot.brought(cx.run()).next().is_some() || made_networks(cx, backend).await?;
    Ok(match (done, any) {
        (true, true) => Observation::Done,
        // Nothing was to be staged, and nothing was.
        (true, false) if work.plan.keeps_all_services() => Observation::Done,
        (_, true) => Observation::Partial,
        (_, false) => Observation::NotDone,
    })
}

async fn made_networks(cx: &Context, backend: &Backend) -> Result<bool> {
    let wanted = [labels::filter(labels::RUN, cx.run().as_str())];
    Ok(!backend.engine.networks(&wanted).await?.is_empty())
}

async fn switch(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    record: &Record,
    snapshot: &Snapshot,
    to: &Release,
) -> Result<Observation> {
    let replaced = |one: &&Container| action(work.plan, &one.service) != Some(Action::Keep);
    let current = backend.releases.current().await?;
    let old_is_live =
        || record.before.iter().filter(replaced).any(|one| is_untouched(one, snapshot));
    // The link is flipped last.
    if current.as_ref() == Some(&to.id) && !old_is_live() {
        return Ok(Observation::Done);
    }
    let touched = record.before.iter().filter(replaced).any(|one| !is_untouched(one, snapshot));
    let revealed = snapshot.brought(cx.run()).any(|one| {
        one.place() == Place::Live
            || (action(work.plan, &one.service) == Some(Action::StartFirst)
                && one.networks.values().any(|on| on.has_alias(one.service.as_str())))
            || (action(work.plan, &one.service) == Some(Action::StopFirst)
                && !one.state.started_at.is_empty())
    });
    let untouched = current == record.current && !touched && !revealed;
    Ok(if untouched { Observation::NotDone } else { Observation::Partial })
}

/// Whether an old container is as the record describes it.
fn is_untouched(old: &Container, snapshot: &Snapshot) -> bool {
    snapshot.containers.get(&old.id).is_some_and(|now| {
        now.name == old.name
            && same(&now.restart, &old.restart)
            && now.state.running == old.state.running
    })
}

async fn retire(
    cx: &Context,
    backend: &Backend,
    record: &Record,
    snapshot: &Snapshot,
) -> Result<Observation> {
    let guard = backend.engine.find_container(&names::guard(&cx.target().project)).await?;
    let left = removable(record, snapshot).count();
    let gone = record
        .before
        .iter()
        .map(|one| &one.id)
        .chain(record.leftovers.iter().map(|one| &one.id))
        .any(|id| !snapshot.containers.contains_key(id));
    Ok(match (left, gone) {
        (0, _) if guard.is_none() => Observation::Done,
        (0, _) | (_, true) => Observation::Partial,
        (_, false) => Observation::NotDone,
    })
}

async fn rollback(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    record: &Record,
    snapshot: &Snapshot,
) -> Result<Observation> {
    let pending = snapshot.to_take_back(cx.run(), work).next().is_some()
        || made_networks(cx, backend).await?;
    let guard = backend.engine.find_container(&names::guard(&cx.target().project)).await?;
    if pending || guard.is_some() {
        return Ok(Observation::Partial);
    }
    let Some(to) = work.to else { return Ok(Observation::Done) };
    let definition = Definition::read(to)?;
    let back = wanted(record, snapshot, &definition)?;
    let restored = back.iter().all(|wanted| {
        let policy = |now: &Container| -> bool {
            let expected: &RestartPolicy = &wanted.container.restart;
            same(&now.restart, expected)
        };
        snapshot.containers.get(&wanted.container.id).is_some_and(|now| {
            now.name == wanted.container.name
                && policy(now)
                && (!wanted.running || now.state.is_up())
        })
    });
    Ok(if restored && served(record, to) { Observation::Done } else { Observation::Partial })
}
