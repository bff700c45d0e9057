//! Runs that wait for a person: accepted, taken back when their time is over, or superseded by a
//! newer one.

use std::sync::Arc;

use super::{
    Driver, Parts, Pipeline, Run, Unfinished,
    takeover::{adopt, close, find, take_over},
};
use crate::{
    context::Cancel,
    deployer::{Inherited, StepRecord},
    ending::Ending,
    error::{Error, ErrorKind, Result},
    health::Verdict,
    history,
    journal::Event,
    lease::{Fence, Holder, Wait},
    name::RunId,
    stage::Stage,
    state::Phase,
};

impl Pipeline {
    /// Takes a run over whose time to wait for a person is over, to take it back. Nothing when
    /// there is none, or when another process has the environment: then that one looks.
    ///
    /// # Errors
    /// When the journal or the lease cannot be read.
    pub async fn overdue(&self) -> Result<Option<Run>> {
        let until = self.unfinished().await?.and_then(|found| found.held_until());
        if until.is_none_or(|until| self.parts.clock.now() < until) {
            return Ok(None);
        }
        match self.resume(false, Wait::No).await {
            Err(error) if error.kind() == ErrorKind::Fenced => Ok(None),
            resumed => resumed,
        }
    }

    /// Accepts the release of a held run although it failed: the run goes on with the stage after.
    /// When its time is over already, it goes back.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when no run is held; [`ErrorKind::Unhealthy`] when what runs is not
    /// the held release: failed checks can be accepted, another release cannot.
    pub async fn accept(&self, wait: Wait) -> Result<Run> {
        let nothing = || {
            let message = format!("no run of {} is held", self.parts.target);
            Error::new(ErrorKind::NotFound, "accept a release", message)
                .with_advice("see `ultrai status`")
                .without_effect()
        };
        let journal = self.parts.journal.as_ref();
        let found = find(journal, None).await?.pop();
        let found = found.filter(|found| found.held_until().is_some()).ok_or_else(nothing)?;
        let holder = self.parts.holder(&found.run);
        let fence = self.parts.acquire(&holder, wait).await?;
        let accepted = Box::pin(async {
            let mut dead = find(journal, None).await?;
            let found = dead.pop();
            let found = found.filter(|found| found.held_until().is_some()).ok_or_else(nothing)?;
            close(&self.parts, dead, fence, &holder).await?;
            let driver = adopt(&self.parts, found, fence, &holder, &Cancel::new()).await?;
            driver.accept().await?;
            Ok(Run::new(driver))
        })
        .await;
        if accepted.is_err() {
            self.parts.lease.release(&self.parts.target, fence).await?;
        }
        accepted
    }
}

impl Driver {
    async fn accept(&self) -> Result<()> {
        let state = self.log.state().await;
        let Phase::Held { until, .. } = state.phase() else { return Ok(()) };
        if self.parts.clock.now() >= *until {
            return Ok(());
        }
        let limit = self.parts.policy.deadline(Stage::Verify);
        let cx = self.uncancelled("accept").with_timeout(limit);
        let release = self.release().await?;
        let outcome = self.parts.compare(&cx, &release).await?;
        if let (false, Some(why)) = (outcome.verdict == Verdict::Pass, outcome.why) {
            return Err(Error::new(ErrorKind::Unhealthy, "accept the release", why)
                .with_advice("go back with `ultrai rollback`")
                .without_effect());
        }
        let initiator = Some(self.parts.initiator.clone());
        self.log.record(Event::HoldReleased { proceed: true, initiator }).await
    }

    /// Takes the place of the held run that this one supersedes, before its first step: from here
    /// on it answers for what that one did. Says whether it took it just now.
    pub(super) async fn inherit(&self) -> Result<bool> {
        let state = self.log.state().await;
        let Some(from) = state.supersedes() else { return Ok(false) };
        if state.inherited().is_some() {
            return Ok(false);
        }
        let held = history::read(self.parts.journal.as_ref(), from).await?;
        let held = held.map(|(state, records)| Unfinished {
            run: from.clone(),
            state,
            records,
            held: None,
        });
        let Some(held) = held.filter(|held| held.held_until().is_some()) else {
            let message = format!("run {from} is not held any more");
            return Err(Error::new(ErrorKind::Conflict, "take its place", message)
                .with_advice("deploy again")
                .without_effect());
        };
        let mut steps = held.state.inherited().unwrap_or_default().to_vec();
        steps.extend(held.state.attempts().iter().map(|attempt| Inherited {
            run: from.clone(),
            step: attempt.step,
            record: StepRecord::clone(&attempt.record),
        }));
        let data = held.state.data_before().cloned();
        let data_replaced = held.state.is_data_replaced();
        let inherited = Event::Inherited { from: from.clone(), steps, data, data_replaced };
        self.log.record(inherited).await?;
        let holder = self.parts.holder(self.run());
        let fence = self.log.fence().await;
        supersede(&self.parts, held, self.run(), fence, &holder).await?;
        Ok(true)
    }
}

/// Ends a held run whose place another one has taken.
pub(super) async fn supersede(
    parts: &Arc<Parts>,
    held: Unfinished,
    by: &RunId,
    fence: Fence,
    holder: &Holder,
) -> Result<()> {
    let driver = Box::pin(take_over(parts, held, fence, holder, &Cancel::new())).await?;
    driver.end(Ending::Superseded { by: by.clone() }).await
}
