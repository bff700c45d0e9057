//! The seam to one-off commands in a release's own context: tests, migrations.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{context::Context, error::Result, release::Release, verification::TaskSpec};

/// Runs a command with a release's image, configuration and networks.
#[async_trait]
pub trait TaskRunner: fmt::Debug + Send + Sync + 'static {
    /// Whether it can run `task` at all. Asks nobody; a deploy is refused by it before it begins.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), with advice what to do instead.
    fn check(&self, task: &TaskSpec) -> Result<()>;

    /// Runs `task` to its end and streams its output. What it creates carries the run's id.
    ///
    /// # Errors
    /// Only when it could not be run or did not end in time; an exit code is a value.
    async fn run(
        &self,
        cx: &Context,
        release: &Release,
        task: &TaskSpec,
        output: &dyn TaskOutput,
    ) -> Result<TaskEnd>;

    /// Removes whatever tasks of this run left behind. Idempotent.
    async fn clean(&self, cx: &Context) -> Result<()>;
}

/// Takes the output of a task as it comes.
pub trait TaskOutput: Send + Sync {
    /// One line, without its end. Must not block.
    fn line(&self, line: &str);
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEnd {
    /// Its exit code.
    pub exit_code: i64,
    /// The end of its output.
    pub tail: String,
}

/// Drops all output.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutput;

impl TaskOutput for NoOutput {
    fn line(&self, _line: &str) {}
}
