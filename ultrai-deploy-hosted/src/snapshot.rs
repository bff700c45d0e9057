//! What was there before a step: the data of its record.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    deployer::{Step, StepRecord, Work},
    name::{ReleaseId, SecretName, ServiceName},
    secret::{Fingerprint, FingerprintKey, Secret},
};

use crate::{
    kept::Kind,
    platform::{Artifact, Configured, Deploy, Seen, Setting, Slot},
};

const VERSION: u16 = 1;

/// All that a step could change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The release that is marked as current.
    pub(crate) marked: Option<ReleaseId>,
    /// The release that the step brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) brings: Option<ReleaseId>,
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
    /// Those of the settings: a command may hold a password.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) settings: BTreeMap<Setting, Fingerprint>,
}

/// What is set in a slot.
pub(crate) struct Set {
    pub(crate) variables: BTreeMap<String, Secret>,
    pub(crate) files: BTreeMap<String, Secret>,
    pub(crate) configured: Configured,
}

impl Before {
    pub(crate) fn of(slot: Slot, seen: &Seen, set: Set, key: &FingerprintKey) -> Result<Self> {
        let prints = Print::new(key)?;
        let print = |(name, value): (&String, &Secret)| (name.clone(), prints.of(value));
        let Set { variables, files, configured } = set;
        Ok(Self {
            slot,
            live: seen.live().cloned(),
            newest: seen.deploys.first().map(|deploy| deploy.id.clone()),
            configured: configured.artifact,
            variables: variables.iter().map(print).collect(),
            files: files.iter().map(print).collect(),
            settings: prints.of_settings(&configured.settings),
        })
    }
}

impl Before {
    /// What was set.
    pub(crate) fn of_kind(&self, kind: Kind) -> &BTreeMap<String, Fingerprint> {
        match kind {
            Kind::Variable => &self.variables,
            Kind::File => &self.files,
        }
    }
}

/// Makes fingerprints of values.
#[derive(Clone, Debug)]
pub(crate) struct Print {
    key: FingerprintKey,
    name: SecretName,
}

impl Print {
    pub(crate) fn new(key: &FingerprintKey) -> Result<Self> {
        // One name for all: only whether a value is the same matters.
        Ok(Self { key: key.clone(), name: SecretName::new("VARIABLE")? })
    }

    pub(crate) fn of_settings(
        &self,
        settings: &BTreeMap<Setting, String>,
    ) -> BTreeMap<Setting, Fingerprint> {
        let print = |(setting, value): (&Setting, &String)| {
            (*setting, self.of(&Secret::new(value.as_str())))
        };
        settings.iter().map(print).collect()
    }

    pub(crate) fn of(&self, value: &Secret) -> Fingerprint {
        self.key.fingerprint(&self.name, value)
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

    /// The releases that the run has to do with, and those whose place it took.
    pub(crate) fn releases(work: &Work<'_>) -> Result<BTreeSet<ReleaseId>> {
        let inherited = work.inherited.iter().map(|one| &one.record);
        let records = inherited.chain(work.records.iter().map(|(_, record)| record));
        let mut found = BTreeSet::new();
        for record in records {
            let Self { marked, brings, .. } = Self::read(record)?;
            found.extend(marked.into_iter().chain(brings));
        }
        Ok(found)
    }

    /// What the run found when it began to go back.
    pub(crate) fn before_rollback(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        let first = work.records.iter().find(|(step, _)| *step == Step::Rollback);
        Self::read(first.map_or(record, |(_, record)| record))
    }
}
