//! Journals that can end in half a record.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use ultrai_deploy_core::{
    ErrorKind,
    error::{Error, Result},
    file,
    journal::{Journal, Record},
    memory,
    name::RunId,
};

/// A journal that can be left with half a record at its end, as a process leaves it that dies while
/// it writes. Implement it for a backend of yours to let processes die so on it.
#[async_trait]
pub trait Tear: Journal {
    /// Writes half of what [`append`](Journal::append) would.
    ///
    /// # Errors
    /// When it could not be written.
    async fn tear(&self, run: &RunId, record: &Record) -> Result<()>;
}

/// A journal in memory that can be torn. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Paper {
    whole: memory::Journal,
    torn: Arc<Mutex<BTreeSet<RunId>>>,
}

impl Paper {
    fn torn(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.torn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Tear for Paper {
    async fn tear(&self, run: &RunId, _: &Record) -> Result<()> {
        self.torn().insert(run.clone());
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Journal for Paper {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        if self.torn().contains(run) {
            let message = "it ends in half a record";
            return Err(Error::new(ErrorKind::Corrupt, "append to the journal", message));
        }
        self.whole.append(run, record).await
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        match self.whole.load(run).await {
            // Its first record is the torn one.
            Err(_) if self.torn().contains(run) => Ok(Vec::new()),
            loaded => loaded,
        }
    }

    async fn repair(&self, run: &RunId) -> Result<()> {
        if self.torn().remove(run) {
            return Ok(());
        }
        self.whole.repair(run).await
    }

    async fn remove(&self, run: &RunId) -> Result<()> {
        self.torn().remove(run);
        self.whole.remove(run).await
    }

    async fn runs(&self) -> Result<Vec<RunId>> {
        let mut runs = self.torn().clone();
        runs.extend(self.whole.runs().await?);
        Ok(runs.into_iter().collect())
    }
}

/// The journal of an environment's state directory, torn by its bytes.
#[derive(Clone, Debug)]
pub struct Files {
    journal: Arc<file::Journal>,
    directory: PathBuf,
}

impl Files {
    /// That of `state`.
    pub fn of(state: &file::State) -> Self {
        Self { journal: Arc::clone(&state.journal), directory: state.root.join("runs") }
    }
}

#[async_trait]
impl Tear for Files {
    async fn tear(&self, run: &RunId, record: &Record) -> Result<()> {
        let path = self.directory.join(format!("{run}.journal"));
        let length = || std::fs::metadata(&path).map_or(0, |file| file.len());
        let before = length();
        self.journal.append(run, record).await?;
        let half = before + (length() - before) / 2;
        let cut =
            || -> io::Result<()> { OpenOptions::new().write(true).open(&path)?.set_len(half) };
        cut().map_err(|source| {
            Error::new(ErrorKind::Io, "tear a record", "its file cannot be cut").with_source(source)
        })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Journal for Files {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        self.journal.append(run, record).await
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.journal.load(run).await
    }

    async fn repair(&self, run: &RunId) -> Result<()> {
        self.journal.repair(run).await
    }

    async fn remove(&self, run: &RunId) -> Result<()> {
        self.journal.remove(run).await
    }

    async fn runs(&self) -> Result<Vec<RunId>> {
        self.journal.runs().await
    }
}
