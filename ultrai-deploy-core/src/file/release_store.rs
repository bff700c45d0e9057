//! Releases, their files and their secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    durable::{
        FileLock, blocking, create_directory, failure, ignore_missing, publish, remove_file,
        sync_directory,
    },
    scratch::{Scratch, write_atomic},
    tree::{Owners, Tree},
};
use crate::{
    error::{Error, ErrorKind, Result},
    migration::Ledger,
    name::{ReleaseId, SecretName},
    release::Release,
    release_store::{self, absent, in_use},
    secret::{FingerprintKey, Secret, Secrets},
};

const FILES: &str = "store files";
const PUT: &str = "store the release";
const GET: &str = "read the release";
const SECRETS: &str = "read the release's secrets";
const REMOVE: &str = "remove the release";
const CURRENT: &str = "read the current release";
const SET_CURRENT: &str = "make the release current";
const NOTE: &str = "read the backend's note";
const SET_NOTE: &str = "write the backend's note";
const MIGRATIONS: &str = "read what became of migrations";
const SET_MIGRATIONS: &str = "write what became of migrations";
const KEY: &str = "read the key of fingerprints";
/// Others hold the lock while they copy files, which are limited in size.
const LOCK_LIMIT: Duration = Duration::from_mins(1);
/// Version of `release.json` and of `migrations.json`.
const FORMAT: u16 = 1;
/// Begins the name of a release directory that is being removed; no release is called so.
const REMOVING: &str = ".removing-";

/// Keeps releases in `releases/`, their files in `files/` and the `current` link beside them.
#[derive(Debug)]
pub struct ReleaseStore(Arc<Disk>);

#[derive(Debug)]
struct Disk {
    root: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored<R> {
    format: u16,
    release: R,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document<C> {
    format: u16,
    #[serde(flatten)]
    content: C,
}

impl ReleaseStore {
    pub(super) fn new(root: &Path) -> Self {
        Self(Arc::new(Disk { root: root.to_owned() }))
    }

    /// Changes something while no other process does.
    async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.0.root.join("releases").join("lock");
        let lock = FileLock::take(&path, operation, LOCK_LIMIT).await?;
        let disk = Arc::clone(&self.0);
        blocking(move || {
            let result = work(&disk);
            drop(lock);
            result
        })
        .await
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = Arc::clone(&self.0);
        blocking(move || work(&disk)).await
    }
}

#[async_trait]
impl release_store::ReleaseStore for ReleaseStore {
    /// At most 64 MiB and 10 000 files each; links must stay inside. Copies keep their
    /// permissions, except that only their owner may write to them.
    async fn put_files(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        let files = files.clone();
        self.change(FILES, move |disk| {
            files
                .into_iter()
                .map(|(name, source)| Ok((name.clone(), disk.put_tree(&name, &source)?)))
                .collect()
        })
        .await
    }

    async fn file_digests(
        &self,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<BTreeMap<String, String>> {
        let files = files.clone();
        self.look(move |disk| {
            let owners = disk.owners()?;
            files
                .into_iter()
                .map(|(name, source)| {
                    let digest = Tree::read(&name, &source, owners)?.digest()?;
                    Ok((name, digest))
                })
                .collect()
        })
        .await
    }

    fn file_path(&self, digest: &str) -> Option<PathBuf> {
        self.0.tree(digest)
    }

    async fn put(&self, release: &Release, secrets: &Secrets) -> Result<()> {
        let (release, secrets) = (release.clone(), secrets.clone());
        self.change(PUT, move |disk| disk.put(&release, &secrets)).await
    }

    async fn get(&self, id: &ReleaseId) -> Result<Arc<Release>> {
        let id = id.clone();
        self.look(move |disk| disk.get(&id).map(Arc::new)).await
    }

    async fn secrets(&self, id: &ReleaseId) -> Result<Secrets> {
        let id = id.clone();
        self.look(move |disk| disk.secrets(&id)).await
    }

    async fn list(&self) -> Result<Vec<ReleaseId>> {
        self.look(Disk::list).await
    }

    async fn remove(&self, id: &ReleaseId) -> Result<()> {
        let id = id.clone();
        self.change(REMOVE, move |disk| disk.remove(&id)).await
    }

    async fn current(&self) -> Result<Option<ReleaseId>> {
        self.look(Disk::current).await
    }

    async fn set_current(&self, id: Option<&ReleaseId>) -> Result<()> {
        let id = id.cloned();
        self.change(SET_CURRENT, move |disk| disk.set_current(id.as_ref())).await
    }

    async fn note(&self) -> Result<Option<Value>> {
        self.look(Disk::note).await
    }

    async fn set_note(&self, note: &Value) -> Result<()> {
        let note = note.clone();
        self.change(SET_NOTE, move |disk| disk.write(SET_NOTE, &disk.note_path(), &note)).await
    }

    async fn migrations(&self) -> Result<Ledger> {
        self.look(Disk::migrations).await
    }

    async fn set_migrations(&self, ledger: &Ledger) -> Result<()> {
        let ledger = ledger.clone();
        self.change(SET_MIGRATIONS, move |disk| {
            let document = Document { format: FORMAT, content: ledger };
            disk.write(SET_MIGRATIONS, &disk.migrations_path(), &document)
        })
        .await
    }

    async fn fingerprint_key(&self) -> Result<FingerprintKey> {
        self.change(KEY, Disk::fingerprint_key).await
    }

    fn directory(&self, id: &ReleaseId) -> Option<PathBuf> {
        Some(self.0.directory(id))
    }

    fn root(&self) -> Option<&Path> {
        Some(&self.0.root)
    }
}

impl Disk {
    fn directory(&self, id: &ReleaseId) -> PathBuf {
        self.root.join("releases").join(id.as_str())
    }

    /// Nothing for what is no digest: it may come from a file that somebody edited.
    fn tree(&self, digest: &str) -> Option<PathBuf> {
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| self.root.join("files").join(digest))
    }

    /// Only root can give copies their owners.
    fn owners(&self) -> Result<Owners> {
        let root = fs::metadata(&self.root).map_err(|error| failure(FILES, &self.root, error))?;
        Ok(if root.uid() == 0 { Owners::Keep } else { Owners::Ignore })
    }

    fn put_tree(&self, name: &str, source: &Path) -> Result<String> {
        let failed = |error| failure(FILES, &self.root.join("files"), error);
        let owners = self.owners()?;
        let scratch = Scratch::new(&self.root).map_err(failed)?;
        let copy = scratch.path().join("copy");
        let digest = Tree::read(name, source, owners)?.copy(&copy)?;
        let stored = self.root.join("files").join(&digest);
        if stored.try_exists().map_err(failed)? {
            let is_whole = Tree::read(name, &stored, owners).and_then(|tree| tree.digest());
            if is_whole.is_ok_and(|found| found == digest) {
                return Ok(digest);
            }
            fs::rename(&stored, scratch.path().join("damaged")).map_err(failed)?;
        }
        publish(&copy, &stored).map_err(failed)?;
        Ok(digest)
    }

    /// The release is there when `release.json` is, so that comes last.
    fn put(&self, release: &Release, secrets: &Secrets) -> Result<()> {
        let directory = self.directory(&release.id);
        create_directory(&directory).map_err(|error| failure(PUT, &directory, error))?;
        let values: BTreeMap<_, _> =
            secrets.iter().map(|(name, secret)| (name, secret.expose())).collect();
        self.write(PUT, &directory.join("secrets.json"), &values)?;
        self.write(PUT, &directory.join("release.json"), &Stored { format: FORMAT, release })
    }

    fn write(&self, operation: &'static str, path: &Path, value: &impl Serialize) -> Result<()> {
        let mut json = serde_json::to_vec_pretty(value).map(Zeroizing::new).map_err(|source| {
            let message = format!("{} has no JSON", path.display());
            Error::new(ErrorKind::Unexpected, operation, message).with_source(source)
        })?;
        json.push(b'\n');
        let failed = |error| failure(operation, path, error);
        let there = ignore_missing(fs::read(path)).map_err(failed)?.map(Zeroizing::new);
        if there.is_some_and(|there| there == json) {
            return Ok(());
        }
        write_atomic(&self.root, path, &json).map_err(failed)
    }

    fn get(&self, id: &ReleaseId) -> Result<Release> {
        let path = self.directory(id).join("release.json");
        let bytes = read(id, &path, GET)?;
        let stored: Stored<Value> =
            serde_json::from_slice(&bytes).map_err(|source| damaged(&path, GET, source))?;
        refuse_newer(stored.format, &path, GET)?;
        let release: Release =
            serde_json::from_value(stored.release).map_err(|source| damaged(&path, GET, source))?;
        if release.id != *id || !release.is_intact() {
            return Err(damaged(&path, GET, "the content does not match the release's id"));
        }
        Ok(release)
    }

    fn secrets(&self, id: &ReleaseId) -> Result<Secrets> {
        let path = self.directory(id).join("secrets.json");
        let bytes = Zeroizing::new(read(id, &path, SECRETS)?);
        // The parser's message may quote a value: it says no more than where it stopped.
        let values: BTreeMap<SecretName, String> =
            serde_json::from_slice(&bytes).map_err(|error| {
                damaged(&path, SECRETS, format!("line {} column {}", error.line(), error.column()))
            })?;
        Ok(values.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
    }

    fn list(&self) -> Result<Vec<ReleaseId>> {
        let path = self.root.join("releases");
        let failed = |error| failure("list releases", &path, error);
        let mut releases = BTreeSet::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let id = entry.file_name().to_str().and_then(|name| ReleaseId::new(name).ok());
            if entry.path().join("release.json").try_exists().is_ok_and(|exists| exists) {
                releases.extend(id);
            }
        }
        Ok(releases.into_iter().collect())
    }

    /// A removal that is cut off after the rename is finished by the next one.
    fn remove(&self, id: &ReleaseId) -> Result<()> {
        if self.current()?.as_ref() == Some(id) {
            return Err(in_use(id));
        }
        let releases = self.root.join("releases");
        let failed = |error| failure(REMOVE, &releases, error);
        let leaving = releases.join(format!("{REMOVING}{id}"));
        let renamed = fs::rename(self.directory(id), &leaving);
        ignore_missing(renamed).and_then(|_| sync_directory(&releases)).map_err(failed)?;
        for entry in fs::read_dir(&releases).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(REMOVING)) {
                self.remove_trees(&entry.path())?;
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes the files of a release that is leaving and that no other one uses.
    fn remove_trees(&self, leaving: &Path) -> Result<()> {
        let path = leaving.join("release.json");
        let bytes = ignore_missing(fs::read(&path))
            .map_err(|error| failure(REMOVE, &path, error))?
            .unwrap_or_default();
        // A damaged release may name files of others: then nothing more is removed.
        let Ok(stored) = serde_json::from_slice::<Stored<Release>>(&bytes) else { return Ok(()) };
        let mut others = BTreeSet::new();
        for id in self.list()? {
            match self.get(&id) {
                Ok(release) => others.extend(digests(&release)),
                // What it uses is not known, so everything may be.
                Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        for digest in digests(&stored.release).difference(&others) {
            let Some(tree) = self.tree(digest) else { continue };
            let removed =
                if tree.is_dir() { fs::remove_dir_all(&tree) } else { remove_file(&tree) };
            removed.map_err(|error| failure(REMOVE, &tree, error))?;
        }
        Ok(())
    }

    fn current(&self) -> Result<Option<ReleaseId>> {
        let link = self.root.join("current");
        let target =
            ignore_missing(fs::read_link(&link)).map_err(|error| failure(CURRENT, &link, error))?;
        let Some(target) = target else { return Ok(None) };
        target
            .strip_prefix("releases")
            .ok()
            .and_then(Path::to_str)
            .and_then(|id| ReleaseId::new(id).ok())
            .map(Some)
            .ok_or_else(|| {
                let why = format!("it leads to {}, which is no release", target.display());
                damaged(&link, CURRENT, why)
            })
    }

    fn set_current(&self, id: Option<&ReleaseId>) -> Result<()> {
        let link = self.root.join("current");
        let failed = |error| failure(SET_CURRENT, &link, error);
        let Some(id) = id else {
            return remove_file(&link).and_then(|()| sync_directory(&self.root)).map_err(failed);
        };
        if !self.directory(id).join("release.json").try_exists().map_err(failed)? {
            return Err(absent(id, SET_CURRENT));
        }
        let scratch = Scratch::new(&self.root).map_err(failed)?;
        let made = scratch.path().join("current");
        symlink(Path::new("releases").join(id.as_str()), &made)
            .and_then(|()| publish(&made, &link))
            .map_err(failed)
    }

    fn note_path(&self) -> PathBuf {
        self.root.join("note.json")
    }

    fn note(&self) -> Result<Option<Value>> {
        let path = self.note_path();
        let bytes = ignore_missing(fs::read(&path)).map_err(|error| failure(NOTE, &path, error))?;
        let read = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        read.map_err(|source| damaged(&path, NOTE, source))
    }

    fn migrations_path(&self) -> PathBuf {
        self.root.join("migrations.json")
    }

    fn migrations(&self) -> Result<Ledger> {
        let path = self.migrations_path();
        let bytes =
            ignore_missing(fs::read(&path)).map_err(|error| failure(MIGRATIONS, &path, error))?;
        let Some(bytes) = bytes else { return Ok(Ledger::default()) };
        let document: Document<Value> =
            serde_json::from_slice(&bytes).map_err(|source| damaged(&path, MIGRATIONS, source))?;
        refuse_newer(document.format, &path, MIGRATIONS)?;
        serde_json::from_value(document.content)
            .map_err(|source| damaged(&path, MIGRATIONS, source))
    }

    fn fingerprint_key(&self) -> Result<FingerprintKey> {
        let path = self.root.join("fingerprint.key");
        let failed = |error| failure(KEY, &path, error);
        let mut key = Zeroizing::new([0; 32]);
        match ignore_missing(fs::read(&path)).map_err(failed)?.map(Zeroizing::new) {
            Some(bytes) if bytes.len() == key.len() => key.copy_from_slice(&bytes),
            Some(_) => {
                return Err(damaged(&path, KEY, "it does not have 32 bytes")
                    .with_advice("remove it: the next deploy takes all secrets for changed"));
            }
            None => {
                random(&mut *key)
                    .and_then(|()| write_atomic(&self.root, &path, &*key))
                    .map_err(failed)?;
            }
        }
        Ok(FingerprintKey::new(*key))
    }
}

fn refuse_newer(format: u16, path: &Path, operation: &'static str) -> Result<()> {
    if format <= FORMAT {
        return Ok(());
    }
    let path = path.display();
    let message = format!("{path} has format {format}; this version reads up to {FORMAT}");
    Err(Error::new(ErrorKind::Unsupported, operation, message)
        .with_advice("use the newer version of this program that wrote it")
        .without_effect())
}

fn digests(release: &Release) -> BTreeSet<String> {
    let mounted = release.services.values().flat_map(|service| service.files.values());
    mounted.chain(release.sources.values()).cloned().collect()
}

fn read(id: &ReleaseId, path: &Path, operation: &'static str) -> Result<Vec<u8>> {
    ignore_missing(fs::read(path))
        .map_err(|error| failure(operation, path, error))?
        .ok_or_else(|| absent(id, operation))
}

fn damaged(
    path: &Path,
    operation: &'static str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(ErrorKind::Corrupt, operation, format!("{} is damaged", path.display()))
        .with_advice("put the file back from a copy of the state directory")
        .with_source(why)
        .without_effect()
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(bytes)
}
