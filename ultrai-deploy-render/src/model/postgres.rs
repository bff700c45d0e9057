//! PostgreSQL databases, their exports and their recovery.

use jiff::Timestamp;
use serde::Deserialize;
use ultrai_deploy_core::secret::Secret;

use super::{Owner, PostgresId, Suspension, absent, word::words};

words! {
    /// How a database is.
    PostgresStatus {
        /// It is being made.
        Creating = "creating",
        /// It can be used.
        Available = "available",
        /// It cannot.
        Unavailable = "unavailable",
        /// It restarts with another configuration.
        ConfigRestart = "config_restart",
        /// It is suspended.
        Suspended = "suspended",
        /// It can be used until its maintenance begins.
        MaintenanceScheduled = "maintenance_scheduled",
        /// It is being maintained.
        MaintenanceInProgress = "maintenance_in_progress",
        /// Its recovery failed.
        RecoveryFailed = "recovery_failed",
        /// It is being recovered.
        RecoveryInProgress = "recovery_in_progress",
        /// Render does not know.
        Unknown = "unknown",
        /// It moves to another plan.
        UpdatingInstance = "updating_instance",
    }
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Postgres {
    /// Its id.
    pub id: PostgresId,
    /// Its name.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// The environment of Render that it is in.
    #[serde(default)]
    pub environment_id: Option<String>,
    /// How it is.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub status: PostgresStatus,
    /// Whether it is suspended.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub suspended: Suspension,
    /// `primary` or `replica`.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub role: String,
    /// The database that it is a replica of.
    #[serde(rename = "primaryPostgresID", default)]
    pub primary: Option<PostgresId>,
    /// What it runs on.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub plan: String,
    /// Where it runs.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub region: String,
    /// The major version of PostgreSQL.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub version: String,
    /// The name of the database within it.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub database_name: String,
    /// The user that owns that.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub database_user: String,
    /// When it was made.
    #[serde(default, deserialize_with = "absent::time")]
    pub created_at: Option<Timestamp>,
    /// When Render deletes it, where its plan is free.
    #[serde(default, deserialize_with = "absent::time")]
    pub expires_at: Option<Timestamp>,
}

/// A logical backup of a database.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Export {
    /// Its id.
    pub id: String,
    /// When it was asked for.
    #[serde(default, deserialize_with = "absent::time")]
    pub created_at: Option<Timestamp>,
    /// Where it can be downloaded, once it is done. Whoever knows it can.
    #[serde(default, deserialize_with = "absent::some_secret")]
    pub url: Option<Secret>,
}

words! {
    /// Whether a database can be recovered.
    RecoveryStatus {
        /// It can.
        Available = "AVAILABLE",
        /// Not yet: there is no whole backup.
        BackupNotReady = "BACKUP_NOT_READY",
        /// Its plan has none.
        NotAvailable = "NOT_AVAILABLE",
    }
}

/// To when a database can be recovered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RecoveryInfo {
    /// Whether it can.
    #[serde(rename = "recoveryStatus", default, deserialize_with = "absent::or_default")]
    pub status: RecoveryStatus,
    /// The first instant.
    #[serde(default, deserialize_with = "absent::time")]
    pub starts_at: Option<Timestamp>,
}

/// How to recover a database into a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// As it was then.
    pub time: Timestamp,
    /// The name of the new one; Render makes one up when it is not set.
    pub name: Option<String>,
    /// What the new one runs on; as the old one when it is not set, and nothing less.
    pub plan: Option<String>,
    /// The environment of Render that it goes into; that of the old one when it is not set.
    pub environment: Option<String>,
}

impl Recovery {
    /// As it was at `time`.
    pub fn new(time: Timestamp) -> Self {
        Self { time, name: None, plan: None, environment: None }
    }
}
