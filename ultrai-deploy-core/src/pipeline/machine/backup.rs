//! What would be lost is kept, and verified.

use std::time::Duration;

use super::{Definition, State};
use crate::{
    backup::Occasion,
    context::Context,
    error::Result,
    pipeline::{BackupPolicy, Driver},
};

pub(super) const STAGE: Definition = Definition {
    name: "backup",
    deadline: |_| Duration::from_mins(10),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: reason_to_skip,
    run: |driver, cx| Box::pin(driver.back_up(cx)),
};

fn reason_to_skip(driver: &Driver, state: &State) -> Option<&'static str> {
    // Data that other data takes the place of is kept whatever the policy says.
    if driver.parts.policy.backup == BackupPolicy::Off && state.requested_data().is_none() {
        return Some("the policy asks for none");
    }
    let nothing_before = state.supersedes().is_none()
        && state.baseline().is_some_and(|baseline| baseline.release.is_none());
    nothing_before.then_some("nothing runs yet")
}

impl Driver {
    /// Keeps what would be lost, and reads back what is to take the place of it.
    async fn back_up(&self, cx: &Context) -> Result<()> {
        self.keep(cx, Occasion::Begin).await?;
        let state = self.log.state().await;
        match (&self.parts.backups, state.requested_data()) {
            (Some(store), Some(what)) => cx.bounded(store.verify(&what.from, &what.backup)).await,
            _ => Ok(()),
        }
    }
}
