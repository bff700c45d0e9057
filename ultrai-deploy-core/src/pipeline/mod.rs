//! The pipeline: parts put together, checked, and run.

mod assessing;
mod backoff;
mod backups;
mod before;
mod checklist;
mod deadline;
mod driver;
mod going_on;
mod holding;
mod keeping;
pub(crate) mod machine;
mod migrating;
mod planning;
mod policy;
mod proof;
mod prune;
mod recorder;
mod restoring;
mod rollout;
mod run;
mod seal;
mod takeover;
mod tasks;
mod undo;
mod version_rules;
mod watching;

use std::sync::Arc;

pub use backoff::{Backoff, Randomness, SystemRandomness};
pub use checklist::Prepared;
pub use policy::{BackupPolicy, DataPolicy, FailureAction, Policy, PreReleases, ReadinessPolicy};
pub use proof::{CheckOutcome, Proof};
pub use run::{DeployRequest, OnUnfinished, RollbackRequest, Run};
pub use takeover::Unfinished;
pub use watching::{Told, WatchRequest, Watched, Watcher};

use driver::Driver;
use tokio::sync::Semaphore;

use crate::{
    backup::{BackupSource, BackupStore},
    clock::{Clock, SystemClock},
    consequence::Severity,
    deployer::Deployer,
    error::{Error, ErrorKind, Result},
    image::ImageStore,
    journal::{Initiator, Journal},
    lease::Lease,
    name::Target,
    observer::Observer,
    preflight::PreflightCheck,
    release_store::ReleaseStore,
    secret::SecretSource,
    task::TaskRunner,
    verification::ProbeSource,
};

/// Takes releases to one environment and back.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub(crate) parts: Arc<Parts>,
}

/// What a pipeline is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) target: Target,
    pub(crate) deployer: Arc<dyn Deployer>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) lease: Arc<dyn Lease>,
    pub(crate) releases: Arc<dyn ReleaseStore>,
    pub(crate) probes: Arc<dyn ProbeSource>,
    pub(crate) images: Option<Arc<dyn ImageStore>>,
    pub(crate) tasks: Option<Arc<dyn TaskRunner>>,
    pub(crate) backups: Option<Arc<dyn BackupStore>>,
    pub(crate) sources: Vec<Arc<dyn BackupSource>>,
    pub(crate) secrets: Option<Arc<dyn SecretSource>>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) initiator: Initiator,
    pub(crate) checklist: Vec<(Arc<dyn PreflightCheck>, Severity)>,
    /// The turns of looks: as many at once as the policy says.
    pub(crate) turns: Arc<Semaphore>,
}

/// Puts a [`Pipeline`] together.
#[derive(Debug)]
pub struct PipelineBuilder {
    parts: Parts,
}

impl Pipeline {
    /// Begins a pipeline with the parts that each one has.
    pub fn builder(
        target: Target,
        deployer: Arc<dyn Deployer>,
        journal: Arc<dyn Journal>,
        lease: Arc<dyn Lease>,
        releases: Arc<dyn ReleaseStore>,
        probes: Arc<dyn ProbeSource>,
    ) -> PipelineBuilder {
        PipelineBuilder {
            parts: Parts {
                target,
                deployer,
                journal,
                lease,
                releases,
                probes,
                images: None,
                tasks: None,
                backups: None,
                sources: Vec::new(),
                secrets: None,
                observers: Vec::new(),
                policy: Policy::default(),
                clock: Arc::new(SystemClock),
                randomness: Arc::new(SystemRandomness),
                initiator: Initiator::default(),
                checklist: Vec::new(),
                turns: Arc::new(Semaphore::new(0)),
            },
        }
    }

    /// The environment.
    pub fn target(&self) -> &Target {
        &self.parts.target
    }
}

impl PipelineBuilder {
    /// Where images are built and found; needed for services that have one.
    pub fn images(mut self, images: Arc<dyn ImageStore>) -> Self {
        self.parts.images = Some(images);
        self
    }

    /// What runs test commands; needed for releases that have some.
    pub fn tasks(mut self, tasks: Arc<dyn TaskRunner>) -> Self {
        self.parts.tasks = Some(tasks);
        self
    }

    /// Where backups are kept.
    pub fn backups(mut self, backups: Arc<dyn BackupStore>) -> Self {
        self.parts.backups = Some(backups);
        self
    }

    /// Adds something that is kept in backups.
    pub fn source(mut self, source: Arc<dyn BackupSource>) -> Self {
        self.parts.sources.push(source);
        self
    }

    /// Where secret values come from; needed for releases that use some.
    pub fn secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.parts.secrets = Some(secrets);
        self
    }

    /// Adds somebody who watches.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.parts.observers.push(observer);
        self
    }

    /// Sets the policy.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.parts.policy = policy;
        self
    }

    /// Sets the clock of the records.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.parts.clock = clock;
        self
    }

    /// Sets the source of chance in pauses.
    pub fn randomness(mut self, randomness: Arc<dyn Randomness>) -> Self {
        self.parts.randomness = randomness;
        self
    }

    /// Says who is at work; shown to whoever waits, kept in the history.
    pub fn initiator(mut self, initiator: Initiator) -> Self {
        self.parts.initiator = initiator;
        self
    }

    /// Adds an item to the checklist that is gone through before each deploy. A minor one is only
    /// noted when it is not as it should be, any other refuses the deploy.
    pub fn preflight(mut self, check: Arc<dyn PreflightCheck>, severity: Severity) -> Self {
        self.parts.checklist.push((check, severity));
        self
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the policy needs a part that is missing or has a failure
    /// action where it is not allowed, or two backup sources have the same name.
    pub fn build(self) -> Result<Pipeline> {
        let mut parts = self.parts;
        parts.turns = Arc::new(Semaphore::new(parts.policy.looks_at_once.max(1)));
        let unsupported = |message: &str| {
            Error::new(ErrorKind::Unsupported, "put the pipeline together", message)
                .without_effect()
        };
        if parts.policy.backup == BackupPolicy::Required && parts.backups.is_none() {
            return Err(unsupported("the policy asks for backups, but there is no backup store")
                .with_advice("give a backup store, or set the backup policy to off"));
        }
        let mut actions = parts.policy.failure_actions.iter();
        if let Some((stage, action)) =
            actions.find(|(stage, action)| !action.is_allowed_in(**stage))
        {
            let message = format!("a failure of {stage} cannot lead to {action:?}");
            return Err(unsupported(&message));
        }
        let mut names: Vec<_> = parts.sources.iter().map(|source| source.name()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(unsupported("two backup sources have the same name"));
        }
        Ok(Pipeline { parts: Arc::new(parts) })
    }
}
