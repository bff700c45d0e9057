//! Files that hold secrets: opened once, looked at through the descriptor, read up to a bound.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{ErrorKind as IoKind, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::OFlags;
use ultrai_deploy_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Longest time of reading a file; a file system of another machine may not answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest file that is read, in bytes, unless said otherwise.
pub(crate) const LIMIT: usize = 1024 * 1024;

/// What a file that does not exist is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Absent {
    /// An error: it was named, so it is meant to be there.
    #[default]
    Error,
    /// A source that has nothing.
    Empty,
}

/// Who may be able to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever: files that are mounted for one container are readable by all in it.
    Any,
    /// The owner alone, who is the own user or root.
    Private,
}

/// A file that is read whole.
#[derive(Clone, Debug)]
pub(crate) struct SecretFile {
    pub(crate) path: PathBuf,
    pub(crate) access: Access,
    /// In bytes.
    pub(crate) limit: usize,
}

impl SecretFile {
    pub(crate) fn new(path: impl Into<PathBuf>, access: Access) -> Self {
        Self { path: path.into(), access, limit: LIMIT }
    }

    /// Its content; nothing when there is no such file.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] when it may not be read, or others may; [`ErrorKind::Invalid`] when it
    /// is no file, or too long; [`ErrorKind::Timeout`]; [`ErrorKind::Io`].
    pub(crate) async fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let file = self.clone();
        in_time(&self.path, move || file.read_now()).await
    }

    /// As [`SecretFile::read`], as text.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not UTF-8.
    pub(crate) async fn text(&self) -> Result<Option<Zeroizing<String>>> {
        let Some(bytes) = self.read().await? else { return Ok(None) };
        // Not the source: it shows the bytes.
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            self.error(ErrorKind::Invalid, "it is not UTF-8").with_advice("secrets are texts")
        })?;
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    fn read_now(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        // Nobody writes into a pipe that waits there: without this flag, opening it would not end.
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
            Err(error) => {
                let kind = match error.kind() {
                    IoKind::PermissionDenied => ErrorKind::Denied,
                    _ => ErrorKind::Io,
                };
                return Err(self.error(kind, "it cannot be opened").with_source(error));
            }
        };
        let meta = file.metadata().map_err(|error| self.io(error))?;
        self.check(&meta, rustix::process::geteuid().as_raw())?;
        self.read_open(file, &meta).map(Some)
    }

    fn read_open(&self, file: File, meta: &Metadata) -> Result<Zeroizing<Vec<u8>>> {
        let length = usize::try_from(meta.len()).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(self.too_long());
        }
        // With room for all that is read: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.limit.min(length.max(4096)) + 1));
        let most = bytes.capacity() as u64;
        file.take(most).read_to_end(&mut bytes).map_err(|error| self.io(error))?;
        if bytes.len() > self.limit {
            return Err(self.too_long());
        }
        if bytes.len() as u64 == most {
            return Err(self.error(ErrorKind::Conflict, "it grows while it is read").retryable());
        }
        Ok(bytes)
    }

    fn check(&self, meta: &Metadata, own: u32) -> Result<()> {
        let kind = meta.file_type();
        if !kind.is_file() {
            let what = match kind {
                kind if kind.is_dir() => "a directory",
                kind if kind.is_fifo() => "a pipe",
                kind if kind.is_socket() => "a socket",
                _ => "a device",
            };
            return Err(self.error(ErrorKind::Invalid, &format!("it is {what} and no file")));
        }
        if self.access == Access::Any {
            return Ok(());
        }
        if meta.uid() != 0 && meta.uid() != own {
            let message = format!("it belongs to user {}, who can change it", meta.uid());
            return Err(self
                .error(ErrorKind::Denied, &message)
                .with_advice(format!("make it your own: chown {own} {}", self.quoted())));
        }
        let mode = meta.mode() & 0o7777;
        if mode & 0o077 != 0 {
            let message = format!("others than its owner may use it (mode {mode:04o})");
            return Err(self
                .error(ErrorKind::Denied, &message)
                .with_advice(format!("chmod 600 {}", self.quoted())));
        }
        Ok(())
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: &str) -> Error {
        at(&self.path, kind, message)
    }

    pub(crate) fn missing(&self) -> Error {
        self.error(ErrorKind::NotFound, "it does not exist")
    }

    fn io(&self, error: std::io::Error) -> Error {
        self.error(ErrorKind::Io, "it cannot be read").with_source(error)
    }

    fn too_long(&self) -> Error {
        let message = format!("it is longer than {} bytes", self.limit);
        self.error(ErrorKind::Invalid, &message)
    }

    /// As a shell takes it.
    fn quoted(&self) -> String {
        quoted(&self.path)
    }
}

/// Does what waits for the file system elsewhere, and gives up waiting for it.
pub(crate) async fn in_time<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::time::timeout(TIMEOUT, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(stopped)) => {
            Err(at(path, ErrorKind::Unexpected, "reading it stopped").with_source(stopped))
        }
        Err(_) => {
            let message = format!("it was not read within {} s", TIMEOUT.as_secs());
            Err(at(path, ErrorKind::Timeout, &message).retryable())
        }
    }
}

fn at(path: &Path, kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, "read a file of secrets", format!("{}: {message}", path.display()))
        .without_effect()
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%:".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text;
    }
    format!("-- '{}'", text.replace('\'', "'\\''"))
}

/// `text` without the one line end that ends it: editors and `echo` write it, and it is no part of
/// the value. Further ones are.
pub(crate) fn without_line_end(text: &str) -> &str {
    let cut = text.strip_suffix('\n').unwrap_or(text);
    if cut.len() < text.len() { cut.strip_suffix('\r').unwrap_or(cut) } else { cut }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn written(mode: u32) -> (tempfile::TempDir, SecretFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        fs::write(&path, "hunter2\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, SecretFile::new(path, Access::Private))
    }

    #[test]
    fn only_the_owner_may_use_a_private_file() {
        for (mode, is_fine) in [
            (0o600, true),
            (0o400, true),
            (0o700, true),
            (0o640, false),
            (0o604, false),
            (0o620, false),
            (0o611, false),
            (0o644, false),
        ] {
            let (_directory, file) = written(mode);
            let meta = fs::metadata(&file.path).unwrap();
            let checked = file.check(&meta, meta.uid());
            assert_eq!(checked.is_ok(), is_fine, "{mode:o}");
            if let Err(error) = checked {
                assert_eq!(error.kind(), ErrorKind::Denied);
                let advice = format!("chmod 600 {}", file.path.display());
                assert_eq!(error.advice(), Some(advice.as_str()));
            }
            let any = SecretFile { access: Access::Any, ..file };
            any.check(&meta, meta.uid()).unwrap();
        }
    }

    #[test]
    fn a_file_of_somebody_else_is_refused_and_one_of_root_is_not() {
        let (_directory, file) = written(0o600);
        let meta = fs::metadata(&file.path).unwrap();
        let refused = file.check(&meta, meta.uid() + 1);
        assert_eq!(refused.is_ok(), meta.uid() == 0, "root's own is everybody's to use");
        if meta.uid() == 0 {
            std::os::unix::fs::chown(&file.path, Some(4711), None).unwrap();
            let meta = fs::metadata(&file.path).unwrap();
            let error = file.check(&meta, 0).unwrap_err();
            assert!(error.to_string().contains("user 4711"), "{error}");
            assert!(error.advice().unwrap().starts_with("make it your own: chown 0 /"), "{error}");
        }
    }

    #[test]
    fn the_command_that_mends_it_can_be_pasted() {
        assert_eq!(quoted(Path::new("/srv/.env")), "/srv/.env");
        assert_eq!(quoted(Path::new("it's a.env")), r"-- 'it'\''s a.env'");
        assert_eq!(quoted(Path::new("-rf")), "-- '-rf'");
        assert_eq!(quoted(Path::new("$(x)")), "-- '$(x)'");
    }

    #[test]
    fn one_line_end_is_cut() {
        for (text, cut) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a\r", "a\r"),
            ("a", "a"),
            (" a ", " a "),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(without_line_end(text), cut, "{text:?}");
        }
    }
}
