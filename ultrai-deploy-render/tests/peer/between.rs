//! A Render with a memory that is reached through Prism only.

use std::{sync::Arc, time::Duration};

use ultrai_deploy_hosted::Platform as Seam;
use ultrai_deploy_render::{Config, Platform};
use ultrai_deploy_testkit::hosted::{Fake, Inside, SERVICES, Server, render::World};

use crate::prism::Prism;

pub const KEY: &str = "rnd_hunter2hunter2";

#[derive(Debug)]
pub struct Between {
    pub render: Server<World>,
    pub prism: Prism,
}

impl Between {
    pub async fn new() -> Self {
        let render = Server::start(World::new(KEY, &SERVICES)).await.unwrap();
        let prism = Prism::proxy(&render.url("/v1")).await;
        Self { render, prism }
    }
}

impl Fake for Between {
    fn platform(&self) -> Arc<dyn Seam> {
        let (pause, lag) = (Duration::from_millis(1), Duration::from_millis(20));
        let config = Config { pause, lag, ..Config::default() };
        Arc::new(Platform::new(self.prism.client(KEY), config))
    }

    fn set_variable(&self, service: &str, name: &str, value: &str) {
        self.render.world().set_variable(service, name, value);
    }

    fn inside(&self, service: &str) -> Inside {
        self.render.world().inside(service)
    }

    fn fail_every(&self, calls: Option<usize>) {
        self.render.world().traffic.fail_every(calls);
    }
}
