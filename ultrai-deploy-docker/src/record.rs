//! What a step leaves in the journal before it begins.

use std::collections::BTreeMap;

use bollard::models::RestartPolicy;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    context::Context,
    deployer::{StepRecord, Work},
    error::{Error, ErrorKind, Result},
    name::{ReleaseId, ServiceName},
};

use crate::{
    names::Place,
    snapshot::{Container, Snapshot},
};

/// Version of the record's form.
const VERSION: u16 = 1;

/// The containers as they were before the run touched anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What served, or had served before it stopped.
    pub(crate) before: Vec<Container>,
    /// What runs that are over have left behind; removed with the old release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leftovers: Vec<Leftover>,
    /// The release that was current.
    #[serde(default)]
    pub(crate) current: Option<ReleaseId>,
    /// All as it was when this very step began.
    #[serde(default)]
    pub(crate) at_start: World,
}

/// As much of a project as tells whether it was touched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct World {
    current: Option<ReleaseId>,
    containers: Vec<Seen>,
}

/// As much of a container as tells whether it was touched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    id: String,
    name: String,
    running: bool,
    restart: RestartPolicy,
    /// Its names on each network.
    #[serde(default)]
    names: BTreeMap<String, Vec<String>>,
}

impl World {
    fn new(snapshot: &Snapshot, current: Option<ReleaseId>) -> Self {
        let containers = snapshot.containers.values().map(|one| Seen {
            id: one.id.clone(),
            name: one.name.clone(),
            running: one.state.running,
            restart: one.restart.clone(),
            names: one.networks.iter().map(|(on, it)| (on.clone(), it.names())).collect(),
        });
        Self { current, containers: containers.collect() }
    }
}

/// A container that an earlier run has left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leftover {
    pub(crate) id: String,
    pub(crate) name: String,
}

impl Record {
    /// What is to be recorded now: the state before the run, which an earlier record of the same
    /// run knows best.
    pub(crate) fn new(
        cx: &Context,
        work: &Work<'_>,
        now: &Snapshot,
        current: Option<ReleaseId>,
    ) -> Result<Self> {
        let at_start = World::new(now, current.clone());
        if let Some((_, first)) = work.records.first() {
            return Ok(Self { at_start, ..Self::read(first)? });
        }
        let (before, others): (Vec<_>, Vec<_>) = now
            .containers
            .values()
            .filter(|one| !one.is_made_by(cx.run()))
            .partition(|one| one.place() == Place::Live);
        Ok(Self {
            before: before.into_iter().cloned().collect(),
            leftovers: others
                .into_iter()
                .map(|one| Leftover { id: one.id.clone(), name: one.name.clone() })
                .collect(),
            current,
            at_start,
        })
    }

    /// Whether nothing of the project was touched since the step of `record` began.
    pub(crate) fn is_untouched(
        record: &StepRecord,
        now: &Snapshot,
        current: Option<ReleaseId>,
    ) -> Result<bool> {
        Ok(Self::read(record)?.at_start == World::new(now, current))
    }

    /// The state before the run, as the first record tells it.
    pub(crate) fn before_run(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        Self::read(work.records.first().map_or(record, |(_, first)| first))
    }

    /// The state before the run, and before those whose place it took.
    pub(crate) fn before_all(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        match work.inherited.first() {
            Some(first) => Self::read(&first.record),
            None => Self::before_run(work, record),
        }
    }

    fn read(record: &StepRecord) -> Result<Self> {
        let wrong = |kind, message: String| {
            Error::new(kind, "read the record of a step", message).without_effect()
        };
        if record.version != VERSION {
            return Err(wrong(
                ErrorKind::Unsupported,
                format!("it has version {}, this program reads {VERSION}", record.version),
            ));
        }
        Self::deserialize(&record.data).map_err(|source| {
            wrong(ErrorKind::Corrupt, "it is not of the expected form".to_owned())
                .with_source(source)
        })
    }

    /// In the form that the journal keeps.
    pub(crate) fn seal(&self) -> Result<StepRecord> {
        let data = serde_json::to_value(self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "record a step", "it has no JSON form")
                .without_effect()
                .with_source(source)
        })?;
        Ok(StepRecord::new(VERSION, data))
    }

    /// The containers of a service.
    pub(crate) fn of<'a>(
        &'a self,
        service: &'a ServiceName,
    ) -> impl Iterator<Item = &'a Container> {
        self.before.iter().filter(move |one| one.service == *service)
    }
}
