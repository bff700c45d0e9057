//! What became of a step.

use ultrai_deploy_core::{
    Context, Result,
    deployer::{Observation, StepRecord, Work},
    plan::Action,
};

use super::{Deployer, bring::own, mark_of, target};
use crate::{definition, platform::Status, snapshot::Snapshot};

impl Deployer {
    pub(super) async fn observe_switch(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        if self.is_switched(cx, work, record).await? {
            return Ok(Observation::Done);
        }
        self.wait_for_the_unseen(cx).await?;
        let is_untouched = self.snapshot(cx, work).await? == Snapshot::read(record)?;
        Ok(judge(self.is_switched(cx, work, record).await?, is_untouched))
    }

    async fn is_switched(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<bool> {
        let to = target(work)?;
        let before = Snapshot::before_run(work, record)?;
        if self.releases.current().await? != mark_of(Some(to)) {
            return Ok(false);
        }
        for (name, service) in &to.services {
            let action = work.plan.services.get(name).map(|change| change.action);
            let Some(before) = before.slots.get(name).filter(|_| action != Some(Action::Keep))
            else {
                continue;
            };
            let seen = self.see(cx, &before.slot).await?;
            let wanted = definition::artifact(name, service)?;
            let own = own(&seen, before.newest.as_deref(), Some(&wanted));
            if seen.is_suspended || own.is_none_or(|own| own.status != Status::Live) {
                return Ok(false);
            }
        }
        for name in work.plan.with_action(Action::Remove) {
            if let Some(before) = before.slots.get(name)
                && self.see(cx, &before.slot).await?.live().is_some()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) async fn observe_rollback(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        let before = Snapshot::before_all(work, record)?;
        let began = Snapshot::before_rollback(work, record)?;
        let now = self.snapshot(cx, work).await?;
        let mut is_done = now.marked == mark_of(work.to);
        for (name, before) in &before.slots {
            let seen = self.see(cx, &before.slot).await?;
            let newest = began.slots.get(name).and_then(|slot| slot.newest.as_deref());
            let is_stopped = !seen.since(before.newest.as_deref()).any(|one| one.status.is_open());
            let is_back = match &before.live {
                None => seen.live().is_none(),
                Some(old) => {
                    let again = own(&seen, newest, old.artifact.as_ref());
                    seen.live().is_some_and(|live| live.id == old.id || Some(live) == again)
                }
            };
            let is_set = now.slots.get(name).is_some_and(|now| {
                now.variables == before.variables
                    && now.files == before.files
                    && now.configured == before.configured
                    && now.settings == before.settings
            });
            is_done &= is_stopped && is_back && is_set;
            let formers = self.formers(work, name).await?;
            is_done = is_done
                && (!formers.iter().any(|former| former.maintenance)
                    || self.platform.maintenance(cx, &before.slot).await? != Some(true));
            // A push would bring back what failed.
            is_done = is_done && !self.deploys_itself(cx, &before.slot).await?;
        }
        Ok(judge(is_done, now == Snapshot::read(record)?))
    }
}

/// What is under way is part of the step: taken up again, it is followed or stopped.
fn judge(is_done: bool, is_untouched: bool) -> Observation {
    match (is_done, is_untouched) {
        (true, _) => Observation::Done,
        (false, true) => Observation::NotDone,
        (false, false) => Observation::Partial,
    }
}
