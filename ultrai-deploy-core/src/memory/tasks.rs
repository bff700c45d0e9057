//! Tasks of the memory world.

use async_trait::async_trait;
use serde_json::json;

use super::{
    behaviour::Behaviour,
    world::{Maker, Phase, World},
};
use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    name::ServiceName,
    release::{Release, ReleaseService},
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::{Dependencies, TaskSpec},
};

/// Runs tasks in a [`World`]: the service's definition gives the exit code by the task's name,
/// `{"tasks": {"smoke": 1}}`. Dependencies that do not run are created for the task.
#[derive(Clone, Debug)]
pub struct Tasks {
    world: World,
}

impl Tasks {
    /// Tasks in `world`.
    pub fn new(world: World) -> Self {
        Self { world }
    }

    fn is_there(&self, name: &ServiceName) -> bool {
        self.world.instances().iter().any(|one| one.service == *name && one.is_up())
    }
}

#[async_trait]
impl TaskRunner for Tasks {
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
        let service = service(release, &task.service)?;
        let exit_code =
            Behaviour::read(&service.config)?.tasks.get(&task.name).copied().unwrap_or(0);
        if task.dependencies != Dependencies::None {
            for name in service.depends_on.iter().filter(|name| !self.is_there(name)) {
                let needed = self::service(release, name)?;
                let maker = Maker { run: cx.run().clone(), step: None };
                cx.effect("create for task", name.as_str(), json!({ "task": task.name }), async {
                    self.world.create(maker, release, name, needed, Phase::Task)
                })
                .await?;
            }
        }
        cx.effect("run a task", &task.name, json!({}), async {
            self.world.count_task(&task.name);
            Ok(())
        })
        .await?;
        let tail = format!("{} ended with {exit_code}", task.command.join(" "));
        output.line(&tail);
        Ok(TaskEnd { exit_code, tail })
    }

    async fn clean(&self, cx: &Context) -> Result<()> {
        for one in self.world.leftovers() {
            let ours = one.maker.as_ref().is_some_and(|maker| maker.run == *cx.run());
            if ours && one.phase == Phase::Task {
                cx.effect("remove", &one.id, json!({}), async {
                    self.world.remove(&one.id);
                    Ok(())
                })
                .await?;
            }
        }
        Ok(())
    }
}

fn service<'a>(release: &'a Release, name: &ServiceName) -> Result<&'a ReleaseService> {
    release.services.get(name).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            "run a task",
            format!("release {} has no service {name}", release.id),
        )
        .without_effect()
    })
}
