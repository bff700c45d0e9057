//! Writes a run's records: state first, then the journal, then those who watch.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;

use super::Parts;
use crate::{
    context::{EffectLog, Key},
    error::{Effect, Error, ErrorKind, Failure, Result},
    journal::{Event, Record},
    lease::Fence,
    name::RunId,
    redact::Redactor,
    state::State,
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
}

#[derive(Debug)]
struct Log {
    state: State,
    records: Vec<Record>,
    fence: Fence,
    redactor: Redactor,
    broken: bool,
}

impl Recorder {
    pub(crate) fn new(parts: Arc<Parts>, run: RunId) -> Self {
        Self::with(parts, run, State::new(), Vec::new(), Fence(0))
    }

    /// Goes on with a run that another driver left. `fence` is the new driver's.
    pub(crate) fn resumed(
        parts: Arc<Parts>,
        run: RunId,
        records: Vec<Record>,
        fence: Fence,
    ) -> Result<Self> {
        let state = State::replay(&records).map_err(|source| {
            Error::new(ErrorKind::Corrupt, "replay the journal", format!("of run {run}"))
                .without_effect()
                .with_source(source)
        })?;
        Ok(Self::with(parts, run, state, records, fence))
    }

    fn with(
        parts: Arc<Parts>,
        run: RunId,
        state: State,
        records: Vec<Record>,
        fence: Fence,
    ) -> Self {
        let log = Log { state, records, fence, redactor: Redactor::default(), broken: false };
        Self { parts, run, log: Mutex::new(log) }
    }

    pub(crate) fn run(&self) -> &RunId {
        &self.run
    }

    pub(crate) async fn state(&self) -> State {
        self.log.lock().await.state.clone()
    }

    pub(crate) async fn records(&self) -> Vec<Record> {
        self.log.lock().await.records.clone()
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
        let mut log = self.log.lock().await;
        self.append(&mut log, event).await
    }

    async fn append(&self, log: &mut Log, event: Event) -> Result<()> {
        if log.broken {
            return Err(Error::new(
                ErrorKind::Fenced,
                "write the journal",
                format!("run {} is not this driver's any more", self.run),
            ));
        }
        let event = log.redactor.event(event);
        if let Event::Locked { fence, .. } | Event::Adopted { fence, .. } = &event {
            log.fence = *fence;
        }
        let mut state = log.state.clone();
        state.apply(&event).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "advance the run", "its state does not allow it")
                .with_source(source)
        })?;
        let seq = log.records.len() as u64 + 1;
        let record = Record { seq, at: self.parts.clock.now(), fence: log.fence, event };
        if let Err(error) = self.parts.journal.append(&self.run, &record).await {
            log.broken = true;
            return Err(error);
        }
        log.state = state;
        for observer in &self.parts.observers {
            observer.on_record(&self.run, &record);
        }
        log.records.push(record);
        Ok(())
    }

    /// Re-checks the lease; a loss is final for this driver.
    pub(crate) async fn renew(&self) -> Result<()> {
        let fence = self.log.lock().await.fence;
        if fence == Fence(0) {
            return Ok(());
        }
        let renewed = self.parts.lease.renew(&self.parts.target, fence).await;
        if renewed.is_err() {
            self.mark_broken().await;
        }
        renewed
    }
}

#[async_trait]
impl EffectLog for Recorder {
    async fn begin(&self, key: &Key, action: &str, object: &str, detail: Value) -> Result<u64> {
        let effect = {
            let mut log = self.log.lock().await;
            let effect = log.state.next_effect();
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
    pub(crate) parts: &'a Parts,
    pub(crate) run: &'a RunId,
    pub(crate) subject: &'a str,
    pub(crate) redactor: Redactor,
}

impl TaskOutput for Output<'_> {
    fn line(&self, line: &str) {
        let line = self.redactor.text(line);
        for observer in &self.parts.observers {
            observer.on_output(self.run, self.subject, &line);
        }
    }
}

/// An error that certainly changed nothing, from one that may say otherwise.
pub(crate) fn failure(error: &Error) -> Failure {
    Failure::from(error)
}

/// A failure of the engine's own making.
pub(crate) fn own_failure(kind: ErrorKind, message: impl Into<String>) -> Failure {
    Failure {
        kind,
        effect: Effect::Unknown,
        message: message.into(),
        causes: Vec::new(),
        evidence: Vec::new(),
    }
}
