//! Releases, their secrets and their files in a bucket, with real files in a local store.
//!
//! ```text
//! releases/<id>         a release and the values of its secrets, encrypted
//! files/<digest>        a file or directory that services mount, packed
//! current/<n>           which release is current: the highest number says so
//! note/<n>              what the backend has to remember
//! migrations/<n>        what became of migrations
//! fingerprint-key       key of the secrets' fingerprints
//! ```
//! Containers mount real files, so [`ReleaseStore`] has a local store beside the bucket: what is kept goes
//! to both, and what is [read](release_store::ReleaseStore::get) from the bucket is laid out there first.
//! The bucket alone decides what there is.

mod files;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use object_store::ObjectStore;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    migration::Ledger,
    name::{ReleaseId, SecretName, Target},
    release::Release,
    release_store::{self, absent, in_use},
    secret::{FingerprintKey, Secret, Secrets},
};
use zeroize::Zeroizing;

use crate::{
    envelope,
    keys::{Created, Keys},
    register::Register,
    sealing::Sealing,
};

const FILES: &str = "store files";
const PUT: &str = "store the release";
const GET: &str = "read the release";
const SECRETS: &str = "read the release's secrets";
const LIST: &str = "list releases";
const REMOVE: &str = "remove the release";
const CURRENT: &str = "read the current release";
const SET_CURRENT: &str = "make the release current";
const NOTE: &str = "read the backend's note";
const SET_NOTE: &str = "write the backend's note";
const MIGRATIONS: &str = "read what became of migrations";
const SET_MIGRATIONS: &str = "write what became of migrations";
const KEY: &str = "read the key of fingerprints";
const KEY_NAME: &str = "fingerprint-key";

/// Keeps the releases of one environment where every host can go on with them.
#[derive(Debug)]
pub struct ReleaseStore {
    keys: Keys,
    local: Arc<dyn release_store::ReleaseStore>,
    sealing: Option<Arc<dyn Sealing>>,
    current: Register,
    note: Register,
    migrations: Register,
}

/// A release as it is kept.
#[derive(Serialize)]
struct Stored<'a> {
    release: &'a Release,
    secrets: BTreeMap<&'a SecretName, &'a str>,
}

#[derive(Deserialize)]
struct Found {
    release: Release,
    secrets: BTreeMap<SecretName, String>,
}

impl Found {
    fn secrets(self) -> Secrets {
        self.secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
    }
}

impl ReleaseStore {
    /// The releases of `target` below `prefix`, laid out in `local`.
    ///
    /// Without `sealing` nothing is encrypted, and releases that have secrets are refused.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        prefix: &object_store::path::Path,
        target: &Target,
        local: Arc<dyn release_store::ReleaseStore>,
        sealing: Option<Arc<dyn Sealing>>,
    ) -> Self {
        let keys = Keys::new(store, prefix, target);
        let register = |directory| Register::new(&keys, directory);
        Self {
            current: register("current"),
            note: register("note"),
            migrations: register("migrations"),
            keys,
            local,
            sealing,
        }
    }

    async fn find(&self, id: &ReleaseId, operation: &'static str) -> Result<Found> {
        let name = release_name(id);
        let bytes = self.keys.get(&name, operation).await?.ok_or_else(|| absent(id, operation))?;
        let what = self.keys.describe(&name);
        let json = envelope::open(&bytes, self.sealing.as_ref(), operation, &what)?;
        // The parser's message may quote a value: it says no more than where it stopped.
        let found: Found = serde_json::from_slice(&json).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            envelope::damaged(operation, &what, place)
        })?;
        if found.release.id != *id || !found.release.is_intact() {
            let why = "the content does not match the release's id";
            return Err(envelope::damaged(operation, &what, why));
        }
        Ok(found)
    }

    /// Makes sure that the bucket has these files of the local store.
    async fn upload(&self, digests: &BTreeSet<String>) -> Result<()> {
        for digest in digests {
            let name = files::name(digest);
            if self.keys.exists(&name, FILES).await? {
                continue;
            }
            let Some(path) = self.local.file_path(digest).filter(|path| path.exists()) else {
                return Err(files::unknown(digest));
            };
            let packed = files::pack(path).await?;
            let bytes = envelope::close(&packed, self.sealing.as_ref())?;
            self.keys.put(&name, bytes.into(), FILES).await?;
        }
        Ok(())
    }

    /// Makes sure that the local store has a release with its files.
    async fn lay_out(&self, found: &Found) -> Result<()> {
        for digest in digests(&found.release) {
            let Some(path) = self.local.file_path(&digest).filter(|path| !path.exists()) else {
                continue;
            };
            let name = files::name(&digest);
            let what = self.keys.describe(&name);
            let bytes = self.keys.get(&name, GET).await?;
            let bytes = bytes.ok_or_else(|| envelope::damaged(GET, &what, "it is missing"))?;
            let packed = envelope::open(&bytes, self.sealing.as_ref(), GET, &what)?;
            let unpacked = files::unpack(packed, &what).await?;
            let one = BTreeMap::from([(what.clone(), unpacked.path())]);
            let stored = self.local.put_files(&one).await?;
            if stored.get(&what) != Some(&digest) {
                return Err(files::different(&what, &path));
            }
        }
        let known = self.local.get(&found.release.id).await;
        let secrets = || {
            let pairs = found.secrets.iter();
            pairs.map(|(name, value)| (name.clone(), Secret::new(value.as_str()))).collect()
        };
        if known.is_ok_and(|known| *known == found.release) {
            let own = self.local.secrets(&found.release.id).await;
            let is_same = |own: Secrets| {
                let own = own.iter().map(|(name, value)| (name, value.expose()));
                own.eq(found.secrets.iter().map(|(name, value)| (name, value.as_str())))
            };
            if own.is_ok_and(is_same) {
                return Ok(());
            }
        }
        self.local.put(&found.release, &secrets()).await
    }

    /// Removes files that no release uses. Without knowing them all it removes none.
    async fn sweep(&self) -> Result<()> {
        let (files, _) = self.keys.list(files::DIRECTORY, REMOVE).await?;
        if files.is_empty() {
            return Ok(());
        }
        let mut used = BTreeSet::new();
        for id in release_store::ReleaseStore::list(self).await? {
            match self.find(&id, REMOVE).await {
                Ok(found) => used.extend(digests(&found.release)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if is_unreadable(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let unused = files.iter().filter(|digest| !used.contains(*digest));
        let unused: Vec<_> = unused.map(|digest| files::name(digest)).collect();
        self.keys.delete(&unused, REMOVE).await
    }

    /// The local link follows the bucket's; it is for people only.
    async fn follow(&self, id: Option<&ReleaseId>) -> Result<()> {
        if self.local.current().await.is_ok_and(|current| current.as_ref() == id) {
            return Ok(());
        }
        match self.local.set_current(id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => self.local.set_current(None).await,
            other => other,
        }
    }

    async fn value<T: DeserializeOwned>(
        &self,
        register: &Register,
        operation: &'static str,
    ) -> Result<(u64, Option<T>)> {
        let Some((number, bytes)) = register.newest(operation).await? else { return Ok((0, None)) };
        let what = self.keys.describe(&register.name(number));
        let json = envelope::open(&bytes, self.sealing.as_ref(), operation, &what)?;
        let value = serde_json::from_slice(&json)
            .map_err(|error| envelope::damaged(operation, &what, error))?;
        Ok((number, Some(value)))
    }

    async fn replace<T: Serialize>(
        &self,
        register: &Register,
        value: &T,
        operation: &'static str,
    ) -> Result<()> {
        let former = register.newest(operation).await?.map_or(0, |(number, _)| number);
        let json = to_json(value, operation)?;
        let bytes = envelope::close(&json, self.sealing.as_ref())?;
        register.replace(former, bytes, operation).await
    }
}

#[async_trait]
impl release_store::ReleaseStore for ReleaseStore {
    async fn put_files(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        let digests = self.local.put_files(files).await?;
        self.upload(&digests.values().cloned().collect()).await?;
        Ok(digests)
    }

    async fn file_digests(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        self.local.file_digests(files).await
    }

    /// In the local store; there once the release was read or kept by this host.
    fn file_path(&self, digest: &str) -> Option<PathBuf> {
        self.local.file_path(digest)
    }

    async fn put(&self, release: &Release, secrets: &Secrets) -> Result<()> {
        if self.sealing.is_none() && !secrets.is_empty() {
            let message = format!("release {} has secrets, and nothing encrypts them", release.id);
            return Err(Error::new(ErrorKind::Unsupported, PUT, message)
                .with_advice(
                    "make a key with `age-keygen -o FILE`, and name its file and its public key",
                )
                .without_effect());
        }
        // A file that only the local store does not know is told when it is mounted.
        let mut known = digests(release);
        known.retain(|digest| self.local.file_path(digest).is_some_and(|path| path.exists()));
        self.upload(&known).await?;
        self.local.put(release, secrets).await?;
        let values = secrets.iter().map(|(name, secret)| (name, secret.expose())).collect();
        let json = to_json(&Stored { release, secrets: values }, PUT)?;
        let bytes = envelope::close(&json, self.sealing.as_ref())?;
        self.keys.put(&release_name(&release.id), bytes.into(), PUT).await
    }

    /// Its files and its directory are there on return, too.
    async fn get(&self, id: &ReleaseId) -> Result<Arc<Release>> {
        let found = self.find(id, GET).await?;
        self.lay_out(&found).await?;
        Ok(Arc::new(found.release))
    }

    async fn secrets(&self, id: &ReleaseId) -> Result<Secrets> {
        Ok(self.find(id, SECRETS).await?.secrets())
    }

    async fn list(&self) -> Result<Vec<ReleaseId>> {
        let (names, _) = self.keys.list("releases", LIST).await?;
        let ids: BTreeSet<_> =
            names.into_iter().filter_map(|name| ReleaseId::new(name).ok()).collect();
        Ok(ids.into_iter().collect())
    }

    async fn remove(&self, id: &ReleaseId) -> Result<()> {
        let current = self.current().await?;
        if current.as_ref() == Some(id) {
            return Err(in_use(id));
        }
        self.keys.delete(&[release_name(id)], REMOVE).await?;
        self.sweep().await?;
        self.follow(current.as_ref()).await?;
        self.local.remove(id).await
    }

    async fn current(&self) -> Result<Option<ReleaseId>> {
        let (_, current) = self.value::<Option<ReleaseId>>(&self.current, CURRENT).await?;
        Ok(current.flatten())
    }

    async fn set_current(&self, id: Option<&ReleaseId>) -> Result<()> {
        if let Some(id) = id
            && !self.keys.exists(&release_name(id), SET_CURRENT).await?
        {
            return Err(absent(id, SET_CURRENT));
        }
        let (former, current) = self.value::<Option<ReleaseId>>(&self.current, SET_CURRENT).await?;
        if current.flatten().as_ref() != id {
            let json = to_json(&id, SET_CURRENT)?;
            let bytes = envelope::close(&json, self.sealing.as_ref())?;
            self.current.replace(former, bytes, SET_CURRENT).await?;
        }
        self.follow(id).await
    }

    async fn note(&self) -> Result<Option<Value>> {
        Ok(self.value(&self.note, NOTE).await?.1)
    }

    async fn set_note(&self, note: &Value) -> Result<()> {
        self.replace(&self.note, note, SET_NOTE).await
    }

    async fn migrations(&self) -> Result<Ledger> {
        Ok(self.value(&self.migrations, MIGRATIONS).await?.1.unwrap_or_default())
    }

    async fn set_migrations(&self, ledger: &Ledger) -> Result<()> {
        self.replace(&self.migrations, ledger, SET_MIGRATIONS).await
    }

    async fn fingerprint_key(&self) -> Result<FingerprintKey> {
        let bytes = if let Some(bytes) = self.keys.get(KEY_NAME, KEY).await? {
            bytes
        } else {
            let key = Zeroizing::new(envelope::random::<32>()?);
            let own = envelope::close(&*key, self.sealing.as_ref())?.into();
            match self.keys.create(KEY_NAME, &own, KEY).await? {
                Created::Ours => own,
                Created::Anothers(other) => other,
            }
        };
        let what = self.keys.describe(KEY_NAME);
        let content = envelope::open(&bytes, self.sealing.as_ref(), KEY, &what)?;
        let key = <[u8; 32]>::try_from(content.as_slice());
        key.map(FingerprintKey::new)
            .map_err(|_| envelope::damaged(KEY, &what, "it does not have 32 bytes"))
    }

    fn directory(&self, id: &ReleaseId) -> Option<PathBuf> {
        self.local.directory(id)
    }

    fn root(&self) -> Option<&Path> {
        self.local.root()
    }
}

fn release_name(id: &ReleaseId) -> String {
    format!("releases/{id}")
}

fn to_json(value: &impl Serialize, operation: &'static str) -> Result<Zeroizing<Vec<u8>>> {
    serde_json::to_vec(value).map(Zeroizing::new).map_err(|source| {
        Error::new(ErrorKind::Unexpected, operation, "it has no JSON")
            .with_source(source)
            .without_effect()
    })
}

fn digests(release: &Release) -> BTreeSet<String> {
    let mounted = release.services.values().flat_map(|service| service.files.values());
    mounted.chain(release.sources.values()).cloned().collect()
}

/// What it holds cannot be known here.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::Denied)
}
