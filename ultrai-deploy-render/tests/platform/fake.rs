//! A Render with a memory, and this crate's platform over it.

use std::{sync::Arc, sync::MutexGuard, time::Duration};

use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_render::{Client, Config, Platform};
use ultrai_deploy_testkit::hosted::{
    Fake, Fault, Hostile, Inside, SERVICES, Server,
    render::{Manners, World},
};

pub const TOKEN: &str = "rnd_hunter2hunter2";

const PAUSE: Duration = Duration::from_millis(1);
const LAG: Duration = Duration::from_millis(20);

/// The connections of the first process are those of the next one: to make them anew takes longer
/// than all that is done with them.
#[derive(Debug)]
pub struct Render {
    server: Server<World>,
    client: Client,
    /// How often it is looked at.
    pub pause: Duration,
    /// For how long what was done may not be seen.
    pub lag: Duration,
}

impl Render {
    pub async fn new() -> Self {
        Self::of(World::new(TOKEN, &SERVICES)).await
    }

    pub async fn with(manners: Manners) -> Self {
        Self::of(World { manners, ..World::new(TOKEN, &SERVICES) }).await
    }

    pub async fn of(world: World) -> Self {
        let server = Server::start(world).await.unwrap();
        let base = HttpUrl::parse(&server.url("/v1")).unwrap();
        let client = Client::new(base, &Secret::new(TOKEN), limits()).unwrap();
        Self { server, client, pause: PAUSE, lag: LAG }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.server.world()
    }
}

/// Pauses are short, so that no test waits for them.
fn limits() -> Limits {
    Limits { pause: PAUSE, longest_pause: PAUSE, ..Limits::default() }
}

impl Fake for Render {
    fn platform(&self) -> Arc<dyn hosted::Platform> {
        let config = Config { pause: self.pause, lag: self.lag, ..Config::default() };
        Arc::new(Platform::new(self.client.clone(), config))
    }

    fn set_variable(&self, service: &str, name: &str, value: &str) {
        self.world().set_variable(service, name, value);
    }

    fn inside(&self, service: &str) -> Inside {
        self.world().inside(service)
    }

    fn fail_every(&self, calls: Option<usize>) {
        self.world().traffic.fail_every(calls);
    }
}

impl Hostile for Render {
    fn fail_next(&self, call: &str, fault: Fault) {
        self.world().traffic.fail_next(call, fault);
    }

    fn write(&self, line: &str) {
        self.world().log.push(line.to_owned());
    }
}
