//! Commands in a service's own context: Railway has none of its own accord.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    release::Release,
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::TaskSpec,
};

/// Refuses tests, and says where they can go: Railway runs no command once. What comes nearest is
/// the pre-deploy command of a service, a setting.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTasks;

#[async_trait]
impl TaskRunner for NoTasks {
    fn check(&self, task: &TaskSpec) -> Result<()> {
        Err(refused(task))
    }

    async fn run(
        &self,
        _cx: &Context,
        _release: &Release,
        task: &TaskSpec,
        _output: &dyn TaskOutput,
    ) -> Result<TaskEnd> {
        Err(refused(task))
    }

    async fn clean(&self, _cx: &Context) -> Result<()> {
        Ok(())
    }
}

fn refused(task: &TaskSpec) -> Error {
    let message = format!("`{}` cannot be run: Railway has no one-off commands", task.name);
    let advice = format!(
        "make it the pre-deploy command in the settings of {}, which Railway runs in the new image \
         before that serves, and whose failure stops the deploy; or look from outside, with a check",
        task.service
    );
    Error::new(ErrorKind::Unsupported, "run a task", message).with_advice(advice).without_effect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ultrai_deploy_core::{
        Effect,
        name::ServiceName,
        verification::{Dependencies, When},
    };

    use super::*;

    #[test]
    fn a_test_is_refused_with_advice_whenever_it_would_run() {
        for when in [When::Pre, When::Post] {
            let task = TaskSpec {
                name: "migrate".to_owned(),
                service: ServiceName::new("api").unwrap(),
                command: vec!["migrate".to_owned()],
                when,
                dependencies: Dependencies::Create,
                timeout: Duration::from_mins(1),
            };
            let error = NoTasks.check(&task).unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
            let shown = error.to_string();
            assert!(shown.contains("`migrate` cannot be run"), "{shown}");
            assert!(shown.contains("pre-deploy command in the settings of api"), "{shown}");
        }
    }
}
