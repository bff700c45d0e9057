//! The state directory of one environment.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    BackupStore, Journal, Lease, ReleaseStore,
    durable::{create_directory, failure},
};
use crate::{
    error::{Error, ErrorKind, Result},
    name::Target,
};

const OPEN: &str = "open the state directory";

/// The stores of one environment, all in one directory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct State {
    /// The directory.
    pub root: PathBuf,
    /// The environment.
    pub target: Target,
    /// Its journal.
    pub journal: Arc<Journal>,
    /// Its lease.
    pub lease: Arc<Lease>,
    /// Its backups.
    pub backups: Arc<BackupStore>,
    /// Its releases.
    pub releases: Arc<ReleaseStore>,
}

/// Opens the state directory `<base>/<project>/<environment>`, making it where it is missing.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a relative `base`: it would move with the working directory.
/// [`ErrorKind::Denied`] or [`ErrorKind::Io`] when it cannot be made.
pub fn open(base: &Path, target: &Target) -> Result<State> {
    if !base.is_absolute() {
        let message = format!("`{}` is a relative path", base.display());
        return Err(Error::new(ErrorKind::Invalid, OPEN, message)
            .with_advice("give the state directory as an absolute path")
            .without_effect());
    }
    let root = base.join(target.project.as_str()).join(target.environment.as_str());
    for name in ["runs", "lease", "releases", "files", "backups"] {
        let path = root.join(name);
        create_directory(&path).map_err(|error| failure(OPEN, &path, error))?;
    }
    close_to_others(&root).map_err(|error| failure(OPEN, &root, error))?;
    Ok(State {
        journal: Arc::new(Journal::new(&root)),
        lease: Arc::new(Lease::new(&root, target)),
        backups: Arc::new(BackupStore::new(&root, target)),
        releases: Arc::new(ReleaseStore::new(&root)),
        target: target.clone(),
        root,
    })
}

/// Where state is kept unless somebody says otherwise: `/var/lib/ultrai` as root, else
/// `$XDG_STATE_HOME/ultrai`, else `~/.local/state/ultrai`. Relative values count as unset.
pub fn default_base(is_root: bool, xdg_state_home: Option<&Path>, home: Option<&Path>) -> PathBuf {
    let xdg = xdg_state_home.filter(|path| path.is_absolute()).map(Path::to_owned);
    let local =
        || home.filter(|path| path.is_absolute()).map(|home| home.join(".local").join("state"));
    match (!is_root).then(|| xdg.or_else(local)).flatten() {
        Some(state) => state.join("ultrai"),
        None => PathBuf::from("/var/lib/ultrai"),
    }
}

/// For a directory that was there before, made by somebody else or restored from a copy.
fn close_to_others(root: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(root)?.permissions().mode();
    if mode & 0o777 & !0o700 == 0 {
        return Ok(());
    }
    fs::set_permissions(root, Permissions::from_mode(mode & 0o700))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{EnvironmentName, ProjectName};

    fn target() -> Target {
        Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
    }

    #[test]
    fn the_default_follows_user_and_environment() {
        let (xdg, home) = (Some(Path::new("/x")), Some(Path::new("/home/u")));
        assert_eq!(default_base(true, xdg, home), Path::new("/var/lib/ultrai"));
        assert_eq!(default_base(false, xdg, home), Path::new("/x/ultrai"));
        assert_eq!(default_base(false, None, home), Path::new("/home/u/.local/state/ultrai"));
        let relative = Some(Path::new("x"));
        assert_eq!(default_base(false, relative, home), Path::new("/home/u/.local/state/ultrai"));
        assert_eq!(default_base(false, None, None), Path::new("/var/lib/ultrai"));
    }

    #[test]
    fn only_the_owner_gets_in() {
        let base = tempfile::tempdir().unwrap();
        let old = base.path().join("shop/staging");
        fs::create_dir_all(&old).unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o755)).unwrap();
        let state = open(base.path(), &target()).unwrap();
        assert_eq!(state.root, old);
        for path in [old.clone(), old.join("runs"), old.join("lease"), old.join("releases")] {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn a_relative_base_is_refused() {
        let error = open(Path::new("state"), &target()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
