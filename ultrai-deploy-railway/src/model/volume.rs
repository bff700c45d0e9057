//! Volumes and their backups.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    id::{BackupId, ServiceId, VolumeInstanceId, WorkflowId},
    open::{number, open_enum, or_default, time},
    place::Named,
    status::WorkflowStatus,
};

open_enum! {
    /// What a volume is doing.
    VolumeState {
        /// It can be used.
        Ready = "READY",
        /// It is being changed.
        Updating = "UPDATING",
        /// A backup is being copied into it.
        Restoring = "RESTORING",
        /// It will be moved to another place.
        MigrationPending = "MIGRATION_PENDING",
        /// It is being moved to another place.
        Migrating = "MIGRATING",
        /// It is being deleted.
        Deleting = "DELETING",
        /// It is gone.
        Deleted = "DELETED",
        /// Something is wrong with it.
        Error = "ERROR",
    }
}

/// A volume as it is in one environment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct VolumeInstance {
    /// Its id.
    pub id: VolumeInstanceId,
    /// The service that uses it.
    pub service_id: Option<ServiceId>,
    /// Where the service finds it.
    pub mount_path: Option<String>,
    /// What it is doing.
    pub state: Option<VolumeState>,
    /// How large it may become, in megabytes.
    #[serde(rename = "sizeMB", default, deserialize_with = "number")]
    pub size_mb: Option<u64>,
    /// How much is in it, in megabytes.
    #[serde(rename = "currentSizeMB")]
    pub current_size_mb: Option<f64>,
    /// Whether it will be deleted.
    #[serde(default, deserialize_with = "or_default")]
    pub is_pending_deletion: bool,
    /// The volume itself, the same in all environments.
    pub volume: Option<Named>,
}

/// A backup of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// Its name, where it was given one.
    pub name: Option<String>,
    /// When it was made.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
    /// When it goes by itself; a locked one stays.
    #[serde(default, deserialize_with = "time")]
    pub expires_at: Option<Timestamp>,
    /// What it needs by itself, in megabytes.
    #[serde(rename = "usedMB", default, deserialize_with = "number")]
    pub used_mb: Option<u64>,
    /// What it shares with others, in megabytes.
    #[serde(rename = "referencedMB", default, deserialize_with = "number")]
    pub referenced_mb: Option<u64>,
    /// The schedule that made it, where one did.
    pub schedule_id: Option<String>,
}

/// How far something is that Railway goes on doing after the answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Workflow {
    /// How far it is.
    pub status: WorkflowStatus,
    /// Why it failed.
    pub error: Option<String>,
}

/// What the calls answer that begin something.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Started {
    pub(crate) workflow_id: Option<WorkflowId>,
}
