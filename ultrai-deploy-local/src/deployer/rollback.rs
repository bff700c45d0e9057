//! Going back: what was brought goes, what served before has the traffic again.

use std::cmp::Reverse;

use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    deployer::{Step, StepRecord, Work},
    name::ServiceName,
    release::Release,
};

use super::Deployer;
use crate::{host::sealed, instance::Instance, snapshot::Snapshot};

impl Deployer {
    pub(super) async fn go_back(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<()> {
        self.host.instances.sweep()?;
        let before = Snapshot::before_all(work, record)?;
        let order: Vec<_> = work.from.map(Release::in_dependency_order).unwrap_or_default();
        let mut brought = self.to_take_back(cx, work)?;
        brought.sort_by_key(|one| Reverse(order.iter().position(|name| **name == one.service)));
        for new in &brought {
            let old = match before.served(cx, &new.service) {
                Some(old) => self.host.instances.get(old)?.filter(Instance::is_up),
                None => None,
            };
            match old {
                Some(old) => self.publish(cx, &old).await?,
                None => self.unpublish(cx, &new.service, &new.id).await?,
            }
            self.remove(cx, &new.id).await?;
        }
        if let Some(to) = work.to {
            for name in to.in_dependency_order() {
                let there = self.candidate(cx, work, &before, to, name)?;
                let back = match there {
                    Some(there) if there.is_up() => there,
                    other => {
                        self.wait_in_rollback(cx, to, name).await?;
                        match other {
                            Some(stopped) => self.start_again(cx, to, stopped).await?,
                            None => self.bring(cx, Step::Rollback, to, name).await?,
                        }
                    }
                };
                self.publish(cx, &back).await?;
            }
        }
        self.serve(cx, work.to).await
    }

    /// What goes with a rollback.
    pub(super) fn to_take_back(&self, cx: &Context, work: &Work<'_>) -> Result<Vec<Instance>> {
        let mut all = self.host.instances.all()?;
        all.retain(|one| is_to_take_back(cx, work, one));
        Ok(all)
    }

    /// What is there of a service as a release wants it, best what served `before`; nothing that
    /// this run brought.
    fn candidate(
        &self,
        cx: &Context,
        work: &Work<'_>,
        before: &Snapshot,
        release: &Release,
        name: &ServiceName,
    ) -> Result<Option<Instance>> {
        let wanted = &sealed(release, name)?.spec_hash;
        let served = before.served(cx, name);
        let mut all = self.host.instances.all()?;
        all.retain(|one| {
            one.service == *name
                && one.spec_hash == *wanted
                && one.step.is_some()
                && !is_to_take_back(cx, work, one)
        });
        Ok(all.into_iter().max_by_key(|one| (Some(&one.id) == served, one.is_up())))
    }

    /// On the way back everything is started, well or not: the engine proves it afterwards.
    async fn wait_in_rollback(&self, cx: &Context, to: &Release, name: &ServiceName) -> Result<()> {
        match self.wait_for_needed(cx, to, name).await {
            Err(error) if error.kind() == ErrorKind::Unhealthy => {
                cx.note(&format!("{name} is started though what it needs is not well")).await
            }
            other => other,
        }
    }
}

/// Whether the run brought it, or one whose place it took.
fn is_to_take_back(cx: &Context, work: &Work<'_>, one: &Instance) -> bool {
    work.answers_for(cx.run(), &one.run) && one.is_brought_by(&one.run)
}
