//! What a command in a service writes.

use std::sync::Arc;

use ultrai_deploy_core::release_store::ReleaseStore;

use super::Dump;
use crate::{backend::Backend, config::Config, engine::Engine};

/// What a command in a running service writes; one part, `dump`.
#[derive(Clone, Debug)]
pub struct Command {
    backend: Backend,
    dump: Dump,
}

impl Command {
    /// Commands in a service on `engine` of a project whose releases are in `releases`.
    pub fn new(engine: Engine, releases: Arc<dyn ReleaseStore>, dump: Dump) -> Self {
        Self { backend: Backend { engine, releases, config: Config::default() }, dump }
    }
}
