//! The images themselves.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use serde_json::json;
use ultrai_deploy_core::{
    backup::{BackupSource, Content, PartStream},
    context::Context,
    error::{Error, ErrorKind, Result},
    release_store::ReleaseStore,
};

use super::{place, stream as pieces};
use crate::{
    backend::Backend,
    config::Config,
    engine::{Engine, ignore_missing},
};

const ALGORITHM: &str = "sha256:";

/// The images of a project's containers that serve, as `docker save` writes them, without their tags;
/// the source is called `images`, and each image is a part: the hex digits of its id.
///
/// They come back with every rollback, which for one that the engine has does nothing.
#[derive(Clone, Debug)]
pub struct Images {
    backend: Backend,
}

impl Images {
    /// The images on `engine` of a project whose releases are in `releases`.
    pub fn new(engine: Engine, releases: Arc<dyn ReleaseStore>) -> Self {
        Self { backend: Backend { engine, releases, config: Config::default() } }
    }

    async fn has(&self, image: &str) -> Result<bool> {
        Ok(ignore_missing(self.backend.engine.image(image).await.map(Some))?.is_some())
    }
}

#[async_trait]
impl BackupSource for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn content(&self) -> Content {
        Content::Release
    }

    /// Nothing that could be known to be none.
    fn holds_secrets(&self) -> bool {
        true
    }

    async fn parts(&self, cx: &Context) -> Result<Vec<String>> {
        let ids = place::images(cx, &self.backend).await?;
        Ok(ids.iter().map(|id| id.strip_prefix(ALGORITHM).unwrap_or(id).to_owned()).collect())
    }

    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream> {
        let image = id(part)?;
        let files = pieces::reader(self.backend.engine.export(&image).await?);
        let pieces = stream::try_unfold((cx.clone(), files), |(cx, mut files)| async {
            let piece = pieces::piece(&cx, &mut files).await?;
            Ok(piece.map(|piece| (piece, (cx, files))))
        });
        Ok(pieces::reader(pieces))
    }

    async fn restore(&self, cx: &Context, part: &str, content: PartStream) -> Result<()> {
        let image = id(part)?;
        if self.has(&image).await? {
            return Ok(());
        }
        let (files, why) = pieces::body(content);
        let work = async {
            let done = self.backend.engine.load(&image, files).await;
            done.map_err(|error| why.instead_of(error))
        };
        cx.effect("load an image", &image, json!({}), work).await?;
        if self.has(&image).await? {
            return Ok(());
        }
        let message = format!("what was loaded is not {image}");
        Err(Error::new(ErrorKind::Corrupt, "load an image", message))
    }
}

fn id(part: &str) -> Result<String> {
    if part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(format!("{ALGORITHM}{part}"));
    }
    let message = format!("there is no part {}", part.escape_default());
    Err(Error::new(ErrorKind::NotFound, "find an image", message).without_effect())
}
