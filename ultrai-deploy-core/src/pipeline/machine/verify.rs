//! The release's checks against what is live.

use std::time::Duration;

use super::Definition;
use crate::{context::Context, error::Result, health::Role, pipeline::Driver, verification::When};

pub(super) const STAGE: Definition = Definition {
    name: "verify",
    deadline: |_| Duration::from_mins(15),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: |_, _| None,
    run: |driver, cx| Box::pin(driver.verify(cx)),
};

impl Driver {
    /// Compares what runs with what is intended, and runs all checks.
    async fn verify(&self, cx: &Context) -> Result<()> {
        self.prove(cx, Role::Live, &[When::Verify]).await
    }
}
