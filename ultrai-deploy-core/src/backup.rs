//! Backups: what is kept before something is changed.

use std::{collections::BTreeSet, fmt, pin::Pin, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;

use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    name::{BackupId, ReleaseId, RunId, Target},
    version::Version,
};

/// A stream of a part's bytes.
pub type PartStream = Pin<Box<dyn AsyncRead + Send>>;

/// Has something worth keeping. Adapters and the release store have these.
#[async_trait]
pub trait BackupSource: fmt::Debug + Send + Sync + 'static {
    /// A short name, unique among the sources of a pipeline; parts are filed under it.
    fn name(&self) -> &str;

    /// What its parts are, which decides when they are kept and given back.
    fn content(&self) -> Content;

    /// Whether a part may hold secrets: such parts are kept encrypted, or by stores that only
    /// their owner can read.
    fn holds_secrets(&self) -> bool;

    /// The parts to keep of what is there now. May be empty.
    async fn parts(&self, cx: &Context) -> Result<Vec<String>>;

    /// Opens a part for reading.
    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream>;

    /// Puts a part back. Idempotent.
    async fn restore(&self, cx: &Context, part: &str, content: PartStream) -> Result<()>;

    /// Puts right what an unfinished [`read`](Self::read) or [`restore`](Self::restore) left on the
    /// target: services that were stopped for it run again. Called when a backup or a restore failed,
    /// and by who finds one that was cut off. Idempotent; most sources leave nothing.
    async fn settle(&self, cx: &Context) -> Result<()> {
        let _nothing_left = cx;
        Ok(())
    }
}

/// Keeps backups.
#[async_trait]
pub trait BackupStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps all parts of `sources`. A backup without a complete manifest does not exist, so one
    /// that is cut off is invisible. Idempotent in `request.id`: a second call begins anew.
    async fn create(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup>;

    /// All complete backups of an environment, oldest first.
    async fn list(&self, target: &Target) -> Result<Vec<Backup>>;

    /// The ids of all backups, oldest first, with those that are damaged or locked and therefore not
    /// in [`list`](Self::list): what a check of all of them has to look at.
    ///
    /// # Errors
    /// As those of `list`.
    async fn ids(&self, target: &Target) -> Result<Vec<BackupId>> {
        let backups = self.list(target).await?;
        Ok(backups.into_iter().map(|backup| backup.request.id).collect())
    }

    /// Reads everything back and compares it with the manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] naming the part that differs;
    /// [`ErrorKind::NotFound`] when there is no such backup.
    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()>;

    /// Sources that belong to the store itself and whose parts are in this backup: what a platform
    /// keeps, and only this store can bring back. Mostly none.
    fn own_sources(&self, what: &Selection) -> Vec<Arc<dyn BackupSource>>;

    /// Gives those of the selected parts that are of `source` back to it, and tells which. The
    /// source may be that of another environment than the backup's.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] naming a part that differs from the manifest, before `source` has got
    /// anything; [`ErrorKind::NotFound`] when there is no such backup.
    async fn restore(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>>;

    /// Deletes a backup. Deleting what is not there is fine.
    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()>;
}

/// What the parts of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// A release with its configuration. Comes back with every rollback.
    Release,
    /// What people read to find out what was there. Nothing runs from it.
    Evidence,
    /// What users of the application made. Goes back only when the policy or a person says so,
    /// because what was written since would be lost.
    Data,
}

/// What is taken out of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The environment that the backup is of.
    pub from: Target,
    /// The backup.
    pub backup: BackupId,
    /// Names of sources, `redis`, and of single parts of them, `redis/dump`. All when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

impl Selection {
    /// The whole of a backup.
    pub fn all(from: Target, backup: BackupId) -> Self {
        Self { from, backup, parts: Vec::new() }
    }

    /// Whether a part belongs to it.
    pub fn has(&self, source: &str, part: &str) -> bool {
        let is_named = |name: &String| {
            name.strip_prefix(source).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('/').is_some_and(|rest| rest == part)
            })
        };
        self.parts.is_empty() || self.parts.iter().any(is_named)
    }
}

/// What a backup is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupRequest {
    /// Its id.
    pub id: BackupId,
    /// The environment.
    pub target: Target,
    /// The run that takes it.
    pub run: RunId,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// The release that served, if any.
    pub release: Option<ReleaseId>,
    /// Its version.
    pub version: Option<Version>,
    /// Why it is taken: `before deploy of 1.2.0`.
    pub reason: String,
}

/// A complete backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// What was asked for.
    #[serde(flatten)]
    pub request: BackupRequest,
    /// What it holds.
    pub parts: Vec<Part>,
}

/// One part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The source that it came from.
    pub source: String,
    /// Its name there.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl Part {
    /// Its name with that of its source: `redis/dump`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.source, self.name)
    }
}

/// When in a run a backup is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Occasion {
    /// Before it begins to build (the default): of everything.
    #[default]
    Begin,
    /// Right before its first effect, of data only, when the first one is old by then.
    Refresh,
    /// Right before data is put back, of the data that it takes the place of.
    Restore,
}

/// The data as it was before a run changed anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataBackup {
    /// The backup that has it.
    pub backup: BackupId,
    /// Its parts of data there: `redis/dump`.
    pub parts: Vec<String>,
    /// When reading it began, by the wall clock; nothing in journals of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// There is no such backup.
pub fn absent(id: &BackupId, operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no backup {id}"))
        .with_advice("list the backups that there are")
        .without_effect()
}

/// The parts of all sources. Two of one name could not be told apart when they are restored.
///
/// # Errors
/// What a source fails with; [`ErrorKind::Invalid`] for two parts of one name.
pub async fn list_parts<'a>(
    cx: &Context,
    sources: &'a [Arc<dyn BackupSource>],
) -> Result<Vec<(&'a dyn BackupSource, String)>> {
    let mut names = BTreeSet::new();
    let mut parts = Vec::new();
    for source in sources {
        for part in source.parts(cx).await? {
            if !names.insert((source.name().to_owned(), part.clone())) {
                let message = format!("{} has two parts called {part}", source.name());
                return Err(
                    Error::new(ErrorKind::Invalid, "take a backup", message).without_effect()
                );
            }
            parts.push((&**source, part));
        }
    }
    Ok(parts)
}
