//! Objects that are created once, and the few that their only owner writes again.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _, PutMode, path::Path};
use tokio::time::Instant;
use ultrai_deploy_core::{Error, ErrorKind, Result, name::Target};

/// How often a creation is tried whose answer was lost and that left nothing behind: the client tries
/// again by itself only what is safe without looking.
const ATTEMPTS: u32 = 5;
/// None is tried again so long after the first, as the client has waited for the store then.
const PATIENCE: Duration = Duration::from_secs(15);
/// The pause before it is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// Requests of one call at the same time.
const AT_ONCE: usize = 16;

/// The objects of one environment, by their names below its prefix.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// Whose object stands after a creation.
#[derive(Debug)]
pub(crate) enum Created {
    /// The one that the caller gave.
    Ours,
    /// One that was there before.
    Anothers(Bytes),
}

impl Keys {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: &Path, target: &Target) -> Self {
        let prefix = prefix.clone().join(target.project.as_str());
        let prefix = prefix.join(target.environment.as_str());
        Self { store, prefix }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), Path::join)
    }

    /// Where it is, for people.
    pub(crate) fn describe(&self, name: &str) -> String {
        format!("object {}", self.path(name))
    }

    /// Creates an object, unless there is one; durable on return.
    ///
    /// A caller whose answer is lost, or whose client tried again by itself, may be told that its own
    /// object was there before. `bytes` have to be the caller's own (`envelope::close`), so that
    /// they are known again.
    pub(crate) async fn create(
        &self,
        name: &str,
        bytes: &Bytes,
        operation: &'static str,
    ) -> Result<Created> {
        let (path, begin) = (self.path(name), Instant::now());
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            let options = PutMode::Create.into();
            let put = self.store.put_opts(&path, bytes.clone().into(), options);
            let error = match put.await {
                Ok(_) => return Ok(Created::Ours),
                Err(error) if is_final(&error) => return Err(self.failure(name, operation, error)),
                Err(error) => error,
            };
            match self.get(name, operation).await {
                Ok(Some(found)) if found == *bytes => return Ok(Created::Ours),
                Ok(Some(found)) => return Ok(Created::Anothers(found)),
                // Nobody's: it did not arrive, or two creations at once have refused each other.
                Ok(None) if attempt < ATTEMPTS && begin.elapsed() < PATIENCE => {}
                Ok(None) | Err(_) => return Err(self.failure(name, operation, error)),
            }
            tokio::time::sleep(pause).await;
            (attempt, pause) = (attempt + 1, pause * 2);
        }
    }

    /// Writes an object that only the caller writes; durable on return.
    pub(crate) async fn put(
        &self,
        name: &str,
        bytes: Bytes,
        operation: &'static str,
    ) -> Result<()> {
        let put = self.store.put(&self.path(name), bytes.into()).await;
        put.map(drop).map_err(|error| self.failure(name, operation, error))
    }

    /// The bytes of an object, or nothing when there is none.
    pub(crate) async fn get(&self, name: &str, operation: &'static str) -> Result<Option<Bytes>> {
        let read = async { self.store.get(&self.path(name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure(name, operation, error)),
        }
    }

    /// The bytes of many objects, in their order.
    pub(crate) async fn get_all(
        &self,
        names: Vec<String>,
        operation: &'static str,
    ) -> Result<Vec<Option<Bytes>>> {
        let reads = names.into_iter().map(|name| {
            let keys = self.clone();
            async move { keys.get(&name, operation).await }
        });
        futures_util::stream::iter(reads).buffered(AT_ONCE).try_collect().await
    }

    pub(crate) async fn exists(&self, name: &str, operation: &'static str) -> Result<bool> {
        match self.store.head(&self.path(name)).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failure(name, operation, error)),
        }
    }

    /// The names directly below `directory`: objects, then what has objects below it.
    pub(crate) async fn list(
        &self,
        directory: &str,
        operation: &'static str,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let path = self.path(directory);
        // The client does not try again when an answer ends in its middle.
        let found = again(|| self.store.list_with_delimiter(Some(&path))).await;
        let found = found.map_err(|error| self.failure(directory, operation, error))?;
        let last = |path: &Path| path.filename().map(str::to_owned);
        let objects = found.objects.iter().filter_map(|object| last(&object.location)).collect();
        Ok((objects, found.common_prefixes.iter().filter_map(last).collect()))
    }

    /// Deletes objects. One that is not there is fine.
    pub(crate) async fn delete(&self, names: &[String], operation: &'static str) -> Result<()> {
        let Some(first) = names.first() else { return Ok(()) };
        let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        let deleted = again(|| delete_all(&*self.store, paths.clone())).await;
        deleted.map_err(|error| self.failure(first, operation, error))
    }

    fn failure(&self, name: &str, operation: &'static str, source: StoreError) -> Error {
        let what = self.describe(name);
        let error = match &source {
            StoreError::NotFound { .. } => {
                Error::new(ErrorKind::NotFound, operation, format!("there is no place for {what}"))
                    .with_advice("make the bucket first, and look at its name")
                    .without_effect()
            }
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                Error::new(ErrorKind::Denied, operation, format!("access to {what} was refused"))
                    .with_advice("look at the credentials, and at what they allow")
                    .without_effect()
            }
            StoreError::NotImplemented { .. } | StoreError::NotSupported { .. } => {
                let message = format!("the store of {what} cannot do what this needs");
                Error::new(ErrorKind::Unsupported, operation, message)
                    .with_advice("use a store that can create an object only if there is none")
                    .without_effect()
            }
            _ => Error::new(
                ErrorKind::Unavailable,
                operation,
                format!("the store of {what} did not do it"),
            )
            .with_advice("look at the name of the bucket, at its endpoint and at the network")
            .retryable(),
        };
        error.with_source(source)
    }
}

async fn delete_all(store: &dyn ObjectStore, paths: Vec<Path>) -> object_store::Result<()> {
    let paths = futures_util::stream::iter(paths.into_iter().map(Ok)).boxed();
    let mut deleted = store.delete_stream(paths);
    while let Some(result) = deleted.next().await {
        match result {
            Ok(_) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tries a request again that may be repeated, after what may pass.
pub(crate) async fn again<T, F>(request: impl Fn() -> F) -> object_store::Result<T>
where
    F: Future<Output = object_store::Result<T>>,
{
    let (begin, mut attempt, mut pause) = (Instant::now(), 1, PAUSE);
    loop {
        match request().await {
            Err(error) if !is_final(&error) && attempt < ATTEMPTS && begin.elapsed() < PATIENCE => {
                tokio::time::sleep(pause).await;
                (attempt, pause) = (attempt + 1, pause * 2);
            }
            result => return result,
        }
    }
}

/// Whether the store has surely refused it and will again.
fn is_final(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NotFound { .. }
            | StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::NotSupported { .. }
            | StoreError::InvalidPath { .. }
    )
}
