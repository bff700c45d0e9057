//! Crash points: a process that dies before or after the n-th record or effect.
//!
//! The death of a process is a future that goes no further and is dropped. [`Death::or`] drives a
//! future until it ends or the death happens; everything else on the way is the real thing.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;
use ultrai_deploy_core::{
    context::{EffectLog, Key},
    error::{Failure, Result},
    journal::{self, Record},
    name::RunId,
};

/// On which side of the n-th record or effect the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Before it happens: its intent, at most, is known.
    Before,
    /// After it happened, before anybody could write that down.
    After,
}

/// A death at a certain point. Clones are one death.
#[derive(Clone, Debug)]
pub struct Death(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    point: Option<(u64, When)>,
    reached: AtomicU64,
    happened: watch::Sender<bool>,
}

impl Death {
    /// At the `nth` point, counted from 1.
    pub fn at(nth: u64, when: When) -> Self {
        Self::new(Some((nth, when)))
    }

    /// Never; it only counts how many points there are.
    pub fn never() -> Self {
        Self::new(None)
    }

    fn new(point: Option<(u64, When)>) -> Self {
        let happened = watch::Sender::new(false);
        Self(Arc::new(Inner { point, reached: AtomicU64::new(0), happened }))
    }

    /// How many points were reached so far.
    pub fn points(&self) -> u64 {
        self.0.reached.load(Ordering::SeqCst)
    }

    /// Whether it happened.
    pub fn happened(&self) -> bool {
        *self.0.happened.borrow()
    }

    /// What `work` ends with, or nothing when the death came first: then `work` is dropped where
    /// it stood.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut happened = self.0.happened.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`, so an end without a death cannot come.
            _ = happened.wait_for(|happened| *happened) => None,
            ended = work => Some(ended),
        }
    }

    fn next(&self) -> u64 {
        self.0.reached.fetch_add(1, Ordering::SeqCst) + 1
    }

    async fn pass(&self, point: u64, when: When) {
        if self.0.point == Some((point, when)) || self.happened() {
            self.0.happened.send_replace(true);
            std::future::pending::<()>().await;
        }
    }
}

/// An effect log whose process dies before or after its n-th effect.
#[derive(Debug)]
pub struct Effects {
    death: Death,
}

impl Effects {
    /// Effects up to `death`.
    pub fn new(death: Death) -> Self {
        Self { death }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EffectLog for Effects {
    async fn begin(&self, _: &Key, _: &str, _: &str, _: Value) -> Result<u64> {
        let effect = self.death.next();
        self.death.pass(effect, When::Before).await;
        Ok(effect)
    }

    async fn end(&self, _: &Key, effect: u64, _: Result<Value, Failure>) -> Result<()> {
        self.death.pass(effect, When::After).await;
        Ok(())
    }

    async fn guard(&self) -> Result<()> {
        Ok(())
    }

    async fn note(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// A journal whose process dies before or after its n-th record.
#[derive(Debug)]
pub struct Journal {
    inner: Arc<dyn journal::Journal>,
    death: Death,
}

impl Journal {
    /// `inner` up to `death`.
    pub fn new(inner: Arc<dyn journal::Journal>, death: Death) -> Self {
        Self { inner, death }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl journal::Journal for Journal {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        let point = self.death.next();
        self.death.pass(point, When::Before).await;
        let appended = self.inner.append(run, record).await;
        self.death.pass(point, When::After).await;
        appended
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.inner.load(run).await
    }

    async fn repair(&self, run: &RunId) -> Result<()> {
        self.inner.repair(run).await
    }

    async fn remove(&self, run: &RunId) -> Result<()> {
        self.inner.remove(run).await
    }

    async fn runs(&self) -> Result<Vec<RunId>> {
        self.inner.runs().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_dies_once_at_its_point() {
        let death = Death::at(2, When::After);
        let log = Effects::new(death.clone());
        let key = Key { run: RunId::generate(), step: "switch".into(), attempt: 1 };
        let mut done = 0;
        let ended = death
            .or(async {
                for _ in 0..3 {
                    let effect = log.begin(&key, "create", "web", Value::Null).await?;
                    done += 1;
                    log.end(&key, effect, Ok(Value::Null)).await?;
                }
                Result::<()>::Ok(())
            })
            .await;
        assert!(ended.is_none());
        assert_eq!((done, death.points(), death.happened()), (2, 2, true));
    }
}
