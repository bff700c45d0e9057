//! Writes a run's records: the journal first, then the state, then those who watch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use super::Parts;
use crate::{
    context::{Cancel, EffectLog, Key},
    error::{Error, ErrorKind, Failure, Result},
    journal::{Event, Record},
    lease::Fence,
    name::RunId,
    observer::Observer,
    redact::Redactor,
    report::{Growing, Report},
    state::{Phase, State},
    task::TaskOutput,
};

/// The one writer of a run's journal.
#[derive(Debug)]
pub(crate) struct Recorder {
    parts: Arc<Parts>,
    run: RunId,
    // Held across the append on purpose: records are durable one after another, in the order of
    // the states that they lead to.
    log: Mutex<Log>,
    /// The state that the durable records lead to; written only under the lock.
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct Log {
    /// The number of the last record.
    seq: u64,
    report: Growing,
    fence: Fence,
    redactor: Redactor,
    broken: bool,
    /// A record that is on its way, with the state that it leads to. It is still here when whoever
    /// awaited the append was dropped: a deadline, a cancellation.
    unsettled: Option<Box<(Record, State)>>,
}

impl Recorder {
    pub(crate) fn new(parts: Arc<Parts>, run: RunId) -> Self {
        Self::resumed(parts, run, State::new(), &[], Fence(0))
    }

    /// Goes on with a run that another driver left. `fence` is the new driver's.
    pub(crate) fn resumed(
        parts: Arc<Parts>,
        run: RunId,
        state: State,
        records: &[Record],
        fence: Fence,
    ) -> Self {
        let mut report = Growing::new(&run);
        for record in records {
            report.add(record);
        }
        let seq = records.len() as u64;
        let redactor = Redactor::default();
        let log = Log { seq, report, fence, redactor, broken: false, unsettled: None };
        Self { parts, run, log: Mutex::new(log), state: watch::Sender::new(state) }
    }

    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    pub(crate) async fn state(&self) -> State {
        let _settled = self.log.lock().await;
        self.state.borrow().clone()
    }

    /// The state as it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The report of what is durable; asked for once, when nothing is written any more.
    pub(crate) async fn take_report(&self) -> Report {
        let nothing = Growing::new(&self.run);
        std::mem::replace(&mut self.log.lock().await.report, nothing).into_report()
    }

    /// The fence of the lease that this driver took; 0 before.
    pub(crate) async fn fence(&self) -> Fence {
        self.log.lock().await.fence
    }

    /// Whether the journal or the lease is lost: nothing may be done or written any more.
    pub(crate) async fn is_broken(&self) -> bool {
        self.log.lock().await.broken
    }

    pub(crate) async fn mark_broken(&self) {
        self.log.lock().await.broken = true;
    }

    /// Values that must not reach a record.
    pub(crate) async fn redact(&self, redactor: Redactor) {
        self.log.lock().await.redactor.extend(redactor);
    }

    /// Makes an event durable.
    pub(crate) async fn record(&self, event: Event) -> Result<()> {
        // In a box: every future that records something has room for a pointer, not for a state.
        Box::pin(async move {
            let mut log = self.log.lock().await;
            self.append(&mut log, event).await
        })
        .await
    }

    /// Makes it durable that somebody asked to stop, unless it is already.
    pub(crate) async fn record_cancellation(&self, cancel: &Cancel) -> Result<()> {
        let mut log = self.log.lock().await;
        self.settle(&mut log).await?;
        let is_pending = {
            let state = self.state.borrow();
            let over = matches!(state.phase(), Phase::New | Phase::Ended(_));
            cancel.is_cancelled() && !state.is_cancelled() && !over
        };
        if !is_pending {
            return Ok(());
        }
        let why = "it was asked to stop".to_owned();
        Box::pin(self.append(&mut log, Event::CancelRequested { why })).await
    }

    async fn append(&self, log: &mut Log, event: Event) -> Result<()> {
        self.settle(log).await?;
        let event = log.redactor.event(event);
        let mut state = self.state.borrow().clone();
        state.apply(&event).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "advance the run", "its state does not allow it")
                .with_source(source)
        })?;
        if let Event::Locked { fence, .. } | Event::Adopted { fence, .. } = &event {
            log.fence = *fence;
        }
        let seq = log.seq + 1;
        let record = Record { seq, at: self.parts.clock.now(), fence: log.fence, event };
        log.unsettled = Some(Box::new((record.clone(), state)));
        let appended = self.parts.journal.append(&self.run, &record).await;
        self.appended(log, appended)
    }

    /// Brings a record whose append was not awaited to its end: appends it again, and takes a
    /// conflict with itself for success.
    async fn settle(&self, log: &mut Log) -> Result<()> {
        if log.broken {
            return Err(Error::new(
                ErrorKind::Fenced,
                "write the journal",
                format!("run {} is not this driver's any more", self.run),
            ));
        }
        let Some((record, _)) = log.unsettled.as_deref() else { return Ok(()) };
        let appended = match self.parts.journal.append(&self.run, record).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                match self.parts.journal.load(&self.run).await {
                    Ok(records) if records.last() == Some(record) => Ok(()),
                    Ok(_) => Err(error),
                    Err(unreadable) => Err(unreadable),
                }
            }
            appended => appended,
        };
        self.appended(log, appended)
    }

    fn appended(&self, log: &mut Log, appended: Result<()>) -> Result<()> {
        let Some(unsettled) = log.unsettled.take() else { return appended };
        let (record, state) = *unsettled;
        if appended.is_err() {
            log.broken = true;
            return appended;
        }
        self.state.send_replace(state);
        log.seq = record.seq;
        log.report.add(&record);
        tell(&self.parts.observers, |observer| observer.on_record(&self.run, &record));
        Ok(())
    }

    /// Re-checks the lease; a loss is final for this driver, any other failure is not.
    pub(crate) async fn renew(&self) -> Result<()> {
        let fence = self.fence().await;
        if fence == Fence(0) {
            return Ok(());
        }
        let renewed = self.parts.lease.renew(&self.parts.target, fence).await;
        if let Err(error) = &renewed
            && error.kind() == ErrorKind::Fenced
        {
            self.mark_broken().await;
        }
        renewed
    }

    /// Hands lines of output about `subject` to those who watch.
    pub(crate) async fn output<'a>(&'a self, subject: &'a str) -> Output<'a> {
        let redactor = self.redactor().await;
        Output { parts: &self.parts, run: &self.run, subject, redactor }
    }

    /// What cuts secret values out of this run's records.
    pub(crate) async fn redactor(&self) -> Redactor {
        self.log.lock().await.redactor.clone()
    }
}

#[async_trait]
impl EffectLog for Recorder {
    async fn begin(&self, key: &Key, action: &str, object: &str, detail: Value) -> Result<u64> {
        let effect = {
            let mut log = self.log.lock().await;
            self.settle(&mut log).await?;
            let effect = self.state.borrow().next_effect();
            let event = Event::Effect {
                effect,
                step: key.step.clone(),
                attempt: key.attempt,
                action: action.to_owned(),
                object: object.to_owned(),
                detail,
            };
            self.append(&mut log, event).await?;
            effect
        };
        self.renew().await?;
        Ok(effect)
    }

    async fn end(&self, _key: &Key, effect: u64, result: Result<Value, Failure>) -> Result<()> {
        self.record(match result {
            Ok(output) => Event::EffectDone { effect, output },
            Err(failure) => Event::EffectFailed { effect, failure },
        })
        .await
    }

    async fn guard(&self) -> Result<()> {
        self.renew().await
    }

    async fn note(&self, message: &str) -> Result<()> {
        self.record(Event::Note { message: message.to_owned() }).await
    }
}

/// Hands lines of output to those who watch.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    parts: &'a Parts,
    run: &'a RunId,
    subject: &'a str,
    redactor: Redactor,
}

impl TaskOutput for Output<'_> {
    fn line(&self, line: &str) {
        let line = self.redactor.text(line);
        tell(&self.parts.observers, |observer| observer.on_output(self.run, self.subject, &line));
    }
}

/// Tells those who watch. One that panics changes no outcome: the others are told all the same.
fn tell(observers: &[Arc<dyn Observer>], what: impl Fn(&dyn Observer)) {
    for observer in observers {
        if catch_unwind(AssertUnwindSafe(|| what(observer.as_ref()))).is_err() {
            tracing::error!(?observer, "an observer panicked; the run goes on");
        }
    }
}
