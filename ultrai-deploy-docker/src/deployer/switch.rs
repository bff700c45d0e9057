//! Switch: the new containers get the traffic, the old ones are stopped and kept.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::sync::Mutex;
use ultrai_deploy_core::{
    Cancel,
    context::Context,
    deployer::{Step, StepRecord, Work},
    error::Result,
    health::Role,
    name::ServiceName,
    plan::{Action, Plan},
};

use super::{
    rollout::{Patience, Rollout, check, drain},
    set_current,
    stage::{action, create_all, is_awaited},
    target,
};
use crate::{
    backend::Backend, definition::Definition, guard, names, order, record::Record,
    snapshot::Container,
};

pub(super) async fn switch(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    record: &StepRecord,
) -> Result<()> {
    if work.plan.unchanged {
        return Ok(());
    }
    let to = target(work)?;
    let definition = Definition::read(to)?;
    let record = Record::before_run(work, record)?;
    guard::take(cx, backend, &[work.to, work.from]).await?;
    let rollout = create_all(cx, backend, &definition, work.plan, &record, Step::Switch).await?;
    let switch = Switch {
        rollout: &rollout,
        plan: work.plan,
        old: record.before.iter().map(|one| (one.id.as_str(), (one, Mutex::new(())))).collect(),
    };
    let one = &switch;
    let dependencies = definition.dependencies();
    order::run(&dependencies, backend.config.parallel, |name, stop| async move {
        one.service(&stop, &name).await
    })
    .await?;
    switch.keep_removed().await?;
    for name in definition.services.keys() {
        if action(work.plan, name) != Some(Action::Keep) {
            rollout.check_running(name).await?;
        }
    }
    set_current(cx, backend, Some(to)).await
}

struct Switch<'a> {
    rollout: &'a Rollout<'a>,
    plan: &'a Plan,
    /// The containers from before the run. Two services may want the same one out of the way.
    old: BTreeMap<&'a str, (&'a Container, Mutex<()>)>,
}

impl Switch<'_> {
    async fn service(&self, stop: &Cancel, name: &ServiceName) -> Result<()> {
        let rollout = self.rollout;
        match action(self.plan, name) {
            Some(Action::Create | Action::StopFirst) => {
                self.make_way(stop, name).await?;
                rollout.rename(stop, name).await?;
                rollout.start(stop, name).await?;
            }
            Some(Action::StartFirst) => self.start_first(stop, name).await?,
            _ => {}
        }
        let is_brought =
            |dependent: &ServiceName| action(self.plan, dependent) != Some(Action::Keep);
        if is_awaited(rollout.definition, name, is_brought) {
            rollout.wait(stop, name, Role::Live, Patience::Declared).await?;
        }
        Ok(())
    }

    /// Proves the new containers without traffic, gives them the service's names, looks again,
    /// lets the old ones serve on for a moment, and keeps them.
    async fn start_first(&self, stop: &Cancel, name: &ServiceName) -> Result<()> {
        let rollout = self.rollout;
        let completes = rollout.definition.completes(name);
        let unproven = rollout.start(stop, name).await?;
        if !completes {
            let patience = if unproven { Patience::Declared } else { Patience::OnePass };
            rollout.wait(stop, name, Role::Staged, patience).await?;
            rollout.reveal(stop, name).await?;
            rollout.wait(stop, name, Role::Staged, Patience::OnePass).await?;
            self.drain(stop, name).await?;
        }
        self.make_way(stop, name).await?;
        rollout.rename(stop, name).await
    }

    /// Lets old containers that still serve do so for a moment more.
    async fn drain(&self, stop: &Cancel, name: &ServiceName) -> Result<()> {
        let engine = &self.rollout.backend.engine;
        for (old, _) in self.old.values().filter(|(old, _)| old.service == *name) {
            let now = engine.find_container(&old.id).await?.and_then(Container::new);
            if now.is_some_and(|now| now.state.is_up()) {
                drain(self.rollout.cx, self.rollout.backend, stop).await;
                break;
            }
        }
        Ok(())
    }

    /// Keeps the old containers of a service, and those that have what it needs.
    async fn make_way(&self, stop: &Cancel, name: &ServiceName) -> Result<()> {
        let claims = self.rollout.definition.claims(name);
        let in_the_way = self.old.values().filter(|(old, _)| {
            let stays = action(self.plan, &old.service) == Some(Action::Keep);
            let excluded =
                || old.claims().any(|held| claims.iter().any(|claim| claim.excludes(&held)));
            !stays && (old.service == *name || excluded())
        });
        let keeping = in_the_way.map(|(old, lock)| async move {
            check(stop)?;
            let _alone = lock.lock().await;
            keep(self.rollout.cx, self.rollout.backend, old).await
        });
        order::all(keeping).await
    }

    async fn keep_removed(&self) -> Result<()> {
        let removed = self
            .old
            .values()
            .filter(|(old, _)| action(self.plan, &old.service) == Some(Action::Remove));
        let keeping = removed.map(|(old, _)| keep(self.rollout.cx, self.rollout.backend, old));
        order::all(keeping).await
    }
}

/// Puts an old container aside: under another name, stopped, not started again by the engine.
/// Idempotent; one that is gone is fine.
///
/// The name comes first, so that a stop that was cut off can be told from one that never began.
pub(super) async fn keep(cx: &Context, backend: &Backend, old: &Container) -> Result<()> {
    let engine = &backend.engine;
    let Some(now) = engine.find_container(&old.id).await?.and_then(Container::new) else {
        return Ok(());
    };
    let kept = names::kept(names::base(&old.name), cx.run());
    if now.name != kept {
        let detail = json!({ "to": kept, "container": old.id });
        cx.effect("set aside", &now.name, detail, engine.rename(&old.id, &kept)).await?;
    }
    if now.restarts() || now.state.running || now.state.restarting {
        let stop = async {
            if now.restarts() {
                engine.set_restart(&old.id, no_restart()).await?;
            }
            engine.stop(&old.id, now.grace()).await
        };
        cx.effect("stop", &kept, json!({ "container": old.id }), stop).await?;
    }
    Ok(())
}

fn no_restart() -> bollard::models::RestartPolicy {
    crate::container::host::restart(crate::compose::model::Restart::No)
}
