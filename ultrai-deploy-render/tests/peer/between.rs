//! A Render with a memory that is reached through Prism only.

use std::{sync::Arc, time::Duration};

use ultrai_deploy_hosted::Platform as Seam;
use ultrai_deploy_render::{Config, Platform};
use ultrai_deploy_testkit::hosted::{Fake, Inside};

use crate::{fake::Render, prism::Prism};

#[derive(Debug)]
pub struct Between {
    render: Render,
    pub prism: Prism,
}

impl Between {
    pub async fn new() -> Self {
        let render = Render::new().await;
        let prism = Prism::proxy(&render.address()).await;
        Self { render, prism }
    }
}

impl Fake for Between {
    fn platform(&self) -> Arc<dyn Seam> {
        let (pause, lag) = (Duration::from_millis(1), Duration::from_millis(5));
        let client = self.prism.client("rnd_hunter2");
        Arc::new(Platform::new(client, Config { pause, lag, ..Config::default() }))
    }

    fn set_variable(&self, service: &str, name: &str, value: &str) {
        self.render.set_variable(service, name, value);
    }

    fn inside(&self, service: &str) -> Inside {
        self.render.inside(service)
    }

    fn fail_every(&self, calls: Option<usize>) {
        self.render.fail_every(calls);
    }
}
