//! Directories with a file for each secret.

use std::{fs, io, path::PathBuf};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};

use crate::file::{Absent, Access, LIMIT, SecretFile, in_time, without_line_end};

/// Secrets in a directory with one file for each, named like it: `/run/secrets` of Docker, a mounted
/// secret of Kubernetes.
///
/// One line end at the end of a file is no part of the value, further ones are. Symbolic links are
/// followed: Kubernetes makes them, to change all files at once. Names have no `/` and begin with no
/// dot, so they lead to nothing but files of the directory. Files are readable by all there, by the
/// design of both, so nothing is asked of their modes. Each is read when it is asked for.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    absent: Absent,
    limit: usize,
}

impl Directory {
    /// The directory at `path`, which must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), absent: Absent::default(), limit: LIMIT }
    }

    /// Sets what it is when there is no such directory.
    pub fn when_absent(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    /// Sets the longest file that is read, in bytes; 1 MiB.
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Fails when there is no directory to look into, and there should be.
    fn check(&self) -> Result<()> {
        let (kind, message, source) = match fs::metadata(&self.path) {
            Ok(meta) if meta.is_dir() => return Ok(()),
            Ok(_) => (ErrorKind::Invalid, "it is no directory", None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.absent {
                Absent::Empty => return Ok(()),
                Absent::Error => (ErrorKind::NotFound, "it does not exist", None),
            },
            Err(error) => (ErrorKind::Io, "it cannot be looked at", Some(error)),
        };
        let message = format!("{}: {message}", self.path.display());
        let error = Error::new(kind, "look into a directory of secrets", message).without_effect();
        Err(match source {
            Some(source) => error.with_source(source),
            None => error,
        })
    }
}

#[async_trait]
impl SecretSource for Directory {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        let mut file = SecretFile::new(self.path.join(name.as_str()), Access::Any);
        file.limit = self.limit;
        if let Some(text) = file.text().await? {
            return Ok(Some(Secret::new(without_line_end(&text))));
        }
        let directory = self.clone();
        in_time(&self.path, move || directory.check()).await.map(|()| None)
    }
}
