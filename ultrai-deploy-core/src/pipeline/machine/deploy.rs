//! Its migrations are run, and the new release is staged, looked at, and switched to; data that was
//! asked for with it is put back.

use std::time::Duration;

use super::{Definition, Stage, State};
use crate::{context::Context, deployer::Step, error::Result, health::Role, pipeline::Driver};

pub(super) const STAGE: Definition = Definition {
    name: "deploy",
    deadline: |_| Duration::from_mins(30),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: reason_to_skip,
    run: |driver, cx| Box::pin(driver.deploy(cx)),
};

fn reason_to_skip(_: &Driver, state: &State) -> Option<&'static str> {
    (state.is_unchanged() && state.requested_data().is_none()).then_some("nothing changes")
}

impl Driver {
    async fn deploy(&self, cx: &Context) -> Result<()> {
        self.refresh(cx).await?;
        if !self.log.state().await.is_unchanged() {
            let limit = self.parts.policy.deadline(Stage::Deploy);
            self.bring(&cx.clone().with_timeout(limit)).await?;
        }
        Box::pin(self.give_data(cx)).await
    }

    async fn bring(&self, cx: &Context) -> Result<()> {
        if self.is_done(Step::Switch).await {
            return Ok(());
        }
        Box::pin(self.measure_before(cx, &*self.release().await?)).await?;
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
