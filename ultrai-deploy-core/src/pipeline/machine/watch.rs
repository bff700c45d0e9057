//! A last look before the point of no return.

use std::time::Duration;

use super::{Definition, Stage, State};
use crate::{
    context::Context,
    error::Result,
    health::Role,
    pipeline::{
        Driver,
        deadline::{GRACE, cut_off},
        proof::Patience,
    },
    verification::{CheckSpec, When},
};

/// Bounds itself: how long it may take depends on its checks.
pub(super) const STAGE: Definition = Definition {
    name: "watch",
    deadline: |policy| policy.watch + Duration::from_mins(5),
    is_self_bounded: true,
    may_be_skipped: true,
    may_be_ignored: true,
    skip: reason_to_skip,
    run: |driver, cx| Box::pin(driver.watch(cx)),
};

fn reason_to_skip(driver: &Driver, state: &State) -> Option<&'static str> {
    if driver.parts.policy.watch.is_zero() {
        Some("the policy asks for none")
    } else if state.is_unchanged() {
        Some("nothing changed")
    } else {
        None
    }
}

impl Driver {
    /// Every check must stay well for the whole window.
    async fn watch(&self, cx: &Context) -> Result<()> {
        let release = self.release().await?;
        let mut checks = self.parts.deployer.declared_checks(&release)?;
        let is_watched = |when| matches!(when, When::Verify | When::Watch);
        let named = |check: &CheckSpec| is_watched(check.when) && !check.is_gate();
        checks.extend(self.parts.named_checks(&release, named)?);
        // A failure that begins at the end of the window still gets its time.
        let timings = checks.iter().map(|check| &check.timing);
        let decided = timings.map(|timing| timing.failing_for() + timing.timeout).max();
        let limit = self.parts.policy.deadline(Stage::Watch) + decided.unwrap_or_default();
        let cx = cx.clone().with_timeout(limit);
        let patience = Patience::Watch(self.parts.policy.watch);
        let looked =
            self.parts.look_at(&cx, checks, Role::Live, &release, patience, Some(&self.log));
        cut_off(&cx, GRACE, looked).await?.into_result()
    }
}
