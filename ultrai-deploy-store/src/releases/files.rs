//! Files and directories of a release as one object each.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink},
    path::{Component, Path, PathBuf},
};

use tar::EntryType;
use tempfile::TempDir;
use ultrai_deploy_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::FILES;
use crate::envelope;

pub(super) const DIRECTORY: &str = "files";
/// What a packed file or directory is called inside.
const CONTENT: &str = "content";
const LEVEL: i32 = 3;
/// The local store takes 64 MiB and 10 000 entries; the rest is heads and padding.
const LARGEST: u64 = (64 << 20) + 10_000 * 2048;

pub(super) fn name(digest: &str) -> String {
    format!("{DIRECTORY}/{digest}")
}

/// Packs what lies at `path`.
pub(super) async fn pack(path: PathBuf) -> Result<Zeroizing<Vec<u8>>> {
    blocking(move || {
        pack_now(&path).map(Zeroizing::new).map_err(|source| {
            Error::new(ErrorKind::Io, FILES, format!("{} cannot be read", path.display()))
                .with_source(source)
        })
    })
    .await
}

fn pack_now(path: &Path) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    tar.follow_symlinks(false);
    tar.sparse(false);
    if path.symlink_metadata()?.is_dir() {
        tar.append_dir_all(CONTENT, path)?;
    } else {
        tar.append_path_with_name(path, CONTENT)?;
    }
    tar.into_inner()?.finish()
}

/// What was unpacked; removed when dropped.
#[derive(Debug)]
pub(super) struct Unpacked(TempDir);

impl Unpacked {
    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join(CONTENT)
    }
}

/// Unpacks what [`pack`] made. Whoever can write to the bucket may have made something else: nothing
/// is written but below a new directory, and through no link.
pub(super) async fn unpack(packed: Zeroizing<Vec<u8>>, what: &str) -> Result<Unpacked> {
    let what = what.to_owned();
    blocking(move || {
        let directory = TempDir::new().map_err(|source| {
            Error::new(ErrorKind::Io, FILES, "no temporary directory can be made")
                .with_source(source)
                .without_effect()
        })?;
        match unpack_now(&packed, directory.path()) {
            Ok(()) => Ok(Unpacked(directory)),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                Err(Error::new(ErrorKind::Io, FILES, format!("no space is left to unpack {what}"))
                    .with_source(error)
                    .without_effect())
            }
            Err(error) => Err(envelope::damaged(FILES, &what, error)),
        }
    })
    .await
}

fn unpack_now(packed: &[u8], directory: &Path) -> io::Result<()> {
    let is_root = fs::metadata(directory)?.uid() == 0;
    let mut tar = tar::Archive::new(zstd::Decoder::new(packed)?.take(LARGEST));
    let (mut directories, mut last) = (BTreeSet::from([PathBuf::new()]), Vec::new());
    for entry in tar.entries()? {
        let mut entry = entry?;
        let inside = entry.path()?.into_owned();
        let is_plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        let is_own = inside.components().next() == Some(Component::Normal(CONTENT.as_ref()));
        if !is_plain || !is_own || !inside.parent().is_some_and(|it| directories.contains(it)) {
            return Err(refused(&inside));
        }
        let path = directory.join(&inside);
        match entry.header().entry_type() {
            EntryType::Directory => {
                DirBuilder::new().mode(0o700).create(&path)?;
                directories.insert(inside);
            }
            EntryType::Regular => {
                let mut options = OpenOptions::new();
                let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
                io::copy(&mut entry, &mut file)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| refused(&inside))?;
                symlink(target, &path)?;
                continue;
            }
            _ => return Err(refused(&inside)),
        }
        let header = entry.header();
        if is_root {
            let id =
                |id: io::Result<u64>| id.and_then(|id| u32::try_from(id).map_err(io::Error::other));
            chown(&path, Some(id(header.uid())?), Some(id(header.gid())?))?;
        }
        last.push((path, header.mode()? & 0o755));
    }
    for (path, mode) in last.into_iter().rev() {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn refused(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} must not be in it", path.display()))
}

/// The local store does not have what has to be uploaded.
pub(super) fn unknown(digest: &str) -> Error {
    let message = format!("the local store has no file for {digest}");
    Error::new(ErrorKind::Unsupported, FILES, message)
        .with_advice("use a local store on disk beside the bucket")
        .without_effect()
}

/// What was unpacked has another digest.
pub(super) fn different(what: &str, path: &Path) -> Error {
    let message = format!("{what} does not give {}", path.display());
    Error::new(ErrorKind::Corrupt, FILES, message)
        .with_advice(
            "files that not everybody can read keep their owners where root deploys: go on as root if \
             root began, else put the object back from an older version",
        )
        .without_effect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|source| {
        Err(Error::new(ErrorKind::Unexpected, FILES, "the work was cut off").with_source(source))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).unwrap());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            let is_file = *kind == EntryType::Regular;
            header.set_size(if is_file { content.len() as u64 } else { 0 });
            if !is_file && !content.is_empty() {
                header.set_link_name(content).unwrap();
            }
            header.set_uid(0);
            header.set_gid(0);
            header.set_cksum();
            tar.append(&header, if is_file { content.as_bytes() } else { &[] }).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn nothing_is_written_outside() {
        let base = tempfile::tempdir().unwrap();
        let outside = base.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let link = outside.to_str().unwrap();
        let hostile: &[&[(&str, EntryType, &str)]] = &[
            &[("../outside/x", EntryType::Regular, "x")],
            &[("content/../../outside/x", EntryType::Regular, "x")],
            &[("/content", EntryType::Regular, "x")],
            &[("other", EntryType::Regular, "x")],
            &[
                ("content", EntryType::Directory, ""),
                ("content/link", EntryType::Symlink, link),
                ("content/link/x", EntryType::Regular, "x"),
            ],
            &[("content", EntryType::Symlink, link), ("content", EntryType::Regular, "x")],
            &[("content", EntryType::Regular, "x"), ("content", EntryType::Regular, "y")],
            &[("content", EntryType::Char, "")],
            &[("content", EntryType::Link, "/etc/passwd")],
        ];
        for (number, entries) in hostile.iter().enumerate() {
            let into = base.path().join(number.to_string());
            fs::create_dir(&into).unwrap();
            assert!(unpack_now(&made(entries), &into).is_err(), "{entries:?}");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{entries:?}");
        }
        assert!(!base.path().join("x").exists());
    }
}
