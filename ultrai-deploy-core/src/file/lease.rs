//! The lease as kernel locks on numbered files.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    durable::{FileLock, blocking, failure, ignore_missing, publish, remove_file, write_new},
    scratch::Scratch,
};
use crate::{
    error::{Error, ErrorKind, Result},
    lease::{self, Fence, Holder, Patience, Seen, Wait},
    name::Target,
};

const ACQUIRE: &str = "take the lease";
const RENEW: &str = "renew the lease";
const LOOK: &str = "read the lease";
/// Others hold `lease/lock` for the moment of one try.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// Generations that stay on disk, for people.
const KEPT: u64 = 8;

/// Excludes drivers by a kernel lock on the newest of the files `lease/<fence>`.
///
/// A holder that died or dropped this value frees its lock, and the next one takes over at once.
/// A holder that lives but did not renew for the time to live (a stopped process) is taken over
/// by whoever waits that long; its next renewal fails.
#[derive(Debug)]
pub struct Lease {
    directory: Arc<Directory>,
    target: Target,
    held: Arc<Mutex<Option<Held>>>,
}

#[derive(Debug)]
struct Directory {
    root: PathBuf,
    path: PathBuf,
}

/// A generation's file with our kernel lock on it.
#[derive(Debug)]
struct Held {
    fence: Fence,
    file: File,
    renewals: u64,
    /// Where the counter begins, after the holder's line.
    counter: u64,
}

/// The first line of a generation's file; the second is the number of renewals.
#[derive(Debug, Serialize, Deserialize)]
struct Generation {
    fence: Fence,
    holder: Holder,
}

impl Lease {
    pub(super) fn new(root: &Path, target: &Target) -> Self {
        Self {
            directory: Arc::new(Directory { root: root.to_owned(), path: root.join("lease") }),
            target: target.clone(),
            held: Arc::default(),
        }
    }

    /// Takes the lease if it is free, or if it is still as `expired` was.
    ///
    /// The lock comes back as a value, so that one that nobody waits for any more is free again.
    async fn attempt(&self, holder: &Holder, expired: Option<Seen>) -> Result<Result<Fence, Busy>> {
        let lock = FileLock::take(&self.directory.path.join("lock"), ACQUIRE, LOCK_LIMIT).await?;
        let (directory, holder) = (Arc::clone(&self.directory), holder.clone());
        let attempt = blocking(move || {
            let attempt = directory.attempt(&holder, expired);
            drop(lock);
            attempt
        });
        Ok(attempt.await?.map(|taken| {
            let fence = taken.fence;
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
            fence
        }))
    }
}

#[async_trait]
impl lease::Lease for Lease {
    async fn acquire(&self, target: &Target, holder: &Holder, wait: Wait) -> Result<Fence> {
        super::check_target(&self.target, target, ACQUIRE)?;
        let mut patience = Patience::new(wait);
        let mut expired = None;
        loop {
            match self.attempt(holder, expired).await? {
                Ok(fence) => return Ok(fence),
                Err(busy) => {
                    expired = patience.wait(busy.seen, busy.holder.as_ref()).await?;
                }
            }
        }
    }

    async fn renew(&self, target: &Target, fence: Fence) -> Result<()> {
        super::check_target(&self.target, target, RENEW)?;
        let (directory, held) = (Arc::clone(&self.directory), Arc::clone(&self.held));
        blocking(move || {
            let newest = directory.newest(RENEW)?;
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            match held.as_mut().filter(|held| held.fence == fence && newest == fence) {
                Some(held) => {
                    held.beat().map_err(|error| failure(RENEW, &directory.file(fence), error))
                }
                None => Err(lease::lost(fence, newest, directory.holder(newest).as_ref())),
            }
        })
        .await
    }

    async fn release(&self, target: &Target, fence: Fence) -> Result<()> {
        super::check_target(&self.target, target, "give up the lease")?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Closing the file frees the kernel lock.
        drop(held.take_if(|held| held.fence == fence));
        Ok(())
    }

    async fn holder(&self, target: &Target) -> Result<Option<Holder>> {
        super::check_target(&self.target, target, LOOK)?;
        let directory = Arc::clone(&self.directory);
        blocking(move || {
            let newest = directory.newest(LOOK)?;
            let Some(busy) = directory.busy(newest, LOOK)? else { return Ok(None) };
            busy.holder.map(Some).ok_or_else(|| {
                let message = format!("{} names no holder", directory.file(newest).display());
                Error::new(ErrorKind::Corrupt, LOOK, message).without_effect()
            })
        })
        .await
    }
}

/// A lease that another holds.
#[derive(Debug)]
struct Busy {
    seen: Seen,
    holder: Option<Holder>,
}

impl Directory {
    fn file(&self, fence: Fence) -> PathBuf {
        self.path.join(fence.to_string())
    }

    fn attempt(&self, holder: &Holder, expired: Option<Seen>) -> Result<Result<Held, Busy>> {
        let newest = self.newest(ACQUIRE)?;
        if let Some(busy) = self.busy(newest, ACQUIRE)?
            && expired != Some(busy.seen)
        {
            return Ok(Err(busy));
        }
        let fence = Fence(newest.0 + 1);
        let taken = self.create(fence, holder);
        taken.map(Ok).map_err(|error| failure(ACQUIRE, &self.file(fence), error))
    }

    /// The newest generation; 0 when there was none.
    fn newest(&self, operation: &'static str) -> Result<Fence> {
        let generations =
            self.generations().map_err(|error| failure(operation, &self.path, error))?;
        Ok(generations.into_iter().max().unwrap_or_default())
    }

    fn generations(&self) -> io::Result<Vec<Fence>> {
        let mut generations = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            generations.extend(name.to_str().and_then(|name| name.parse().ok()).map(Fence));
        }
        Ok(generations)
    }

    fn busy(&self, newest: Fence, operation: &'static str) -> Result<Option<Busy>> {
        let path = self.file(newest);
        let failed = |error| failure(operation, &path, error);
        let Some(file) = ignore_missing(File::open(&path)).map_err(failed)? else {
            return Ok(None);
        };
        // Shared, so that two who look at once do not take each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                let (holder, renewals) = self.read(newest).unwrap_or_default();
                Ok(Some(Busy { seen: Seen { fence: newest, renewals }, holder }))
            }
        }
    }

    fn holder(&self, fence: Fence) -> Option<Holder> {
        self.read(fence)?.0
    }

    fn read(&self, fence: Fence) -> Option<(Option<Holder>, u64)> {
        let text = fs::read_to_string(self.file(fence)).ok()?;
        let mut lines = text.lines();
        let generation = serde_json::from_str::<Generation>(lines.next()?).ok();
        let renewals = lines.next().and_then(|line| line.parse().ok()).unwrap_or_default();
        Some((generation.map(|generation| generation.holder), renewals))
    }

    /// The file is locked before it has its name, so nobody ever sees it free.
    fn create(&self, fence: Fence, holder: &Holder) -> io::Result<Held> {
        let scratch = Scratch::new(&self.root)?;
        let written = scratch.path().join("generation");
        let generation = Generation { fence, holder: holder.clone() };
        let mut content = serde_json::to_vec(&generation)?;
        content.push(b'\n');
        let counter = content.len() as u64;
        content.extend(count(0));
        write_new(&written, &content)?;
        let file = OpenOptions::new().read(true).write(true).open(&written)?;
        file.try_lock()?;
        publish(&written, &self.file(fence))?;
        for old in self.generations()?.into_iter().filter(|old| old.0 + KEPT <= fence.0) {
            remove_file(&self.file(old))?;
        }
        Ok(Held { fence, file, renewals: 0, counter })
    }
}

impl Held {
    /// Not synced: only processes of the same running system look at it.
    fn beat(&mut self) -> io::Result<()> {
        self.renewals += 1;
        self.file.write_all_at(&count(self.renewals), self.counter)
    }
}

fn count(renewals: u64) -> Vec<u8> {
    format!("{renewals:020}\n").into_bytes()
}
