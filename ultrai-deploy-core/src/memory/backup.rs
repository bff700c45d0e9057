//! Backups in memory.

use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::io::AsyncReadExt;

use crate::{
    backup::{self, Backup, BackupRequest, BackupSource, Part, Selection},
    context::Context,
    digest,
    error::{Error, ErrorKind, Result},
    name::{BackupId, Target},
};

/// Keeps backups in memory. A clone is the same store as another process opens it.
#[derive(Clone, Debug, Default)]
pub struct BackupStore(Arc<Mutex<BTreeMap<(Target, BackupId), Kept>>>);

#[derive(Clone, Debug)]
struct Kept {
    backup: Backup,
    contents: Vec<Vec<u8>>,
}

impl BackupStore {
    fn backups(&self) -> MutexGuard<'_, BTreeMap<(Target, BackupId), Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, target: &Target, id: &BackupId) -> Result<Kept> {
        self.backups()
            .get(&(target.clone(), id.clone()))
            .cloned()
            .ok_or_else(|| backup::absent(id, "read the backup"))
    }

    async fn take(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        let (mut parts, mut contents) = (Vec::new(), Vec::new());
        for (source, name) in backup::list_parts(cx, sources).await? {
            cx.check()?;
            let mut content = Vec::new();
            source.read(cx, &name).await?.read_to_end(&mut content).await.map_err(|error| {
                let message = format!("part {name} of {} cannot be read", source.name());
                Error::new(ErrorKind::Io, "take a backup", message).with_source(error)
            })?;
            parts.push(Part {
                source: source.name().to_owned(),
                name,
                size: content.len() as u64,
                sha256: digest::sha256(&content),
            });
            contents.push(content);
        }
        let backup = Backup { request: request.clone(), parts };
        let kept = Kept { backup: backup.clone(), contents };
        self.backups().insert((request.target.clone(), request.id.clone()), kept);
        Ok(backup)
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
        cx.bounded(self.take(cx, request, sources)).await
    }

    async fn list(&self, target: &Target) -> Result<Vec<Backup>> {
        let mut backups: Vec<Backup> = self
            .backups()
            .iter()
            .filter(|((of, _), _)| of == target)
            .map(|(_, kept)| kept.backup.clone())
            .collect();
        backups.sort_by_key(|backup| backup.request.at);
        Ok(backups)
    }

    /// Memory does not rot: all that is there is whole.
    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()> {
        self.kept(target, id).map(drop)
    }

    fn own_sources(&self, _: &Selection) -> Vec<Arc<dyn BackupSource>> {
        Vec::new()
    }

    async fn restore(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        let kept = self.kept(&what.from, &what.backup)?;
        let wanted =
            |part: &Part| part.source == source.name() && what.has(&part.source, &part.name);
        let mut restored = Vec::new();
        let parts = kept.backup.parts.into_iter().zip(kept.contents);
        for (part, content) in parts.filter(|(part, _)| wanted(part)) {
            cx.check()?;
            let stream = Box::pin(Cursor::new(content));
            cx.bounded(source.restore(cx, &part.name, stream)).await?;
            restored.push(part);
        }
        Ok(restored)
    }

    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()> {
        self.backups().remove(&(target.clone(), id.clone()));
        Ok(())
    }
}
