//! What a project's containers and images were, as the engine tells it, for people to read.
//!
//! This is evidence rather than something to run again: a release is brought back from its stored
//! form. It matters for containers that were started by somebody else.

use std::{io::Cursor, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use bollard::models::ContainerInspectResponse;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ultrai_deploy_core::{
    backup::{BackupSource, Content, PartStream},
    context::Context,
    error::{Error, ErrorKind, Result},
    redact::Redactor,
    release_store::ReleaseStore,
};

use crate::{backend::Backend, config::Config, engine::Engine, labels, names};

const CONTAINERS: &str = "containers.json";
const IMAGES: &str = "images.json";
/// Where restored parts are put, below the root of the environment's state.
const RESTORED: &str = "restored";

/// The containers of a compose project.
///
/// `containers.json` is the engine's description of every container, running or not, `images.json`
/// their images. Of the environment only the names are kept, and the values of the release's
/// secrets are cut out everywhere else; what a container started by somebody else has in its
/// command is kept as it is.
#[derive(Clone, Debug)]
pub struct ProjectSource {
    backend: Backend,
}

impl ProjectSource {
    /// The containers on `engine`, whose releases are in `releases`.
    pub fn new(engine: Engine, releases: Arc<dyn ReleaseStore>) -> Self {
        Self { backend: Backend { engine, releases, config: Config::default() } }
    }

    async fn containers(&self, cx: &Context) -> Result<Vec<ContainerInspectResponse>> {
        let engine = &self.backend.engine;
        let project = labels::filter(labels::PROJECT, cx.target().project.as_str());
        let mut found = Vec::new();
        for listed in engine.containers(&[project]).await? {
            let Some(id) = listed.id else { continue };
            // One that was removed in this moment is not part of the project any more.
            found.extend(engine.find_container(&id).await?);
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn describe(&self, mut container: ContainerInspectResponse) -> Result<Value> {
        let config = container.config.get_or_insert_default();
        for variable in config.env.iter_mut().flatten() {
            if let Some((name, _)) = variable.split_once('=') {
                *variable = name.to_owned();
            }
        }
        let release = labels::release(config.labels.get_or_insert_default());
        let redactor = self.backend.redactor(release.as_ref()).await?;
        let mut value = serde_json::to_value(&container).map_err(|source| {
            failed(ErrorKind::Unexpected, "a container has no JSON form").with_source(source)
        })?;
        redact(&mut value, &redactor);
        Ok(value)
    }
}

#[async_trait]
impl BackupSource for ProjectSource {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn content(&self) -> Content {
        Content::Evidence
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, cx: &Context) -> Result<Vec<String>> {
        let parts = if self.containers(cx).await?.is_empty() {
            Vec::new()
        } else {
            [CONTAINERS, IMAGES].map(ToOwned::to_owned).into()
        };
        Ok(parts)
    }

    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream> {
        let containers = self.containers(cx).await?;
        let text = match part {
            CONTAINERS => {
                let mut all = Vec::with_capacity(containers.len());
                for container in containers {
                    all.push(self.describe(container).await?);
                }
                format!("{:#}\n", Value::from(all))
            }
            IMAGES => {
                let images = containers.iter().map(|container| {
                    let config = container.config.as_ref();
                    json!({
                        "container": container.name.as_deref().map(names::plain),
                        "reference": config.and_then(|config| config.image.as_ref()),
                        "id": container.image,
                    })
                });
                format!("{:#}\n", json!(images.collect::<Vec<_>>()))
            }
            _ => {
                let message = format!("there is no part {}", part.escape_default());
                return Err(failed(ErrorKind::NotFound, message));
            }
        };
        Ok(Box::pin(Cursor::new(text.into_bytes())))
    }

    /// Puts the part beside the releases for a person to read, and says where.
    async fn restore(&self, cx: &Context, part: &str, mut content: PartStream) -> Result<()> {
        if ![CONTAINERS, IMAGES].contains(&part) {
            let message = format!("there is no part {}", part.escape_default());
            return Err(failed(ErrorKind::NotFound, message));
        }
        let root = self.backend.releases.root().ok_or_else(|| {
            failed(ErrorKind::Unsupported, "the state of this environment is not in files")
        })?;
        let directory: PathBuf = root.join(RESTORED);
        let path = directory.join(format!("{}-{part}", self.name()));
        let mut bytes = Vec::new();
        let write = async {
            content.read_to_end(&mut bytes).await?;
            tokio::fs::create_dir_all(&directory).await?;
            let mut options = tokio::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            options.mode(0o600);
            let mut file = options.open(&path).await?;
            file.write_all(&bytes).await?;
            file.sync_all().await
        };
        cx.guard().await?;
        write.await.map_err(|source| {
            failed(ErrorKind::Io, format!("{} cannot be written", path.display()))
                .with_source(source)
        })?;
        cx.note(&format!("{}: nothing is started from it, it is there to be read", path.display()))
            .await
    }
}

/// In every text on its own: in JSON, quotes within a secret would not be found any more.
fn redact(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => *text = redactor.text(text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, redactor)),
        Value::Object(map) => map.values_mut().for_each(|item| redact(item, redactor)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn failed(kind: ErrorKind, message: impl Into<String>) -> Error {
    let error = Error::new(kind, "back up the containers", message);
    if kind == ErrorKind::Io { error } else { error.without_effect() }
}
