//! The world that the memory backends act on: what runs and what is kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::behaviour::{Behaviour, Healthy};
use crate::{
    deployer::Step,
    error::{Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    health::Health,
    name::{ReleaseId, RunId, ServiceName},
    release::{Image, Release, ReleaseService},
};

/// The world of the memory backends. Clones are one world, so a test "restarts the process" by
/// making new backends on a clone.
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    instances: BTreeMap<String, Instance>,
    made: u64,
    ticks: u64,
    tasks: BTreeMap<String, u32>,
}

/// One thing that runs or is kept.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Instance {
    /// Its id, unique in the world and never given out twice.
    pub id: String,
    /// The service that it belongs to.
    pub service: ServiceName,
    /// The release that it was created for; nothing when somebody else started it.
    pub release: Option<ReleaseId>,
    /// The run and the step that created it; nothing when somebody else started it.
    pub maker: Option<Maker>,
    /// The service's spec hash; nothing when somebody else started it.
    pub spec_hash: Option<String>,
    /// The image that runs.
    pub image: Option<Image>,
    /// The service's definition.
    pub config: Value,
    /// Whether it runs, and for whom.
    pub phase: Phase,
    /// It ended by itself.
    pub crashed: bool,
    /// How often it was started.
    pub starts: u32,
    /// The tick of the world at which it was last started.
    pub started_at: u64,
    looks: u32,
}

/// Who created an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Maker {
    /// The run.
    pub run: RunId,
    /// The step; nothing for a dependency of a task.
    pub step: Option<Step>,
}

/// What an instance is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It runs without traffic.
    Staged,
    /// It has the traffic.
    Live,
    /// It is stopped and kept until the release that replaced it is final.
    Kept,
    /// It runs for a task.
    Task,
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything in it, by id.
    pub fn instances(&self) -> Vec<Instance> {
        self.lock().instances.values().cloned().collect()
    }

    /// What has the traffic, by id.
    pub fn live(&self) -> Vec<Instance> {
        self.in_phase(|phase| phase == Phase::Live)
    }

    /// What is there without traffic, by id: nothing once a run is over.
    pub fn leftovers(&self) -> Vec<Instance> {
        self.in_phase(|phase| phase != Phase::Live)
    }

    /// Starts something that no run knows of, with traffic. Returns its id.
    pub fn add_unmanaged(&self, service: ServiceName, config: Value) -> String {
        let mut state = self.lock();
        let id = state.new_id(&service);
        let started_at = state.tick();
        let instance = Instance {
            id: id.clone(),
            service,
            release: None,
            maker: None,
            spec_hash: None,
            image: None,
            config,
            phase: Phase::Live,
            crashed: false,
            starts: 1,
            started_at,
            looks: 0,
        };
        state.instances.insert(id.clone(), instance);
        id
    }

    /// Lets an instance end by itself. One that is not there stays away.
    pub fn crash(&self, id: &str) {
        if let Some(instance) = self.lock().instances.get_mut(id) {
            instance.crashed = true;
        }
    }

    /// How often a task of this name, or a migration, was run to its end.
    pub fn task_runs(&self, name: &str) -> u32 {
        self.lock().tasks.get(name).copied().unwrap_or(0)
    }

    pub(super) fn count_task(&self, name: &str) {
        *self.lock().tasks.entry(name.to_owned()).or_default() += 1;
    }

    pub(super) fn get(&self, id: &str) -> Option<Instance> {
        self.lock().instances.get(id).cloned()
    }

    /// Creates and starts an instance; it stays, crashed, when it cannot be started.
    pub(super) fn create(
        &self,
        maker: Maker,
        release: &Release,
        name: &ServiceName,
        service: &ReleaseService,
        phase: Phase,
    ) -> Result<String> {
        let id = {
            let mut state = self.lock();
            let id = state.new_id(name);
            let instance = Instance {
                id: id.clone(),
                service: name.clone(),
                release: Some(release.id.clone()),
                maker: Some(maker),
                spec_hash: Some(service.spec_hash.clone()),
                image: service.image.clone(),
                config: service.config.clone(),
                phase,
                crashed: true,
                starts: 0,
                started_at: 0,
                looks: 0,
            };
            state.instances.insert(id.clone(), instance);
            id
        };
        self.start(&id, phase)?;
        Ok(id)
    }

    /// Starts an instance that is not running, and makes it `phase`.
    pub(super) fn start(&self, id: &str, phase: Phase) -> Result<()> {
        let mut state = self.lock();
        let started_at = state.tick();
        let Some(instance) = state.instances.get_mut(id) else {
            return Err(missing("start an instance", id));
        };
        let behaviour = Behaviour::read(&instance.config)?;
        let running = instance.is_up();
        instance.phase = phase;
        if running {
            return Ok(());
        }
        if !behaviour.starts {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "start an instance",
                format!("{id} does not start"),
            )
            .with_evidence([instance.status()]));
        }
        instance.crashed = behaviour.dead;
        instance.starts += 1;
        instance.started_at = started_at;
        instance.looks = 0;
        Ok(())
    }

    /// Gives traffic to an instance that runs, or takes it away.
    pub(super) fn set_phase(&self, id: &str, phase: Phase) -> Result<()> {
        match self.lock().instances.get_mut(id) {
            Some(instance) => {
                instance.phase = phase;
                Ok(())
            }
            None => Err(missing("change an instance", id)),
        }
    }

    /// Removes an instance. One that is not there is fine.
    pub(super) fn remove(&self, id: &str) {
        self.lock().instances.remove(id);
    }

    /// One look at an instance's health; nothing when it is not there.
    pub(super) fn look(&self, id: &str) -> Result<Option<Health>> {
        let mut state = self.lock();
        let Some(instance) = state.instances.get_mut(id) else { return Ok(None) };
        let behaviour = Behaviour::read(&instance.config)?;
        let evidence = vec![instance.status()];
        if !instance.is_up() {
            return Ok(Some(Health::Dead { why: instance.state().to_owned(), evidence }));
        }
        instance.looks = instance.looks.saturating_add(1);
        if instance.looks <= behaviour.healthy_after {
            return Ok(Some(Health::Pending { why: "it is still coming up".into(), evidence }));
        }
        let healthy = match behaviour.healthy {
            Healthy::Always => true,
            Healthy::Never => false,
            Healthy::Once => instance.starts == 1,
            Healthy::Staged => instance.phase != Phase::Live,
        };
        Ok(Some(if healthy {
            Health::Healthy(evidence)
        } else {
            Health::Unhealthy { why: "it answers that it is not well".into(), evidence }
        }))
    }

    fn in_phase(&self, wanted: impl Fn(Phase) -> bool) -> Vec<Instance> {
        self.lock().instances.values().filter(|one| wanted(one.phase)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new_id(&mut self, service: &ServiceName) -> String {
        self.made += 1;
        format!("{service}-{}", self.made)
    }

    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }
}

impl Instance {
    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.phase != Phase::Kept && !self.crashed
    }

    pub(super) fn state(&self) -> &'static str {
        match (self.phase, self.crashed) {
            (_, true) => "exited (1)",
            (Phase::Kept, false) => "stopped",
            (_, false) => "running",
        }
    }

    pub(super) fn status(&self) -> Evidence {
        Evidence::new(EvidenceKind::Status, &self.id, self.state())
    }

    /// Whether `run` created it to bring a release, rather than to return to one.
    pub(super) fn is_brought_by(&self, run: &RunId) -> bool {
        self.maker.as_ref().is_some_and(|maker| {
            maker.run == *run && matches!(maker.step, Some(Step::Stage | Step::Switch))
        })
    }
}

fn missing(operation: &'static str, id: &str) -> Error {
    Error::new(ErrorKind::NotFound, operation, format!("there is no instance {id}"))
        .without_effect()
}
