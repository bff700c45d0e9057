//! What travels with every call: the run, the deadline, cancellation, and the way into the journal.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

use crate::{
    error::{Error, ErrorKind, Failure, Result},
    name::{RunId, SecretName, Target},
    secret::{Secret, Secrets},
};

/// The idempotency key of a call: which run, which step, which attempt. Backends write it into
/// the target (label, tag, name) so that an effect can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The run.
    pub run: RunId,
    /// The step's name.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.step, self.attempt)
    }
}

/// Where single effects of a step are journaled; the driver's, or none.
#[async_trait]
pub trait EffectLog: fmt::Debug + Send + Sync + 'static {
    /// Makes the intent durable and checks the lease. Returns the effect's number.
    async fn begin(&self, key: &Key, action: &str, object: &str, detail: Value) -> Result<u64>;
    /// Makes the result durable.
    async fn end(&self, key: &Key, effect: u64, result: Result<Value, Failure>) -> Result<()>;
    /// Re-checks lease and fence.
    async fn guard(&self) -> Result<()>;
    /// Journals something to be told to people that changes no outcome.
    async fn note(&self, message: &str) -> Result<()>;
}

/// What travels with every call.
#[derive(Clone, Debug)]
pub struct Context {
    target: Target,
    key: Key,
    cancel: Cancel,
    deadline: Option<Instant>,
    log: Arc<dyn EffectLog>,
    secrets: Option<Arc<Secrets>>,
    measured: Option<Arc<BTreeMap<String, String>>>,
    turns: Option<Arc<Semaphore>>,
}

impl Context {
    /// A context whose effects are journaled in `log`.
    pub fn new(target: Target, key: Key, log: Arc<dyn EffectLog>) -> Self {
        Self {
            target,
            key,
            cancel: Cancel::never(),
            deadline: None,
            log,
            secrets: None,
            measured: None,
            turns: None,
        }
    }

    /// A context without journal: for looking at an environment, and for tests of a backend.
    pub fn detached(target: Target, run: RunId) -> Self {
        let key = Key { run, step: "look".to_owned(), attempt: 1 };
        Self::new(target, key, Arc::new(NoLog))
    }

    /// The same for another step and attempt.
    pub fn for_step(&self, step: &str, attempt: u32) -> Self {
        let key = Key { run: self.key.run.clone(), step: step.to_owned(), attempt };
        Self { key, ..self.clone() }
    }

    /// The same with a cancellation.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// The same with a deadline at most `timeout` from now; an earlier one stays.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        let deadline = Instant::now() + timeout;
        self.deadline = Some(self.deadline.map_or(deadline, |set| set.min(deadline)));
        self
    }

    /// The same with the secrets of the release that is worked on.
    pub fn with_secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(Arc::new(secrets));
        self
    }

    /// A secret of the release that is worked on, where that is known.
    pub fn secret(&self, name: &SecretName) -> Option<&Secret> {
        self.secrets.as_ref()?.get(name)
    }

    /// The same with what checks measured of the release before, by their names.
    pub fn with_measured(mut self, measured: BTreeMap<String, String>) -> Self {
        self.measured = Some(Arc::new(measured));
        self
    }

    /// What the check of this name measured of the release before, in the form in which it gave it
    /// as evidence.
    pub fn measured_before(&self, check: &str) -> Option<&str> {
        self.measured.as_ref()?.get(check).map(String::as_str)
    }

    /// The same with at most so many looks at once as `turns` has permits.
    pub fn with_turns(mut self, turns: Arc<Semaphore>) -> Self {
        self.turns = Some(turns);
        self
    }

    /// Waits for the turn of a look, and holds it until it is dropped.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(self.turns.as_ref()?);
        // Nobody closes it; without turns a look is not bounded, and nothing else.
        turns.acquire_owned().await.ok()
    }

    /// The environment that is worked on.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.key.run
    }

    /// The idempotency key of this step and attempt.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// When this call must be over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The cancellation that this call listens to.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Fails when the run was cancelled or its deadline is over; call it in loops.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] or [`ErrorKind::Timeout`].
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "go on", "the run was cancelled"));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(self.timeout_error());
        }
        Ok(())
    }

    /// Awaits `work`, but not past the deadline and not after a cancellation.
    ///
    /// # Errors
    /// What `work` fails with; [`ErrorKind::Timeout`] or [`ErrorKind::Cancelled`], both with an
    /// unknown effect, since `work` was dropped half-way.
    pub async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let deadline = self.deadline;
        let expired = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            () = expired => Err(self.timeout_error()),
            () = self.cancel.cancelled() => {
                Err(Error::new(ErrorKind::Cancelled, "go on", "the run was cancelled"))
            }
        }
    }

    /// Performs one effect on the target: its intent is durable before, its result after, and the
    /// lease is checked right before the call.
    ///
    /// `action` is a verb, `object` what it is done to, `detail` what a person or a recovery needs
    /// to know (never a secret). The output of `work` is journaled too.
    ///
    /// # Errors
    /// What `work` or the journal fails with; [`ErrorKind::Fenced`] when the lease was lost;
    /// [`ErrorKind::Cancelled`] before the effect begins. An effect that began is not dropped by
    /// a cancellation, only by the deadline.
    pub async fn effect<T: Serialize>(
        &self,
        action: &str,
        object: &str,
        detail: Value,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.check()?;
        let effect = self.log.begin(&self.key, action, object, detail).await?;
        let result = match self.deadline {
            None => work.await,
            Some(deadline) => tokio::time::timeout_at(deadline, work)
                .await
                .unwrap_or_else(|_elapsed| Err(self.timeout_error())),
        };
        let outcome = match &result {
            Ok(output) => Ok(crate::digest::json(output)),
            Err(error) => Err(Failure::from(error)),
        };
        self.log.end(&self.key, effect, outcome).await?;
        result
    }

    /// Re-checks lease and fence; for calls that are not journaled as effects.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] when another driver took over.
    pub async fn guard(&self) -> Result<()> {
        self.log.guard().await
    }

    /// Journals something that people should read and that changes no outcome.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn note(&self, message: &str) -> Result<()> {
        self.log.note(message).await
    }

    fn timeout_error(&self) -> Error {
        Error::new(
            ErrorKind::Timeout,
            "finish in time",
            format!("the deadline of {} is over", self.key.step),
        )
    }
}

/// Asks a run to stop; all clones are one.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Cancel {
    /// Not cancelled yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// For work that goes on whatever happens, such as a rollback.
    pub fn never() -> Self {
        Self::new()
    }

    /// Cancels; a second call does nothing.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is cancelled.
    pub async fn cancelled(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives as long as `self`, so this cannot end without a cancellation.
        let _closed = receiver.wait_for(|cancelled| *cancelled).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct NoLog;

#[async_trait]
impl EffectLog for NoLog {
    async fn begin(&self, _: &Key, _: &str, _: &str, _: Value) -> Result<u64> {
        Ok(0)
    }
    async fn end(&self, _: &Key, _: u64, _: Result<Value, Failure>) -> Result<()> {
        Ok(())
    }
    async fn guard(&self) -> Result<()> {
        Ok(())
    }
    async fn note(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{EnvironmentName, ProjectName};

    fn context() -> Context {
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        Context::detached(target, RunId::generate())
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_a_hanging_effect_with_unknown_effect() {
        let cx = context().with_timeout(Duration::from_secs(5));
        let hang = std::future::pending::<Result<()>>();
        let error = cx.effect("create", "web", Value::Null, hang).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.effect(), crate::Effect::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_run_begins_no_further_effect() {
        let cancel = Cancel::new();
        let cx = context().with_cancel(cancel.clone());
        cancel.cancel();
        let never = async { panic!("must not run") };
        let error = cx.effect::<()>("create", "web", Value::Null, never).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_deadline_wins() {
        let cx = context().with_timeout(Duration::from_secs(1));
        let first = cx.deadline();
        assert_eq!(cx.with_timeout(Duration::from_secs(9)).deadline(), first);
    }
}
