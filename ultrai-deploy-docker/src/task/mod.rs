//! Commands in a release's own context: one-off containers of a service.
//!
//! Everything that is created for a task carries [`TASK`](labels::TASK) and the run's id, and is
//! removed when the task is over, whatever came of it. What a killed run leaves is found again by
//! these labels.

mod attach;
pub mod labels;
mod mounts;
mod needed;
mod one_off;
mod sweep;

use std::sync::Arc;

use async_trait::async_trait;
use ultrai_deploy_core::{
    context::Context,
    error::Result,
    release::Release,
    release_store::ReleaseStore,
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::{Dependencies, TaskSpec, When},
};

use self::{needed::Needed, one_off::Job};
use crate::{
    backend::Backend, config::Config, definition::Definition, engine::Engine, snapshot::Snapshot,
};

/// Runs tasks in containers.
///
/// The container has the service's image, environment, secrets, files, mounts and networks, but no
/// host ports, no fixed names or addresses, and no alias: nothing reaches it by the service's name.
/// A named volume or directory that does not exist yet is not made for it: it gets an anonymous
/// volume, which is removed with it.
///
/// For a pre-deploy test with [`Dependencies::Create`], services that it depends on and that do not
/// run are created too, under their own names on the project's networks, and removed after it.
/// They never get data that exists: anonymous volumes stand in for what they could write to. A
/// dependency that is to complete, such as a migration, runs only while nothing of the project
/// runs: otherwise it could change the data of what runs.
///
/// With [`Dependencies::WithData`], for migrations, all of them have the mounts that they are declared
/// with: what the task does is meant to stay. Named volumes that are not there yet are made as the
/// release's own stage would make them.
#[derive(Clone, Debug)]
pub struct Runner {
    backend: Backend,
}

impl Runner {
    /// Tasks of the releases in `releases`, on `engine`.
    pub fn new(engine: Engine, releases: Arc<dyn ReleaseStore>, config: Config) -> Self {
        Self { backend: Backend { engine, releases, config } }
    }
}

#[async_trait]
impl TaskRunner for Runner {
    fn check(&self, _task: &TaskSpec) -> Result<()> {
        Ok(())
    }

    async fn run(
        &self,
        cx: &Context,
        release: &Release,
        task: &TaskSpec,
        output: &dyn TaskOutput,
    ) -> Result<TaskEnd> {
        let cx = cx.clone().with_timeout(task.timeout);
        let definition = Definition::read(release)?;
        let now = Snapshot::read(&self.backend.engine, &cx.target().project).await?;
        let needed = if task.when == When::Pre && task.dependencies != Dependencies::None {
            Needed::new(&definition, &task.service, &now)
        } else {
            Needed::default()
        };
        let job = Job::new(&self.backend, &cx, definition, task, &now).await?;
        // What an earlier attempt of the same step left would be in the way.
        job.sweep().await?;
        let ended = job.run(&needed, output).await;
        let swept = job.sweep().await;
        // What stays would answer to the service's names: that is worth failing for.
        let end = ended?;
        swept?;
        Ok(end)
    }

    async fn clean(&self, cx: &Context) -> Result<()> {
        let project = &cx.target().project;
        sweep::sweep(cx, &self.backend.engine, &labels::of_run(project, cx.run())).await?;
        sweep::networks(cx, &self.backend.engine).await
    }
}
