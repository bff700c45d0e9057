//! Its migrations are run, and the new release is staged, looked at, and switched to.

use std::time::Duration;

use super::Definition;
use crate::{context::Context, deployer::Step, error::Result, health::Role, pipeline::Driver};

pub(super) const STAGE: Definition = Definition {
    name: "deploy",
    deadline: |_| Duration::from_mins(30),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: |_, state| state.is_unchanged().then_some("nothing changes"),
    run: |driver, cx| Box::pin(driver.deploy(cx)),
};

impl Driver {
    async fn deploy(&self, cx: &Context) -> Result<()> {
        if self.is_done(Step::Switch).await {
            return Ok(());
        }
        self.migrate(cx).await?;
        if self.parts.deployer.capabilities().staging {
            if !self.is_done(Step::Stage).await {
                self.step(cx, Step::Stage).await?;
            }
            Box::pin(self.prove(cx, Role::Staged, &[])).await?;
        }
        self.step(cx, Step::Switch).await
    }
}
