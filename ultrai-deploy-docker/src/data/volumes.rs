//! Named volumes, file by file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::release_store::ReleaseStore;

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
    volumes: Vec<Volume>,
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
        Self { name: name.into(), backend, volumes }
    }
}
