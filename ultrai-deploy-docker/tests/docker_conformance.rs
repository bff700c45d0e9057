//! The conformance suite of deployers, on a real engine.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test panics and prints")]

#[path = "docker_deployer/bench.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod bench;
mod support;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{Deployer, name::Target, release::Release, release_store::ReleaseStore};
use ultrai_deploy_testkit::conformance::{self, DB, Environment, Platform, SIDE, Variant, WEB};

use self::bench::{Bench, SERVE, healthy};

#[derive(Debug)]
struct Engine;

#[derive(Debug)]
struct Project(Bench);

#[async_trait]
impl Platform for Engine {
    async fn environment(&self, case: &str) -> Box<dyn Environment> {
        // Shown when it fails, with what it failed in.
        let bench = Bench::new().await;
        eprintln!("{}: {case}", bench.target.project);
        Box::new(Project(bench))
    }

    fn parallelism(&self) -> usize {
        3
    }
}

#[async_trait]
impl Environment for Project {
    fn deployer(&self) -> Arc<dyn Deployer> {
        Arc::new(self.0.new_deployer())
    }

    fn releases(&self) -> Arc<dyn ReleaseStore> {
        self.0.releases()
    }

    fn target(&self) -> Target {
        self.0.target.clone()
    }

    async fn release(&self, variant: Variant) -> Release {
        self.0.release(services(variant)).await
    }

    async fn leftovers(&self) -> Vec<String> {
        let mut names = self.0.names().await;
        // The guard belongs to the run, from its first effect to its last.
        names.retain(|name| name.contains("-new-") || name.contains("-kept-"));
        names
    }

    async fn close(self: Box<Self>) {
        self.0.close().await;
    }
}

fn services(variant: Variant) -> Value {
    let serve = |generation: u32| {
        json!({
            "command": ["sh", "-c", SERVE], "healthcheck": healthy(), "restart": "unless_stopped",
            "environment": {"GENERATION": generation.to_string()}
        })
    };
    let (all, web) = match variant {
        Variant::First => (1, serve(1)),
        Variant::All => (2, serve(2)),
        Variant::Unhealthy => {
            let mut web = serve(3);
            web["healthcheck"] = json!({"test": {"shell": "echo I am sick; false"}});
            (1, web)
        }
        Variant::Unstartable => {
            (1, json!({"command": ["sh", "-c", "exit 3"], "healthcheck": healthy()}))
        }
        _ => (1, serve(2)),
    };
    let mut services = json!({ DB: serve(all), WEB: web, SIDE: serve(all) });
    services[DB]["volumes"] = json!([{"kind": "volume", "source": "data", "target": "/data"}]);
    services[WEB]["depends_on"] = json!({DB: {"condition": "service_healthy"}});
    if variant == Variant::Fewer {
        services.as_object_mut().unwrap().remove(SIDE);
    }
    services
}

#[tokio::test]
async fn the_docker_deployer_conforms() {
    let ran = conformance::deployer(&Engine).await;
    eprintln!("deployer conformance, docker: {ran} cases");
    assert!(ran > 100, "only {ran} cases ran");
}
