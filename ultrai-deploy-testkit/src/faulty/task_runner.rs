//! A task runner that misbehaves.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Result,
    release::Release,
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::TaskSpec,
};

use super::{Faulty, Method};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<R: TaskRunner + ?Sized> TaskRunner for Faulty<R> {
    /// Never fails by itself: it asks nobody.
    fn check(&self, task: &TaskSpec) -> Result<()> {
        self.inner.check(task)
    }

    async fn run(
        &self,
        cx: &Context,
        release: &Release,
        task: &TaskSpec,
        output: &dyn TaskOutput,
    ) -> Result<TaskEnd> {
        self.ask(Method::Run, self.inner.run(cx, release, task, output)).await
    }

    async fn clean(&self, cx: &Context) -> Result<()> {
        self.act(Method::Clean, self.inner.clean(cx)).await
    }
}
