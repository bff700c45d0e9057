//! The environment to oneself: the lease is taken, what others left is finished, what serves is read.

use std::{sync::Arc, time::Duration};

use super::{Definition, Stage};
use crate::{
    context::{Cancel, Context},
    current::Serving,
    error::{Error, ErrorKind, Result},
    history,
    journal::Event,
    lease::Wait,
    pipeline::{Driver, OnUnfinished, driver::Job, version_rules::refuse_downgrade},
    secret::Secrets,
};

/// Bounds itself: it waits for other runs, and finishes those that were left, which keep to deadlines
/// of their own.
pub(super) const STAGE: Definition = Definition {
    name: "lock",
    deadline: |_| Duration::from_mins(30),
    is_self_bounded: true,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: |_, _| None,
    run: |driver, cx| Box::pin(driver.lock(cx)),
};

impl Driver {
    /// Takes the lease, finishes what others left, reads what serves.
    async fn lock(&self, cx: &Context) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        let limit = self.parts.policy.deadline(Stage::Lock);
        let patience = match job.wait() {
            Wait::No => limit,
            Wait::AtMost(wait) => limit.saturating_add(wait),
        };
        let holder = self.parts.holder(self.run());
        if matches!(job.wait(), Wait::AtMost(_)) {
            self.tell_whom_it_waits_for(cx).await?;
        }
        let taking = self.parts.lease.acquire(&self.parts.target, &holder, job.wait());
        let fence = cx.clone().with_timeout(patience).bounded(taking).await?;
        self.log.record(Event::Locked { fence, holder: holder.clone() }).await?;

        let held = match job {
            Job::Deploy(request) => {
                if request.plan.is_some() {
                    self.refuse_unfinished().await?;
                }
                self.finish_others(fence, &holder, request.unfinished, &self.cancel).await?
            }
            Job::Rollback(_) => {
                // Who goes back does not want what was on its way: it is undone if it still can be.
                let undo = Cancel::new();
                undo.cancel();
                self.finish_others(fence, &holder, OnUnfinished::Finish, &undo).await?
            }
        };

        let cx = cx.clone().with_timeout(limit);
        let current = cx.bounded(self.parts.deployer.current(&cx)).await?;
        let moved = self.expected().map_or(Ok(()), |expected| expected.check_world(&current));
        let (release, proven) = match current.serving {
            Serving::Nothing => (None, false),
            Serving::Release(id) => {
                self.redact_release(&id).await?;
                let proven = history::is_proven(self.parts.journal.as_ref(), &id).await?;
                (Some(self.parts.releases.get(&id).await?), proven)
            }
            Serving::Unmanaged(release) => {
                self.parts.releases.put(&release, &Secrets::new()).await?;
                (Some(Arc::from(release)), false)
            }
        };
        let (serving, version) =
            release.map(|release| (release.id.clone(), release.version.clone())).unzip();
        let failed = match &serving {
            Some(id) => history::bad(self.parts.journal.as_ref()).await?.remove(id),
            None => None,
        };
        let failed = failed.map(|bad| bad.run);
        let observed = match held {
            None => Event::Observed { failed, serving, version, proven, supersedes: None },
            // What is held is no place to go back to: what served before it is.
            Some(held) => {
                let Some(before) = held.state.baseline().cloned() else {
                    let message = format!("run {} is held and has no baseline", held.run);
                    return Err(Error::new(ErrorKind::Corrupt, "take its place", message));
                };
                if let Some(release) = &before.release {
                    self.redact_release(release).await?;
                }
                Event::Observed {
                    serving: before.release,
                    version: before.version,
                    proven: before.proven,
                    failed: before.failed,
                    supersedes: Some(held.run),
                }
            }
        };
        self.log.record(observed).await?;
        moved?;
        Box::pin(self.look_before(&cx)).await?;
        let Job::Deploy(request) = job else { return Ok(()) };
        // A held release has not proven itself. What takes its place may well be lower, as the last
        // good version with a fix is: it is compared with what both would go back to.
        refuse_downgrade(request, self.previous().await?.as_deref())?;
        // Of what nobody knows, a person has to say what became of it before anything is built.
        let ledger = self.parts.releases.migrations().await?;
        ledger.pending(&request.spec.migrations)?;
        self.assess(&cx, &request.spec).await
    }

    /// Says who has the environment, if somebody has, before a wait begins.
    async fn tell_whom_it_waits_for(&self, cx: &Context) -> Result<()> {
        match cx.bounded(self.parts.lease.holder(&self.parts.target)).await {
            Ok(Some(holder)) => self.note(format!("waiting for {holder}")).await,
            // Taking it says what is wrong.
            Ok(None) | Err(_) => Ok(()),
        }
    }
}
