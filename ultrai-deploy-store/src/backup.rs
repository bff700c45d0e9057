//! Backups as chunks in packs.
//!
//! ```text
//! <prefix>/<project>/<environment>/
//!     backups/<id>/manifest    written last, by one atomic put: without it the backup does not exist
//!     packs/<uuid>             chunks of parts, recipes of parts, and the tables of packs
//!     damaged/<uuid>           says that a pack was found damaged, so that no new backup refers to it
//! ```
//!
//! A part is cut where its own bytes say so. Chunks that the newest backups have already are referred
//! to, the others are compressed and put into packs of about 4 MiB, each encrypted as a whole. Nothing
//! stored is ever changed, so what is cut off leaves packs that nothing refers to: the next
//! [`delete`](core::BackupStore::delete) removes them.

mod content;
mod packs;
mod stream;
mod sweep;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use object_store::{ObjectStore, path::Path};
use ultrai_deploy_core::{
    backup::{self as core, Backup, BackupRequest, BackupSource, Part, Selection},
    context::Context,
    error::{Chain, Error, ErrorKind, Result},
    name::{BackupId, Target},
};

pub(crate) use self::{content::Opened, write::Writer};
use crate::{
    crypt::Encryption,
    index,
    manifest::{Body, MAX_MANIFEST, Manifest, Unreadable},
    place::Place,
};

pub(crate) const CREATE: &str = "take a backup";
const LIST: &str = "list backups";
const VERIFY: &str = "verify the backup";
const RESTORE: &str = "restore the backup";
const DELETE: &str = "delete the backup";
/// Manifests that are read at the same time.
const AT_ONCE: usize = 8;

/// Keeps backups of any number of environments in an object store.
///
/// `create` and `delete` of one environment must not run at the same time: whoever calls them holds
/// the environment's lease. Should a driver that lost it still delete, a backup that is being taken
/// fails rather than appear with something missing.
///
/// Memory does not grow with the size of parts; it is below 64 MiB.
#[derive(Debug)]
pub struct BackupStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    encryption: Option<Arc<Encryption>>,
}

/// The store of one environment.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    pub(crate) place: Place,
    pub(crate) encryption: Option<Arc<Encryption>>,
}

impl BackupStore {
    /// Backups below `prefix`. Without `encryption` sources that hold secrets are refused, and
    /// nothing that is encrypted can be read.
    ///
    /// A store on local disk should be opened with fsync, in a directory that only its owner can
    /// read.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, encryption: Option<Encryption>) -> Self {
        Self { store, prefix, encryption: encryption.map(Arc::new) }
    }

    fn keeper(&self, target: &Target) -> Keeper {
        let place = Place::new(&self.store, &self.prefix, target);
        Keeper { place, encryption: self.encryption.clone() }
    }

    async fn take(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        let keeper = self.keeper(&request.target);
        if self.encryption.is_none() {
            refuse_secrets(sources)?;
        }
        let parts = core::list_parts(cx, sources).await?;
        let known = index::load(&keeper, &request.target).await?;
        let mut writer = Writer::new(keeper, known);
        for (source, name) in parts {
            cx.check()?;
            let stream = source.read(cx, &name).await?;
            writer.part(source.name(), &name, stream).await?;
        }
        writer.finish(request).await
    }

    async fn give_back(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        let opened =
            Opened::open(&self.keeper(&what.from), RESTORE, &what.from, &what.backup).await?;
        let parts = opened.body.backup.parts.iter().enumerate();
        let wanted: Vec<_> = parts
            .filter(|(_, part)| part.source == source.name() && what.has(&part.source, &part.name))
            .collect();
        let mut content = opened.reader();
        for (number, _) in &wanted {
            cx.check()?;
            content.check(*number).await?;
        }
        for (number, part) in &wanted {
            cx.check()?;
            let (sender, stream) = stream::channel();
            let (sent, restored) =
                tokio::join!(content.send(*number, sender), source.restore(cx, &part.name, stream));
            // What could not be read is the reason why the source could not go on.
            sent?;
            restored?;
        }
        Ok(wanted.into_iter().map(|(_, part)| part.clone()).collect())
    }
}

#[async_trait]
impl core::BackupStore for BackupStore {
    async fn create(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        cx.bounded(self.take(cx, request, sources)).await
    }

    async fn list(&self, target: &Target) -> Result<Vec<Backup>> {
        let keeper = &self.keeper(target);
        let ids = keeper.place.ids(LIST).await?;
        let mut found = futures_util::stream::iter(ids)
            .map(|id| async move { (keeper.backup(LIST, target, &id).await, id) })
            .buffered(AT_ONCE);
        let (mut backups, mut locked) = (Vec::new(), None);
        while let Some((backup, id)) = found.next().await {
            match backup {
                Ok(backup) => backups.push(backup),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if !is_about_one(&error) => return Err(error),
                // One bad backup must not hide the good ones; asked for by its id it says why.
                Err(error) => {
                    tracing::warn!(backup = %id, error = %Chain(&error), "left out");
                    locked =
                        locked.or(Some(error)).filter(|error| error.kind() == ErrorKind::Denied);
                }
            }
        }
        if let (true, Some(locked)) = (backups.is_empty(), locked) {
            return Err(locked);
        }
        backups.sort_by(|a, b| (a.request.at, &a.request.id).cmp(&(b.request.at, &b.request.id)));
        Ok(backups)
    }

    async fn ids(&self, target: &Target) -> Result<Vec<BackupId>> {
        let keeper = self.keeper(target);
        let mut found = Vec::new();
        for id in keeper.place.ids(LIST).await? {
            match keeper.manifest(LIST, target, &id).await {
                // Nothing but the place of one.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if !is_about_one(&error) => return Err(error),
                Ok(_) | Err(_) => found.push(id),
            }
        }
        found.sort();
        Ok(found)
    }

    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()> {
        let opened = Opened::open(&self.keeper(target), VERIFY, target, id).await?;
        let mut content = opened.reader();
        for number in 0..opened.body.recipes.len() {
            content.check(number).await?;
        }
        Ok(())
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
        cx.bounded(self.give_back(cx, what, source)).await
    }

    /// Also removes what no backup of the environment needs, unless there is one that cannot be read.
    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()> {
        let keeper = self.keeper(target);
        keeper.place.remove(DELETE, &keeper.place.manifest(id)).await?;
        sweep::sweep(&keeper, DELETE, target).await
    }
}

impl Keeper {
    /// Whether what it encrypts can be read by itself.
    pub(crate) fn can_read(&self) -> bool {
        self.encryption.as_ref().is_none_or(|encryption| encryption.has_identity())
    }

    /// Whom backups are encrypted for.
    pub(crate) fn recipients(&self) -> Option<String> {
        self.encryption.as_ref().map(|encryption| encryption.fingerprint())
    }

    /// A manifest that is whole.
    pub(crate) async fn manifest(
        &self,
        operation: &'static str,
        target: &Target,
        id: &BackupId,
    ) -> Result<Manifest> {
        let path = self.place.manifest(id);
        // Encryption and the head add little to what is bounded itself.
        let limit = 2 * MAX_MANIFEST as u64;
        let bytes = self.place.get(operation, &path, limit).await?;
        let bytes = bytes.ok_or_else(|| core::absent(id, operation))?;
        Manifest::decode(&bytes, target, id).map_err(|why| unreadable(operation, id, why))
    }

    /// What a manifest says.
    pub(crate) fn body(&self, operation: &'static str, manifest: &Manifest) -> Result<Body> {
        let body = manifest.body(self.encryption.as_deref());
        body.map_err(|why| unreadable(operation, &manifest.head.backup, why))
    }

    async fn backup(
        &self,
        operation: &'static str,
        target: &Target,
        id: &BackupId,
    ) -> Result<Backup> {
        let manifest = self.manifest(operation, target, id).await?;
        Ok(self.body(operation, &manifest)?.backup)
    }
}

/// Whether only one backup is bad, and not the store.
fn is_about_one(error: &Error) -> bool {
    use std::error::Error as _;
    let is_own = error.source().is_none_or(|source| !source.is::<object_store::Error>());
    let kinds = [ErrorKind::Corrupt, ErrorKind::Denied, ErrorKind::Unsupported];
    is_own && kinds.contains(&error.kind())
}

fn unreadable(operation: &'static str, id: &BackupId, why: Unreadable) -> Error {
    let error = match why {
        Unreadable::Damaged(why) => {
            let message = format!("the manifest of backup {id} is damaged");
            Error::new(ErrorKind::Corrupt, operation, message)
                .with_source(why)
                .with_advice("use another backup")
        }
        Unreadable::Newer(why) => {
            let message = format!("the manifest of backup {id} is of a newer version");
            Error::new(ErrorKind::Unsupported, operation, message)
                .with_source(why)
                .with_advice("use the version of this program that wrote it")
        }
        Unreadable::Locked => {
            let message = format!("backup {id} is encrypted for an identity that is not here");
            Error::new(ErrorKind::Denied, operation, message)
                .with_advice("name the identity file of the key that it was encrypted for")
        }
    };
    error.without_effect()
}

fn refuse_secrets(sources: &[Arc<dyn BackupSource>]) -> Result<()> {
    let Some(source) = sources.iter().find(|source| source.holds_secrets()) else {
        return Ok(());
    };
    let message = format!("{} may hold secrets, and no key encrypts them", source.name());
    Err(Error::new(ErrorKind::Unsupported, CREATE, message)
        .with_advice(
            "make a key with `age-keygen -o FILE`, name it as the backups' identity file, and keep \
             a copy of it elsewhere: without it nothing can be restored",
        )
        .without_effect())
}
