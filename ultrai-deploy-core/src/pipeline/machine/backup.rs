//! What would be lost is kept, and verified.

use std::time::Duration;

use super::{Definition, State};
use crate::{
    backup::Occasion,
    context::Context,
    error::Result,
    pipeline::{BackupPolicy, Driver},
};

/// How long what a failed backup left may take to be put right.
const SETTLE: Duration = Duration::from_mins(2);

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
        let (Some(store), Some(baseline)) = (&self.parts.backups, state.baseline()) else {
            return Ok(());
        };
        let at = self.parts.clock.now();
        let stamp = at.strftime("%Y%m%dT%H%M%SZ");
        let id = BackupId::new(format!("{stamp}-{}", self.run().short()))?;
        let version = state.facts().and_then(|facts| facts.version.clone());
        let request = BackupRequest {
            id: id.clone(),
            target: self.parts.target.clone(),
            run: self.run().clone(),
            at,
            release: baseline.release.clone(),
            version: baseline.version.clone(),
            reason: match (state.facts().map(|facts| &facts.kind), version) {
                (Some(Kind::Rollback { .. }), Some(version)) => {
                    format!("before rollback to {version}")
                }
                (_, Some(version)) => format!("before deploy of {version}"),
                (_, None) => "before a run".to_owned(),
            },
        };
        let backup = match cx.bounded(store.create(cx, &request, &self.parts.sources)).await {
            Ok(backup) => backup,
            Err(error) => {
                self.settle_sources(cx).await?;
                return Err(error);
            }
        };
        cx.bounded(store.verify(&self.parts.target, &id)).await?;
        let bytes = backup.parts.iter().map(|part| part.size).sum();
        self.log.record(Event::BackedUp { backup: id, parts: backup.parts.len(), bytes }).await
    }

    /// Lets what was stopped for a backup that failed run again. What cannot be is told, and does not
    /// hide why the backup failed.
    async fn settle_sources(&self, cx: &Context) -> Result<()> {
        // The stage's time may be over, and a cancelled run must not leave services stopped.
        let cx = self.uncancelled(&cx.key().step).with_timeout(SETTLE);
        for source in &self.parts.sources {
            let what = format!("after the backup of {} failed", source.name());
            self.housekeep(&what, source.settle(&cx).await).await?;
        }
        Ok(())
    }
}
