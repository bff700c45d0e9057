//! An archive written below a directory.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cap_std::fs::{Dir, OpenOptions};
use tokio::io::{AsyncRead, AsyncWriteExt};
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::{
    entry::{Entry, Kind},
    failure::quote,
    limits::Limits,
    name,
    screen::{Screen, screen},
};

/// Memory for the content of a file.
const BUFFER: usize = 256 << 10;
/// The permissions that are set; those to act as somebody else are not.
const PERMISSIONS: u32 = 0o1777;

/// Writes an archive into an empty directory: files with their permissions and times, directories and
/// links. Owners are not set, and no file gets the right to run as its owner.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when the archive is refused, with what came before it written;
/// [`ErrorKind::Conflict`] when something of an entry's name is there; [`ErrorKind::Io`].
pub async fn unpack<R>(archive: R, into: &Dir, limits: Limits) -> Result<()>
where
    R: AsyncRead + Unpin + Send,
{
    let into = into.try_clone().map_err(|source| failed(b".", source))?;
    let mut unpacking = Unpacking { into: Arc::new(into), open: Vec::new() };
    let mut archive = screen(archive, limits);
    while let Some(entry) = archive.next().await.map_err(unreadable)? {
        unpacking.leave(Some(&entry.path)).await?;
        unpacking.put(&mut archive, entry).await?;
    }
    unpacking.leave(None).await
}

struct Unpacking {
    into: Arc<Dir>,
    /// The directories around the last entry. What is put into one changes its time, and may not be
    /// allowed by its permissions, so these are set when it is left.
    open: Vec<Entry>,
}

impl Unpacking {
    async fn put<R: AsyncRead + Unpin>(
        &mut self,
        archive: &mut Screen<R>,
        entry: Entry,
    ) -> Result<()> {
        match entry.kind {
            Kind::Directory => {
                let path = entry.path.clone();
                self.on_disk(&entry.path, move |into| make_directory(into, &path)).await?;
                self.open.push(entry);
                Ok(())
            }
            Kind::File(_) => self.put_file(archive, &entry).await,
            Kind::Symbolic(ref target) => {
                let (path, target) = (entry.path.clone(), target.clone());
                let link = move |into: &Dir| {
                    make_parents(into, &path)?;
                    into.symlink_contents(as_path(&target), as_path(&path))
                };
                self.on_disk(&entry.path, link).await
            }
            Kind::Hard(ref target) => {
                let (path, target) = (entry.path.clone(), target.clone());
                let link = move |into: &Dir| {
                    make_parents(into, &path)?;
                    into.hard_link(as_path(&target), into, as_path(&path))
                };
                self.on_disk(&entry.path, link).await
            }
        }
    }

    async fn put_file<R: AsyncRead + Unpin>(
        &self,
        archive: &mut Screen<R>,
        entry: &Entry,
    ) -> Result<()> {
        let path = entry.path.clone();
        let file = self.on_disk(&entry.path, move |into| {
            make_parents(into, &path)?;
            let mut options = OpenOptions::new();
            // Whatever has this name is not written to.
            options.write(true).create_new(true);
            Ok(into.open_with(as_path(&path), &options)?.into_std())
        });
        let mut file = tokio::fs::File::from_std(file.await?);
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = archive.content(&mut buffer).await.map_err(unreadable)?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).await.map_err(|source| failed(&entry.path, source))?;
        }
        file.flush().await.map_err(|source| failed(&entry.path, source))?;
        let (file, entry) = (file.into_std().await, entry.clone());
        blocking(&entry.path.clone(), move || finish(&file, &entry)).await
    }

    /// Finishes the directories that `next` is not in.
    async fn leave(&mut self, next: Option<&[u8]>) -> Result<()> {
        let is_around = |directory: &Entry, path: &[u8]| {
            directory.path.is_empty() || name::parents(path).any(|parent| parent == directory.path)
        };
        while let Some(directory) =
            self.open.pop_if(|last| next.is_none_or(|path| !is_around(last, path)))
        {
            let path = directory.path.clone();
            self.on_disk(&path, move |into| {
                let opened = into.open(as_path(&directory.path))?.into_std();
                finish(&opened, &directory)
            })
            .await?;
        }
        Ok(())
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        path: &[u8],
        work: impl FnOnce(&Dir) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let into = Arc::clone(&self.into);
        blocking(path, move || work(&into)).await
    }
}

fn make_directory(into: &Dir, path: &[u8]) -> io::Result<()> {
    if path.is_empty() {
        return Ok(());
    }
    make_parents(into, path)?;
    match into.create_dir(as_path(path)) {
        // An entry in it may have come before it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if into.symlink_metadata(as_path(path))?.is_dir() { Ok(()) } else { Err(error) }
        }
        made => made,
    }
}

fn make_parents(into: &Dir, path: &[u8]) -> io::Result<()> {
    match name::parents(path).last() {
        Some(parent) => into.create_dir_all(as_path(parent)),
        None => Ok(()),
    }
}

fn finish(file: &fs::File, entry: &Entry) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(entry.mode & PERMISSIONS))?;
    let seconds = u64::try_from(entry.modified).unwrap_or(0);
    let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    modified.map_or(Ok(()), |modified| file.set_modified(modified))
}

fn as_path(path: &[u8]) -> &Path {
    if path.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(path)) }
}

async fn blocking<T: Send + 'static>(
    path: &[u8],
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|lost| Err(io::Error::other(lost))).map_err(|source| failed(path, source))
}

/// The archive could not be read; what refuses it is an error of core's already.
fn unreadable(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|source| {
        Error::new(ErrorKind::Io, "read an archive", "it could not be read to its end")
            .with_source(source)
    })
}

fn failed(path: &[u8], source: io::Error) -> Error {
    let (kind, why) = match source.kind() {
        io::ErrorKind::AlreadyExists => (ErrorKind::Conflict, "something of this name is there"),
        _ => (ErrorKind::Io, "it could not be written"),
    };
    Error::new(kind, "unpack an archive", format!("`{}`: {why}", quote(path))).with_source(source)
}
