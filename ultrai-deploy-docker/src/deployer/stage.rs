//! Stage: everything is created, and what can run beside the old release is started.
//!
//! Services that must stop first are created here too, not started: whatever the engine refuses
//! about them is known before anything stops.

use std::collections::BTreeSet;

use ultrai_deploy_core::{
    context::Context,
    deployer::{Step, StepRecord, Work},
    error::Result,
    health::Role,
    name::ServiceName,
    plan::{Action, Plan},
};

use super::{
    create::Visibility,
    rollout::{Patience, Rollout},
    target,
};
use crate::{
    backend::Backend,
    compose::model::Condition,
    definition::Definition,
    guard, network, order,
    plan::staged,
    record::Record,
    snapshot::{Container, Snapshot},
    volume,
};

pub(super) async fn stage(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    record: &StepRecord,
) -> Result<()> {
    if work.plan.unchanged {
        return Ok(());
    }
    let definition = Definition::read(target(work)?)?;
    let record = Record::before_run(work, record)?;
    guard::take(cx, backend, &[work.to, work.from]).await?;
    let rollout = create_all(cx, backend, &definition, work.plan, &record, Step::Stage).await?;
    tell_ignored(cx, backend, &definition).await?;
    let staged: BTreeSet<_> = startable(work.plan, &definition, &record);
    let dependencies = definition.dependencies();
    let (rollout, staged) = (&rollout, &staged);
    order::run(&dependencies, backend.config.parallel, |name, stop| async move {
        if !staged.contains(&name) {
            return Ok(());
        }
        rollout.start(&stop, &name).await?;
        if is_awaited(rollout.definition, &name, |dependent| staged.contains(dependent)) {
            rollout.wait(&stop, &name, Role::Staged, Patience::Declared).await?;
        }
        Ok(())
    })
    .await
}

/// Creates networks, volumes and all containers that are to be brought. Idempotent.
pub(super) async fn create_all<'a>(
    cx: &'a Context,
    backend: &'a Backend,
    definition: &'a Definition<'a>,
    plan: &Plan,
    record: &Record,
    step: Step,
) -> Result<Rollout<'a>> {
    network::ensure(cx, backend, definition, step).await?;
    volume::ensure(cx, backend, definition, step).await?;
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    let rollout = Rollout::new(cx, backend, definition, step, &snapshot).await?;
    let is_kept = |one: &&Container| action(plan, &one.service) == Some(Action::Keep);
    rollout.use_existing(snapshot.live().filter(is_kept));
    let dependencies = definition.dependencies();
    let making = &rollout;
    order::run(&dependencies, backend.config.parallel, |name, stop| async move {
        let old: Vec<_> = record.of(&name).collect();
        match action(plan, &name) {
            Some(Action::Create) => making.create(&stop, &name, Visibility::Visible, &[]).await,
            Some(Action::StartFirst) if making.definition.completes(&name) => {
                making.create(&stop, &name, Visibility::Visible, &[]).await
            }
            Some(Action::StartFirst) => making.create(&stop, &name, Visibility::Hidden, &[]).await,
            Some(Action::StopFirst) => making.create(&stop, &name, Visibility::Visible, &old).await,
            _ => Ok(()),
        }
    })
    .await?;
    Ok(rollout)
}

pub(super) fn action(plan: &Plan, name: &ServiceName) -> Option<Action> {
    plan.services.get(name).map(|change| change.action)
}

/// Of the services that could be staged, those that need nothing that an old container has, and
/// whose dependencies are the same.
pub(super) fn startable(
    plan: &Plan,
    definition: &Definition<'_>,
    record: &Record,
) -> BTreeSet<ServiceName> {
    let mut staged_now = BTreeSet::new();
    for name in staged(plan, definition) {
        let is_new = action(plan, &name) == Some(Action::Create);
        let claims = definition.claims(&name);
        let blocked = is_new
            && record
                .before
                .iter()
                .flat_map(Container::claims)
                .any(|held| claims.iter().any(|claim| claim.excludes(&held)));
        let ready = definition.depends_on(&name).all(|(needed, _)| {
            action(plan, needed) == Some(Action::Keep) || staged_now.contains(needed)
        });
        if ready && !blocked {
            staged_now.insert(name);
        }
    }
    staged_now
}

/// Whether one of the services that are being brought waits for more than the start of `name`.
pub(super) fn is_awaited(
    definition: &Definition<'_>,
    name: &ServiceName,
    is_brought: impl Fn(&ServiceName) -> bool,
) -> bool {
    definition.services.keys().filter(|dependent| is_brought(dependent)).any(|dependent| {
        definition.depends_on(dependent).any(|(needed, dependency)| {
            needed == name && dependency.condition != Condition::Started
        })
    })
}

/// Tells what the compose file says and the engine cannot do: for a mounted file, as compose does,
/// and for the labels of what exists.
async fn tell_ignored(cx: &Context, backend: &Backend, definition: &Definition<'_>) -> Result<()> {
    let mut labels = network::missing_labels(backend, &definition.shared).await?;
    labels.extend(volume::missing_labels(backend, &definition.shared).await?);
    if !labels.is_empty() {
        let labels = labels.join(", ");
        cx.note(&format!("not set, since the engine cannot relabel what exists: {labels}")).await?;
    }
    for (name, service) in &definition.services {
        let files = service.secrets.iter().chain(&service.configs);
        for file in
            files.filter(|file| file.uid.is_some() || file.gid.is_some() || file.mode.is_some())
        {
            let message = format!(
                "{name}: uid, gid and mode of {} are not used; it has those of its file",
                file.source
            );
            cx.note(&message).await?;
        }
    }
    Ok(())
}
