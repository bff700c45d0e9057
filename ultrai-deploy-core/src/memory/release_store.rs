//! Releases in memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    error::Result,
    file::tree::{Owners, Tree},
    migration::Ledger,
    name::ReleaseId,
    release::Release,
    release_store::{self, absent, in_use},
    secret::{FingerprintKey, Secrets},
};

/// Keeps releases in memory, and of files only their digests. A clone is the same store as
/// another process opens it.
#[derive(Clone, Debug, Default)]
pub struct ReleaseStore(Arc<Mutex<Releases>>);

#[derive(Debug, Default)]
struct Releases {
    kept: BTreeMap<ReleaseId, (Arc<Release>, Secrets)>,
    current: Option<ReleaseId>,
    note: Option<Value>,
    migrations: Ledger,
    key: Option<FingerprintKey>,
}

impl ReleaseStore {
    fn releases(&self) -> MutexGuard<'_, Releases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl release_store::ReleaseStore for ReleaseStore {
    async fn put_files(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        self.file_digests(files).await
    }

    async fn file_digests(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        files
            .iter()
            .map(|(name, source)| {
                let digest = Tree::read(name, source, Owners::Ignore)?.digest()?;
                Ok((name.clone(), digest))
            })
            .collect()
    }

    fn file_path(&self, _digest: &str) -> Option<PathBuf> {
        None
    }

    async fn put(&self, release: &Release, secrets: &Secrets) -> Result<()> {
        let mut releases = self.releases();
        let known = releases.kept.get(&release.id).filter(|(known, _)| **known == *release);
        let release =
            known.map_or_else(|| Arc::new(release.clone()), |(known, _)| Arc::clone(known));
        releases.kept.insert(release.id.clone(), (release, secrets.clone()));
        Ok(())
    }

    async fn get(&self, id: &ReleaseId) -> Result<Arc<Release>> {
        let releases = self.releases();
        let found = releases.kept.get(id).map(|(release, _)| Arc::clone(release));
        found.ok_or_else(|| absent(id, "read the release"))
    }

    async fn secrets(&self, id: &ReleaseId) -> Result<Secrets> {
        let releases = self.releases();
        let found = releases.kept.get(id).map(|(_, secrets)| secrets.clone());
        found.ok_or_else(|| absent(id, "read the release's secrets"))
    }

    async fn list(&self) -> Result<Vec<ReleaseId>> {
        Ok(self.releases().kept.keys().cloned().collect())
    }

    async fn remove(&self, id: &ReleaseId) -> Result<()> {
        let mut releases = self.releases();
        if releases.current.as_ref() == Some(id) {
            return Err(in_use(id));
        }
        releases.kept.remove(id);
        Ok(())
    }

    async fn current(&self) -> Result<Option<ReleaseId>> {
        Ok(self.releases().current.clone())
    }

    async fn set_current(&self, id: Option<&ReleaseId>) -> Result<()> {
        let mut releases = self.releases();
        if let Some(id) = id
            && !releases.kept.contains_key(id)
        {
            return Err(absent(id, "make the release current"));
        }
        releases.current = id.cloned();
        Ok(())
    }

    async fn note(&self) -> Result<Option<Value>> {
        Ok(self.releases().note.clone())
    }

    async fn set_note(&self, note: &Value) -> Result<()> {
        self.releases().note = Some(note.clone());
        Ok(())
    }

    async fn migrations(&self) -> Result<Ledger> {
        Ok(self.releases().migrations.clone())
    }

    async fn set_migrations(&self, ledger: &Ledger) -> Result<()> {
        self.releases().migrations = ledger.clone();
        Ok(())
    }

    async fn fingerprint_key(&self) -> Result<FingerprintKey> {
        Ok(self.releases().key.get_or_insert_with(random_key).clone())
    }

    fn directory(&self, _id: &ReleaseId) -> Option<PathBuf> {
        None
    }

    fn root(&self) -> Option<&Path> {
        None
    }
}

/// From the random bits of four ids, 74 each.
fn random_key() -> FingerprintKey {
    let ids = std::iter::repeat_with(uuid::Uuid::now_v7).take(4);
    let hash = ids.fold(Sha256::new(), |hash, id| hash.chain_update(id.as_bytes()));
    FingerprintKey::new(hash.finalize().into())
}
