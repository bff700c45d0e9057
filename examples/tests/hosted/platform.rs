//! Both platforms, as far as the tests tell them apart.

use std::time::Duration;

use ultrai_deploy_testkit::hosted::{Deploy, Inside, SERVICES, World, railway, render};

pub const TOKEN: &str = "hunter2-hunter2-token";
pub const PROJECT: &str = "6d7a3f0e-1c52-4b8e-9a40-0f9d2b7c1e35";

/// A platform that the tests drive.
pub trait Platform: World + Sized {
    /// Its word in deploy.toml.
    const BACKEND: &str;
    /// What the token stands in.
    const VARIABLE: &str;
    /// Its word for a deploy that does not get healthy.
    const FAILED: &str;

    fn new() -> Self;

    /// The lines of its table, but for how it is reached.
    fn table() -> String;

    /// Where its API begins.
    fn base() -> &'static str;

    fn inside(&mut self, service: &str) -> Inside;

    fn set_variable(&mut self, service: &str, name: &str, value: &str);

    /// Where the platform routes to a service.
    fn route(&mut self, service: &str, url: &str);

    /// How long a deploy takes from now on.
    fn set_takes(&mut self, takes: Duration);

    /// The newest deploy of a service.
    fn newest(&mut self, service: &str) -> Option<Deploy>;
}

impl Platform for railway::World {
    const BACKEND: &str = "railway";
    const VARIABLE: &str = "RAILWAY_TOKEN";
    const FAILED: &str = "FAILED";

    fn new() -> Self {
        Self { project: PROJECT.to_owned(), ..Self::new(TOKEN, &SERVICES) }
    }

    fn table() -> String {
        format!("project = \"{PROJECT}\"")
    }

    fn base() -> &'static str {
        ""
    }

    fn inside(&mut self, service: &str) -> Inside {
        Self::inside(self, service)
    }

    fn set_variable(&mut self, service: &str, name: &str, value: &str) {
        Self::set_variable(self, service, name, value);
    }

    fn route(&mut self, service: &str, url: &str) {
        self.service(service).url = Some(url.to_owned());
    }

    fn set_takes(&mut self, takes: Duration) {
        self.manners.takes = takes;
    }

    fn newest(&mut self, service: &str) -> Option<Deploy> {
        self.service(service).history.deploys.first().cloned()
    }
}

impl Platform for render::World {
    const BACKEND: &str = "render";
    const VARIABLE: &str = "RENDER_API_KEY";
    const FAILED: &str = "update_failed";

    fn new() -> Self {
        Self::new(TOKEN, &SERVICES)
    }

    fn table() -> String {
        String::new()
    }

    fn base() -> &'static str {
        "/v1"
    }

    fn inside(&mut self, service: &str) -> Inside {
        Self::inside(self, service)
    }

    fn set_variable(&mut self, service: &str, name: &str, value: &str) {
        Self::set_variable(self, service, name, value);
    }

    fn route(&mut self, service: &str, url: &str) {
        self.service(service).details.insert("url".to_owned(), url.into());
    }

    fn set_takes(&mut self, takes: Duration) {
        self.manners.takes = takes;
    }

    fn newest(&mut self, service: &str) -> Option<Deploy> {
        self.service(service).history.deploys.first().cloned()
    }
}
