//! Files of configuration and secrets: opened once, looked at through the descriptor, read up to a
//! bound.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// A file that was read.
#[derive(Debug)]
pub struct Contents {
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Why no secret must stand in it, if none must: who else may read or change it.
    pub exposed: Option<Exposed>,
}

/// Who else may read or change a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exposed {
    /// Its mode lets its group or everybody read or write it.
    Mode(u32),
    /// It belongs to this user, who is neither root nor the own one. Root may use the files of
    /// everybody: who deploys another's checkout as root trusts all that is in it.
    Owner(u32),
}

impl Exposed {
    /// What is wrong, for people.
    pub fn what(self) -> String {
        match self {
            Self::Mode(mode) => {
                format!("it holds secrets, and others may read or write it (mode {mode:04o})")
            }
            Self::Owner(user) => {
                format!("it holds secrets and belongs to user {user}, who can change it")
            }
        }
    }

    /// The command that mends it.
    pub fn remedy(self, path: &Path) -> String {
        match self {
            Self::Mode(_) => format!("run chmod 600 {}", quoted(path)),
            Self::Owner(_) => {
                format!("run chown {} {}", rustix::process::geteuid().as_raw(), quoted(path))
            }
        }
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// There is none.
    #[error("it does not exist")]
    Missing,
    /// The system refuses it.
    #[error("it may not be read")]
    Denied(#[source] io::Error),
    /// It is a directory, a pipe, a socket or a device.
    #[error("it is {0} and no file")]
    NoFile(&'static str),
    /// It is longer than so many bytes.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// It grows while it is read.
    #[error("it grows while it is read")]
    Grows,
    /// The system failed.
    #[error("it cannot be opened or read")]
    Io(#[source] io::Error),
}

/// Reads a regular file of at most `limit` bytes, following links. The mode is that of the very file
/// that was read. What never ends, such as a pipe, is not waited for.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path, limit: usize) -> Result<Contents, Unreadable> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    // Nobody writes into a pipe that waits there: without this flag, opening it would not end.
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing,
        io::ErrorKind::PermissionDenied => Unreadable::Denied(error),
        _ => Unreadable::Io(error),
    })?;
    let meta = file.metadata().map_err(Unreadable::Io)?;
    let kind = meta.file_type();
    if !kind.is_file() {
        return Err(Unreadable::NoFile(match kind {
            kind if kind.is_dir() => "a directory",
            kind if kind.is_fifo() => "a pipe",
            kind if kind.is_socket() => "a socket",
            _ => "a device",
        }));
    }
    let exposed = exposed(&meta, rustix::process::geteuid().as_raw());
    Ok(Contents { bytes: bytes(file, &meta, limit)?, exposed })
}

fn bytes(file: File, meta: &Metadata, limit: usize) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let length = usize::try_from(meta.len()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(Unreadable::TooLong(limit));
    }
    // With room for all that is read: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit.min(length.max(4096)) + 1));
    let most = bytes.capacity() as u64;
    file.take(most).read_to_end(&mut bytes).map_err(Unreadable::Io)?;
    if bytes.len() > limit {
        return Err(Unreadable::TooLong(limit));
    }
    if bytes.len() as u64 == most {
        return Err(Unreadable::Grows);
    }
    Ok(bytes)
}

fn exposed(meta: &Metadata, own: u32) -> Option<Exposed> {
    let (mode, owner) = (meta.mode() & 0o7777, meta.uid());
    if mode & 0o077 != 0 {
        return Some(Exposed::Mode(mode));
    }
    (own != 0 && owner != own && owner != 0).then_some(Exposed::Owner(owner))
}

/// The line, from 1, in which the first bytes stand that are not UTF-8.
pub fn line_of_fault(bytes: &[u8], fault: std::str::Utf8Error) -> usize {
    bytes[..fault.valid_up_to()].split(|byte| *byte == b'\n').count()
}

/// A path as a shell takes it as an argument.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%:".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text;
    }
    format!("-- '{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn with_mode(mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b");
        fs::write(&path, "A=1").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_file_for_others_is_told_with_the_command_that_mends_it() {
        for mode in [0o644, 0o640, 0o620, 0o604, 0o611] {
            let (_directory, path) = with_mode(mode);
            let exposed = read(&path, 10).unwrap().exposed.unwrap();
            assert_eq!(exposed, Exposed::Mode(mode));
            assert!(exposed.what().contains(&format!("{mode:04o}")), "{}", exposed.what());
            assert_eq!(exposed.remedy(&path), format!("run chmod 600 -- '{}'", path.display()));
        }
        for mode in [0o600, 0o400, 0o700] {
            let (_directory, path) = with_mode(mode);
            assert_eq!(read(&path, 10).unwrap().exposed, None, "{mode:o}");
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_for_root_and_its_owner_only() {
        let (_directory, path) = with_mode(0o600);
        let meta = fs::metadata(&path).unwrap();
        let owner = meta.uid();
        assert_eq!(exposed(&meta, owner), None);
        assert_eq!(exposed(&meta, 0), None);
        let other = (owner != 0).then_some(Exposed::Owner(owner));
        assert_eq!(exposed(&meta, owner + 1), other, "root's own is everybody's to use");
        if owner == 0 {
            std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
            let meta = fs::metadata(&path).unwrap();
            assert_eq!(exposed(&meta, 4712), Some(Exposed::Owner(4711)));
            assert!(Exposed::Owner(4711).what().contains("user 4711"));
        }
    }

    #[test]
    fn what_is_no_file_or_too_long_is_an_error_and_never_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let failed = |path: &Path| read(path, 10).unwrap_err().to_string();
        assert_eq!(failed(directory.path()), "it is a directory and no file");
        assert_eq!(failed(Path::new("/dev/zero")), "it is a device and no file");
        assert_eq!(failed(&directory.path().join("none")), "it does not exist");
        let pipe = directory.path().join("pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        assert_eq!(failed(&pipe), "it is a pipe and no file");
        let large = directory.path().join("large");
        fs::write(&large, [b'x'; 11]).unwrap();
        assert_eq!(failed(&large), "it is longer than 10 bytes");
        fs::write(&large, [b'x'; 10]).unwrap();
        assert_eq!(read(&large, 10).unwrap().bytes.len(), 10);
    }

    #[test]
    fn the_command_that_mends_it_can_be_pasted() {
        assert_eq!(quoted(Path::new("/srv/.env")), "/srv/.env");
        assert_eq!(quoted(Path::new("it's a.env")), r"-- 'it'\''s a.env'");
        assert_eq!(quoted(Path::new("-rf")), "-- '-rf'");
        assert_eq!(quoted(Path::new("$(x)")), "-- '$(x)'");
    }
}
