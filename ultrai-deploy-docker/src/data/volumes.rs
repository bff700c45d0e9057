//! Named volumes, file by file.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use ultrai_deploy_archive::{Limits, Screen, screen};
use ultrai_deploy_core::{
    backup::{BackupSource, Content, PartStream},
    context::Context,
    error::{Error, ErrorKind, Result},
    release_store::ReleaseStore,
};

use super::{
    helper::{self, Helper, Wanted},
    place::{self, Mounted},
    stream as pieces,
};
use crate::{backend::Backend, config::Config, engine::Engine};

/// A named volume to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Volume {
    /// Its key in the compose file. The name of its part, so that it can come back in another project,
    /// where the volume is called otherwise.
    pub volume: String,
    /// What the services that write to it do while it is read.
    #[serde(rename = "while")]
    pub state: While,
    /// The image of the helper container; that of a service which uses the volume by default. For
    /// services whose image has neither `sh` nor `rm`: a volume that is not empty is emptied by these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helper_image: Option<String>,
}

/// What the services that write to a volume do while it is read. There is no default: files of a
/// service that writes may not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum While {
    /// They are stopped, and start again when it has been read. Nobody is served for so long.
    Stopped,
    /// They go on: right for files that are only added, or replaced as a whole.
    Running,
}

impl Volume {
    /// A volume by its key in the compose file.
    pub fn new(volume: impl Into<String>, state: While) -> Self {
        Self { volume: volume.into(), state, helper_image: None }
    }

    /// Sets the image of the helper container. It must be on the engine.
    pub fn with_helper_image(mut self, image: impl Into<String>) -> Self {
        self.helper_image = Some(image.into());
        self
    }
}

/// Named volumes of a compose project.
///
/// Each is a part: a tar archive of its files with their modes, owners and times. It is put back only
/// when every entry is a regular file, a directory, or a link that stays inside.
#[derive(Clone, Debug)]
pub struct Volumes {
    name: String,
    backend: Backend,
    all: Vec<Volume>,
}

impl Volumes {
    /// Volumes on `engine` of a project whose releases are in `releases`; `name` is the source's,
    /// unique among those of an environment.
    pub fn new(
        engine: Engine,
        releases: Arc<dyn ReleaseStore>,
        name: impl Into<String>,
        volumes: Vec<Volume>,
    ) -> Self {
        let backend = Backend { engine, releases, config: Config::default() };
        Self { name: name.into(), backend, all: volumes }
    }

    fn find(&self, part: &str) -> Result<&Volume> {
        self.all.iter().find(|one| one.volume == part).ok_or_else(|| {
            let message = format!("there is no part {} of {}", part.escape_default(), self.name);
            Error::new(ErrorKind::NotFound, "find a volume", message).without_effect()
        })
    }

    fn key(&self, part: &str) -> String {
        format!("{}/{part}", self.name)
    }

    async fn name_of(&self, cx: &Context, part: &str) -> Result<String> {
        place::volume(cx, &self.backend, part).await?.ok_or_else(|| {
            let message = format!("there is no volume {part} on the engine");
            Error::new(ErrorKind::NotFound, "find a volume", message)
                .with_advice("deploy a release that has it first")
                .without_effect()
        })
    }

    /// Puts right what an earlier attempt at this part left. The containers that a restore stopped and
    /// that must not run before it is done are returned.
    async fn take_over(&self, cx: &Context, part: &str) -> Result<Vec<String>> {
        let key = self.key(part);
        let mut resume = Vec::new();
        for (helper, is_reading) in
            helper::left(cx, &self.backend, |found| found == key.as_str()).await?
        {
            if is_reading {
                helper.finish(cx, &self.backend).await?;
            } else {
                resume.extend(helper::take_over(cx, &self.backend, helper).await?);
            }
        }
        Ok(resume)
    }

    /// The image of a helper: any that the engine has is good for an archive.
    async fn image(&self, cx: &Context, of: &Volume, users: &[Mounted]) -> Result<String> {
        if let Some(image) = &of.helper_image {
            return Ok(image.clone());
        }
        if let Some(user) = users.iter().find(|one| one.is_own) {
            return Ok(user.image.clone());
        }
        place::images(cx, &self.backend).await?.into_iter().next().ok_or_else(|| {
            let message =
                format!("no service uses {}, so no image for a helper is known", of.volume);
            Error::new(ErrorKind::NotFound, "find an image", message)
                .with_advice("name one that is on the engine as `helper_image`")
                .without_effect()
        })
    }

    /// Opens a volume for reading, with all that must not write to it stopped.
    async fn open(&self, cx: &Context, part: &str) -> Result<Reading> {
        let of = self.find(part)?;
        self.take_over(cx, part).await?;
        let volume = self.name_of(cx, part).await?;
        let users = place::mounted(cx, &self.backend, &volume).await?;
        let stop: Vec<_> = match of.state {
            While::Stopped => running(&users, |one| one.writes, &volume)?,
            While::Running => Vec::new(),
        };
        let image = self.image(cx, of, &users).await?;
        let (key, backend) = (self.key(part), self.backend.clone());
        let wanted = Wanted { part: &key, purpose: helper::READ, volume: &volume, image: &image };
        let helper = Helper::create(cx, &backend, &wanted, &stop, Vec::new()).await?;
        let files = backend.engine.download(helper.id(), helper::PATH).await?;
        let files = screen(pieces::reader(files), Limits::default()).within(helper::DIRECTORY);
        Ok(Reading { cx: cx.clone(), backend, helper: Some(helper), files })
    }

    async fn fill(&self, cx: &Context, part: &str, content: PartStream) -> Result<()> {
        let of = self.find(part)?;
        let before = self.take_over(cx, part).await?;
        let volume = self.name_of(cx, part).await?;
        let users = place::mounted(cx, &self.backend, &volume).await?;
        let stop = running(&users, |_one| true, &volume)?;
        let image = self.image(cx, of, &users).await?;
        let (key, backend) = (self.key(part), &self.backend);
        let wanted =
            Wanted { part: &key, purpose: helper::RESTORE, volume: &volume, image: &image };
        let helper = Helper::create(cx, backend, &wanted, &stop, before).await?;
        if !is_empty(cx, backend, &helper).await? {
            helper.empty(cx, backend, &volume).await?;
        }
        let (files, why) =
            pieces::body(screen(content, Limits::default()).within(helper::DIRECTORY));
        let work = async {
            let done = backend.engine.upload(helper.id(), "/", files).await;
            done.map_err(|error| why.instead_of(error))
        };
        let detail = json!({ "part": part });
        let filled = cx.effect("fill a volume", &volume, detail, work).await;
        filled.map_err(|error| half(error, &volume))?;
        helper.finish(cx, backend).await
    }
}

#[async_trait]
impl BackupSource for Volumes {
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

    /// The volumes that the engine has.
    async fn parts(&self, cx: &Context) -> Result<Vec<String>> {
        let mut parts = Vec::new();
        for one in &self.all {
            if place::volume(cx, &self.backend, &one.volume).await?.is_some() {
                parts.push(one.volume.clone());
            }
        }
        Ok(parts)
    }

    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream> {
        match self.open(cx, part).await {
            Ok(reading) => Ok(pieces::reader(stream::try_unfold(reading, Reading::next))),
            Err(error) => {
                self.settle(cx).await?;
                Err(error)
            }
        }
    }

    /// Stops all that use the volume, empties it, fills it, and starts them again. When it fails they
    /// stay stopped: half of their data could do more harm than none. Doing it again puts it right.
    async fn restore(&self, cx: &Context, part: &str, content: PartStream) -> Result<()> {
        self.fill(cx, part, content).await
    }

    async fn settle(&self, cx: &Context) -> Result<()> {
        let is_own = |found: &str| self.all.iter().any(|one| self.key(&one.volume) == found);
        for (helper, is_reading) in helper::left(cx, &self.backend, is_own).await? {
            if is_reading {
                helper.finish(cx, &self.backend).await?;
            }
        }
        Ok(())
    }
}

/// A volume that is being read.
struct Reading {
    cx: Context,
    backend: Backend,
    helper: Option<Helper>,
    files: Screen<PartStream>,
}

impl Reading {
    /// The next piece. At the end, also at an early one, what was stopped runs again.
    async fn next(mut self) -> Result<Option<(bytes::Bytes, Self)>> {
        let piece = pieces::piece(&self.cx, &mut self.files).await;
        if let Ok(Some(piece)) = piece {
            return Ok(Some((piece, self)));
        }
        if let Some(helper) = self.helper.take() {
            helper.finish(&self.cx, &self.backend).await?;
        }
        piece.map(|_end| None)
    }
}

/// Whether there is nothing in a helper's volume.
async fn is_empty(cx: &Context, backend: &Backend, helper: &Helper) -> Result<bool> {
    let files = backend.engine.download(helper.id(), helper::PATH).await?;
    let mut files = pieces::reader(files);
    let mut begin = Vec::new();
    while begin.len() < ENOUGH
        && let Some(piece) = pieces::piece(cx, &mut files).await?
    {
        begin.extend_from_slice(&piece);
    }
    let mut archive = tar::Archive::new(begin.as_slice());
    // The first is the root; one that cannot be read is something, too.
    Ok(archive.entries().is_ok_and(|mut entries| entries.nth(1).is_none()))
}

/// Enough of an archive to tell whether there is anything in it.
const ENOUGH: usize = 32 << 10;

/// Those of the project's containers that run and are `wanted`.
///
/// # Errors
/// [`ErrorKind::Conflict`] when one of another project is: it is not ours to stop.
fn running(
    users: &[Mounted],
    wanted: impl Fn(&Mounted) -> bool,
    volume: &str,
) -> Result<Vec<Mounted>> {
    let found: Vec<_> = users.iter().filter(|one| one.is_running && wanted(one)).cloned().collect();
    if let Some(other) = found.iter().find(|one| !one.is_own) {
        let message = format!("{} of another project uses {volume}", other.name);
        return Err(Error::new(ErrorKind::Conflict, "stop what uses a volume", message)
            .with_advice("stop it first")
            .without_effect());
    }
    Ok(found)
}

fn half(error: Error, volume: &str) -> Error {
    match error.advice() {
        Some(_) => error,
        None => error.with_advice(format!(
            "{volume} may have half of its files, and what uses it stays stopped: restore it again"
        )),
    }
}
