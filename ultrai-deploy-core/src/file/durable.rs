//! The few calls that make files survive a crash, and errors that say which file and what to do.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A directory for the owner only, with all parents that are missing; durable on return.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_directory(parent)?;
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(parent),
    }
}

/// Makes creations, renames and removals in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Options for a new file that only the owner can read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(FILE_MODE);
    options
}

/// A new file with this content; its content, not yet its name, is durable on return.
pub(super) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = private_file().open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Renames within the state directory; durable on return.
pub(super) fn publish(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_directory(to.parent().unwrap_or(Path::new("/")))
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_file(path)).map(drop)
}

/// Turns "not found" into nothing.
pub(super) fn ignore_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What failed at which file, with advice where there is some.
pub(super) fn failure(operation: &'static str, path: &Path, source: io::Error) -> Error {
    let path = path.display();
    let error = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(ErrorKind::Io, operation, format!("no space is left for {path}"))
                .with_advice("free some space on the file system of the state directory")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::new(ErrorKind::Denied, operation, format!("access to {path} was refused"))
                .with_advice("run as the owner of the state directory, or choose another one")
        }
        _ => Error::new(ErrorKind::Io, operation, format!("{path} cannot be read or written")),
    };
    error.with_source(source)
}

/// Runs file work off the executor's threads. It runs to its end even when the caller is dropped.
pub(super) async fn blocking<T, W>(work: W) -> Result<T>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|source| {
        Err(Error::new(ErrorKind::Unexpected, "work on the state directory", "it was cut off")
            .with_source(source))
    })
}

/// A kernel lock on a file, free again when dropped or when its process dies.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock, waiting at most `limit` for others that hold it for a moment.
    pub(super) async fn take(
        path: &Path,
        operation: &'static str,
        limit: Duration,
    ) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)
            .map_err(|error| failure(operation, path, error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(failure(operation, path, error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let message = format!("another process holds {}", path.display());
                    return Err(Error::new(ErrorKind::Timeout, operation, message)
                        .with_advice("look for a stopped process that uses this state directory")
                        .without_effect());
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            }
        }
    }
}
