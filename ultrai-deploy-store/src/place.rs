//! The objects of one environment, and what their store's errors mean.

use std::{
    error::Error as StdError,
    io::{self, Read as _},
    sync::Arc,
};

use futures_util::TryStreamExt as _;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path};
use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    name::{BackupId, Target},
};
use uuid::Uuid;

use crate::keys::again;

/// Where an environment's backups are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    store: Arc<dyn ObjectStore>,
    root: Path,
}

/// An object that is there, by the last part of its name.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) length: u64,
}

impl Place {
    pub(crate) fn new(store: &Arc<dyn ObjectStore>, prefix: &Path, target: &Target) -> Self {
        let root = prefix.clone().join(target.project.as_str()).join(target.environment.as_str());
        Self { store: Arc::clone(store), root }
    }

    pub(crate) fn manifest(&self, id: &BackupId) -> Path {
        self.backups().join(id.as_str()).join("manifest")
    }

    pub(crate) fn backups(&self) -> Path {
        self.root.clone().join("backups")
    }

    pub(crate) fn packs(&self) -> Path {
        self.root.clone().join("packs")
    }

    pub(crate) fn pack(&self, name: Uuid) -> Path {
        self.packs().join(name.to_string())
    }

    /// Marks of packs that were found damaged.
    pub(crate) fn marks(&self) -> Path {
        self.root.clone().join("damaged")
    }

    pub(crate) fn mark(&self, name: Uuid) -> Path {
        self.marks().join(name.to_string())
    }

    /// The whole of an object, if it is there. What is longer than `limit` is never read.
    pub(crate) async fn get(
        &self,
        operation: &'static str,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Vec<u8>>> {
        self.get_into(operation, path, limit, Vec::new()).await
    }

    /// The same in memory that was used before.
    pub(crate) async fn get_into(
        &self,
        operation: &'static str,
        path: &Path,
        limit: u64,
        mut room: Vec<u8>,
    ) -> Result<Option<Vec<u8>>> {
        let failed = |error| failure(operation, path, error);
        let found = match self.store.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let longer = |length: u64| {
            let message = format!("{path} has {length} bytes, more than it can have");
            Error::new(ErrorKind::Corrupt, operation, message).without_effect()
        };
        if found.meta.size > limit {
            return Err(longer(found.meta.size));
        }
        room.clear();
        // No longer than what was just compared with the limit.
        room.reserve(usize::try_from(found.meta.size).unwrap_or(0));
        match found.payload {
            GetResultPayload::File(file, _) => {
                let read = tokio::task::spawn_blocking(move || {
                    (&file).take(limit.saturating_add(1)).read_to_end(&mut room).map(|_| room)
                });
                room = read
                    .await
                    .map_err(io::Error::other)
                    .and_then(|read| read)
                    .map_err(|error| failed(generic(error)))?;
            }
            GetResultPayload::Stream(mut stream) => {
                while let Some(bytes) = stream.try_next().await.map_err(failed)? {
                    room.extend_from_slice(&bytes);
                    if room.len() as u64 > limit {
                        break;
                    }
                }
            }
        }
        let length = room.len() as u64;
        if length > limit { Err(longer(length)) } else { Ok(Some(room)) }
    }

    pub(crate) async fn put(
        &self,
        operation: &'static str,
        path: &Path,
        content: impl Into<PutPayload>,
    ) -> Result<()> {
        let put = self.store.put(path, content.into()).await;
        put.map(drop).map_err(|error| failure(operation, path, error))
    }

    /// Removes an object, if it is there.
    pub(crate) async fn remove(&self, operation: &'static str, path: &Path) -> Result<()> {
        match again(|| self.store.delete(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(operation, path, error)),
        }
    }

    /// The objects right below a directory.
    pub(crate) async fn list(
        &self,
        operation: &'static str,
        directory: &Path,
    ) -> Result<Vec<Found>> {
        // The client does not try again when an answer ends in its middle.
        let listed = again(|| {
            let listed = self.store.list(Some(directory)).try_filter_map(|object| async move {
                let name = object.location.filename().map(str::to_owned);
                Ok(name.map(|name| Found { name, length: object.size }))
            });
            listed.try_collect()
        });
        listed.await.map_err(|error| failure(operation, directory, error))
    }

    /// Ids of the backups that have, or had, a manifest.
    pub(crate) async fn ids(&self, operation: &'static str) -> Result<Vec<BackupId>> {
        let directory = self.backups();
        let listed = again(|| self.store.list_with_delimiter(Some(&directory))).await;
        let listed = listed.map_err(|error| failure(operation, &directory, error))?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        Ok(names.filter_map(|name| BackupId::new(name).ok()).collect())
    }
}

/// What failed at which object, with advice where there is some.
pub(crate) fn failure(operation: &'static str, path: &Path, source: object_store::Error) -> Error {
    use object_store::Error as Cause;
    let error = match (&source, system_error(&source)) {
        (_, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) => {
            Error::new(ErrorKind::Io, operation, format!("no space is left for {path}"))
                .with_advice("free some space where the backups are kept, or prune old ones")
        }
        (Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. }, _)
        | (_, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)) => {
            Error::new(ErrorKind::Denied, operation, format!("access to {path} was refused"))
                .with_advice(
                    "check the credentials, and that they may list, read, write and delete",
                )
        }
        (Cause::NotFound { .. }, _) => {
            Error::new(ErrorKind::NotFound, operation, format!("{path} is not there"))
        }
        (_, Some(cause)) if !is_of_network(cause) => {
            Error::new(ErrorKind::Io, operation, format!("{path} cannot be read or written"))
        }
        _ => Error::new(ErrorKind::Unavailable, operation, format!("the store of {path} failed"))
            .with_advice("look at the name of the bucket, at its endpoint and at the network")
            .retryable(),
    };
    error.with_source(source)
}

fn generic(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "file", source: error.into() }
}

fn is_of_network(cause: io::ErrorKind) -> bool {
    use io::ErrorKind as Cause;
    matches!(
        cause,
        Cause::TimedOut
            | Cause::ConnectionRefused
            | Cause::ConnectionReset
            | Cause::ConnectionAborted
            | Cause::NotConnected
            | Cause::BrokenPipe
            | Cause::UnexpectedEof
            | Cause::HostUnreachable
            | Cause::NetworkUnreachable
    )
}

/// What the operating system said, wherever it is among the causes.
fn system_error(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}
