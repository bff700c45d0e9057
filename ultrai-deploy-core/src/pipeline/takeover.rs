//! Runs that others left: found, finished or undone, retried, abandoned.

use std::sync::Arc;

use super::{Driver, OnUnfinished, Pipeline, Run, recorder::Recorder};
use crate::{
    context::Cancel,
    ending::Ending,
    error::{Error, ErrorKind, Result},
    journal::{Event, Journal, Record},
    lease::{Fence, Holder, Wait},
    name::{ReleaseId, RunId},
    state::State,
};

/// A run that somebody has to look after.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// The run.
    pub run: RunId,
    /// Its state.
    pub state: State,
    records: Vec<Record>,
}

impl Unfinished {
    /// The records so far.
    pub fn records(&self) -> &[Record] {
        &self.records
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
    /// When the journal cannot be read.
    pub async fn unfinished(&self) -> Result<Option<Unfinished>> {
        find(self.parts.journal.as_ref(), None).await
    }

    /// Takes an unfinished run over, to finish or undo it. Nothing when there is none.
    ///
    /// A stuck run is taken over only with `retry`: going back is then tried again.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] when its driver still lives or the run is stuck and `retry` is off.
    pub async fn resume(&self, retry: bool, wait: Wait) -> Result<Option<Run>> {
        let Some(found) = self.unfinished().await? else { return Ok(None) };
        if found.is_stuck() && !retry {
            return Err(stuck(&found));
        }
        let holder = self.holder(&found.run);
        let fence = self.parts.lease.acquire(&self.parts.target, &holder, wait).await?;
        let cancel = Cancel::new();
        // Whoever held the lease until now may have written more.
        let adopted = match find(self.parts.journal.as_ref(), None).await {
            Ok(Some(found)) => adopt(self, found, fence, holder, cancel.clone(), retry).await,
            Ok(None) => {
                self.parts.lease.release(&self.parts.target, fence).await?;
                return Ok(None);
            }
            Err(error) => Err(error),
        };
        match adopted {
            Ok(driver) => Ok(Some(self.adopt(driver, cancel))),
            Err(error) => {
                self.parts.lease.release(&self.parts.target, fence).await?;
                Err(error)
            }
        }
    }

    /// Closes an unfinished or stuck run without touching the platform.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Fenced`] when its driver lives.
    pub async fn abandon(&self, reason: &str) -> Result<RunId> {
        let Some(found) = self.unfinished().await? else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "abandon a run",
                format!("no run of {} is unfinished", self.parts.target),
            )
            .without_effect());
        };
        let holder = self.holder(&found.run);
        let fence = self.parts.lease.acquire(&self.parts.target, &holder, Wait::No).await?;
        let result = async {
            let run = found.run.clone();
            self.parts.journal.repair(&run).await?;
            let records = self.parts.journal.load(&run).await?;
            let recorder = Recorder::resumed(Arc::clone(&self.parts), run.clone(), records, fence)?;
            recorder.record(Event::Adopted { fence, holder }).await?;
            let ending = Ending::Abandoned { reason: reason.to_owned() };
            recorder.record(Event::Ended { ending }).await?;
            Ok(run)
        }
        .await;
        self.parts.lease.release(&self.parts.target, fence).await?;
        result
    }

    fn holder(&self, run: &RunId) -> Holder {
        Holder {
            run: run.clone(),
            host: self.parts.initiator.host.clone(),
            process: self.parts.initiator.process,
            user: self.parts.initiator.user.clone(),
            since: self.parts.clock.now(),
        }
    }
}

impl Driver {
    /// Finishes or undoes a run that another driver left, under this run's lease.
    pub(super) async fn finish_others(
        &self,
        fence: Fence,
        holder: &Holder,
        unfinished: OnUnfinished,
    ) -> Result<()> {
        let own = self.run().clone();
        let Some(found) = find(self.parts.journal.as_ref(), Some(&own)).await? else {
            return Ok(());
        };
        if found.is_stuck() {
            return Err(stuck(&found));
        }
        if unfinished == OnUnfinished::Refuse {
            return Err(Error::new(
                ErrorKind::Fenced,
                "begin",
                format!("run {} is unfinished: {}", found.run, found.state.phase().describe()),
            )
            .with_advice("run `ultrai resume`, or deploy without --no-resume")
            .without_effect());
        }
        let other = found.run.clone();
        let pipeline = Pipeline { parts: Arc::clone(&self.parts) };
        let holder = Holder { run: other.clone(), ..holder.clone() };
        let mut driver = adopt(&pipeline, found, fence, holder, self.cancel.clone(), false).await?;
        Box::pin(driver.drive()).await?;
        let state = driver.log.state().await;
        let ending = state.phase().describe();
        if !state.is_final() {
            return Err(Error::new(
                ErrorKind::Fenced,
                "begin",
                format!("run {other} was taken over and is now {ending}"),
            )
            .with_advice("see `ultrai status`")
            .without_effect());
        }
        let message = format!("finished run {other}, which was left unfinished: {ending}");
        self.log.record(Event::Note { message }).await
    }

    /// Whether a run has proven `release`.
    pub(super) async fn is_proven(&self, release: &ReleaseId) -> Result<bool> {
        crate::history::is_proven(self.parts.journal.as_ref(), release).await
    }
}

async fn adopt(
    pipeline: &Pipeline,
    found: Unfinished,
    fence: Fence,
    holder: Holder,
    cancel: Cancel,
    retry: bool,
) -> Result<Driver> {
    let parts = Arc::clone(&pipeline.parts);
    parts.journal.repair(&found.run).await?;
    let was_stuck = found.is_stuck();
    let recorder = Recorder::resumed(Arc::clone(&parts), found.run, found.records, fence)?;
    recorder.record(Event::Adopted { fence, holder }).await?;
    if was_stuck && retry {
        let initiator = parts.initiator.clone();
        recorder.record(Event::RollbackRetried { initiator }).await?;
    }
    Ok(Driver::new(parts, Arc::new(recorder), cancel, None))
}

/// Looks from the newest run backwards for one that had the environment and is not over.
///
/// A run that was refused leaves things as they were, so what came before it still counts; any
/// other ending settles the environment.
async fn find(journal: &dyn Journal, except: Option<&RunId>) -> Result<Option<Unfinished>> {
    let mut runs = journal.runs().await?;
    runs.reverse();
    for run in runs {
        if Some(&run) == except {
            continue;
        }
        let records = journal.load(&run).await?;
        let state = State::replay(&records).map_err(|source| {
            Error::new(ErrorKind::Corrupt, "replay the journal", format!("of run {run}"))
                .with_advice("keep the file; `ultrai abandon` does not read it")
                .without_effect()
                .with_source(source)
        })?;
        if !state.was_locked() {
            continue;
        }
        match state.ending() {
            None => return Ok(Some(Unfinished { run, state, records })),
            Some(Ending::Stuck { .. }) => return Ok(Some(Unfinished { run, state, records })),
            Some(Ending::Refused { .. }) => {}
            Some(_) => return Ok(None),
        }
    }
    Ok(None)
}

fn stuck(found: &Unfinished) -> Error {
    let why = match found.state.ending() {
        Some(Ending::Stuck { undo, .. }) => undo.to_string(),
        _ => String::new(),
    };
    Error::new(ErrorKind::Fenced, "begin", format!("run {} is stuck: {why}", found.run))
        .with_advice(
            "mend the cause and run `ultrai resume --retry`, or close it with \
             `ultrai abandon --reason …`",
        )
        .without_effect()
}
