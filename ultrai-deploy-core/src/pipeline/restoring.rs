//! Putting data back: on request, and with a rollback. What is there is kept before, and a run is never
//! over while a part of the data is from one time and the rest from another.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::json;

use super::{
    Driver, Parts,
    deadline::{GRACE, cut_off},
    keeping::serving,
    rollout::may_be_under_way,
};
use crate::{
    backup::{self, BackupSource, BackupStore, Content, Occasion, Part, Selection},
    context::Context,
    ending::Ending,
    error::{Error, ErrorKind, Failure, Result},
    journal::Event,
    pipeline::DataPolicy,
    stage::Stage,
    state::{Phase, State},
};

impl Driver {
    /// Puts the data in its place that was asked for with the release.
    pub(super) async fn give_data(&self, cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        match state.requested_data() {
            Some(what) if state.is_data_wanted() => self.insist_on_data(cx, what).await,
            _ => Ok(()),
        }
    }

    /// Puts the data back that goes back with the release; when the last attempt fails the run is
    /// stuck.
    pub(super) async fn return_data(&self) -> Result<()> {
        let state = self.log.state().await;
        let Phase::Restoring { cause, .. } = state.phase() else { return Ok(()) };
        let Some(what) = state.data_to_return() else { return Ok(()) };
        let cx = self.uncancelled("restore");
        match self.insist_on_data(&cx, what).await {
            Err(error) if !self.log.is_broken().await => {
                let undo = Failure::from(&error);
                self.end(Ending::Stuck { cause: cause.clone(), undo }).await
            }
            done => done,
        }
    }

    /// The data that goes back when the run does. What was overwritten on request goes back in any
    /// case: a run that failed leaves things as they were. What the release that failed, or those who
    /// used it, may have changed goes back where the policy says so.
    pub(super) fn data_that_goes_back(&self, state: &State) -> Option<Selection> {
        state.baseline()?.release.as_ref()?;
        let before = state.data_before()?;
        let is_wanted =
            self.parts.policy.data == DataPolicy::Restore && state.may_have_changed_data();
        let requested = state.requested_data().filter(|_| !is_wanted);
        if !is_wanted && !state.is_data_replaced() {
            return None;
        }
        let was_replaced = |name: &&String| {
            let (source, part) = name.split_once('/').unwrap_or((name, ""));
            requested.is_none_or(|requested| requested.has(source, part))
        };
        let parts: Vec<_> = before.parts.iter().filter(was_replaced).cloned().collect();
        // No part would mean all of them.
        let (from, backup) = (self.parts.target.clone(), before.backup.clone());
        (!parts.is_empty()).then_some(Selection { from, backup, parts })
    }

    /// Puts data back until it works or the policy's attempts are used up.
    async fn insist_on_data(&self, cx: &Context, what: &Selection) -> Result<()> {
        let retry = &self.parts.policy.retry;
        if self.is_adopted && self.log.state().await.is_restore_open() {
            // What the driver before called may still be writing.
            cx.bounded(pause(self.parts.policy.settle)).await?;
        }
        let mut failed = 0;
        loop {
            let Err(error) = self.restore(cx, what).await else { return Ok(()) };
            failed += 1;
            let hopeless = matches!(
                error.kind(),
                ErrorKind::Unsupported
                    | ErrorKind::Invalid
                    | ErrorKind::NotFound
                    | ErrorKind::Corrupt
                    | ErrorKind::Cancelled
            );
            if hopeless || self.log.is_broken().await || !retry.goes_on(failed) {
                return Err(error);
            }
            let mut rest = retry.pause(failed, self.parts.randomness.as_ref());
            if may_be_under_way(&error) {
                rest = rest.max(self.parts.policy.settle);
            }
            cx.bounded(pause(rest)).await?;
        }
    }

    /// One attempt: everything that can fail without harm comes first.
    async fn restore(&self, cx: &Context, what: &Selection) -> Result<()> {
        let state = self.log.state().await;
        let cx = cx.clone().with_secrets(self.parts.secrets_of(serving(&state)).await?);
        let cx = cx.for_step("restore", 1).with_timeout(self.parts.policy.restore_deadline);
        let store = self.parts.backup_store()?;
        let (at, parts) = cx.bounded(self.parts.data_parts(store, what)).await?;
        // On request it was read back when the run began, before anything was changed.
        if matches!(state.phase(), Phase::Restoring { .. }) || state.backup().is_none() {
            cx.bounded(store.verify(&what.from, &what.backup)).await?;
        }
        if state.must_keep_present() {
            let limit = self.parts.policy.deadline(Stage::Backup);
            self.keep(&cx.clone().with_timeout(limit), Occasion::Restore).await?;
        }
        cx.check()?;
        self.log.record(Event::DataRestoreStarted { what: what.clone() }).await?;
        let work = async {
            put_back(&cx, &**store, what, &parts).await?;
            self.doubt_migrations(what, at).await
        };
        let restored = cut_off(&cx, GRACE, work).await;
        if self.log.is_broken().await {
            return Err(restored.err().unwrap_or_else(|| {
                Error::new(ErrorKind::Fenced, "go on", "the lease or the journal was lost")
            }));
        }
        match restored {
            Ok(()) => {
                let bytes = parts.iter().map(|(_, part)| part.size).sum();
                let parts = parts.iter().map(|(_, part)| part.full_name()).collect();
                let backup = what.backup.clone();
                self.log.record(Event::DataRestored { backup, parts, bytes }).await
            }
            Err(error) => {
                let failure = Failure::from(&error);
                self.log.record(Event::DataRestoreFailed { failure }).await?;
                Err(error)
            }
        }
    }
}

/// Gives each part back to its source, as an effect of its own.
async fn put_back(
    cx: &Context,
    store: &dyn BackupStore,
    what: &Selection,
    parts: &[(Arc<dyn BackupSource>, Part)],
) -> Result<()> {
    for (source, part) in parts {
        let name = part.full_name();
        let one = Selection { parts: vec![name.clone()], ..what.clone() };
        let work = async {
            let given = cx.bounded(store.restore(cx, &one, &**source)).await?;
            if given.contains(part) {
                return Ok(part.size);
            }
            let message = format!("{name} of {} did not come back as it is listed", what.backup);
            Err(Error::new(ErrorKind::Corrupt, "put data back", message))
        };
        let detail = json!({ "backup": what.backup, "bytes": part.size });
        cx.effect("restore", &name, detail, work).await?;
    }
    Ok(())
}

async fn pause(time: std::time::Duration) -> Result<()> {
    tokio::time::sleep(time).await;
    Ok(())
}

impl Parts {
    pub(super) fn backup_store(&self) -> Result<&Arc<dyn BackupStore>> {
        self.backups.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "put data back", "there is no backup store")
                .with_advice("name the store of the backups in [backups]")
                .without_effect()
        })
    }

    /// When a backup was taken, and the parts that a selection of it names, each with the source that
    /// gets it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a backup or a part that is not there; [`ErrorKind::Invalid`] for
    /// what is no data; [`ErrorKind::Unsupported`] where nobody takes a part.
    pub(super) async fn data_parts(
        &self,
        store: &Arc<dyn BackupStore>,
        what: &Selection,
    ) -> Result<(Timestamp, Vec<(Arc<dyn BackupSource>, Part)>)> {
        const OPERATION: &str = "choose the data";
        let wrong = |kind, message: String| Error::new(kind, OPERATION, message).without_effect();
        let backups = store.list(&what.from).await?;
        let found = backups.into_iter().find(|one| one.request.id == what.backup);
        let found = found.ok_or_else(|| backup::absent(&what.backup, OPERATION))?;
        let sources = self.sources_of(what);
        let (mut parts, mut unknown) = (Vec::new(), BTreeSet::new());
        for part in found.parts.iter().filter(|part| what.has(&part.source, &part.name)) {
            match sources.iter().find(|source| source.name() == part.source) {
                Some(source) if source.content() == Content::Data => {
                    parts.push((Arc::clone(source), part.clone()));
                }
                Some(source) if !what.parts.is_empty() => {
                    let message = format!("{} is no data", source.name());
                    return Err(wrong(ErrorKind::Invalid, message)
                        .with_advice("it comes back with its release"));
                }
                Some(_) => {}
                None => {
                    unknown.insert(part.source.clone());
                }
            }
        }
        if !unknown.is_empty() {
            let names = unknown.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("{} has parts of {names}, and nobody takes them", what.backup);
            return Err(wrong(ErrorKind::Unsupported, message).with_advice(
                "declare the data under the names that it was backed up with, or name the parts \
                 that shall come back",
            ));
        }
        let all: Vec<_> = parts.iter().map(|(_, part)| part).collect();
        let is_there = |name: &&String| {
            let one = Selection { parts: vec![(*name).clone()], ..what.clone() };
            all.iter().any(|part| one.has(&part.source, &part.name))
        };
        if let Some(name) = what.parts.iter().find(|name| !is_there(name)) {
            let message = format!("{} has no data called {name}", what.backup);
            return Err(wrong(ErrorKind::NotFound, message));
        }
        if parts.is_empty() {
            let message = format!("{} has no data", what.backup);
            return Err(wrong(ErrorKind::NotFound, message));
        }
        Ok((found.request.at, parts))
    }
}
