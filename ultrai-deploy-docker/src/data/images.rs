//! The images themselves.

use std::sync::Arc;

use ultrai_deploy_core::release_store::ReleaseStore;

use crate::{backend::Backend, config::Config, engine::Engine};

/// The images of a project's containers that serve, as `docker save` writes them; the source is called
/// `images`, and each image is a part.
#[derive(Clone, Debug)]
pub struct Images {
    backend: Backend,
}

impl Images {
    /// The images on `engine` of a project whose releases are in `releases`.
    pub fn new(engine: Engine, releases: Arc<dyn ReleaseStore>) -> Self {
        Self { backend: Backend { engine, releases, config: Config::default() } }
    }
}
