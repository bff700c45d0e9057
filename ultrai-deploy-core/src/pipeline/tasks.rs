//! Tests that a release brings, as commands in its images.

use super::{
    Driver,
    deadline::{GRACE, cut_off},
};
use crate::{
    context::Context,
    error::{Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    journal::Event,
    verification::When,
};

impl Driver {
    /// Runs the tests of one moment, in order.
    pub(super) async fn tests(&self, cx: &Context, when: When) -> Result<()> {
        let release = self.release().await?;
        let tasks = release.verification.tasks.iter().filter(|task| task.when == when);
        for task in tasks {
            let Some(runner) = &self.parts.tasks else { return Ok(()) };
            let output = self.log.output(&task.name).await;
            let cx = cx.clone().with_timeout(task.timeout);
            let running = runner.run(&cx, &release, task, &output);
            let end = cut_off(&cx, GRACE, running).await?;
            let (exit_code, tail) = (end.exit_code, end.tail);
            let ended = Event::TaskEnded { task: task.name.clone(), exit_code, tail: tail.clone() };
            self.log.record(ended).await?;
            if exit_code != 0 {
                return Err(Error::new(
                    ErrorKind::Unhealthy,
                    "pass the tests",
                    format!("`{}` ended with exit code {exit_code}", task.name),
                )
                .with_evidence([Evidence::new(
                    EvidenceKind::Log,
                    &task.name,
                    tail,
                )]));
            }
        }
        Ok(())
    }

    /// Removes what tests of this run left behind.
    pub(super) async fn clean_tasks(&self) -> Result<()> {
        let Some(tasks) = &self.parts.tasks else { return Ok(()) };
        let cx = self.uncancelled("clean").with_timeout(self.parts.policy.rollback_deadline);
        let cleaned = cut_off(&cx, GRACE, tasks.clean(&cx)).await;
        self.housekeep("tests left something behind", cleaned).await
    }
}
