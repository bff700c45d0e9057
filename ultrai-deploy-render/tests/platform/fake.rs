//! A Render with a memory, and this crate's platform over it.

use std::{sync::Arc, sync::MutexGuard, time::Duration};

use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_render::{Client, Config, Platform};
use ultrai_deploy_testkit::hosted::{
    Fake, Inside, SERVICES, Server,
    render::{Manners, World},
};

pub const TOKEN: &str = "rnd_hunter2hunter2";

#[derive(Debug)]
pub struct Render(Server<World>);

impl Render {
    pub async fn new() -> Self {
        Self::of(World::new(TOKEN, &SERVICES)).await
    }

    pub async fn with(manners: Manners) -> Self {
        Self::of(World { manners, ..World::new(TOKEN, &SERVICES) }).await
    }

    pub async fn of(world: World) -> Self {
        Self(Server::start(world).await.unwrap())
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.0.world()
    }
}

impl Fake for Render {
    fn platform(&self) -> Arc<dyn hosted::Platform> {
        let (pause, lag) = (Duration::from_millis(1), Duration::from_millis(20));
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        let base = HttpUrl::parse(&self.0.url("/v1")).unwrap();
        let client = Client::new(base, &Secret::new(TOKEN), limits).unwrap();
        Arc::new(Platform::new(client, Config { pause, lag, ..Config::default() }))
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
