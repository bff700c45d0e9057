//! The few calls that make small files survive a crash.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind as Io, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Component, Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use ultrai_deploy_core::{Error, ErrorKind, Result};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Runs file work where it does not hold up others.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|source| {
        Err(Error::new(ErrorKind::Unexpected, "work on files", "the work did not end")
            .with_source(source))
    })
}

/// A directory for the owner only, with its parents; durable on return.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_directory(parent)?;
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == Io::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(parent),
    }
}

/// Puts JSON in the place of a file, whole or not at all; durable on return.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let scratch = directory.join(format!(".{name}.new"));
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    let mut file = private_file(&scratch, OpenOptions::new().write(true).truncate(true))?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&scratch, path)?;
    sync_directory(directory)
}

/// Whether a file of this name is one that was not finished.
pub(crate) fn is_scratch(name: &str) -> bool {
    name.strip_suffix(".new").is_some_and(|stem| stem.starts_with('.'))
}

/// A file's JSON; nothing when there is no file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    const READ: &str = "read the state";
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == Io::NotFound => return Ok(None),
        Err(error) => return Err(failure(READ, path, error).without_effect()),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| {
        let message = format!("{} is damaged", path.display());
        Error::new(ErrorKind::Corrupt, READ, message).with_source(source).without_effect()
    })
}

/// A file that only its owner can read.
pub(crate) fn private_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.create(true).mode(FILE_MODE).open(path)
}

/// Makes `link` lead to `to`, whatever it was before.
pub(crate) fn put_link(to: &Path, link: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|there| there == to) {
        return Ok(());
    }
    let directory = link.parent().unwrap_or(Path::new("/"));
    create_directory(directory)?;
    let name = link.file_name().and_then(|name| name.to_str()).unwrap_or("link");
    let scratch = directory.join(format!(".{name}.new"));
    remove_file(&scratch)?;
    symlink(to, &scratch)?;
    fs::rename(&scratch, link)
}

/// Removes a file or link, if it is there.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == Io::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory with all that is in it, if it is there.
pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == Io::NotFound => Ok(()),
        other => other,
    }
}

/// Makes creations, renames and removals in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The end of a file, at most so many bytes.
pub(crate) fn tail(path: &Path, most: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A path that stays below the directory that it is joined to.
pub(crate) fn below(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}

/// What failed at which file.
pub(crate) fn failure(operation: &'static str, path: &Path, source: io::Error) -> Error {
    let path = path.display();
    let (kind, message, advice) = match source.kind() {
        Io::StorageFull | Io::QuotaExceeded => (
            ErrorKind::Io,
            format!("no space is left for {path}"),
            Some("free some space on the file system of the state directory"),
        ),
        Io::PermissionDenied | Io::ReadOnlyFilesystem => {
            (ErrorKind::Denied, format!("{path} is not accessible"), None)
        }
        _ => (ErrorKind::Io, format!("{path} cannot be used"), None),
    };
    let error = Error::new(kind, operation, message).with_source(source);
    match advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below() {
        assert_eq!(below("./a/b"), Some(PathBuf::from("a/b")));
        for bad in ["../a", "/etc", "a/../../b", "", "."] {
            assert_eq!(below(bad), None, "{bad}");
        }
    }
}
