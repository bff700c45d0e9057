//! Checks and tests that are made for after the switch.

use std::time::Duration;

use super::Definition;
use crate::{
    context::Context,
    error::Result,
    health::Role,
    pipeline::{Driver, proof::Patience},
    verification::When,
};

pub(super) const STAGE: Definition = Definition {
    name: "post-deploy tests",
    deadline: |_| Duration::from_hours(1),
    is_self_bounded: false,
    may_be_skipped: true,
    may_be_ignored: true,
    skip: |_, _| None,
    run: |driver, cx| Box::pin(driver.post_deploy_tests(cx)),
};

impl Driver {
    async fn post_deploy_tests(&self, cx: &Context) -> Result<()> {
        let cx = &self.with_measured(cx).await;
        let release = self.release().await?;
        let checks = self.parts.named_checks(&release, |check| check.when == When::Post)?;
        let looked = self.parts.look_at(
            cx,
            checks,
            Role::Live,
            &release,
            Patience::FailFast,
            Some(&self.log),
        );
        looked.await?.into_result()?;
        self.tests(cx, When::Post).await
    }
}
