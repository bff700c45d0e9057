//! The old release is retired, and what no rollback could need is removed.

use std::time::Duration;

use super::{Definition, Stage};
use crate::{deployer::Step, error::Result, pipeline::Driver};

pub(super) const STAGE: Definition = Definition {
    name: "finalise",
    deadline: |_| Duration::from_mins(10),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: |_, state| state.is_unchanged().then_some("nothing changed"),
    run: |driver, _| Box::pin(driver.finalise()),
};

impl Driver {
    /// Retires the old release. The new one is proven, so nothing fails here any more: what cannot
    /// be removed is named in a note.
    async fn finalise(&self) -> Result<()> {
        let limit = self.parts.policy.deadline(Stage::Finalise);
        let cx = self.uncancelled(Stage::Finalise.as_str()).with_timeout(limit);
        if !self.is_done(Step::Retire).await {
            let retired = self.insist(&cx, Step::Retire, limit).await;
            self.housekeep("the old release was not removed", retired).await?;
        }
        self.clean_tasks().await?;
        self.prune(&cx).await
    }
}
