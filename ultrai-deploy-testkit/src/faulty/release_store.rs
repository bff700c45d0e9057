//! A release store that misbehaves.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::Value;
use ultrai_deploy_core::{
    Result,
    migration::Ledger,
    name::ReleaseId,
    release::Release,
    release_store::ReleaseStore,
    secret::{FingerprintKey, Secrets},
};

use super::{Faulty, Method};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ReleaseStore + ?Sized> ReleaseStore for Faulty<S> {
    async fn put_files(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        self.ask(Method::PutFiles, self.inner.put_files(files)).await
    }

    async fn file_digests(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        self.ask(Method::FileDigests, self.inner.file_digests(files)).await
    }

    fn file_path(&self, digest: &str) -> Option<PathBuf> {
        self.inner.file_path(digest)
    }

    async fn put(&self, release: &Release, secrets: &Secrets) -> Result<()> {
        self.act(Method::Put, self.inner.put(release, secrets)).await
    }

    async fn get(&self, id: &ReleaseId) -> Result<Arc<Release>> {
        self.ask(Method::Get, self.inner.get(id)).await
    }

    async fn secrets(&self, id: &ReleaseId) -> Result<Secrets> {
        self.ask(Method::Secrets, self.inner.secrets(id)).await
    }

    async fn list(&self) -> Result<Vec<ReleaseId>> {
        self.ask(Method::List, self.inner.list()).await
    }

    async fn remove(&self, id: &ReleaseId) -> Result<()> {
        self.act(Method::Remove, self.inner.remove(id)).await
    }

    async fn current(&self) -> Result<Option<ReleaseId>> {
        self.ask(Method::Current, self.inner.current()).await
    }

    async fn set_current(&self, id: Option<&ReleaseId>) -> Result<()> {
        self.act(Method::SetCurrent, self.inner.set_current(id)).await
    }

    async fn note(&self) -> Result<Option<Value>> {
        self.ask(Method::Note, self.inner.note()).await
    }

    async fn set_note(&self, note: &Value) -> Result<()> {
        self.act(Method::SetNote, self.inner.set_note(note)).await
    }

    async fn migrations(&self) -> Result<Ledger> {
        self.ask(Method::Migrations, self.inner.migrations()).await
    }

    async fn set_migrations(&self, ledger: &Ledger) -> Result<()> {
        self.act(Method::SetMigrations, self.inner.set_migrations(ledger)).await
    }

    async fn fingerprint_key(&self) -> Result<FingerprintKey> {
        self.ask(Method::FingerprintKey, self.inner.fingerprint_key()).await
    }

    fn directory(&self, id: &ReleaseId) -> Option<PathBuf> {
        self.inner.directory(id)
    }

    fn root(&self) -> Option<&Path> {
        self.inner.root()
    }
}
