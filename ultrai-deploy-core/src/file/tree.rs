//! Copies of files and directories that services mount, addressed by content.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown, symlink},
    },
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::durable::{failure, private_file, sync_directory};
use crate::{
    digest::hex,
    error::{Error, ErrorKind, Result},
};

/// Most bytes that one file or directory may have.
pub(crate) const MAX_BYTES: u64 = 64 << 20;
/// Most files, directories and links that one directory may have.
pub(crate) const MAX_ENTRIES: usize = 10_000;
const OPERATION: &str = "store files";

/// A file or directory as it was found.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    name: &'a str,
    source: PathBuf,
    owners: Owners,
    entries: Vec<Entry>,
}

/// What becomes of the owners of files that not everybody can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// The copies have them too; only root can do that.
    Keep,
    /// The copies belong to whoever makes them.
    Ignore,
}

#[derive(Debug)]
struct Entry {
    /// Below the source; empty for the source itself.
    path: PathBuf,
    kind: Kind,
    metadata: Metadata,
}

#[derive(Debug)]
enum Kind {
    File,
    Directory,
    Link(PathBuf),
}

impl<'a> Tree<'a> {
    /// Looks at what `source` has. `name` is what the release calls it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is missing, too large, leads outside or is neither file,
    /// directory nor link.
    pub(crate) fn read(name: &'a str, source: &Path, owners: Owners) -> Result<Self> {
        let source = source.canonicalize().map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                invalid(name, source, "does not exist").with_source(error)
            } else {
                failure(OPERATION, source, error)
            }
        })?;
        let mut tree = Self { name, source, owners, entries: Vec::new() };
        let mut bytes = 0;
        let mut waiting = vec![PathBuf::new()];
        while let Some(path) = waiting.pop() {
            let entry = tree.look(path)?;
            if matches!(entry.kind, Kind::Directory) {
                waiting.extend(tree.children(&entry.path)?);
            } else {
                bytes += entry.metadata.len();
            }
            tree.entries.push(entry);
            if bytes > MAX_BYTES {
                return Err(too_large(name, &tree.source));
            }
            if tree.entries.len() + waiting.len() > MAX_ENTRIES {
                let why = format!("has more than {MAX_ENTRIES} files");
                return Err(invalid(name, &tree.source, &why).with_advice(VOLUME));
            }
        }
        tree.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// The digest of paths, permissions and content.
    pub(crate) fn digest(&self) -> Result<String> {
        self.walk(|entry, from| match entry.kind {
            Kind::File => pump(from, &mut io::sink(), MAX_BYTES),
            _ => Ok(Content::default()),
        })
    }

    /// Copies it to `to`, which does not exist yet; durable on return but for the name `to`.
    /// Returns the digest of what was copied, whatever happened to the source meanwhile.
    pub(crate) fn copy(&self, to: &Path) -> Result<String> {
        let mut left = MAX_BYTES;
        let digest = self.walk(|entry, from| {
            let to = under(to, &entry.path);
            let mut content = Content::default();
            match &entry.kind {
                Kind::Directory => fs::create_dir(&to)?,
                Kind::Link(target) => symlink(target, &to)?,
                Kind::File => {
                    let mut file = private_file().open(&to)?;
                    content = pump(from, &mut file, left)?;
                    left -= content.bytes;
                    self.settle(entry, &to)?;
                    file.sync_all()?;
                }
            }
            Ok(content)
        })?;
        // Deepest first: a directory gets its permissions when nothing is written to it any more.
        for entry in self.entries.iter().rev() {
            if matches!(entry.kind, Kind::Directory) {
                let to = under(to, &entry.path);
                self.settle(entry, &to)
                    .and_then(|()| sync_directory(&to))
                    .map_err(|error| failure(OPERATION, &to, error))?;
            }
        }
        Ok(digest)
    }

    fn walk(&self, mut visit: impl FnMut(&Entry, &Path) -> io::Result<Content>) -> Result<String> {
        let mut hash = Sha256::new();
        for entry in &self.entries {
            let from = under(&self.source, &entry.path);
            let content = visit(entry, &from).map_err(|error| {
                if error.kind() == io::ErrorKind::FileTooLarge {
                    too_large(self.name, &self.source)
                } else {
                    failure(OPERATION, &from, error)
                }
            })?;
            entry.hash(&mut hash, self.owner(entry), &content);
        }
        Ok(hex(&hash.finalize()))
    }

    /// Who owns it matters only for what others cannot read.
    fn owner(&self, entry: &Entry) -> Option<(u32, u32)> {
        let matters = self.owners == Owners::Keep && entry.mode() & 0o004 == 0;
        matters.then(|| (entry.metadata.uid(), entry.metadata.gid()))
    }

    fn settle(&self, entry: &Entry, to: &Path) -> io::Result<()> {
        if let Some((user, group)) = self.owner(entry) {
            chown(to, Some(user), Some(group))?;
        }
        fs::set_permissions(to, Permissions::from_mode(entry.mode()))
    }

    fn look(&self, path: PathBuf) -> Result<Entry> {
        let full = under(&self.source, &path);
        let failed = |error| failure(OPERATION, &full, error);
        let metadata = fs::symlink_metadata(&full).map_err(failed)?;
        let kind = if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File
        } else if metadata.is_symlink() {
            let target = fs::read_link(&full).map_err(failed)?;
            if leads_outside(&path, &target) {
                let why = format!("is a link to {}, outside of what is mounted", target.display());
                return Err(invalid(self.name, &full, &why)
                    .with_advice("replace the link by what it leads to"));
            }
            Kind::Link(target)
        } else {
            let why = "is neither a file nor a directory";
            return Err(invalid(self.name, &full, why));
        };
        Ok(Entry { path, kind, metadata })
    }

    fn children(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let full = under(&self.source, path);
        fs::read_dir(&full)
            .and_then(|entries| {
                entries.map(|entry| Ok(path.join(entry?.file_name()))).collect::<io::Result<_>>()
            })
            .map_err(|error| failure(OPERATION, &full, error))
    }
}

impl Entry {
    /// Nobody but the owner may write to a copy, so that checkouts under another umask are equal;
    /// the owner can always list and remove directories.
    fn mode(&self) -> u32 {
        let mode = self.metadata.mode() & 0o755;
        if matches!(self.kind, Kind::Directory) { mode | 0o700 } else { mode }
    }

    fn hash(&self, hash: &mut Sha256, owner: Option<(u32, u32)>, content: &Content) {
        let path = self.path.as_os_str().as_bytes();
        let head = match &self.kind {
            Kind::File => format!("file {:o} {:?} {}", self.mode(), owner, content.sha256),
            Kind::Directory => format!("directory {:o} {:?}", self.mode(), owner),
            Kind::Link(target) => format!("link {}", hex(target.as_os_str().as_bytes())),
        };
        hash.update(format!("{head} {} ", path.len()));
        hash.update(path);
    }
}

#[derive(Debug, Default)]
struct Content {
    bytes: u64,
    sha256: String,
}

/// Copies and hashes; fails with `FileTooLarge` for a file that has grown over the limit.
fn pump(from: &Path, to: &mut impl Write, limit: u64) -> io::Result<Content> {
    let mut file = File::open(from)?.take(limit + 1);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
    if bytes > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Content { bytes, sha256: hex(&hash.finalize()) })
}

/// `base` itself for the empty path, where `join` would add a slash.
fn under(base: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { base.to_owned() } else { base.join(path) }
}

/// Only leading `..` are allowed, and no more than the link is deep: what follows another link
/// never climbs, so nothing that is reached through links can be outside.
fn leads_outside(link: &Path, target: &Path) -> bool {
    let depth = link.components().count().saturating_sub(1);
    let climbs = target.components().take_while(|part| *part == Component::ParentDir).count();
    let goes_down = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    climbs > depth || !target.components().skip(climbs).all(goes_down)
}

const VOLUME: &str = "mount it as a volume if it is data and not part of the release";

fn too_large(name: &str, path: &Path) -> Error {
    invalid(name, path, &format!("is larger than {} MiB", MAX_BYTES >> 20)).with_advice(VOLUME)
}

fn invalid(name: &str, path: &Path, why: &str) -> Error {
    let message = format!("{name}: {} {why}", path.display());
    Error::new(ErrorKind::Invalid, OPERATION, message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_lead_anywhere_inside_and_nowhere_else() {
        let outside = |link: &str, target: &str| leads_outside(Path::new(link), Path::new(target));
        assert!(!outside("a", "b"));
        assert!(!outside("a", "./b/c"));
        assert!(!outside("d/a", "../b"));
        assert!(outside("a", "../b"));
        assert!(outside("d/a", "../../b"));
        assert!(outside("a", "/etc/passwd"));
        assert!(outside("d/a", "s/../../b"), "s may be a link to a directory that is less deep");
    }
}
