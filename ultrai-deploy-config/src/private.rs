//! Reading configuration files; those with secrets must be readable by their owner only.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

/// The most bytes of a configuration file that are read: 4 MiB.
pub const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// A file that was read.
#[derive(Debug)]
pub struct Contents {
    /// Its bytes; at most [`MOST_BYTES`].
    pub bytes: Vec<u8>,
    /// Why a secret must not stand in it: who else may read or change it.
    pub exposed: Option<Exposed>,
}

/// Who else may read or change a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exposed {
    /// Its mode lets its group or everybody read or write it.
    Mode(u32),
    /// It belongs to another user, who is not root.
    Owner(u32),
}

impl Exposed {
    /// What is wrong, for people.
    pub fn what(self) -> String {
        match self {
            Self::Mode(mode) => {
                format!("it holds secrets, and others may read or write it (mode {mode:04o})")
            }
            Self::Owner(user) => format!("it holds secrets and belongs to user {user}"),
        }
    }

    /// The command that mends it.
    pub fn remedy(self, path: &Path) -> String {
        match self {
            Self::Mode(_) => format!("run chmod 600 {}", quoted(path)),
            Self::Owner(_) => format!("run chown $(id -u) {}", quoted(path)),
        }
    }
}

/// Reads a regular file, following links. The mode is that of the very file that was read.
///
/// # Errors
/// Those of the system; also for what is no regular file, and for one that is larger than
/// [`MOST_BYTES`]. What never ends, such as a pipe, is not waited for.
pub fn read(path: &Path) -> io::Result<Contents> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
    }
    let own = rustix::process::geteuid().as_raw();
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    let exposed = if mode & 0o077 != 0 {
        Some(Exposed::Mode(mode))
    } else if owner != own && owner != 0 && own != 0 {
        Some(Exposed::Owner(owner))
    } else {
        None
    };
    Ok(Contents { bytes, exposed })
}

/// The line, from 1, in which the first bytes stand that are not UTF-8.
pub fn line_of_fault(error: &std::string::FromUtf8Error) -> usize {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    good.split(|byte| *byte == b'\n').count()
}

/// A path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
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
        for mode in [0o644, 0o640, 0o620, 0o604] {
            let (_directory, path) = with_mode(mode);
            let exposed = read(&path).unwrap().exposed.unwrap();
            assert_eq!(exposed, Exposed::Mode(mode));
            assert!(exposed.what().contains(&format!("{mode:04o}")), "{}", exposed.what());
            assert_eq!(exposed.remedy(&path), format!("run chmod 600 '{}'", path.display()));
        }
        for mode in [0o600, 0o400] {
            let (_directory, path) = with_mode(mode);
            assert_eq!(read(&path).unwrap().exposed, None);
        }
    }

    #[test]
    fn what_is_no_file_is_an_error_and_never_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_err());
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(read(&pipe).unwrap_err().to_string().contains("no regular file"));
        let large = directory.path().join("large");
        fs::File::create(&large).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(read(&large).unwrap_err().to_string().contains("4 MiB"));
    }
}
