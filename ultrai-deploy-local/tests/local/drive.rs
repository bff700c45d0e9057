//! One run against an environment, step by step.

use std::{fs, future::Future, path::Path, sync::Arc, time::Duration};

use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Deployer, Result,
    current::{Current, Serving},
    deployer::{Observation, Step, StepRecord, Work},
    name::RunId,
    plan::Plan,
    release::Release,
};
use ultrai_deploy_local as local;
use ultrai_deploy_testkit::conformance::Environment;

use crate::platform::Place;

const LIMIT: Duration = Duration::from_secs(30);

/// One run.
pub(crate) struct Drive<'a> {
    pub(crate) deployer: local::Deployer,
    pub(crate) cx: Context,
    pub(crate) plan: Plan,
    pub(crate) records: Vec<(Step, StepRecord)>,
    before: Option<Arc<Release>>,
    release: &'a Release,
}

impl<'a> Drive<'a> {
    pub(crate) async fn begin(place: &Place, release: &'a Release) -> Self {
        Self::begin_as(place, release, RunId::generate()).await
    }

    pub(crate) async fn begin_as(place: &Place, release: &'a Release, run: RunId) -> Self {
        let deployer = place.local();
        let cx = Context::detached(place.target(), run).with_timeout(LIMIT);
        let current = deployer.current(&cx).await.unwrap();
        let before = match &current.serving {
            Serving::Release(id) => Some(place.releases().get(id).await.unwrap()),
            _ => None,
        };
        let plan = deployer.plan(&current, release).unwrap();
        Self { deployer, cx, plan, records: Vec::new(), before, release }
    }

    fn work(&self, step: Step) -> Work<'_> {
        let (from, to) = match step {
            Step::Rollback => (Some(self.release), self.before.as_deref()),
            _ => (self.before.as_deref(), Some(self.release)),
        };
        Work {
            from,
            to,
            plan: &self.plan,
            records: &self.records,
            inherited: &[],
            is_return: false,
        }
    }

    pub(crate) async fn prepare(&mut self, step: Step) {
        let record = self.deployer.prepare(&self.cx, step, &self.work(step)).await.unwrap();
        self.records.push((step, record));
    }

    pub(crate) async fn step(&mut self, step: Step) -> Result<()> {
        self.prepare(step).await;
        let (work, record) = (self.work(step), &self.records.last().unwrap().1);
        match step {
            Step::Stage => self.deployer.stage(&self.cx, &work, record).await,
            Step::Switch => self.deployer.switch(&self.cx, &work, record).await,
            Step::Retire => self.deployer.retire(&self.cx, &work, record).await,
            Step::Rollback => self.deployer.rollback(&self.cx, &work, record).await,
            other => panic!("{other}"),
        }
    }

    pub(crate) async fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(*step).await.unwrap();
        }
    }

    pub(crate) async fn observe(&self, step: Step) -> Observation {
        let work = self.work(step);
        let record = work.record(step).unwrap();
        self.deployer.observe(&self.cx, step, &work, record).await.unwrap()
    }
}

/// Brings a release to its end.
pub(crate) async fn deploy(place: &Place, release: &Release) {
    let mut drive = Drive::begin(place, release).await;
    drive.steps(&[Step::Stage, Step::Switch, Step::Retire]).await;
}

pub(crate) async fn current(place: &Place) -> Current {
    let cx = Context::detached(place.target(), RunId::generate());
    place.local().current(&cx).await.unwrap()
}

/// Looks until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let give_up = Instant::now() + LIMIT;
    while !so().await {
        assert!(Instant::now() < give_up, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a file holds a text.
pub(crate) async fn until_file(path: &Path, text: &str) {
    until(&format!("{text} in {}", path.display()), async || {
        fs::read_to_string(path).is_ok_and(|content| content.contains(text))
    })
    .await;
}
