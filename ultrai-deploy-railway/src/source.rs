//! A directory as the archive that Railway builds from.
//!
//! The same files give the same archive, whenever and wherever it is packed: names are in order, and
//! times, owners and all of the modes but for whether a file is executable are left out. So a release
//! of the same source is the same release.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use ignore::{DirEntry, WalkBuilder};
use tar::{Builder, EntryType, Header};
use ultrai_deploy_core::{Error, ErrorKind, Result};

const OPERATION: &str = "pack the source";
/// What says which files do not belong to the source, beside `.gitignore`; of Railway's own program.
const IGNORE_FILE: &str = ".railwayignore";
/// What never belongs to it, at any depth; of Railway's own program.
const NEVER: [&str; 2] = [".git", "node_modules"];
/// As much as a release store keeps of a file.
const LONGEST: u64 = 64 << 20;
/// More files are a mistake in what is left out.
const MOST: usize = 100_000;

/// What was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// How many files.
    pub files: usize,
    /// Their size in bytes.
    pub size: u64,
    /// The size of the archive in bytes.
    pub packed: u64,
}

/// Packs `directory` into a new tar.gz at `archive`, without what `.gitignore` and `.railwayignore`
/// leave out, in it and above it, and without `.git` and `node_modules`. Hidden files are packed, and
/// so is what links lead to, as long as that is in the directory.
///
/// # Errors
/// [`ErrorKind::Invalid`], naming the file, for a link that leads out of the directory, for what is
/// neither file nor directory, for a file that changes meanwhile, for a source without files, and for
/// one of more than 64 MiB when it is packed; [`ErrorKind::Io`] for what cannot be read or written.
pub fn pack(directory: &Path, archive: &Path) -> Result<Packed> {
    pack_within(LONGEST, directory, archive)
}

fn pack_within(longest: u64, directory: &Path, archive: &Path) -> Result<Packed> {
    let root = directory.canonicalize().map_err(|error| failed(directory, error))?;
    if !root.is_dir() {
        return Err(invalid(format!("{} is no directory", directory.display())));
    }
    let files = list(&root)?;
    if files.is_empty() {
        let what = format!("{} has no files that belong to the source", directory.display());
        return Err(invalid(what).with_advice(format!("look at .gitignore and {IGNORE_FILE}")));
    }
    let out = File::create(archive).map_err(|error| failed(archive, error))?;
    // No time and no name: they would differ.
    let out = Limited { inner: BufWriter::new(out), written: 0, longest };
    let zipped = GzBuilder::new().mtime(0).write(out, Compression::default());
    let mut tar = Builder::new(zipped);
    let mut size = 0;
    for (name, path) in &files {
        size += append(&mut tar, name, path)?;
    }
    let packed = finish(tar).map_err(|error| too_large_or(archive, error))?;
    Ok(Packed { files: files.len(), size, packed })
}

type Tar = Builder<GzEncoder<Limited<BufWriter<File>>>>;

fn finish(tar: Tar) -> io::Result<u64> {
    let mut limited = tar.into_inner()?.finish()?;
    limited.flush()?;
    limited.inner.get_ref().sync_all()?;
    Ok(limited.written)
}

/// The files by their names in the archive.
fn list(root: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let mut files = BTreeMap::new();
    // What one machine's user has set for all repositories must not decide.
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .follow_links(true)
        .require_git(false)
        .git_global(false)
        .git_exclude(false)
        .ignore(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(|entry| !is_never_packed(entry))
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| {
            invalid("the source cannot be listed".to_owned()).with_source(error)
        })?;
        let path = entry.path();
        let Ok(name) = path.strip_prefix(root) else { continue };
        if entry.path_is_symlink() {
            let target = path.canonicalize().map_err(|error| failed(path, error))?;
            if !target.starts_with(root) {
                let what =
                    format!("{} leads to {}, out of the source", name.display(), target.display());
                return Err(invalid(what)
                    .with_advice(format!("copy it there, or name it in {IGNORE_FILE}")));
            }
        }
        let kind = fs::metadata(path).map_err(|error| failed(path, error))?;
        if kind.is_file() {
            files.insert(name.to_owned(), path.to_owned());
        } else if !kind.is_dir() {
            let what = format!("{} is neither a file nor a directory", name.display());
            return Err(invalid(what).with_advice(format!("name it in {IGNORE_FILE}")));
        }
        if files.len() > MOST {
            let what = format!("the source has more than {MOST} files");
            return Err(invalid(what)
                .with_advice(format!("name what the build does not need in {IGNORE_FILE}")));
        }
    }
    Ok(files)
}

fn is_never_packed(entry: &DirEntry) -> bool {
    entry.depth() > 0 && NEVER.iter().any(|never| entry.file_name() == *never)
}

fn append(tar: &mut Tar, name: &Path, path: &Path) -> Result<u64> {
    let file = File::open(path).map_err(|error| failed(path, error))?;
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    let is_executable = metadata.permissions().mode() & 0o111 != 0;
    let size = metadata.len();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(if is_executable { 0o755 } else { 0o644 });
    let mut content = file.take(size);
    tar.append_data(&mut header, name, &mut content).map_err(|error| too_large_or(path, error))?;
    // The archive would be broken from here on.
    if content.limit() > 0 || content.into_inner().metadata().map_or(0, |now| now.len()) != size {
        let what = format!("{} changed while it was packed", path.display());
        return Err(invalid(what).with_advice("try again when nothing writes to the source"));
    }
    Ok(size)
}

/// Writes at most so many bytes.
struct Limited<W> {
    inner: W,
    written: u64,
    longest: u64,
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= self.longest {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn too_large_or(path: &Path, error: io::Error) -> Error {
    if error.kind() != io::ErrorKind::FileTooLarge {
        return failed(path, error);
    }
    invalid("the source is larger than can be kept, 64 MiB, even when it is packed".to_owned())
        .with_advice(format!("name what the build does not need in {IGNORE_FILE}"))
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, OPERATION, format!("{} cannot be used", path.display()))
        .without_effect()
        .with_source(error)
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, what).without_effect()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, process::Command};

    use tempfile::TempDir;

    use super::*;

    fn source(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join("source").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    fn packed(directory: &TempDir) -> Result<(Packed, Vec<u8>)> {
        let archive = directory.path().join("archive");
        let packed = pack(&directory.path().join("source"), &archive)?;
        Ok((packed, fs::read(archive).unwrap()))
    }

    /// As tar lists it, which nobody here wrote.
    fn listed(directory: &TempDir) -> Vec<String> {
        let archive = directory.path().join("archive");
        let output = Command::new("tar").arg("-tzf").arg(archive).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_ignored_is_left_out_and_hidden_files_are_not() {
        let directory = source(&[
            (".gitignore", "*.log\n/secret\n!kept.log\n"),
            (".railwayignore", "docs/\n"),
            (".env.example", "A=1"),
            ("app/main.rs", "fn main() {}"),
            ("app/node_modules/left/pad.js", "pad"),
            ("app/.git/HEAD", "ref"),
            ("a.log", "x"),
            ("kept.log", "x"),
            ("secret/key", "x"),
            ("docs/readme", "x"),
        ]);
        let (packed, _) = packed(&directory).unwrap();
        let names = [".env.example", ".gitignore", ".railwayignore", "app/main.rs", "kept.log"];
        assert_eq!(listed(&directory), names);
        assert_eq!(packed.files, names.len());
    }

    #[test]
    fn a_rule_above_counts() {
        let directory = source(&[("app/main.rs", ""), ("app/.env", "KEY=1")]);
        fs::write(directory.path().join("source/.gitignore"), ".env\n").unwrap();
        pack(&directory.path().join("source/app"), &directory.path().join("archive")).unwrap();
        assert_eq!(listed(&directory), ["main.rs"]);
    }

    #[test]
    fn the_same_files_give_the_same_archive() {
        let one = source(&[("b", "2"), ("a/x", "1")]);
        let other = source(&[("a/x", "1"), ("b", "2")]);
        let path = other.path().join("source/b");
        let old = File::options().write(true).open(path).unwrap();
        old.set_modified(std::time::UNIX_EPOCH).unwrap();
        let first = packed(&one).unwrap();
        assert_eq!(first, packed(&other).unwrap());
        fs::set_permissions(one.path().join("source/b"), fs::Permissions::from_mode(0o700))
            .unwrap();
        assert_ne!(first.1, packed(&one).unwrap().1);
    }

    #[test]
    fn links_are_followed_and_do_not_lead_out() {
        let directory = source(&[("real/file", "content")]);
        let inside = directory.path().join("source");
        symlink("real", inside.join("linked")).unwrap();
        packed(&directory).unwrap();
        assert_eq!(listed(&directory), ["linked/file", "real/file"]);

        symlink("/etc/hostname", inside.join("out")).unwrap();
        let error = packed(&directory).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().starts_with("out leads to /etc/hostname"), "{error}");
        fs::remove_file(inside.join("out")).unwrap();

        symlink("..", inside.join("real/up")).unwrap();
        assert_eq!(packed(&directory).unwrap_err().kind(), ErrorKind::Invalid, "it has no end");
    }

    #[test]
    fn what_cannot_be_packed_is_named() {
        let directory = source(&[("app", "x")]);
        let listener =
            std::os::unix::net::UnixListener::bind(directory.path().join("source/socket")).unwrap();
        let error = packed(&directory).unwrap_err();
        assert!(error.message().starts_with("socket is neither"), "{error}");
        drop(listener);
        let missing = pack(&directory.path().join("missing"), &directory.path().join("archive"));
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::Io);
        let empty = source(&[("node_modules/x", "x")]);
        assert_eq!(packed(&empty).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn a_source_that_is_too_large_is_refused() {
        let directory = source(&[("app", "x")]);
        // What cannot be made smaller: the output of a generator of numbers.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .take(2 << 20)
        .collect();
        fs::write(directory.path().join("source/noise"), noise).unwrap();
        let archive = directory.path().join("archive");
        let error = pack_within(1 << 20, &directory.path().join("source"), &archive).unwrap_err();
        assert!(error.message().contains("larger than can be kept"), "{error}");
    }
}
