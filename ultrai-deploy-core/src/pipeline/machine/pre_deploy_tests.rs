//! Tests in the new images before anything changes.

use std::time::Duration;

use super::{Definition, State};
use crate::{context::Context, error::Result, pipeline::Driver, verification::When};

pub(super) const STAGE: Definition = Definition {
    name: "pre-deploy tests",
    deadline: |_| Duration::from_hours(1),
    is_self_bounded: false,
    may_be_skipped: true,
    may_be_ignored: false,
    skip: reason_to_skip,
    run: |driver, cx| Box::pin(driver.pre_deploy_tests(cx)),
};

fn reason_to_skip(_: &Driver, state: &State) -> Option<&'static str> {
    if state.is_rollback() {
        Some("the release was tested before")
    } else if state.is_unchanged() {
        Some("nothing changes")
    } else {
        None
    }
}

impl Driver {
    /// What the tests needed beside them is gone before the release itself comes.
    async fn pre_deploy_tests(&self, cx: &Context) -> Result<()> {
        self.tests(cx, When::Pre).await?;
        self.clean_tasks().await
    }
}
