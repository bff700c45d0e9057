//! Where sealed releases, their files and their secrets are kept.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    error::{Error, ErrorKind, Result},
    migration::Ledger,
    name::ReleaseId,
    release::Release,
    secret::{FingerprintKey, Secrets},
};

/// Keeps the releases of one environment.
#[async_trait]
pub trait ReleaseStore: fmt::Debug + Send + Sync + 'static {
    /// Copies files or directories into the store, addressed by content: name → digest.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is missing, too large or no
    /// regular file or directory.
    async fn put_files(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>>;

    /// The digests that [`put_files`](ReleaseStore::put_files) would give, keeping nothing.
    ///
    /// # Errors
    /// As for [`put_files`](ReleaseStore::put_files).
    async fn file_digests(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>>;

    /// Where the content with this digest lies, if this store has real files.
    fn file_path(&self, digest: &str) -> Option<PathBuf>;

    /// Keeps a release and the values of its secrets. Idempotent; durable on return.
    async fn put(&self, release: &Release, secrets: &Secrets) -> Result<()>;

    /// A release; shared, since many may work on the same one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or
    /// [`ErrorKind::Corrupt`] when it does not match its id.
    async fn get(&self, id: &ReleaseId) -> Result<Arc<Release>>;

    /// The values of a release's secrets.
    async fn secrets(&self, id: &ReleaseId) -> Result<Secrets>;

    /// All releases.
    async fn list(&self) -> Result<Vec<ReleaseId>>;

    /// Removes a release, and files that no other one uses. Removing what is not there is fine.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for the current one.
    async fn remove(&self, id: &ReleaseId) -> Result<()>;

    /// The release that is current: what the `current` link points to.
    async fn current(&self) -> Result<Option<ReleaseId>>;

    /// Makes a release (or none) current, atomically.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is not in this store.
    async fn set_current(&self, id: Option<&ReleaseId>) -> Result<()>;

    /// What the backend has to remember from run to run, and nobody else keeps for it: a small
    /// document of its own form.
    async fn note(&self) -> Result<Option<Value>>;

    /// Replaces the note, atomically; durable on return.
    async fn set_note(&self, note: &Value) -> Result<()>;

    /// What became of the environment's migrations.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it cannot be read; it is never taken for empty then.
    async fn migrations(&self) -> Result<Ledger>;

    /// Replaces that, atomically; durable on return. Only who has the lease does.
    async fn set_migrations(&self, ledger: &Ledger) -> Result<()>;

    /// The key of this environment's fingerprints; made at the first call.
    async fn fingerprint_key(&self) -> Result<FingerprintKey>;

    /// The directory of a release, if this store has real files.
    fn directory(&self, id: &ReleaseId) -> Option<PathBuf>;

    /// The root of the environment's state, if this store has real files.
    fn root(&self) -> Option<&Path>;
}

/// The error for a release that is not in the store.
pub fn absent(id: &ReleaseId, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no release {id} in the store"))
        .without_effect()
}

/// The error for a removal of the current release, which stays.
pub fn in_use(id: &ReleaseId) -> Error {
    let message = format!("release {id} is the current one");
    Error::new(ErrorKind::Conflict, "remove the release", message)
        .with_advice("make another release current first")
        .without_effect()
}
