//! What was there before a step: the data of its record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    deployer::{Step, StepRecord, Work},
    name::{ReleaseId, SecretName, ServiceName},
    secret::{Fingerprint, FingerprintKey, Secret},
};

use crate::platform::{Artifact, Configured, Deploy, Seen, Setting, Slot};

const VERSION: u16 = 1;

/// All that a step could change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The release that is marked as current.
    pub(crate) marked: Option<ReleaseId>,
    pub(crate) slots: BTreeMap<ServiceName, Before>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    pub(crate) slot: Slot,
    /// What served.
    pub(crate) live: Option<Deploy>,
    /// The newest deploy, however it ended.
    pub(crate) newest: Option<String>,
    /// What the platform deploys by itself.
    pub(crate) configured: Option<Artifact>,
    /// Fingerprints of the variables that were set.
    pub(crate) variables: BTreeMap<String, Fingerprint>,
    /// Those of the files with secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) files: BTreeMap<String, Fingerprint>,
    /// The settings that were set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) settings: BTreeMap<Setting, String>,
}

/// What is set in a slot.
pub(crate) struct Set {
    pub(crate) variables: BTreeMap<String, Secret>,
    pub(crate) files: BTreeMap<String, Secret>,
    pub(crate) configured: Configured,
}

impl Before {
    pub(crate) fn of(slot: Slot, seen: &Seen, set: Set, key: &FingerprintKey) -> Result<Self> {
        // One name for all: only whether a value is the same matters.
        let name = SecretName::new("VARIABLE")?;
        let print = |(variable, value): (&String, &Secret)| {
            (variable.clone(), key.fingerprint(&name, value))
        };
        let Set { variables, files, configured } = set;
        Ok(Self {
            slot,
            live: seen.live().cloned(),
            newest: seen.deploys.first().map(|deploy| deploy.id.clone()),
            configured: configured.artifact,
            variables: variables.iter().map(print).collect(),
            files: files.iter().map(print).collect(),
            settings: configured.settings,
        })
    }
}

impl Snapshot {
    pub(crate) fn record(&self) -> StepRecord {
        StepRecord::new(VERSION, json!(self))
    }

    pub(crate) fn read(record: &StepRecord) -> Result<Self> {
        let damaged = || {
            let message = format!("version {} or its data is not understood", record.version);
            Error::new(ErrorKind::Corrupt, "read a step record", message).without_effect()
        };
        if record.version != VERSION {
            return Err(damaged());
        }
        Self::deserialize(&record.data).map_err(|source| damaged().with_source(source))
    }

    /// What the run found when it began to change things.
    pub(crate) fn before_run(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        let mut began = work.records.iter();
        let first = began.find(|(step, _)| matches!(step, Step::Stage | Step::Switch));
        Self::read(first.map_or(record, |(_, record)| record))
    }

    /// What was there before the run, and before those whose place it took.
    pub(crate) fn before_all(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        Self::read(work.first_record().unwrap_or(record))
    }

    /// What the run found when it began to go back.
    pub(crate) fn before_rollback(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        let first = work.records.iter().find(|(step, _)| *step == Step::Rollback);
        Self::read(first.map_or(record, |(_, record)| record))
    }
}
