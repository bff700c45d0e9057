//! How far a step got, seen from what is there.

use ultrai_deploy_core::{
    Context, Result,
    deployer::{Observation, Step, StepRecord, Work},
    name::ServiceName,
    release::Release,
};

use super::Deployer;
use crate::{instance::Instance, plan, snapshot::Snapshot};

impl Deployer {
    /// Whether a release has all the traffic, and nothing else has any.
    pub(super) async fn serves(&self, release: &Release) -> Result<bool> {
        let live = self.host.live()?;
        let same = live.len() == release.services.len()
            && live.iter().all(|(name, one)| {
                let wanted = release.services.get(name);
                wanted.is_some_and(|wanted| wanted.spec_hash == one.spec_hash) && one.is_up()
            });
        Ok(same && self.host.releases.current().await?.as_ref() == Some(&release.id))
    }

    pub(super) fn observe_stage(
        &self,
        cx: &Context,
        work: &Work<'_>,
        to: &Release,
    ) -> Result<Observation> {
        let brought = self.brought(cx)?;
        let wanted = plan::staged(work.plan, to);
        let runs =
            |name: &&&ServiceName| brought.iter().any(|one| one.service == ***name && one.is_up());
        if wanted.iter().filter(runs).count() == wanted.len() {
            return Ok(Observation::Done);
        }
        Ok(if brought.is_empty() { Observation::NotDone } else { Observation::Partial })
    }

    pub(super) async fn observe_switch(
        &self,
        cx: &Context,
        before: &Snapshot,
        to: &Release,
    ) -> Result<Observation> {
        if self.serves(to).await? {
            return Ok(Observation::Done);
        }
        let now = Snapshot::of(&self.host).await?;
        let began = self.brought(cx)?.iter().any(|one| one.step == Some(Step::Switch));
        let untouched = !began
            && now.serving == before.serving
            && now.traffic == before.traffic
            && before.traffic.values().all(|id| now.instances.get(id) == before.instances.get(id));
        Ok(if untouched { Observation::NotDone } else { Observation::Partial })
    }

    pub(super) fn observe_retire(&self, record: &StepRecord) -> Result<Observation> {
        let kept = self.unpublished()?;
        if kept.is_empty() {
            return Ok(Observation::Done);
        }
        let then = Snapshot::read(record)?;
        let gone = then.instances.keys().any(|id| !kept.contains(id) && !then.holds(id));
        Ok(if gone { Observation::Partial } else { Observation::NotDone })
    }

    pub(super) async fn observe_rollback(
        &self,
        cx: &Context,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        let back = match work.to {
            Some(to) => self.serves(to).await?,
            None => self.host.live()?.is_empty() && self.host.releases.current().await?.is_none(),
        };
        if back && self.to_take_back(cx, work)?.is_empty() {
            return Ok(Observation::Done);
        }
        let untouched = Snapshot::read(record)? == Snapshot::of(&self.host).await?;
        Ok(if untouched { Observation::NotDone } else { Observation::Partial })
    }

    /// The ids of all instances without traffic.
    pub(super) fn unpublished(&self) -> Result<Vec<String>> {
        let ports = self.host.traffic.read()?;
        let all = self.host.instances.all()?.into_iter().map(|one| one.id);
        Ok(all.filter(|id| !ports.holds(id)).collect())
    }

    pub(super) fn brought(&self, cx: &Context) -> Result<Vec<Instance>> {
        let mut all = self.host.instances.all()?;
        all.retain(|one| one.is_brought_by(cx.run()));
        Ok(all)
    }
}
