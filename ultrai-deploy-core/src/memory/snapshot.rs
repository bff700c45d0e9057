//! What the memory deployer saw before a step: the data of its step records.

use serde::{Deserialize, Serialize};

use super::world::{Instance, Maker, Phase, World};
use crate::{
    context::Context,
    deployer::{Step, StepRecord, Work},
    error::{Error, ErrorKind, Result},
    name::{ReleaseId, ServiceName},
};

const VERSION: u16 = 1;

/// The world, as far as a step and its undo need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) serving: Option<ReleaseId>,
    pub(super) instances: Vec<Seen>,
}

/// One instance, as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) service: ServiceName,
    pub(super) phase: Phase,
    pub(super) maker: Option<Maker>,
}

impl Snapshot {
    pub(super) fn of(serving: Option<ReleaseId>, world: &World) -> Self {
        let instances = world.instances().into_iter().map(Seen::from).collect();
        Self { serving, instances }
    }

    pub(super) fn read(record: &StepRecord) -> Result<Self> {
        let data = (record.version == VERSION).then_some(&record.data);
        data.and_then(|data| Self::deserialize(data).ok()).ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                "read a step record",
                format!("version {} or its data is not understood", record.version),
            )
            .without_effect()
        })
    }

    /// What the run found when it began to change things: later records already show its work.
    pub(super) fn before_run(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        let first = work.records.iter().find(|(of, _)| matches!(of, Step::Stage | Step::Switch));
        Self::read(first.map_or(record, |(_, record)| record))
    }

    /// What was there before the run, and before those whose place it took.
    pub(super) fn before_all(work: &Work<'_>, record: &StepRecord) -> Result<Self> {
        Self::read(work.first_record().unwrap_or(record))
    }

    pub(super) fn record(&self) -> StepRecord {
        StepRecord::new(VERSION, crate::digest::json(self))
    }

    /// What had the traffic and was not brought by this run.
    pub(super) fn served(&self, cx: &Context) -> impl Iterator<Item = &Seen> {
        self.of_others(cx).filter(|seen| seen.phase == Phase::Live)
    }

    /// What was not brought by this run: what served, and what earlier runs could not remove.
    pub(super) fn of_others(&self, cx: &Context) -> impl Iterator<Item = &Seen> {
        let run = cx.run().clone();
        let brought = move |seen: &Seen| seen.maker.as_ref().is_some_and(|one| one.run == run);
        self.instances.iter().filter(move |seen| !brought(seen))
    }
}

impl From<Instance> for Seen {
    fn from(instance: Instance) -> Self {
        Self {
            id: instance.id,
            service: instance.service,
            phase: instance.phase,
            maker: instance.maker,
        }
    }
}
