//! What a platform keeps, as a source whose parts are receipts.

use std::{io::Cursor, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    backup::{BackupSource, Content, PartStream},
    clock::Clock,
};

use super::{
    Label, Object, PATIENCE, Restored, Snapshot, Snapshots, State, receipt::Receipt, rest,
    take::Taking,
};

/// The objects of a platform as one backup keeps them. Reading a part takes a snapshot, restoring one
/// brings it back on the platform.
#[derive(Clone, Debug)]
pub struct SnapshotSource {
    pub(super) platform: Arc<dyn Snapshots>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) label: Label,
    pub(super) at: Timestamp,
    pub(super) may_adopt: bool,
}

#[async_trait]
impl BackupSource for SnapshotSource {
    fn name(&self) -> &str {
        self.platform.name()
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, cx: &Context) -> Result<Vec<String>> {
        let objects = self.platform.objects(cx).await?;
        Ok(objects.into_iter().map(|object| object.name).collect())
    }

    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream> {
        let objects = self.platform.objects(cx).await?;
        let Some(object) = objects.into_iter().find(|object| object.name == part) else {
            let message = format!("there is no {part} on the platform any more");
            return Err(
                Error::new(ErrorKind::NotFound, "take a snapshot", message).without_effect()
            );
        };
        let (platform, label) = (&*self.platform, &self.label);
        let taking =
            Taking { platform, object: &object, label, at: self.at, may_adopt: self.may_adopt };
        let snapshot = taking.run(cx).await?;
        let receipt = Receipt::new(self.label.id(), object, snapshot);
        Ok(Box::pin(Cursor::new(receipt.write()?)))
    }

    /// Says what is where now in a note.
    async fn restore(&self, cx: &Context, part: &str, content: PartStream) -> Result<()> {
        let receipt = Receipt::read(part, content).await?;
        self.give_back(cx, &receipt).await.map(drop)
    }
}

impl SnapshotSource {
    pub(super) async fn give_back(&self, cx: &Context, receipt: &Receipt) -> Result<Restored> {
        let Receipt { object, backup, .. } = receipt;
        let snapshot = self.check_restorable(cx, receipt).await?;
        if self.platform.manners().restoring_deletes_newer {
            let newer = self.newer(cx, object, &snapshot).await?;
            if !newer.is_empty() {
                let (number, name) = (newer.len(), &object.name);
                let list = newer.join(", ");
                let message = format!(
                    "restoring {name} deletes {number} newer snapshots of it, and what they are \
                     backups of cannot be restored any more: {list}"
                );
                cx.note(&message).await?;
            }
        }
        let told = self.platform.restore(cx, object, &snapshot, backup).await?;
        cx.note(&told).await?;
        Ok(Restored { object: object.name.clone(), told })
    }

    async fn newer(&self, cx: &Context, object: &Object, than: &Snapshot) -> Result<Vec<String>> {
        let listed = self.platform.list(cx, object).await?.into_iter();
        let newer = listed.filter(|one| one.id != than.id && one.taken > than.taken);
        Ok(newer.map(|one| one.label.unwrap_or(one.id)).collect())
    }

    /// The snapshot of a receipt, which a call can bring back.
    pub(super) async fn check_restorable(
        &self,
        cx: &Context,
        receipt: &Receipt,
    ) -> Result<Snapshot> {
        self.platform.restorable(&receipt.object, &receipt.snapshot)?;
        self.check(cx, receipt, "restore a snapshot").await
    }

    /// The snapshot of a receipt as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] unless it is there, whole and not expired.
    pub(super) async fn check(
        &self,
        cx: &Context,
        receipt: &Receipt,
        operation: &'static str,
    ) -> Result<Snapshot> {
        let Receipt { object, snapshot, backup, .. } = receipt;
        let damaged = |why: &str| {
            let (source, part) = (self.platform.name(), &object.name);
            let message = format!(
                "part {part} of {source} in backup {backup}: snapshot {} {why}",
                snapshot.id
            );
            Error::new(ErrorKind::Corrupt, operation, message)
                .with_advice("use another backup")
                .without_effect()
        };
        let end = Instant::now() + PATIENCE * self.platform.manners().lag;
        // Right after it was made it may not be seen everywhere.
        let found = loop {
            match self.platform.find(cx, object, &snapshot.id).await {
                Ok(Some(found)) => break found,
                Ok(None) if Instant::now() < end => rest(cx, self.platform.pause()).await?,
                Ok(None) => return Err(damaged("is gone from the platform")),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(damaged("is gone with all that it was of").with_source(error));
                }
                Err(error) => return Err(error),
            }
        };
        if found.state == State::Partial {
            return Err(damaged("is not whole"));
        }
        if let Some(expires) = found.expires.filter(|expires| *expires <= self.clock.now()) {
            return Err(damaged(&format!("expired at {expires}")));
        }
        Ok(found)
    }
}
