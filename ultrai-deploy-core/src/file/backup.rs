//! Backups as directories.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{
    check_target,
    durable::{
        blocking, create_directory, failure, ignore_missing, private_file, publish, sync_directory,
        write_new,
    },
    scratch::Scratch,
};
use crate::{
    backup::{self, Backup, BackupRequest, BackupSource, Part, PartStream, Selection},
    context::Context,
    digest::{self, hex},
    error::{Chain, Error, ErrorKind, Result},
    name::{BackupId, Target},
};

const CREATE: &str = "take a backup";
const LIST: &str = "list backups";
const READ: &str = "read the backup";
const VERIFY: &str = "verify the backup";
const RESTORE: &str = "restore the backup";
const DELETE: &str = "delete the backup";
/// Version of the manifest.
const FORMAT: u16 = 1;
/// Memory for one part's content.
const BUFFER: usize = 256 << 10;

/// Keeps each backup in `backups/<id>/`: parts by number, and a manifest with names and digests.
///
/// A backup appears with its manifest by one rename, after it was read back.
#[derive(Debug)]
pub struct BackupStore {
    disk: Arc<Disk>,
    target: Target,
}

#[derive(Debug)]
struct Disk {
    root: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest<B> {
    format: u16,
    backup: B,
    /// Digest of `backup`, so that a changed manifest is noticed too.
    digest: String,
}

impl BackupStore {
    pub(super) fn new(root: &Path, target: &Target) -> Self {
        Self { disk: Arc::new(Disk { root: root.to_owned() }), target: target.clone() }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let disk = Arc::clone(&self.disk);
        blocking(move || work(&disk)).await
    }

    async fn manifest(&self, id: &BackupId) -> Result<Backup> {
        let id = id.clone();
        self.on_disk(move |disk| disk.manifest(&id)).await
    }

    async fn take(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        let scratch = self.on_disk(Disk::begin).await?;
        let directory = scratch.path().join("backup");
        let mut parts = Vec::new();
        for (source, name) in backup::list_parts(cx, sources).await? {
            cx.check()?;
            let path = part_path(&directory, parts.len());
            let stream = source.read(cx, &name).await?;
            let content = save(stream, &path).await.map_err(|error| {
                error.into_error(CREATE, &format!("part {name} of {}", source.name()), &path)
            })?;
            let source = source.name().to_owned();
            parts.push(Part { source, name, size: content.size, sha256: content.sha256 });
        }
        let backup = Backup { request: request.clone(), parts };
        check_parts(&backup, &directory, CREATE, |_| true).await?;
        let kept = backup.clone();
        self.on_disk(move |disk| disk.publish(&scratch, &directory, &kept)).await?;
        Ok(backup)
    }

    async fn give_back(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        let backup = self.manifest(&what.backup).await?;
        let directory = self.disk.directory(&what.backup);
        let wanted =
            |part: &Part| part.source == source.name() && what.has(&part.source, &part.name);
        check_parts(&backup, &directory, RESTORE, wanted).await?;
        for (number, part) in backup.parts.iter().enumerate().filter(|(_, part)| wanted(part)) {
            cx.check()?;
            let path = part_path(&directory, number);
            let file = tokio::fs::File::open(&path)
                .await
                .map_err(|error| failure(RESTORE, &path, error))?;
            source.restore(cx, &part.name, Box::pin(file)).await?;
        }
        Ok(backup.parts.into_iter().filter(wanted).collect())
    }
}

#[async_trait]
impl backup::BackupStore for BackupStore {
    async fn create(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        check_target(&self.target, &request.target, CREATE)?;
        cx.bounded(self.take(cx, request, sources)).await
    }

    async fn list(&self, target: &Target) -> Result<Vec<Backup>> {
        check_target(&self.target, target, LIST)?;
        self.on_disk(Disk::list).await
    }

    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()> {
        check_target(&self.target, target, VERIFY)?;
        let backup = self.manifest(id).await?;
        check_parts(&backup, &self.disk.directory(id), VERIFY, |_| true).await
    }

    fn own_sources(&self, _: &Selection) -> Vec<Arc<dyn BackupSource>> {
        Vec::new()
    }

    /// Nothing is given back unless all parts of `source` are whole.
    async fn restore(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        check_target(&self.target, &what.from, RESTORE)?;
        cx.bounded(self.give_back(cx, what, source)).await
    }

    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()> {
        check_target(&self.target, target, DELETE)?;
        let id = id.clone();
        self.on_disk(move |disk| disk.delete(&id)).await
    }
}

impl Disk {
    fn directory(&self, id: &BackupId) -> PathBuf {
        self.root.join("backups").join(id.as_str())
    }

    fn begin(&self) -> Result<Scratch> {
        let failed = |error| failure(CREATE, &self.root, error);
        let scratch = Scratch::new(&self.root).map_err(failed)?;
        create_directory(&scratch.path().join("backup").join("parts")).map_err(failed)?;
        Ok(scratch)
    }

    /// Puts a finished backup in its place; one of the same id leaves only now.
    fn publish(&self, scratch: &Scratch, directory: &Path, backup: &Backup) -> Result<()> {
        let place = self.directory(&backup.request.id);
        let value = digest::json(backup);
        let manifest = Manifest { format: FORMAT, digest: digest::of_json(&value), backup: value };
        serde_json::to_vec_pretty(&manifest)
            .map_err(std::io::Error::from)
            .and_then(|json| {
                write_new(&directory.join("manifest.json"), &json)?;
                sync_directory(&directory.join("parts"))?;
                sync_directory(directory)?;
                ignore_missing(fs::rename(&place, scratch.path().join("old")))?;
                publish(directory, &place)
            })
            .map_err(|error| failure(CREATE, &place, error))
    }

    fn list(&self) -> Result<Vec<Backup>> {
        let path = self.root.join("backups");
        let failed = |error| failure(LIST, &path, error);
        let mut backups = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(id) = name.to_str().and_then(|name| BackupId::new(name).ok()) else {
                continue;
            };
            match self.manifest(&id) {
                Ok(backup) => backups.push(backup),
                // One bad backup must not hide the good ones; asked for by its id it says why.
                Err(error) => tracing::warn!(backup = %id, error = %Chain(&error), "left out"),
            }
        }
        backups.sort_by(|a, b| (a.request.at, &a.request.id).cmp(&(b.request.at, &b.request.id)));
        Ok(backups)
    }

    fn manifest(&self, id: &BackupId) -> Result<Backup> {
        let path = self.directory(id).join("manifest.json");
        let bytes = ignore_missing(fs::read(&path))
            .map_err(|error| failure(READ, &path, error))?
            .ok_or_else(|| backup::absent(id, READ))?;
        let damaged = |why: Box<dyn std::error::Error + Send + Sync>| {
            let message = format!("manifest {} is damaged", path.display());
            Error::new(ErrorKind::Corrupt, READ, message).with_source(why).without_effect()
        };
        let manifest: Manifest<serde_json::Value> =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.into()))?;
        if manifest.format > FORMAT {
            let message = format!("{} has format {}", path.display(), manifest.format);
            return Err(Error::new(ErrorKind::Unsupported, READ, message)
                .with_advice("use the newer version of this program that wrote it")
                .without_effect());
        }
        if digest::of_json(&manifest.backup) != manifest.digest {
            return Err(damaged("it does not match its digest".into()));
        }
        let backup: Backup =
            serde_json::from_value(manifest.backup).map_err(|error| damaged(error.into()))?;
        if backup.request.id != *id {
            return Err(damaged(format!("it is that of backup {}", backup.request.id).into()));
        }
        Ok(backup)
    }

    fn delete(&self, id: &BackupId) -> Result<()> {
        let place = self.directory(id);
        let failed = |error| failure(DELETE, &place, error);
        let scratch = Scratch::new(&self.root).map_err(failed)?;
        ignore_missing(fs::rename(&place, scratch.path().join("deleted")))
            .and_then(|_| sync_directory(&self.root.join("backups")))
            .map_err(failed)
    }
}

/// A part's name is data of its source and never becomes a path.
fn part_path(directory: &Path, number: usize) -> PathBuf {
    directory.join("parts").join(format!("{number:05}"))
}

/// Compares parts with the manifest.
async fn check_parts(
    backup: &Backup,
    directory: &Path,
    operation: &'static str,
    wanted: impl Fn(&Part) -> bool + Send,
) -> Result<()> {
    for (number, part) in backup.parts.iter().enumerate().filter(|(_, part)| wanted(part)) {
        let path = part_path(directory, number);
        let subject = format!("part {} of {}", part.name, part.source);
        let damaged = |why: &str| {
            let message = format!("{subject} in backup {} {why}", backup.request.id);
            Error::new(ErrorKind::Corrupt, operation, message)
                .with_advice("use another backup")
                .without_effect()
        };
        let file = match ignore_missing(tokio::fs::File::open(&path).await) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(damaged("is missing")),
            Err(error) => return Err(failure(operation, &path, error)),
        };
        let found = pump(file, &mut tokio::io::sink())
            .await
            .map_err(|error| error.into_error(operation, &subject, &path))?;
        if found.size != part.size || found.sha256 != part.sha256 {
            return Err(damaged("differs from its manifest"));
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Content {
    size: u64,
    sha256: String,
}

/// Which side of a copy failed.
#[derive(Debug)]
enum Broken {
    Read(std::io::Error),
    Write(std::io::Error),
}

impl Broken {
    fn into_error(self, operation: &'static str, subject: &str, path: &Path) -> Error {
        match self {
            Self::Read(source) => {
                Error::new(ErrorKind::Io, operation, format!("{subject} cannot be read"))
                    .with_source(source)
            }
            Self::Write(source) => failure(operation, path, source),
        }
    }
}

async fn save(stream: PartStream, path: &Path) -> Result<Content, Broken> {
    let file = tokio::fs::OpenOptions::from(private_file()).open(path).await;
    let mut file = file.map_err(Broken::Write)?;
    let content = pump(stream, &mut file).await?;
    file.sync_all().await.map_err(Broken::Write)?;
    Ok(content)
}

async fn pump(
    mut from: impl AsyncRead + Unpin + Send,
    to: &mut (impl AsyncWriteExt + Unpin + Send),
) -> Result<Content, Broken> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await.map_err(Broken::Read)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        size += read as u64;
        to.write_all(&buffer[..read]).await.map_err(Broken::Write)?;
    }
    to.flush().await.map_err(Broken::Write)?;
    Ok(Content { size, sha256: hex(&hash.finalize()) })
}
