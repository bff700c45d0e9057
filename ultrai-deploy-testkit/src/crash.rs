//! Crash points: a process that dies before or after the n-th record or effect, or in the middle of a
//! record.
//!
//! The death of a process is a future that goes no further and is dropped. [`Death::or`] drives a
//! future until it ends or the death happens; everything else on the way is the real thing.
//! [`every_point`] runs a case once for each point there is:
//!
//! ```
//! use std::sync::Arc;
//! use ultrai_deploy_core::{
//!     journal::{Event, Journal as _, Record},
//!     lease::Fence, memory, name::RunId,
//! };
//! use ultrai_deploy_testkit::crash::{self, Paper, When};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let cases = crash::every_point(When::Torn, |death| async move {
//!     let (paper, run) = (Paper::default(), RunId::generate());
//!     let journal = crash::Journal::tearing(Arc::new(paper.clone()), death.clone());
//!     let write = async {
//!         for seq in 1..=3 {
//!             let event = Event::Note { message: seq.to_string() };
//!             let record = Record { seq, at: jiff::Timestamp::UNIX_EPOCH, fence: Fence(1), event };
//!             journal.append(&run, &record).await.unwrap();
//!         }
//!     };
//!     let Some(()) = death.or(write).await else {
//!         // What the next process finds.
//!         assert_eq!(paper.load(&run).await.unwrap().len() as u64, death.points() - 1);
//!         return;
//!     };
//! })
//! .await;
//! assert_eq!(cases, 4); // torn at each of three records, and one that went through
//! # }
//! ```

mod torn;

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

pub use self::torn::{Files, Paper, Tear};

/// On which side of the n-th record or effect the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// Before it happens: its intent, at most, is known.
    Before,
    /// After it happened, before anybody could write that down.
    After,
    /// While it was written: half of it is there. Only records are torn, effects never.
    Torn,
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

    /// The number of the point that it is at; 0 when it never comes.
    pub fn point(&self) -> u64 {
        self.0.point.map_or(0, |(point, _)| point)
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

    fn is_at(&self, point: u64, when: When) -> bool {
        self.0.point == Some((point, when)) && !self.happened()
    }

    async fn pass(&self, point: u64, when: When) {
        if self.is_at(point, when) || self.happened() {
            self.0.happened.send_replace(true);
            std::future::pending::<()>().await;
        }
    }
}

/// Runs `case` once for every point: with a death at the first, at the second, and so on, on one side
/// of it, until one ends without having died. Returns how many ran, that last one included: print
/// it, so that points that have become fewer are seen.
pub async fn every_point<F>(when: When, case: impl Fn(Death) -> F) -> usize
where
    F: Future<Output = ()>,
{
    let mut ran = 0;
    for point in 1.. {
        let death = Death::at(point, when);
        case(death.clone()).await;
        ran += 1;
        if !death.happened() {
            break;
        }
    }
    ran
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

/// A journal whose process dies before, after or in the middle of its n-th record.
#[derive(Debug)]
pub struct Journal {
    inner: Arc<dyn journal::Journal>,
    tear: Option<Arc<dyn Tear>>,
    death: Death,
}

impl Journal {
    /// `inner` up to `death`.
    ///
    /// # Panics
    /// For a death at [`When::Torn`]: that takes [`Journal::tearing`].
    pub fn new(inner: Arc<dyn journal::Journal>, death: Death) -> Self {
        let tears = matches!(death.0.point, Some((_, When::Torn)));
        assert!(!tears, "a journal that can be torn is needed for a death within a record");
        Self { inner, tear: None, death }
    }

    /// The same with a journal that can be torn.
    pub fn tearing(inner: Arc<dyn Tear>, death: Death) -> Self {
        Self { tear: Some(Arc::clone(&inner)), inner, death }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl journal::Journal for Journal {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        let point = self.death.next();
        self.death.pass(point, When::Before).await;
        if let Some(tear) = self.tear.as_ref().filter(|_| self.death.is_at(point, When::Torn)) {
            tear.tear(run, record).await?;
        }
        self.death.pass(point, When::Torn).await;
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
