//! The journal as one file a run.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    durable::{
        FileLock, blocking, failure, ignore_missing, private_file, publish, remove_file,
        sync_directory,
    },
    frame::{self, Chain, Damage, Scan},
    scratch::Scratch,
};
use crate::{
    error::{Error, ErrorKind, Result},
    journal::{self, End, Record},
    name::RunId,
};

const SUFFIX: &str = ".journal";
const APPEND: &str = "append to the journal";
const LOAD: &str = "read the journal";
const REPAIR: &str = "repair the journal";
const REMOVE: &str = "remove the journal";
/// Others hold the lock for one append; one that takes longer is stopped or its disk hangs.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// What a record asks of the file system, so that a test can stand in for one that fails.
trait Storage: fmt::Debug + Send + Sync {
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &File) -> io::Result<()>;
    fn cut(&self, file: &File, length: u64) -> io::Result<()>;
}

/// The file system itself.
#[derive(Debug)]
struct Disk;

impl Storage for Disk {
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        file.sync_all()
    }
}

/// Keeps each run's records in `runs/<run>.journal`, appended and synced one by one.
///
/// Clones share the state of their last append.
#[derive(Clone, Debug)]
pub struct Journal {
    runs: Runs,
    /// Held through each call, also by its file work when the caller is dropped, so that the next
    /// call sees all or nothing of an append that was given up.
    appender: Arc<Mutex<Appender>>,
}

#[derive(Clone, Debug)]
struct Runs {
    root: PathBuf,
    directory: PathBuf,
    storage: Arc<dyn Storage>,
}

#[derive(Debug, Default)]
struct Appender {
    last: Option<Tail>,
    /// Runs with an append that failed: what is on disk is not known until it is read again.
    poisoned: BTreeSet<RunId>,
}

/// Where the last append left a journal.
#[derive(Debug)]
struct Tail {
    run: RunId,
    length: u64,
    end: End,
    chain: Chain,
}

impl Journal {
    pub(super) fn new(root: &Path) -> Self {
        Self::with(root, Arc::new(Disk))
    }

    fn with(root: &Path, storage: Arc<dyn Storage>) -> Self {
        let runs = Runs { root: root.to_owned(), directory: root.join("runs"), storage };
        Self { runs, appender: Arc::default() }
    }

    async fn lock(&self, operation: &'static str) -> Result<(FileLock, OwnedMutexGuard<Appender>)> {
        let appender = Arc::clone(&self.appender).lock_owned().await;
        let path = self.runs.directory.join("lock");
        Ok((FileLock::take(&path, operation, LOCK_LIMIT).await?, appender))
    }
}

#[async_trait]
impl journal::Journal for Journal {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        let (lock, mut appender) = self.lock(APPEND).await?;
        let (runs, run, record) = (self.runs.clone(), run.clone(), record.clone());
        blocking(move || {
            let result = appender.append(&runs, &run, &record);
            drop((appender, lock));
            result
        })
        .await
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        let mut appender = Arc::clone(&self.appender).lock_owned().await;
        let (runs, run) = (self.runs.clone(), run.clone());
        blocking(move || {
            appender.forget(&run);
            let bytes = runs.read(&run, LOAD)?;
            Ok(runs.scan(&run, &bytes, LOAD)?.records)
        })
        .await
    }

    async fn repair(&self, run: &RunId) -> Result<()> {
        let (lock, mut appender) = self.lock(REPAIR).await?;
        let (runs, run) = (self.runs.clone(), run.clone());
        blocking(move || {
            appender.forget(&run);
            let result = runs.repair(&run);
            drop((appender, lock));
            result
        })
        .await
    }

    async fn remove(&self, run: &RunId) -> Result<()> {
        let (lock, mut appender) = self.lock(REMOVE).await?;
        let (runs, run) = (self.runs.clone(), run.clone());
        blocking(move || {
            appender.forget(&run);
            let result = runs.remove(&run);
            drop((appender, lock));
            result
        })
        .await
    }

    /// All runs, oldest first; reads names only, no journal.
    async fn runs(&self) -> Result<Vec<RunId>> {
        let runs = self.runs.clone();
        blocking(move || runs.list()).await
    }
}

impl Appender {
    fn forget(&mut self, run: &RunId) {
        self.poisoned.remove(run);
        self.last = None;
    }

    fn append(&mut self, runs: &Runs, run: &RunId, record: &Record) -> Result<()> {
        if self.poisoned.contains(run) {
            let message = format!("an earlier record of run {run} could not be written");
            return Err(Error::new(ErrorKind::Io, APPEND, message)
                .with_advice("resume the run, which reads its journal again")
                .without_effect());
        }
        let path = runs.path(run);
        let opened = OpenOptions::new().read(true).append(true).open(&path);
        let opened = ignore_missing(opened).map_err(|error| failure(APPEND, &path, error))?;
        let tail = match &opened {
            Some(file) => self.tail(runs, run, file)?,
            None => Tail::start(run),
        };
        tail.end.check(run, record)?;
        let (line, chain) = frame::encode(&tail.chain, record).map_err(|source| {
            Error::new(ErrorKind::Unexpected, APPEND, format!("record {} has no JSON", record.seq))
                .with_source(source)
                .without_effect()
        })?;
        let written = match opened {
            Some(file) => extend(runs.storage.as_ref(), &file, tail.length, &line),
            None => runs.create(run, &line),
        };
        let length = written.map_err(|error| {
            self.poisoned.insert(run.clone());
            failure(APPEND, &path, error)
        })?;
        let end = End { seq: record.seq, fence: record.fence };
        self.last = Some(Tail { run: run.clone(), length, end, chain });
        Ok(())
    }

    /// The end of the file, read again when another process has written to it.
    fn tail(&mut self, runs: &Runs, run: &RunId, file: &File) -> Result<Tail> {
        let path = runs.path(run);
        let length = file.metadata().map_err(|error| failure(APPEND, &path, error))?.len();
        if let Some(tail) = self.last.take_if(|tail| tail.run == *run && tail.length == length) {
            return Ok(tail);
        }
        let bytes = runs.read(run, APPEND)?;
        let scan = runs.scan(run, &bytes, APPEND)?;
        if scan.torn > 0 {
            let message = format!(
                "{} ends in an incomplete record {} at byte {}",
                path.display(),
                scan.records.len() + 1,
                scan.good
            );
            return Err(Error::new(ErrorKind::Corrupt, APPEND, message)
                .with_advice("resume the run, which cuts it off")
                .without_effect());
        }
        Ok(Tail {
            run: run.clone(),
            length: scan.good as u64,
            end: End::of(&scan.records),
            chain: scan.chain,
        })
    }
}

impl Tail {
    fn start(run: &RunId) -> Self {
        let (header, chain) = frame::header(run);
        Self { run: run.clone(), length: header.len() as u64, end: End::default(), chain }
    }
}

impl Runs {
    fn path(&self, run: &RunId) -> PathBuf {
        self.directory.join(format!("{run}{SUFFIX}"))
    }

    fn list(&self) -> Result<Vec<RunId>> {
        let failed = |error| failure("list runs", &self.directory, error);
        let mut runs = BTreeSet::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let run = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            runs.extend(run.and_then(|run| RunId::new(run).ok()));
        }
        Ok(runs.into_iter().collect())
    }

    fn read(&self, run: &RunId, operation: &'static str) -> Result<Vec<u8>> {
        let path = self.path(run);
        ignore_missing(fs::read(&path))
            .map_err(|error| failure(operation, &path, error))?
            .ok_or_else(|| journal::unknown(run, operation))
    }

    fn scan(&self, run: &RunId, bytes: &[u8], operation: &'static str) -> Result<Scan> {
        frame::scan(bytes, run).map_err(|damage| {
            let (kind, advice) = match damage {
                Damage::Newer(_) | Damage::Unknown { .. } => {
                    (ErrorKind::Unsupported, "use the newer version of this program that wrote it")
                }
                _ => (
                    ErrorKind::Corrupt,
                    "put the file back from a copy of the state directory; without one look at \
                     what runs, then move it away",
                ),
            };
            let message = format!("{} is not readable", self.path(run).display());
            Error::new(kind, operation, message)
                .with_advice(advice)
                .with_source(damage)
                .without_effect()
        })
    }

    fn remove(&self, run: &RunId) -> Result<()> {
        let path = self.path(run);
        remove_file(&path)
            .and_then(|()| sync_directory(&self.directory))
            .map_err(|error| failure(REMOVE, &path, error))
    }

    /// Header and first record appear together.
    fn create(&self, run: &RunId, line: &[u8]) -> io::Result<u64> {
        let scratch = Scratch::new(&self.root)?;
        let written = scratch.path().join("journal");
        let (mut content, _) = frame::header(run);
        content.extend_from_slice(line);
        let file = private_file().open(&written)?;
        self.storage.write(&file, &content)?;
        self.storage.sync(&file)?;
        publish(&written, &self.path(run))?;
        Ok(content.len() as u64)
    }

    fn repair(&self, run: &RunId) -> Result<()> {
        let path = self.path(run);
        let bytes = self.read(run, REPAIR)?;
        let scan = self.scan(run, &bytes, REPAIR)?;
        if scan.torn == 0 {
            return Ok(());
        }
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| self.storage.cut(&file, scan.good as u64))
            .map_err(|error| failure(REPAIR, &path, error))
    }
}

/// Appends a line; on failure takes it back as far as it can, and what is left is a torn tail.
fn extend(disk: &dyn Storage, file: &File, length: u64, line: &[u8]) -> io::Result<u64> {
    if let Err(error) = disk.write(file, line).and_then(|()| disk.sync(file)) {
        let _torn_tail = disk.cut(file, length);
        return Err(error);
    }
    Ok(length + line.len() as u64)
}
