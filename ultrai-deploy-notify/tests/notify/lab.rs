//! One environment on memory backends, and receivers that need no socket.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    clock::{Clock, SystemClock},
    journal::Initiator,
    memory::{self, World},
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    observer::Observer,
    pipeline::{DeployRequest, FailureAction, Pipeline, PipelineBuilder, Policy, Run},
    spec::{ReleaseSpec, ServiceSpec},
    stage::Stage,
    verification::{Dependencies, NoProbes, TaskSpec, When},
    version::Version,
};
use ultrai_deploy_notify::{
    Notice,
    sender::{Sender, Sent},
};

/// What stays when a process dies.
#[derive(Debug, Default)]
pub(crate) struct Lab {
    world: World,
    pub(crate) journal: memory::Journal,
    lease: memory::Lease,
    releases: memory::ReleaseStore,
    backups: memory::BackupStore,
    hold: bool,
}

impl Lab {
    /// One whose releases are held when their tests fail.
    pub(crate) fn holding() -> Self {
        Self { hold: true, ..Self::default() }
    }

    /// A new process that these watch.
    pub(crate) fn process(&self, observer: Option<Arc<dyn Observer>>) -> Pipeline {
        let releases = Arc::new(self.releases.clone());
        let mut policy = Policy::default();
        if self.hold {
            policy.failure_actions.insert(Stage::PostDeployTests, FailureAction::Hold);
        }
        let initiator = Initiator { user: "somebody".into(), ..Initiator::default() };
        let builder = Pipeline::builder(
            target(),
            Arc::new(memory::Deployer::new(self.world.clone(), releases.clone())),
            Arc::new(self.journal.clone()),
            Arc::new(self.lease.clone()),
            releases,
            Arc::new(NoProbes),
        )
        .tasks(Arc::new(memory::Tasks::new(self.world.clone())))
        .backups(Arc::new(self.backups.clone()))
        .policy(policy)
        .initiator(initiator);
        observer.into_iter().fold(builder, PipelineBuilder::observer).build().unwrap()
    }

    pub(crate) fn deploy(&self, observer: Arc<dyn Observer>, spec: ReleaseSpec) -> Run {
        self.process(Some(observer)).deploy(DeployRequest::new(spec))
    }

    /// Deploys while nobody watches.
    pub(crate) async fn deploy_alone(&self, spec: ReleaseSpec) {
        self.process(None).deploy(DeployRequest::new(spec)).join().await.unwrap();
    }
}

pub(crate) fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

/// A release of one service.
pub(crate) fn shop(version: &str, config: Value) -> ReleaseSpec {
    let spec = ReleaseSpec::new(target().project, Version::parse(version).unwrap());
    let web = ServiceSpec { config, ..ServiceSpec::default() };
    spec.with_service(ServiceName::new("web").unwrap(), web)
}

/// A release whose test after the switch fails.
pub(crate) fn failing(version: &str) -> ReleaseSpec {
    let mut spec = shop(version, json!({ "tasks": { "smoke": 1 } }));
    spec.verification.tasks.push(TaskSpec {
        name: "smoke".into(),
        service: ServiceName::new("web").unwrap(),
        command: vec!["test".into()],
        when: When::Post,
        dependencies: Dependencies::Create,
        timeout: Duration::from_mins(1),
    });
    spec
}

/// A clock that is ahead.
#[derive(Debug)]
pub(crate) struct Later(pub(crate) Duration);

impl Clock for Later {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + self.0
    }
}

/// How a receiver behaves, attempt by attempt; then it accepts.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    Hang,
    Fail,
    Refuse,
    Later(Duration),
}

/// A receiver without a socket, for paused clocks.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    does: Mutex<VecDeque<Does>>,
    always: Option<Does>,
    got: Mutex<Vec<(Notice, u64)>>,
    asked: Mutex<u32>,
}

impl Fake {
    pub(crate) fn new(does: impl IntoIterator<Item = Does>) -> Arc<Self> {
        Arc::new(Self { does: Mutex::new(does.into_iter().collect()), ..Self::default() })
    }

    pub(crate) fn always(does: Does) -> Arc<Self> {
        Arc::new(Self { always: Some(does), ..Self::default() })
    }

    pub(crate) fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }

    /// What arrived, with what each message said was left out.
    pub(crate) fn got(&self) -> Vec<(Notice, u64)> {
        self.got.lock().unwrap().clone()
    }

    /// The names of what arrived.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.got().iter().map(|(notice, _)| notice.what.name().as_str()).collect()
    }
}

#[async_trait]
impl Sender for Fake {
    async fn send(&self, notice: &Notice, left_out: u64, _: Duration) -> Result<Sent> {
        *self.asked.lock().unwrap() += 1;
        let next = self.does.lock().unwrap().pop_front().or_else(|| self.always.clone());
        match next {
            None => {
                self.got.lock().unwrap().push((notice.clone(), left_out));
                Ok(Sent::Accepted)
            }
            Some(Does::Hang) => std::future::pending().await,
            Some(Does::Later(after)) => {
                Ok(Sent::Later { after: Some(after), why: "it is busy".into() })
            }
            Some(Does::Fail) => {
                Err(Error::new(ErrorKind::Unavailable, "send", "it is down").retryable())
            }
            Some(Does::Refuse) => Err(Error::new(ErrorKind::Denied, "send", "it answered 404")),
        }
    }
}
