//! A journal whose process dies, stops or loses its disk at one of its records.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use tokio::sync::watch;
use ultrai_deploy_core::{
    ErrorKind,
    error::{Error, Result},
    journal::{Event, Journal, Record},
    lease::Wait,
    memory,
    name::RunId,
    pipeline::{Pipeline, Run},
    report::Report,
};

use crate::lab::Lab;

/// What happens at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Killed before the record is durable: after an effect, before its result.
    Before,
    /// Killed after the record is durable: after an intent, before its effect.
    After,
    /// The disk fails before the record is on it.
    DiskBefore,
    /// The disk fails after the record is on it.
    DiskAfter,
    /// Stopped before the record is durable, until [`Deadly::go_on`].
    Stop,
}

/// At which record; it happens once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// At the append with this number, from 1.
    Append(u64),
    /// At the first event of this kind.
    Event(fn(&Event) -> bool),
}

/// A journal to which something happens at one of its appends.
#[derive(Debug)]
pub(crate) struct Deadly {
    inner: memory::Journal,
    appends: AtomicU64,
    at: Option<(At, Kill)>,
    happened: AtomicBool,
    dead: watch::Sender<bool>,
    go_on: watch::Sender<bool>,
}

impl Deadly {
    pub(crate) fn new(lab: &Lab, at: Option<(At, Kill)>) -> Arc<Self> {
        Arc::new(Self {
            inner: lab.journal.clone(),
            appends: AtomicU64::new(0),
            at,
            happened: AtomicBool::new(false),
            dead: watch::Sender::new(false),
            go_on: watch::Sender::new(false),
        })
    }

    /// How many appends were tried.
    pub(crate) fn appends(&self) -> u64 {
        self.appends.load(Ordering::Relaxed)
    }

    /// Waits until it has happened.
    pub(crate) async fn happened(&self) {
        self.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }

    /// Lets a stopped process go on.
    pub(crate) fn go_on(&self) {
        self.go_on.send_replace(true);
    }

    async fn die(&self) -> Result<()> {
        self.dead.send_replace(true);
        std::future::pending().await
    }

    /// Takes over what is unfinished, and drives it.
    pub(crate) async fn drive_resumed(&self, pipeline: &Pipeline) -> Option<Report> {
        let resumed = tokio::select! {
            biased;
            run = pipeline.resume(false, Wait::No) => run.ok().flatten(),
            () = self.happened() => None,
        };
        self.drive(resumed?).await
    }

    /// Drives `run` until it ends or its process dies. Nothing says whether it ended in an error.
    pub(crate) async fn drive(&self, run: Run) -> Option<Report> {
        tokio::select! {
            biased;
            report = run.join() => report.ok(),
            () = self.happened() => None,
        }
    }
}

#[async_trait]
impl Journal for Deadly {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        let number = self.appends.fetch_add(1, Ordering::Relaxed) + 1;
        let kill = self.at.filter(|(at, _)| match at {
            At::Append(at) => *at == number,
            At::Event(is_it) => is_it(&record.event),
        });
        let kill = kill.filter(|_| !self.happened.swap(true, Ordering::Relaxed));
        let disk = || Err(Error::new(ErrorKind::Io, "append", "the disk is gone"));
        match kill.map(|(_, kill)| kill) {
            None => self.inner.append(run, record).await,
            Some(Kill::Before) => self.die().await,
            Some(Kill::After) => {
                self.inner.append(run, record).await?;
                self.die().await
            }
            Some(Kill::DiskBefore) => disk(),
            Some(Kill::DiskAfter) => {
                self.inner.append(run, record).await?;
                disk()
            }
            Some(Kill::Stop) => {
                self.dead.send_replace(true);
                self.go_on.subscribe().wait_for(|go_on| *go_on).await.unwrap();
                self.inner.append(run, record).await
            }
        }
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.inner.load(run).await
    }
    async fn repair(&self, run: &RunId) -> Result<()> {
        self.inner.repair(run).await
    }
    async fn runs(&self) -> Result<Vec<RunId>> {
        self.inner.runs().await
    }
}
