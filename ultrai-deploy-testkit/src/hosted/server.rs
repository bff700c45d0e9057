//! A platform that is not one, with an address.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::World;
use crate::server;

/// A world that is spoken to over HTTP, on a free port of 127.0.0.1.
pub struct Server<W> {
    world: Arc<Mutex<W>>,
    http: server::Server,
}

impl<W: World> Server<W> {
    /// Lets `world` answer.
    ///
    /// # Errors
    /// When no port of 127.0.0.1 can be had.
    pub async fn start(world: W) -> io::Result<Self> {
        let world = Arc::new(Mutex::new(world));
        let answering = Arc::clone(&world);
        let http = server::Server::start(move |request| {
            answering.lock().unwrap_or_else(PoisonError::into_inner).answer(request)
        });
        Ok(Self { world, http: http.await? })
    }

    /// The world, which answers nobody meanwhile.
    pub fn world(&self) -> MutexGuard<'_, W> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL of `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        self.http.url(path)
    }

    /// The requests that were read so far, oldest first.
    pub fn requests(&self) -> Vec<server::Request> {
        self.http.requests()
    }
}

impl<W> fmt::Debug for Server<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("http", &self.http).finish_non_exhaustive()
    }
}
