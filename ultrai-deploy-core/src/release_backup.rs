//! The current release as something that is kept in backups: its definition, its secrets, the
//! files that it mounts and those that it was described by.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::io::AsyncReadExt;

use crate::{
    backup::{BackupSource, Content, PartStream},
    context::Context,
    error::{Error, ErrorKind, Result},
    name::SecretName,
    release::Release,
    release_store::ReleaseStore,
    secret::{Secret, Secrets},
};

const RELEASE: &str = "release.json";
const SECRETS: &str = "secrets.json";
/// Begins the name of a file: `file/<digest>/<path in its tree>`.
const FILE: &str = "file/";
/// Largest definition that is read back, in bytes.
const MOST: u64 = 64 * 1024 * 1024;

/// Keeps the current release of a store.
#[derive(Clone, Debug)]
pub struct ReleaseSource(Arc<dyn ReleaseStore>);

impl ReleaseSource {
    /// The current release of `releases`.
    pub fn new(releases: Arc<dyn ReleaseStore>) -> Self {
        Self(releases)
    }

    async fn current(&self) -> Result<Option<Arc<Release>>> {
        match self.0.current().await? {
            Some(id) => Ok(Some(self.0.get(&id).await?)),
            None => Ok(None),
        }
    }

    /// Where the file that a part names lies.
    fn file(&self, part: &str) -> Result<PathBuf> {
        let unknown = || {
            Error::new(
                ErrorKind::Invalid,
                "find a part",
                format!("`{part}` is no part of a release"),
            )
            .without_effect()
        };
        let (digest, path) =
            part.strip_prefix(FILE).and_then(|rest| rest.split_once('/')).ok_or_else(unknown)?;
        let path = Path::new(path);
        let stays_inside =
            path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let tree = self.0.file_path(digest).filter(|_| stays_inside).ok_or_else(unknown)?;
        // A tree that is a single file has itself as its only path.
        Ok(if tree.is_file() { tree } else { tree.join(path) })
    }
}

#[async_trait]
impl BackupSource for ReleaseSource {
    fn name(&self) -> &'static str {
        "release"
    }

    fn content(&self) -> Content {
        Content::Release
    }

    fn holds_secrets(&self) -> bool {
        true
    }

    async fn parts(&self, _cx: &Context) -> Result<Vec<String>> {
        let Some(release) = self.current().await? else { return Ok(Vec::new()) };
        let mut parts = vec![RELEASE.to_owned(), SECRETS.to_owned()];
        let mut digests: Vec<_> =
            release.services.values().flat_map(|service| service.files.values()).collect();
        digests.extend(release.sources.values());
        digests.sort();
        digests.dedup();
        for digest in digests {
            let Some(tree) = self.0.file_path(digest) else { continue };
            let found = tokio::task::spawn_blocking(move || files_below(&tree)).await;
            let found = found.map_err(|source| stopped().with_source(source))?;
            let found = found.map_err(|source| {
                Error::new(ErrorKind::Io, "list files of the release", digest.as_str())
                    .without_effect()
                    .with_source(source)
            })?;
            parts.extend(found.into_iter().map(|path| format!("{FILE}{digest}/{path}")));
        }
        Ok(parts)
    }

    async fn read(&self, _cx: &Context, part: &str) -> Result<PartStream> {
        let Some(release) = self.current().await? else {
            return Err(Error::new(ErrorKind::NotFound, "read a part", "no release is current")
                .without_effect());
        };
        let bytes = match part {
            RELEASE => to_json(&*release)?,
            SECRETS => {
                let secrets = self.0.secrets(&release.id).await?;
                let plain: BTreeMap<_, _> =
                    secrets.iter().map(|(name, secret)| (name, secret.expose())).collect();
                to_json(&(&release.id, plain))?
            }
            file => {
                let path = self.file(file)?;
                let read = tokio::task::spawn_blocking(move || fs::read(path)).await;
                let read = read.map_err(|source| stopped().with_source(source))?;
                read.map_err(|source| {
                    Error::new(ErrorKind::Io, "read a file of the release", file)
                        .without_effect()
                        .with_source(source)
                })?
            }
        };
        Ok(Box::pin(std::io::Cursor::new(bytes)))
    }

    async fn restore(&self, _cx: &Context, part: &str, content: PartStream) -> Result<()> {
        let mut bytes = Vec::new();
        content.take(MOST).read_to_end(&mut bytes).await.map_err(|source| {
            Error::new(ErrorKind::Io, "read a part", part.to_owned()).with_source(source)
        })?;
        match part {
            RELEASE => {
                let release: Release = from_json(part, &bytes)?;
                // The secrets are a part of their own; those that are there stay.
                let secrets = match self.0.secrets(&release.id).await {
                    Ok(secrets) => secrets,
                    Err(error) if error.kind() == ErrorKind::NotFound => Secrets::new(),
                    Err(error) => return Err(error),
                };
                self.0.put(&release, &secrets).await
            }
            SECRETS => {
                let (id, plain): (_, BTreeMap<SecretName, String>) = from_json(part, &bytes)?;
                let release = self.0.get(&id).await?;
                let secrets =
                    plain.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
                self.0.put(&release, &secrets).await
            }
            file => {
                let path = self.file(file)?;
                let written = tokio::task::spawn_blocking(move || put_back(&path, &bytes)).await;
                let written = written.map_err(|source| stopped().with_source(source))?;
                written.map_err(|source| {
                    Error::new(ErrorKind::Io, "put a file back", file).with_source(source)
                })
            }
        }
    }
}

/// The paths of all regular files of a tree, relative to it; its own name for a single file.
fn files_below(tree: &Path) -> std::io::Result<Vec<String>> {
    if tree.is_file() {
        return Ok(vec!["content".to_owned()]);
    }
    let mut found = Vec::new();
    let mut directories = vec![tree.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file()
                && let Ok(path) = entry.path().strip_prefix(tree)
            {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a file that is missing; content is immutable, so one that is there is right.
fn put_back(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let temporary = path.with_extension("restoring");
    fs::write(&temporary, bytes)?;
    fs::File::open(&temporary)?.sync_all()?;
    fs::rename(temporary, path)
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "keep the release", "it has no JSON form")
            .without_effect()
            .with_source(source)
    })
}

fn from_json<T: serde::de::DeserializeOwned>(part: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| {
        Error::new(ErrorKind::Corrupt, "read a part", format!("{part} is damaged"))
            .without_effect()
            .with_source(source)
    })
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unexpected, "read files", "the program is shutting down").without_effect()
}
