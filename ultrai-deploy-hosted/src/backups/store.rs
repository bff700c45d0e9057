//! Backups some of whose content is on the platform.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    backup::{self, Backup, BackupRequest, BackupSource, Part, Selection},
    clock::{Clock, SystemClock},
    name::{BackupId, RunId, Target},
};

use super::{
    Label, Object, Restored, Snapshot, SnapshotSource, Snapshots,
    receipt::{Collector, Receipt},
};

/// The longest that taking, restoring, looking at and deleting snapshots goes on where the context has
/// no earlier end: volumes of the largest plans are copied in it.
const LIMIT: Duration = Duration::from_hours(2);
/// How much older than the newest backup a snapshot is that no call under way can have begun.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// Keeps the parts of sources in one store, and with them what the platform keeps itself.
///
/// - A backup is complete once the inner store has it, which is after all snapshots are whole.
/// - `list` asks the inner store only.
/// - `verify` asks the platform, too, whether each snapshot is there, whole and not expired.
/// - `restore` brings back what is on the platform for [`BackupStore::source`] alone, after a look
///   whether all of it is there; other sources never touch it.
/// - `delete` takes the manifest away first. Snapshots that a crash left without one go with it, once
///   they are a day older than the newest backup.
#[derive(Clone, Debug)]
pub struct BackupStore {
    inner: Arc<dyn backup::BackupStore>,
    platform: Arc<dyn Snapshots>,
    clock: Arc<dyn Clock>,
}

impl BackupStore {
    /// Keeps receipts and the parts of other sources in `inner`.
    pub fn new(inner: Arc<dyn backup::BackupStore>, platform: Arc<dyn Snapshots>) -> Self {
        Self { inner, platform, clock: Arc::new(SystemClock) }
    }

    /// The same with another clock, which tells what has expired.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What the platform keeps in a backup, to be restored: data is overwritten by it, or goes where
    /// the platform puts it.
    pub fn source(&self, target: &Target, id: &BackupId) -> SnapshotSource {
        let (platform, clock) = (Arc::clone(&self.platform), Arc::clone(&self.clock));
        let label = Label::new(target, id);
        SnapshotSource { platform, clock, label, at: self.clock.now(), may_adopt: true }
    }

    /// Brings back what the platform keeps of these objects, all of them when none is named, and tells
    /// what people have to know. Nothing is brought back unless all of it is there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such backup, or it has no such object;
    /// [`ErrorKind::Corrupt`] when a snapshot is gone.
    pub async fn restore_objects(
        &self,
        cx: &Context,
        id: &BackupId,
        names: &[&str],
    ) -> Result<Vec<Restored>> {
        const RESTORE: &str = "restore what the platform keeps";
        let cx = &cx.clone().with_timeout(LIMIT);
        let mut receipts = self.receipts(cx, cx.target(), id).await?;
        let has = |name: &&&str| receipts.iter().any(|receipt| receipt.object.name == **name);
        if let Some(unknown) = names.iter().find(|name| !has(name)) {
            let there: Vec<_> =
                receipts.iter().map(|receipt| receipt.object.name.as_str()).collect();
            let message = format!("backup {id} has no {unknown}");
            return Err(Error::new(ErrorKind::NotFound, RESTORE, message)
                .with_advice(format!("it has {}", list(&there)))
                .without_effect());
        }
        receipts.retain(|one| names.is_empty() || names.contains(&one.object.name.as_str()));
        let source = self.source(cx.target(), id);
        for receipt in &receipts {
            source.check_restorable(cx, receipt).await?;
        }
        let mut restored = Vec::new();
        for receipt in &receipts {
            restored.push(source.give_back(cx, receipt).await?);
        }
        Ok(restored)
    }

    async fn receipts(&self, cx: &Context, from: &Target, id: &BackupId) -> Result<Vec<Receipt>> {
        let collector = Collector::new(self.platform.name());
        let all = Selection::all(from.clone(), id.clone());
        cx.bounded(self.inner.restore(cx, &all, &collector)).await?;
        Ok(collector.into_receipts())
    }

    async fn take(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        let name = self.platform.name();
        if sources.iter().any(|source| source.name() == name) {
            let message = format!("a source is called {name}, as what the platform keeps");
            return Err(Error::new(ErrorKind::Invalid, "take a backup", message).without_effect());
        }
        let listed = self.inner.list(&request.target).await?;
        let is_whole = listed.iter().any(|backup| backup.request.id == request.id);
        let mut source = self.source(&request.target, &request.id);
        // What belongs to a whole backup is that one's until another has taken its place.
        (source.at, source.may_adopt) = (request.at, !is_whole);
        let label = source.label.clone();
        let mut sources = sources.to_vec();
        sources.push(Arc::new(source));
        let backup = self.inner.create(cx, request, &sources).await?;
        // It is complete: what fails from here on is told.
        if let Err(error) = self.remove_surplus(cx, &label).await {
            let message = format!("surplus snapshots of backup {} stay: {error}", request.id);
            cx.note(&message).await?;
        }
        Ok(backup)
    }

    /// Removes what carries the label of a complete backup and is not what it names.
    async fn remove_surplus(&self, cx: &Context, label: &Label) -> Result<()> {
        for Receipt { object, snapshot, .. } in self.receipts(cx, cx.target(), label.id()).await? {
            for one in self.platform.list(cx, &object).await? {
                if label.is_on(&one) && one.id != snapshot.id {
                    self.remove(cx, &object, &one).await?;
                }
            }
        }
        Ok(())
    }

    async fn remove(&self, cx: &Context, object: &Object, snapshot: &Snapshot) -> Result<()> {
        let detail = json!({ "snapshot": snapshot.id, "label": snapshot.label });
        let removing = self.platform.delete(cx, object, &snapshot.id);
        cx.effect("delete a snapshot", &object.name, detail, removing).await
    }

    /// What goes with a backup: its own snapshots, and those that were left over long ago.
    async fn doomed(&self, cx: &Context, id: &BackupId) -> Result<Vec<(Object, Snapshot)>> {
        let backups = self.inner.list(cx.target()).await?;
        let newest = backups.iter().map(|backup| backup.request.at).max();
        let receipts = match self.receipts(cx, cx.target(), id).await {
            Ok(receipts) => receipts,
            // What cannot be read can be deleted: its snapshots are found by their label.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let own: Vec<_> = receipts.iter().map(|receipt| receipt.snapshot.id.clone()).collect();
        let mut objects: BTreeMap<_, _> =
            receipts.into_iter().map(|one| (one.object.id.clone(), one.object)).collect();
        for object in self.platform.objects(cx).await? {
            objects.insert(object.id.clone(), object);
        }
        let is_doomed = |one: &Snapshot| {
            if own.contains(&one.id) {
                return true;
            }
            let label = one.label.as_deref().and_then(|text| Label::read(text, cx.target()));
            label.is_some_and(|of| {
                let is_known = backups.iter().any(|backup| backup.request.id == of);
                of == *id || (!is_known && is_old(one.taken, newest))
            })
        };
        let mut doomed = Vec::new();
        for object in objects.into_values() {
            let listed = match self.platform.list(cx, &object).await {
                Ok(listed) => listed,
                // Its snapshots went with it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let found = listed.into_iter().filter(is_doomed);
            doomed.extend(found.map(|one| (object.clone(), one)));
        }
        Ok(doomed)
    }
}

#[async_trait]
impl backup::BackupStore for BackupStore {
    async fn create(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        let cx = &cx.clone().with_timeout(LIMIT);
        self.take(cx, request, sources).await
    }

    async fn list(&self, target: &Target) -> Result<Vec<Backup>> {
        self.inner.list(target).await
    }

    async fn ids(&self, target: &Target) -> Result<Vec<BackupId>> {
        self.inner.ids(target).await
    }

    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()> {
        let cx = &looking(target);
        cx.bounded(self.inner.verify(target, id)).await?;
        let source = self.source(target, id);
        for receipt in self.receipts(cx, target, id).await? {
            source.check(cx, &receipt, "verify the backup").await?;
        }
        Ok(())
    }

    fn own_sources(&self, what: &Selection) -> Vec<Arc<dyn BackupSource>> {
        vec![Arc::new(self.source(&what.from, &what.backup))]
    }

    async fn restore(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        let cx = &cx.clone().with_timeout(LIMIT);
        if source.name() == self.platform.name() {
            let own = self.source(&what.from, &what.backup);
            for receipt in self.receipts(cx, &what.from, &what.backup).await? {
                if what.has(self.platform.name(), &receipt.object.name) {
                    own.check_restorable(cx, &receipt).await?;
                }
            }
        }
        self.inner.restore(cx, what, source).await
    }

    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()> {
        let cx = &looking(target);
        // What can be asked is asked while the manifest still tells of it.
        let doomed = self.doomed(cx, id).await?;
        cx.bounded(self.inner.delete(target, id)).await?;
        for (object, snapshot) in doomed {
            self.remove(cx, &object, &snapshot).await?;
        }
        Ok(())
    }
}

/// For calls that are given no context.
fn looking(target: &Target) -> Context {
    Context::detached(target.clone(), RunId::generate()).with_timeout(LIMIT)
}

fn is_old(taken: Option<Timestamp>, newest: Option<Timestamp>) -> bool {
    let (Some(taken), Some(newest)) = (taken, newest) else { return false };
    newest.duration_since(taken) > OLD
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
