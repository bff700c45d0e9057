//! Journals whose process dies, stops or loses its disk at one of their operations.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;
use ultrai_deploy_core::{
    ErrorKind,
    error::{Error, Result},
    file,
    journal::{Event, Journal, Record},
    lease::Wait,
    memory,
    name::RunId,
    pipeline::{Pipeline, Run},
    report::Report,
};

use crate::lab::{Lab, target};

/// A journal that can be left with half a record at its end.
#[async_trait]
pub(crate) trait Disk: Journal {
    /// Writes half of what [`Journal::append`] would.
    async fn tear(&self, run: &RunId, record: &Record);
}

/// A journal in memory. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paper {
    whole: memory::Journal,
    torn: Arc<Mutex<BTreeSet<RunId>>>,
}

impl Paper {
    fn is_torn(&self, run: &RunId) -> bool {
        self.torn.lock().unwrap().contains(run)
    }
}

#[async_trait]
impl Disk for Paper {
    async fn tear(&self, run: &RunId, _: &Record) {
        self.torn.lock().unwrap().insert(run.clone());
    }
}

#[async_trait]
impl Journal for Paper {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        if self.is_torn(run) {
            return Err(Error::new(ErrorKind::Corrupt, "append", "it ends in half a record"));
        }
        self.whole.append(run, record).await
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        match self.whole.load(run).await {
            Err(_) if self.is_torn(run) => Ok(Vec::new()),
            loaded => loaded,
        }
    }
    async fn repair(&self, run: &RunId) -> Result<()> {
        if self.torn.lock().unwrap().remove(run) {
            return Ok(());
        }
        self.whole.repair(run).await
    }
    async fn remove(&self, run: &RunId) -> Result<()> {
        self.torn.lock().unwrap().remove(run);
        self.whole.remove(run).await
    }
    async fn runs(&self) -> Result<Vec<RunId>> {
        let mut runs: BTreeSet<_> = self.torn.lock().unwrap().clone();
        runs.extend(self.whole.runs().await?);
        Ok(runs.into_iter().collect())
    }
}

/// A journal of real files, which are torn by their bytes. What is whole in it is in the lab's
/// journal, too, where those who watch read it.
#[derive(Debug)]
pub(crate) struct Files {
    file: Arc<file::Journal>,
    directory: PathBuf,
    copy: Paper,
}

impl Files {
    /// The journal of a new process, in a directory that stays.
    pub(crate) fn open(base: &std::path::Path, lab: &Lab) -> Arc<Self> {
        let state = file::open(base, &target()).unwrap();
        let directory = state.root.join("runs");
        Arc::new(Self { file: state.journal, directory, copy: lab.journal.clone() })
    }
}

#[async_trait]
impl Disk for Files {
    async fn tear(&self, run: &RunId, record: &Record) {
        let path = self.directory.join(format!("{run}.journal"));
        let length = || std::fs::metadata(&path).map_or(0, |file| file.len());
        let before = length();
        self.file.append(run, record).await.unwrap();
        let half = before + (length() - before) / 2;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(half).unwrap();
    }
}

#[async_trait]
impl Journal for Files {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        self.file.append(run, record).await?;
        self.copy.append(run, record).await
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.file.load(run).await
    }
    async fn repair(&self, run: &RunId) -> Result<()> {
        self.file.repair(run).await
    }
    async fn remove(&self, run: &RunId) -> Result<()> {
        self.file.remove(run).await?;
        self.copy.remove(run).await
    }
    async fn runs(&self) -> Result<Vec<RunId>> {
        self.file.runs().await
    }
}

/// How long a process waits for the lease of one that may be stopped.
const PATIENCE: Duration = Duration::from_mins(1);

/// A call of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Append,
    Load,
    Repair,
    Remove,
    Runs,
}

impl Operation {
    pub(crate) const ALL: [Self; 5] =
        [Self::Append, Self::Load, Self::Repair, Self::Remove, Self::Runs];
}

/// What happens at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Killed before the record is durable: after an effect, before its result.
    Before,
    /// Killed after the record is durable: after an intent, before its effect.
    After,
    /// Killed while the record was written: half of it is there.
    Torn,
    /// The disk fails before the record is on it.
    DiskBefore,
    /// The disk fails after the record is on it.
    DiskAfter,
    /// Stopped before the record is durable, until [`Deadly::go_on`].
    Stop,
}

/// At which operation; it happens once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// At the append with this number, from 1.
    Append(u64),
    /// At the operation with this number, from 1.
    Operation(u64),
    /// At the first event of this kind.
    Event(fn(&Event) -> bool),
}

/// A journal to which something happens at one of its operations.
#[derive(Debug)]
pub(crate) struct Deadly {
    inner: Arc<dyn Disk>,
    appends: AtomicU64,
    operations: Mutex<Vec<Operation>>,
    at: Option<(At, Kill)>,
    happened: AtomicBool,
    dead: watch::Sender<bool>,
    go_on: watch::Sender<bool>,
}

impl Deadly {
    pub(crate) fn new(lab: &Lab, at: Option<(At, Kill)>) -> Arc<Self> {
        Self::on(Arc::new(lab.journal.clone()), at)
    }

    pub(crate) fn on(inner: Arc<dyn Disk>, at: Option<(At, Kill)>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            appends: AtomicU64::new(0),
            operations: Mutex::default(),
            at,
            happened: AtomicBool::new(false),
            dead: watch::Sender::new(false),
            go_on: watch::Sender::new(false),
        })
    }

    /// All that was asked of it.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.operations.lock().unwrap().clone()
    }

    /// What happens now that `operation` is asked for.
    fn next(&self, operation: Operation, event: Option<&Event>) -> Option<Kill> {
        let mut operations = self.operations.lock().unwrap();
        operations.push(operation);
        if operation == Operation::Append {
            self.appends.fetch_add(1, Ordering::Relaxed);
        }
        let (at, kill) = self.at?;
        let is_it = match at {
            At::Append(at) => {
                operation == Operation::Append && at == self.appends.load(Ordering::Relaxed)
            }
            At::Operation(at) => at == operations.len() as u64,
            At::Event(is_it) => event.is_some_and(is_it),
        };
        (is_it && !self.happened.swap(true, Ordering::Relaxed)).then_some(kill)
    }

    async fn suffer<T>(
        &self,
        kill: Option<Kill>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match kill {
            None => work.await,
            Some(Kill::Before | Kill::Torn) => self.die().await,
            Some(Kill::After) => {
                work.await?;
                self.die().await
            }
            Some(Kill::DiskBefore) => Err(gone()),
            Some(Kill::DiskAfter) => {
                work.await?;
                Err(gone())
            }
            Some(Kill::Stop) => {
                self.stop().await;
                work.await
            }
        }
    }

    /// Waits until it has happened.
    pub(crate) async fn happened(&self) {
        self.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }

    /// Lets a stopped process go on.
    pub(crate) fn go_on(&self) {
        self.go_on.send_replace(true);
    }

    async fn die<T>(&self) -> Result<T> {
        self.dead.send_replace(true);
        std::future::pending().await
    }

    async fn stop(&self) {
        self.dead.send_replace(true);
        self.go_on.subscribe().wait_for(|go_on| *go_on).await.unwrap();
    }

    /// Takes over what is unfinished, and drives it; with `retry` also what is stuck.
    pub(crate) async fn drive_resumed(&self, pipeline: &Pipeline, retry: bool) -> Option<Report> {
        let resumed = tokio::select! {
            biased;
            run = pipeline.resume(retry, Wait::AtMost(PATIENCE)) => run.ok().flatten(),
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
        let kill = self.next(Operation::Append, Some(&record.event));
        if kill == Some(Kill::Torn) {
            self.inner.tear(run, record).await;
        }
        self.suffer(kill, self.inner.append(run, record)).await
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.suffer(self.next(Operation::Load, None), self.inner.load(run)).await
    }
    async fn repair(&self, run: &RunId) -> Result<()> {
        self.suffer(self.next(Operation::Repair, None), self.inner.repair(run)).await
    }
    async fn remove(&self, run: &RunId) -> Result<()> {
        self.suffer(self.next(Operation::Remove, None), self.inner.remove(run)).await
    }
    async fn runs(&self) -> Result<Vec<RunId>> {
        self.suffer(self.next(Operation::Runs, None), self.inner.runs()).await
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Io, "use the journal", "the disk is gone")
}
