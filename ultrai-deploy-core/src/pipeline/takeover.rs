//! Runs that others left: found, finished or undone, retried, abandoned.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Driver, OnUnfinished, Parts, Pipeline, Run, driver::Job, holding::supersede, recorder::Recorder,
};
use crate::{
    context::Cancel,
    ending::Ending,
    error::{Error, ErrorKind, Result},
    history,
    journal::{Event, Journal, Record},
    lease::{Fence, Holder, Wait},
    name::RunId,
    state::{Phase, State},
};

/// A run that somebody has to look after.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// The run.
    pub run: RunId,
    /// Its state.
    pub state: State,
    pub(super) records: Vec<Record>,
    /// The held run whose place it took, where that one is not closed yet.
    pub(super) held: Option<Box<Unfinished>>,
}

impl Unfinished {
    /// When the time for a person to decide is over, if it waits for one.
    pub fn held_until(&self) -> Option<Timestamp> {
        match self.state.phase() {
            Phase::Held { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// The records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What ends it; and what to do then, or instead.
    fn advice(&self, then: &str) -> String {
        match self.held_until() {
            Some(_) => format!(
                "accept it with `ultrai resume --proceed` or take it back with `ultrai rollback`; \
                 then {then}"
            ),
            None => format!("run `ultrai resume`; then {then}"),
        }
    }

    /// Whether it went back and failed at that, so that a person has to act.
    pub fn is_stuck(&self) -> bool {
        self.state.ending().is_some_and(Ending::is_stuck)
    }
}

impl Pipeline {
    /// The run that has the environment and is not over: running now, killed, held or stuck.
    ///
    /// # Errors
    /// When the journal or the lease cannot be read.
    pub async fn unfinished(&self) -> Result<Option<Unfinished>> {
        let mut found = find(self.parts.journal.as_ref(), None).await?;
        if found.len() > 1
            && let Some(holder) = self.parts.lease.holder(&self.parts.target).await?
            && let Some(driven) = found.iter().position(|one| one.run == holder.run)
        {
            return Ok(Some(found.swap_remove(driven)));
        }
        Ok(found.pop())
    }

    /// Takes an unfinished run over, to finish or undo it. Nothing when there is none.
    ///
    /// A stuck run is taken over only with `retry`: going back is then tried again.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] when its driver still lives, [`ErrorKind::Stuck`] when the run is stuck
    /// and `retry` is off.
    pub async fn resume(&self, retry: bool, wait: Wait) -> Result<Option<Run>> {
        let Some(found) = self.unfinished().await? else { return Ok(None) };
        if found.is_stuck() && !retry {
            return Err(stuck(&found.run, &found.state));
        }
        let holder = self.parts.holder(&found.run);
        let fence = self.parts.acquire(&holder, wait).await?;
        let adopted = Box::pin(self.adopt(fence, &holder, retry)).await;
        if !matches!(adopted, Ok(Some(_))) {
            self.parts.lease.release(&self.parts.target, fence).await?;
        }
        adopted
    }

    /// Takes over what is unfinished now that the lease is held: whoever held it until now may
    /// have written more.
    async fn adopt(&self, fence: Fence, holder: &Holder, retry: bool) -> Result<Option<Run>> {
        let mut unfinished = find(self.parts.journal.as_ref(), None).await?;
        let Some(last) = unfinished.pop() else { return Ok(None) };
        if last.is_stuck() && !retry {
            return Err(stuck(&last.run, &last.state));
        }
        close(&self.parts, unfinished, fence, holder).await?;
        let is_stuck = last.is_stuck();
        let driver = adopt(&self.parts, last, fence, holder, &Cancel::new()).await?;
        if is_stuck {
            let initiator = self.parts.initiator.clone();
            driver.log.record(Event::RollbackRetried { initiator }).await?;
        }
        Ok(Some(Run::new(driver)))
    }

    /// Closes an unfinished or stuck run without touching the platform.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Fenced`] when its driver lives.
    pub async fn abandon(&self, reason: &str) -> Result<RunId> {
        let found = self.unfinished().await?.ok_or_else(|| self.nothing_to_abandon())?;
        let holder = self.parts.holder(&found.run);
        let fence = self.parts.lease.acquire(&self.parts.target, &holder, Wait::No).await?;
        let closed = async {
            let mut found = find(self.parts.journal.as_ref(), None).await?;
            let last = found.pop().ok_or_else(|| self.nothing_to_abandon())?;
            close(&self.parts, found, fence, &holder).await?;
            let driver = take_over(&self.parts, last, fence, &holder, &Cancel::new()).await?;
            driver.end(Ending::Abandoned { reason: reason.to_owned() }).await?;
            Ok(driver.run().clone())
        }
        .await;
        let released = self.parts.lease.release(&self.parts.target, fence).await;
        let run = closed?;
        released?;
        Ok(run)
    }

    fn nothing_to_abandon(&self) -> Error {
        let message = format!("no run of {} is unfinished", self.parts.target);
        Error::new(ErrorKind::NotFound, "abandon a run", message).without_effect()
    }
}

impl Driver {
    /// Finishes or undoes runs that other drivers left, under this run's lease. Gives the one that
    /// is held and that this run may take the place of.
    pub(super) async fn finish_others(
        &self,
        fence: Fence,
        holder: &Holder,
        on_unfinished: OnUnfinished,
        cancel: &Cancel,
    ) -> Result<Option<Unfinished>> {
        let found = find(self.parts.journal.as_ref(), Some(self.run())).await?;
        if let Some(last) = found.last() {
            if last.is_stuck() {
                return Err(stuck(&last.run, &last.state));
            }
            if on_unfinished == OnUnfinished::Refuse {
                let message =
                    format!("run {} is unfinished: {}", last.run, last.state.phase().describe());
                return Err(Error::new(ErrorKind::Fenced, "begin", message)
                    .with_advice(last.advice("deploy again, or deploy without --no-resume"))
                    .without_effect());
            }
        }
        for other in found {
            if other.held_until().is_none() {
                self.finish(other, fence, holder, cancel).await?;
            }
        }
        // One that was held is seen again when the run that was to take its place did not.
        let mut held = find(self.parts.journal.as_ref(), Some(self.run())).await?;
        let Some(held) = held.pop() else { return Ok(None) };
        let now = self.parts.clock.now();
        let is_deploy = matches!(self.job, Some(Job::Deploy(_)));
        if is_deploy && held.held_until().is_some_and(|until| now < until) {
            return Ok(Some(held));
        }
        self.finish(held, fence, holder, cancel).await?;
        Ok(None)
    }

    /// Fails when a run is unfinished: what it leaves is not what a saved plan stands on, and
    /// finishing it for the sake of a plan that is refused then would be more than was asked for.
    pub(super) async fn refuse_unfinished(&self) -> Result<()> {
        let found = find(self.parts.journal.as_ref(), Some(self.run())).await?;
        let Some(last) = found.last() else { return Ok(()) };
        if last.is_stuck() {
            return Err(stuck(&last.run, &last.state));
        }
        let phase = last.state.phase().describe();
        let message = format!("run {} is unfinished ({phase}) since the plan was made", last.run);
        Err(Error::new(ErrorKind::Conflict, "apply the plan", message)
            .with_advice(last.advice("make the plan anew"))
            .without_effect())
    }

    async fn finish(
        &self,
        other: Unfinished,
        fence: Fence,
        holder: &Holder,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut driver = adopt(&self.parts, other, fence, holder, cancel).await?;
        let result = Box::pin(driver.drive()).await;
        if driver.log.is_broken().await {
            // What is lost to the other run is lost to this one: the lease, the journal's disk.
            self.log.mark_broken().await;
        }
        result?;
        let state = driver.log.state().await;
        let (run, ending) = (driver.run(), state.phase().describe());
        if state.ending().is_some_and(Ending::is_stuck) {
            return Err(stuck(run, &state));
        }
        if !state.is_final() {
            let message = format!("run {run} was taken over and is now {ending}");
            return Err(Error::new(ErrorKind::Fenced, "begin", message)
                .with_advice("see `ultrai status`")
                .without_effect());
        }
        self.note(format!("finished run {run}, which was left unfinished: {ending}")).await
    }
}

impl Parts {
    /// This process as the holder of the lease for `run`.
    pub(super) fn holder(&self, run: &RunId) -> Holder {
        Holder {
            run: run.clone(),
            host: self.initiator.host.clone(),
            process: self.initiator.process,
            user: self.initiator.user.clone(),
            since: self.clock.now(),
        }
    }

    /// Takes the lease outside of a run, and logs whom it waits for.
    pub(super) async fn acquire(&self, holder: &Holder, wait: Wait) -> Result<Fence> {
        if matches!(wait, Wait::AtMost(_))
            && let Ok(Some(other)) = self.lease.holder(&self.target).await
        {
            tracing::info!(target = %self.target, holder = %other, "waiting for the lease");
        }
        self.lease.acquire(&self.target, holder, wait).await
    }
}

/// Takes a run over to go on with it.
pub(super) async fn adopt(
    parts: &Arc<Parts>,
    found: Unfinished,
    fence: Fence,
    holder: &Holder,
    cancel: &Cancel,
) -> Result<Driver> {
    let driver = take_over(parts, found, fence, holder, cancel).await?;
    driver.redact_releases().await?;
    Ok(driver)
}

/// Ends runs that have touched nothing and cannot go on: they died while they were about to.
pub(super) async fn close(
    parts: &Arc<Parts>,
    dead: Vec<Unfinished>,
    fence: Fence,
    holder: &Holder,
) -> Result<()> {
    for found in dead {
        adopt(parts, found, fence, holder, &Cancel::new()).await?.drive().await?;
    }
    Ok(())
}

/// From its record on, the driver that the run had before can write nothing.
pub(super) async fn take_over(
    parts: &Arc<Parts>,
    found: Unfinished,
    fence: Fence,
    holder: &Holder,
    cancel: &Cancel,
) -> Result<Driver> {
    let Unfinished { run, state, records, held } = found;
    if let Some(held) = held {
        supersede(parts, *held, &run, fence, holder).await?;
    }
    parts.journal.repair(&run).await?;
    let holder = Holder { run: run.clone(), ..holder.clone() };
    let recorder = Arc::new(Recorder::resumed(Arc::clone(parts), run, state, &records, fence));
    recorder.record(Event::Adopted { fence, holder }).await?;
    Ok(Driver::new(Arc::clone(parts), recorder, cancel.clone(), None))
}

/// All runs that had the environment and are not over. The one with work to finish comes last;
/// those before it died while they were taking it over, and have only to be closed.
///
/// A run goes on only when all others are over, so there is at most one with work. Ids do not
/// tell the order of taking: a run may have waited long for the lease.
pub(super) async fn find(journal: &dyn Journal, except: Option<&RunId>) -> Result<Vec<Unfinished>> {
    let mut unfinished = Vec::new();
    for run in journal.runs().await? {
        if Some(&run) == except {
            continue;
        }
        let Some((state, records)) = history::read(journal, &run).await? else { continue };
        if state.was_locked() && !state.is_final() {
            unfinished.push(Unfinished { run, state, records, held: None });
        }
    }
    // A held one belongs to the run that has taken its place.
    let heir = |found: &Unfinished, held: &RunId| {
        found.state.supersedes() == Some(held) && found.state.inherited().is_some()
    };
    while let Some(at) = unfinished.iter().position(|held| {
        held.held_until().is_some() && unfinished.iter().any(|found| heir(found, &held.run))
    }) {
        let held = unfinished.remove(at);
        if let Some(found) = unfinished.iter_mut().find(|found| heir(found, &held.run)) {
            found.held = Some(Box::new(held));
        }
    }
    unfinished.sort_by_key(|Unfinished { state, .. }| {
        let may_go_on = state.baseline().is_some() && !state.is_to_inherit();
        (may_go_on, state.fence())
    });
    Ok(unfinished)
}

fn stuck(run: &RunId, state: &State) -> Error {
    let why = match state.ending() {
        Some(Ending::Stuck { undo, .. }) => undo.to_string(),
        _ => String::new(),
    };
    Error::new(ErrorKind::Stuck, "begin", format!("run {run} is stuck: {why}"))
        .with_advice(
            "mend the cause and run `ultrai resume --retry`, or close it with \
             `ultrai abandon --reason …`",
        )
        .without_effect()
}
