//! Files that hold secrets, read in time.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ultrai_deploy_config::private::{self, Contents, Unreadable};
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
        let Contents { bytes, exposed } = match private::read(&self.path, self.limit) {
            Ok(contents) => contents,
            Err(Unreadable::Missing) => return Ok(None),
            Err(error) => return Err(self.unreadable(error)),
        };
        match exposed.filter(|_| self.access == Access::Private) {
            None => Ok(Some(bytes)),
            Some(exposed) => Err(self
                .error(ErrorKind::Denied, &exposed.what())
                .with_advice(exposed.remedy(&self.path))),
        }
    }

    fn unreadable(&self, error: Unreadable) -> Error {
        let kind = match &error {
            Unreadable::Denied(_) => ErrorKind::Denied,
            Unreadable::NoFile(_) | Unreadable::TooLong(_) => ErrorKind::Invalid,
            Unreadable::Grows => ErrorKind::Conflict,
            _ => ErrorKind::Io,
        };
        let is_passing = matches!(error, Unreadable::Grows);
        let message = error.to_string();
        let outer = self.error(kind, &message);
        let outer = if is_passing { outer.retryable() } else { outer };
        match error {
            Unreadable::Denied(source) | Unreadable::Io(source) => outer.with_source(source),
            _ => outer,
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: &str) -> Error {
        at(&self.path, kind, message)
    }

    pub(crate) fn missing(&self) -> Error {
        self.error(ErrorKind::NotFound, "it does not exist")
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

    #[tokio::test]
    async fn only_the_owner_may_use_a_private_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        fs::write(&path, "hunter2\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let private = SecretFile::new(&path, Access::Private);
        let error = private.read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(error.advice(), Some(format!("run chmod 600 {}", path.display()).as_str()));
        let any = SecretFile { access: Access::Any, ..private.clone() };
        assert!(any.read().await.unwrap().is_some());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(private.read().await.unwrap().is_some());
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
