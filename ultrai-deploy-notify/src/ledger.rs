//! Which endings were told: a small file beside the state of an environment.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ultrai_deploy_core::{Error, ErrorKind, Result};

const OPERATION: &str = "keep which notifications were sent";
/// Version of the file's form.
const FORMAT: u16 = 1;
/// How many endings are remembered for each channel; more than are ever looked for again.
const MOST_KEYS: usize = 64;
/// How many channels are remembered, the last in the order of their names being forgotten.
const MOST_CHANNELS: usize = 64;
/// Readable by its owner only, like all state.
const FILE_MODE: u32 = 0o600;
/// How long others may hold the file, who need it for a moment only.
const LOCK_LIMIT: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Remembers which endings of runs were told to whom, across processes.
///
/// The file is replaced whole, so a crash leaves the old or the new one. A damaged one counts as one
/// that is not there yet.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settled {
    format: u16,
    channels: BTreeMap<String, VecDeque<String>>,
}

impl Ledger {
    /// A ledger in this file, such as `notifications.json` in the environment's state directory,
    /// which has to be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// What was told; nothing when the ledger begins just now.
    pub(crate) async fn open(&self) -> Result<Option<Settled>> {
        self.work(|path| match read(path)? {
            Some(settled) => Ok(Some(settled)),
            None => write(path, &Settled::default()).map(|()| None),
        })
        .await
    }

    /// Remembers that nothing more is to be told to a channel about this.
    pub(crate) async fn settle(&self, channel: &str, key: &str) -> Result<()> {
        let (channel, key) = (channel.to_owned(), key.to_owned());
        self.work(|path| {
            let mut settled = read(path)?.unwrap_or_default();
            settled.add(channel, key);
            write(path, &settled)
        })
        .await
    }

    /// Works on the file alone, off the executor's threads.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let lock = self.lock().await?;
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&path);
            drop(lock);
            result
        })
        .await;
        match done {
            Ok(result) => result.map_err(|source| self.failure(source)),
            Err(source) => {
                Err(Error::new(ErrorKind::Unexpected, OPERATION, "it was cut off")
                    .with_source(source))
            }
        }
    }

    /// The lock is in a file of its own: the other one is replaced.
    async fn lock(&self) -> Result<File> {
        let deadline = Instant::now() + LOCK_LIMIT;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options
            .open(self.path.with_extension("lock"))
            .map_err(|source| self.failure(source))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(self.failure(source)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let message = format!("another process holds {}", self.path.display());
                    return Err(Error::new(ErrorKind::Timeout, OPERATION, message));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            }
        }
    }

    fn failure(&self, source: io::Error) -> Error {
        let message = format!("{} cannot be read or written", self.path.display());
        Error::new(ErrorKind::Io, OPERATION, message).with_source(source)
    }
}

impl Settled {
    pub(crate) fn has(&self, channel: &str, key: &str) -> bool {
        self.channels.get(channel).is_some_and(|keys| keys.iter().any(|one| one == key))
    }

    fn add(&mut self, channel: String, key: String) {
        let keys = self.channels.entry(channel).or_default();
        if keys.contains(&key) {
            return;
        }
        keys.push_back(key);
        while keys.len() > MOST_KEYS {
            keys.pop_front();
        }
        while self.channels.len() > MOST_CHANNELS {
            self.channels.pop_last();
        }
    }
}

impl Default for Settled {
    fn default() -> Self {
        Self { format: FORMAT, channels: BTreeMap::new() }
    }
}

fn read(path: &Path) -> io::Result<Option<Settled>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice::<Settled>(&text) {
        Ok(settled) if settled.format == FORMAT => Ok(Some(settled)),
        Ok(_) | Err(_) => {
            tracing::warn!("{} is damaged or of another version, and begins anew", path.display());
            Ok(None)
        }
    }
}

/// Puts a file in the place of the old one; durable on return.
fn write(path: &Path, settled: &Settled) -> io::Result<()> {
    let scratch = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&scratch)?;
    file.write_all(&serde_json::to_vec(settled)?)?;
    file.sync_all()?;
    fs::rename(&scratch, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_begins_empty_and_remembers_a_bounded_number() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(directory.path().join("notifications.json"));
        assert!(ledger.open().await.unwrap().is_none(), "it begins");
        assert!(ledger.open().await.unwrap().is_some(), "it has begun");
        for n in 0..MOST_KEYS + 5 {
            ledger.settle("ops", &format!("run/{n}")).await.unwrap();
        }
        let settled = ledger.open().await.unwrap().unwrap();
        assert!(settled.has("ops", &format!("run/{}", MOST_KEYS + 4)));
        assert!(!settled.has("other", "run/5"));
        assert!(!settled.has("ops", "run/4"), "the oldest is forgotten");
        assert_eq!(settled.channels["ops"].len(), MOST_KEYS);
    }

    #[tokio::test]
    async fn channels_that_are_told_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notifications.json");
        let ledgers: Vec<_> = (0..8).map(|_| Ledger::new(&path)).collect();
        let settling = ledgers.iter().enumerate().map(async |(n, ledger)| {
            ledger.settle(&n.to_string(), "run/1").await.unwrap();
        });
        futures_util::future::join_all(settling).await;
        let settled = ledgers[0].open().await.unwrap().unwrap();
        assert_eq!(settled.channels.len(), 8, "{settled:?}");
    }

    #[tokio::test]
    async fn a_damaged_file_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notifications.json");
        for damage in ["", "{\"format\":1,\"chan", r#"{"format":9,"channels":{}}"#] {
            fs::write(&path, damage).unwrap();
            assert!(Ledger::new(&path).open().await.unwrap().is_none(), "{damage}");
            assert!(Ledger::new(&path).open().await.unwrap().is_some(), "{damage}");
        }
    }
}
