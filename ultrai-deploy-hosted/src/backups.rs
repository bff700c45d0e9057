//! Backups that a platform itself keeps: of volumes and databases whose content never leaves it.
//!
//! ```text
//! BackupStore ── keeps the sources' parts, and a receipt for each object ──► a store of any kind
//!      ╰─ SnapshotSource ── takes, restores, what the receipt names ──► Snapshots (the platform)
//! ```
//!
//! What the platform keeps is one more source whose parts are *receipts*: small documents that name a
//! snapshot. So a part's size and digest are true, the store below writes its manifest after all
//! snapshots are whole, and a backup without them does not exist. Data comes back only when somebody
//! restores this very source ([`BackupStore::source`]): it is none of the pipeline's sources, and giving
//! those back touches no data.
//!
//! A snapshot is labelled with the id of its backup, where the platform has labels, and found again by
//! that. The two are not changed in one go, so a crash may leave a snapshot without a manifest, never
//! the other way round: such a one is adopted by the next call for the same backup, and removed with
//! the backups that are deleted a day later.

mod receipt;
mod source;
mod store;
mod take;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Context, Result, name::BackupId};

pub use self::{receipt::Label, source::SnapshotSource, store::BackupStore};

/// How many times its lag something is waited for that a platform has accepted and does not show.
const PATIENCE: u32 = 6;

/// A platform that keeps copies of what is on it, one call each. Nothing is decided here.
///
/// A call that changes something says in its error whether it may have arrived.
#[async_trait]
pub trait Snapshots: fmt::Debug + Send + Sync + 'static {
    /// The name of the source that its parts are filed under: `railway-volumes`.
    fn name(&self) -> &'static str;

    /// What is kept, each by another name.
    async fn objects(&self, cx: &Context) -> Result<Vec<Object>>;

    /// Begins a snapshot. A second call begins a second one.
    async fn begin(&self, cx: &Context, object: &Object, asked: &Asked<'_>) -> Result<Begun>;

    /// How far something is that [`Snapshots::begin`] told the handle of.
    async fn progress(&self, cx: &Context, handle: &str) -> Result<Progress>;

    /// The snapshots of an object that the platform lists, also those of others.
    ///
    /// # Errors
    /// [`NotFound`](ultrai_deploy_core::ErrorKind::NotFound) when there is no such object any more.
    async fn list(&self, cx: &Context, object: &Object) -> Result<Vec<Snapshot>>;

    /// One snapshot, also one that is not listed; nothing when it is gone.
    async fn find(&self, cx: &Context, object: &Object, id: &str) -> Result<Option<Snapshot>>;

    /// Takes away the time at which a snapshot would go by itself. May be repeated.
    async fn keep(&self, cx: &Context, object: &Object, snapshot: &Snapshot) -> Result<()>;

    /// Whether a snapshot can be brought back by a call, known without one: asked of all before the
    /// first is.
    ///
    /// # Errors
    /// [`Unsupported`](ultrai_deploy_core::ErrorKind::Unsupported), with what people can do instead.
    fn restorable(&self, object: &Object, snapshot: &Snapshot) -> Result<()>;

    /// Brings a snapshot back, as part of the backup `id`, and waits until it is there; tells in words
    /// what is where now, and what is left to people. May be repeated. Each call that changes something
    /// is journaled.
    async fn restore(
        &self,
        cx: &Context,
        object: &Object,
        snapshot: &Snapshot,
        id: &BackupId,
    ) -> Result<String>;

    /// Deletes a snapshot, as far as the platform lets it be deleted; one that is gone is fine.
    async fn delete(&self, cx: &Context, object: &Object, id: &str) -> Result<()>;

    /// What is to be expected of the platform.
    fn manners(&self) -> Manners;

    /// How long to wait between two looks at what is under way.
    fn pause(&self) -> Duration;
}

/// What is to be expected of a platform's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Whether a snapshot carries a label. Without, ours is the first that appears after the call.
    pub has_labels: bool,
    /// Whether restoring one deletes those that are newer.
    pub restoring_deletes_newer: bool,
    /// How long after a call was accepted it may take until everybody sees what it did.
    pub lag: Duration,
}

/// Something with content: a volume, a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The platform's id.
    pub id: String,
    /// The name, under which its part is filed.
    pub name: String,
}

/// What a snapshot is asked for with.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The label that it gets, where the platform has labels.
    pub label: &'a Label,
    /// When the backup was asked for, by this machine's clock.
    pub at: Timestamp,
}

/// What has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Begun {
    /// Something that takes its time. What comes of it is listed later.
    Work {
        /// What it is followed with, where the platform tells.
        handle: Option<String>,
        /// The platform's own time before it began, where that is known.
        since: Option<Timestamp>,
    },
    /// It is there already.
    Whole(Snapshot),
}

/// How far something is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// On its way, also when the word is not known.
    UnderWay,
    /// Done.
    Done,
    /// Failed, and why.
    Failed(String),
    /// The platform does not know of it: not yet, or not any more.
    Unknown,
}

/// A snapshot as the platform shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The platform's id.
    pub id: String,
    /// Its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it is whole.
    pub state: State,
    /// When it was taken, by the platform's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Timestamp>,
    /// When it goes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How large it is, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Whether a snapshot is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// It is.
    Whole,
    /// Not yet, or never.
    Partial,
    /// The platform does not tell; what made it may.
    Untold,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The name of the object.
    pub object: String,
    /// What is where now, and what is left to people.
    pub told: String,
}

async fn rest(cx: &Context, pause: Duration) -> Result<()> {
    let pausing = async {
        tokio::time::sleep(pause).await;
        Ok(())
    };
    cx.bounded(pausing).await
}
