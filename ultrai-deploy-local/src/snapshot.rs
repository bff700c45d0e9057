//! What was seen before a step: the data of step records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    deployer::{Step, StepRecord, Work},
    name::{ReleaseId, RunId, ServiceName},
};

use crate::host::Host;

const VERSION: u16 = 1;

/// An environment, as far as a step and its undo need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) serving: Option<ReleaseId>,
    /// The instance that has the traffic, by service.
    pub(crate) traffic: BTreeMap<ServiceName, String>,
    pub(crate) instances: BTreeMap<String, Seen>,
}

/// One instance, as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) run: RunId,
    pub(crate) up: bool,
}

impl Snapshot {
    pub(crate) async fn of(host: &Host) -> Result<Self> {
        let ports = host.traffic.read()?;
        let traffic = ports.0.into_iter().map(|(service, one)| (service, one.instance)).collect();
        let mut instances = BTreeMap::new();
        for instance in host.instances.all()? {
            let up = instance.is_up();
            instances.insert(instance.id, Seen { run: instance.run, up });
        }
        Ok(Self { serving: host.releases.current().await?, traffic, instances })
    }

    pub(crate) fn read(record: &StepRecord) -> Result<Self> {
        const READ: &str = "read a step record";
        if record.version != VERSION {
            let message = format!("its version is {}, not {VERSION}", record.version);
            return Err(Error::new(ErrorKind::Unsupported, READ, message).without_effect());
        }
        Self::deserialize(&record.data).map_err(|source| {
            Error::new(ErrorKind::Corrupt, READ, "its data is not understood")
                .with_source(source)
                .without_effect()
        })
    }

    /// What the run found when it began to change things: later records already show its work.
    pub(crate) fn before_run(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        let first = work.records.iter().find(|(of, _)| matches!(of, Step::Stage | Step::Switch));
        Self::read(first.map_or(record, |(_, record)| record))
    }

    /// What was there before the run, and before those whose place it took.
    pub(crate) fn before_all(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        Self::read(work.first_record().unwrap_or(record))
    }

    pub(crate) fn record(&self) -> Result<StepRecord> {
        let data = serde_json::to_value(self).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "make a step record", "it has no JSON form")
                .with_source(source)
                .without_effect()
        })?;
        Ok(StepRecord::new(VERSION, data))
    }

    /// The instance of a service that had the traffic, unless this run gave it.
    pub(crate) fn served(&self, cx: &Context, service: &ServiceName) -> Option<&String> {
        self.traffic
            .get(service)
            .filter(|id| self.instances.get(*id).is_none_or(|seen| seen.run != *cx.run()))
    }

    /// Whether an instance had the traffic.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.traffic.values().any(|holder| holder == id)
    }
}
