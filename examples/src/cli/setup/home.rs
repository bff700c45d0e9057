//! What an environment keeps: journal, lease, releases and backups, wherever they are.

use std::{
    fmt,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use ultrai_deploy_config::private;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    backup::{Backup, BackupRequest, BackupSource, BackupStore, Part, Selection},
    file,
    journal::Journal,
    lease::Lease,
    name::{BackupId, Target},
    release_store::ReleaseStore,
    secret::SecretSource,
};
use ultrai_deploy_store::{
    self as store,
    crypt::Encryption,
    location::{self},
};

use super::{Plan, absolute, invalid};
use crate::cli::progress::say;
use crate::config::{Identity, Location};

/// The identity that is made where none is named, in the directory of an environment's state.
const OWN: &str = "backups.key";
/// Longest file with identities, in bytes.
const MOST: usize = 64 << 10;
/// How long a bucket may take until it says that it is there.
const REACH: Duration = Duration::from_secs(15);

/// The stores of an environment.
#[derive(Clone)]
pub(in crate::cli) struct Home {
    pub(in crate::cli) target: Target,
    pub(in crate::cli) journal: Arc<dyn Journal>,
    pub(in crate::cli) lease: Arc<dyn Lease>,
    pub(in crate::cli) releases: Arc<dyn ReleaseStore>,
    pub(in crate::cli) backups: Arc<dyn BackupStore>,
    /// Where this machine keeps what is its own.
    pub(in crate::cli) directory: PathBuf,
    /// Whether other hosts work on the environment, too.
    pub(in crate::cli) is_shared: bool,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Plan<'_> {
    /// Opens what `target` keeps.
    pub(super) async fn open_home(
        &self,
        target: &Target,
        secrets: &dyn SecretSource,
    ) -> Result<Home> {
        let (base, url) = self.state_place()?;
        let state = file::open(&base, target)?;
        let encryption = self.encryption(&base, &state.root, secrets).await;
        let place = match (&self.config.backups.store, &url) {
            (Some(Location::Url(url)), _) | (None, Some(url)) => self.open_location(url)?,
            (Some(Location::Directory(path)), _) => self.open_location(text(path)?)?,
            (None, None) => {
                // Others may enter the directory; that of the environment was closed to them.
                let mut options = location::Options::new(self.around.env.clone());
                options.is_closed_below = true;
                store::Location::open(text(&base)?, &options)?
            }
        };
        let Some(url) = url else {
            let is_elsewhere = matches!(self.config.backups.store, Some(Location::Url(_)));
            let usable = match encryption {
                Ok(keys) if is_elsewhere => place.reach(REACH).await.map(|()| keys),
                keys => keys,
            };
            let backups: Arc<dyn BackupStore> = match usable {
                Ok(keys) => {
                    Arc::new(store::backup::BackupStore::new(place.store, place.prefix, Some(keys)))
                }
                // What has nothing to do with backups needs neither key nor bucket.
                Err(error) => Arc::new(Unavailable(error)),
            };
            return Ok(Home {
                target: state.target,
                journal: state.journal,
                lease: state.lease,
                releases: state.releases,
                backups,
                directory: state.root,
                is_shared: false,
            });
        };
        let keys = encryption?;
        let shared = self.open_location(&url)?;
        shared.reach(REACH).await?;
        let sealing = Arc::new(keys.clone()) as _;
        Ok(Home {
            target: target.clone(),
            journal: Arc::new(store::Journal::new(
                Arc::clone(&shared.store),
                &shared.prefix,
                target,
            )),
            lease: Arc::new(store::Lease::new(Arc::clone(&shared.store), &shared.prefix)),
            releases: Arc::new(store::ReleaseStore::new(
                shared.store,
                &shared.prefix,
                target,
                state.releases,
                Some(sealing),
            )),
            backups: Arc::new(store::backup::BackupStore::new(
                place.store,
                place.prefix,
                Some(keys),
            )),
            directory: state.root,
            is_shared: true,
        })
    }

    /// The directory of this machine, and where state is instead if it is shared.
    fn state_place(&self) -> Result<(PathBuf, Option<String>)> {
        let path = |name: &str| self.around.env.get(name).map(PathBuf::from);
        let usual = || {
            file::default_base(
                self.around.is_root,
                path("XDG_STATE_HOME").as_deref(),
                path("HOME").as_deref(),
            )
        };
        let flag = self.cli.state.as_deref().map(absolute).transpose()?;
        Ok(match &self.config.state {
            // The directory holds what is needed as files.
            Some(Location::Url(url)) => (flag.unwrap_or_else(usual), Some(url.clone())),
            Some(Location::Directory(path)) => (flag.unwrap_or_else(|| path.clone()), None),
            None => (flag.unwrap_or_else(usual), None),
        })
    }

    fn open_location(&self, url: &str) -> Result<store::Location> {
        store::Location::open(url, &location::Options::new(self.around.env.clone()))
    }

    /// Whom backups, and releases elsewhere, are encrypted for.
    async fn encryption(
        &self,
        base: &Path,
        root: &Path,
        secrets: &dyn SecretSource,
    ) -> Result<Encryption> {
        let backups = &self.config.backups;
        let identities = match &backups.identity {
            Identity::Own => {
                let own = own_identity(&root.join(OWN))?;
                let own = Encryption::parse(&own, &backups.recipients)?;
                return Ok(with_neighbours(own, base, root));
            }
            Identity::File(path) => read_identity(path)?.ok_or_else(|| {
                invalid(&format!("{} does not exist", path.display())).with_advice(
                    "copy the identity there that backups are encrypted for; a new one is made with \
                     age-keygen",
                )
            })?,
            Identity::Secret(name) => {
                let value = secrets.get(name).await?.ok_or_else(|| {
                    invalid(&format!("{name}, the identity of backups, has no value"))
                        .with_advice("set it to what is in the identity file of age")
                })?;
                value.expose().to_owned().into()
            }
        };
        Encryption::parse(&identities, &backups.recipients)
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        invalid(&format!("{} is not UTF-8", path.display())).with_advice("use another directory")
    })
}

/// The identity of this machine; made at the first call.
fn own_identity(path: &Path) -> Result<zeroize::Zeroizing<String>> {
    if let Some(found) = read_identity(path)? {
        return Ok(found);
    }
    let failed = |source: std::io::Error| {
        let message = format!("{} cannot be made", path.display());
        Error::new(ErrorKind::Io, "make an identity for backups", message)
            .without_effect()
            .with_source(source)
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    if has_backups(&parent.join("backups")) {
        say(&format!(
            "warning: {} is gone and a new key is made: the backups that are there cannot be read \
             without the former one",
            path.display()
        ));
    }
    let made = Encryption::generate().identity_file();
    // Readable by its owner only, whole and durable before anything is encrypted for it.
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
    file.write_all(made.expose().as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        // Another process was faster.
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error.error)),
    }
    std::fs::File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed)?;
    read_identity(path)?.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

/// The same, reading also what the other environments of this machine keep, so that their data can be
/// restored here. One whose identity cannot be used stays closed.
fn with_neighbours(mut own: Encryption, base: &Path, root: &Path) -> Encryption {
    for environment in directories(base).iter().flat_map(|project| directories(project)) {
        if environment == root {
            continue;
        }
        if let Ok(Some(identity)) = read_identity(&environment.join(OWN))
            && let Ok(with) = own.clone().also_reading(&identity)
        {
            own = with;
        }
    }
    own
}

/// The directories in one; none where it cannot be read.
fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Whether there are backups that were made with a key.
fn has_backups(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().join("manifest").is_file())
}

fn read_identity(path: &Path) -> Result<Option<zeroize::Zeroizing<String>>> {
    let unusable = |what: String, advice: String| {
        invalid(&format!("{}: {what}", path.display())).with_advice(advice)
    };
    let contents = match private::read(path, MOST) {
        Ok(contents) => contents,
        Err(private::Unreadable::Missing) => return Ok(None),
        Err(error) => return Err(unusable(error.to_string(), "make it readable".to_owned())),
    };
    if let Some(exposed) = contents.exposed {
        return Err(unusable(exposed.what(), exposed.remedy(path)));
    }
    let text = std::str::from_utf8(&contents.bytes);
    let text = text.map_err(|_| unusable("it is not UTF-8".to_owned(), "restore it".to_owned()))?;
    Ok(Some(text.to_owned().into()))
}

/// Stands where the key of backups, or their bucket, is missing: whatever needs one is told so, and nothing else.
#[derive(Debug)]
struct Unavailable(Error);

impl Unavailable {
    fn error<T>(&self) -> Result<T> {
        let error = Error::new(self.0.kind(), self.0.operation(), self.0.message().to_owned());
        Err(match self.0.advice() {
            Some(advice) => error.with_advice(advice.to_owned()),
            None => error,
        }
        .without_effect())
    }
}

#[async_trait]
impl BackupStore for Unavailable {
    async fn create(
        &self,
        _: &Context,
        _: &BackupRequest,
        _: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        self.error()
    }

    async fn list(&self, _: &Target) -> Result<Vec<Backup>> {
        self.error()
    }

    async fn ids(&self, _: &Target) -> Result<Vec<BackupId>> {
        self.error()
    }

    async fn verify(&self, _: &Target, _: &BackupId) -> Result<()> {
        self.error()
    }

    fn own_sources(&self, _: &Selection) -> Vec<Arc<dyn BackupSource>> {
        Vec::new()
    }

    async fn restore(&self, _: &Context, _: &Selection, _: &dyn BackupSource) -> Result<Vec<Part>> {
        self.error()
    }

    async fn delete(&self, _: &Target, _: &BackupId) -> Result<()> {
        self.error()
    }
}
