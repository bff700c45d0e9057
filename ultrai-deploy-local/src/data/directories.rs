//! Directories of this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use cap_std::{ambient_authority, fs::Dir};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::AsyncReadExt;
use ultrai_deploy_archive::{Limits, Pack, pack, unpack};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    backup::{BackupSource, Content, PartStream},
    name::ServiceName,
};

use super::pieces::{Pieces, reader, unreadable};
use crate::{
    deployer::Deployer,
    disk::{blocking, failure},
    instance::Instance,
};

const KEEP: &str = "keep a directory";
/// What a directory that is being filled is called, beside the one that it replaces.
const NEW: &str = ".ultrai-new";
/// Memory for one piece.
const PIECE: usize = 64 << 10;
/// What the one that is replaced is called for a moment.
const OLD: &str = ".ultrai-old";

/// A directory to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Directory {
    /// The name of its part, so that it can come back at another place.
    pub name: String,
    /// Where it is; absolute.
    pub path: PathBuf,
    /// The services that write to it. They are stopped while it is put back, whatever `state` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
    /// What these do while it is read.
    #[serde(rename = "while")]
    pub state: While,
}

/// What the services that write to a directory do while it is read. There is no default: files of a
/// service that writes may not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum While {
    /// They are stopped, and start again when it has been read. Nobody is served for so long.
    Stopped,
    /// They go on: right for files that are only added, or replaced as a whole.
    Running,
}

impl Directory {
    /// A directory that no service is known to write to.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>, state: While) -> Self {
        Self { name: name.into(), path: path.into(), services: Vec::new(), state }
    }

    /// Adds a service that writes to it.
    pub fn with_service(mut self, service: ServiceName) -> Self {
        self.services.push(service);
        self
    }
}

/// Directories of this machine; each is a part: a tar archive of its files with their modes and times.
///
/// One is put back beside the present one and then takes its place, so that it is never half of one, and
/// what was stopped for it starts again also when that failed.
#[derive(Clone, Debug)]
pub struct Directories {
    name: String,
    deployer: Deployer,
    all: Vec<Directory>,
}

impl Directories {
    /// Directories of services of a deployer; `name` is the source's, unique among those of an
    /// environment.
    pub fn new(deployer: Deployer, name: impl Into<String>, directories: Vec<Directory>) -> Self {
        Self { name: name.into(), deployer, all: directories }
    }

    fn find(&self, part: &str) -> Result<&Directory> {
        let found = self.all.iter().find(|one| one.name == part).ok_or_else(|| {
            let message = format!("there is no part {} of {}", part.escape_default(), self.name);
            Error::new(ErrorKind::NotFound, KEEP, message).without_effect()
        })?;
        if found.path.is_absolute() && found.path.file_name().is_some() {
            return Ok(found);
        }
        let message = format!("{} is no absolute path of a directory", found.path.display());
        Err(Error::new(ErrorKind::Invalid, KEEP, message).without_effect())
    }

    async fn live(&self, service: &ServiceName) -> Result<Option<Instance>> {
        let (host, service) = (self.deployer.host.clone(), service.clone());
        blocking(move || Ok(host.live()?.remove(&service))).await
    }

    async fn stop(&self, cx: &Context, directory: &Directory) -> Result<()> {
        for service in &directory.services {
            let Some(live) = self.live(service).await?.filter(Instance::is_up) else { continue };
            let work = self.deployer.host.stop(&live.id);
            cx.effect("stop for a backup", service.as_str(), json!({}), work).await?;
        }
        Ok(())
    }

    /// Starts what serves and does not run. Works after the deadline and a cancellation.
    async fn start(&self, cx: &Context, directory: &Directory) -> Result<()> {
        let host = &self.deployer.host;
        for service in &directory.services {
            let Some(live) = self.live(service).await?.filter(|one| !one.is_up()) else { continue };
            let release = host.releases.get(&live.release).await?;
            let definition = host.definition(&release, service).await?;
            let work = async { host.start(live, definition).await.map(|_started| ()) };
            if cx.check().is_ok() {
                cx.effect("start again after a backup", service.as_str(), json!({}), work).await?;
            } else {
                cx.guard().await?;
                work.await?;
            }
        }
        Ok(())
    }

    /// Fills a new directory and puts it in the place of the present one.
    async fn replace(&self, cx: &Context, place: PathBuf, content: PartStream) -> Result<()> {
        let (new, old) = (beside(&place, NEW), beside(&place, OLD));
        let (path, left) = (new.clone(), [new.clone(), old.clone()]);
        let made = blocking(move || {
            for path in &left {
                ignore_missing(fs::remove_dir_all(path))
                    .map_err(|error| failure(KEEP, path, error))?;
            }
            fs::create_dir_all(&path)
                .and_then(|()| Dir::open_ambient_dir(&path, ambient_authority()))
                .map_err(|error| failure(KEEP, &path, error))
        });
        let into = made.await?;
        cx.bounded(unpack(content, &into, Limits::default())).await?;
        blocking(move || {
            ignore_missing(fs::rename(&place, &old))
                .and_then(|()| fs::rename(&new, &place))
                .and_then(|()| ignore_missing(fs::remove_dir_all(&old)))
                .map_err(|error| failure(KEEP, &place, error))
        })
        .await
    }
}

#[async_trait]
impl BackupSource for Directories {
    fn name(&self) -> &str {
        &self.name
    }

    fn content(&self) -> Content {
        Content::Data
    }

    /// Whatever users and services have written there.
    fn holds_secrets(&self) -> bool {
        true
    }

    /// Those that are there.
    async fn parts(&self, _cx: &Context) -> Result<Vec<String>> {
        let all = self.all.clone();
        let there = blocking(move || {
            Ok(all.into_iter().filter(|one| one.path.is_dir()).map(|one| one.name).collect())
        });
        there.await
    }

    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream> {
        let directory = self.find(part)?.clone();
        if directory.state == While::Stopped {
            self.stop(cx, &directory).await?;
        }
        let path = directory.path.clone();
        let opened = blocking(move || {
            Dir::open_ambient_dir(&path, ambient_authority())
                .map_err(|error| failure(KEEP, &path, error))
        });
        match opened.await {
            Ok(opened) => {
                let files = pack(opened, Limits::default());
                Ok(reader(cx, Reading { of: self.clone(), directory, files }))
            }
            Err(error) => {
                self.start(cx, &directory).await?;
                Err(error)
            }
        }
    }

    async fn restore(&self, cx: &Context, part: &str, content: PartStream) -> Result<()> {
        let directory = self.find(part)?;
        self.stop(cx, directory).await?;
        let object = directory.path.display().to_string();
        let work = self.replace(cx, directory.path.clone(), content);
        let replaced =
            cx.effect("restore a directory", &object, json!({ "part": part }), work).await;
        // Either the old or the new one is there as a whole.
        let started = self.start(cx, directory).await;
        replaced.and(started)
    }

    async fn settle(&self, cx: &Context) -> Result<()> {
        for directory in &self.all {
            self.start(cx, directory).await?;
        }
        Ok(())
    }
}

/// A directory that is being read.
struct Reading {
    of: Directories,
    directory: Directory,
    files: Pack,
}

#[async_trait]
impl Pieces for Reading {
    /// At the end, also at an early one, what was stopped runs again.
    async fn next(&mut self, cx: &Context) -> Result<Vec<u8>> {
        let mut piece = vec![0; PIECE];
        let work = async { self.files.read(&mut piece).await.map_err(unreadable) };
        let read = cx.bounded(work).await;
        if !matches!(read, Ok(1..)) && self.directory.state == While::Stopped {
            self.of.start(cx, &self.directory).await?;
        }
        piece.truncate(read?);
        Ok(piece)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
