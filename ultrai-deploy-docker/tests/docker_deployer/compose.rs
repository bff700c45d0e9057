//! What `docker compose` makes of what we deployed, and we of what it started.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::Duration,
};

use tokio::process::Command;
use ultrai_deploy_core::{deployer::Step, release::Release, version::Version};
use ultrai_deploy_docker::{
    compose::{self, Options},
    labels, spec,
};

use crate::bench::{Bench, SERVE};

/// Longest time of one call.
const LIMIT: Duration = Duration::from_mins(1);

/// The binary of Docker Compose that `scripts/compose-oracle` names.
#[expect(clippy::disallowed_methods, reason = "a test has no program around it that reads it")]
fn program() -> String {
    std::env::var("ULTRAI_COMPOSE_ORACLE").unwrap_or_else(|_unset| {
        panic!("ULTRAI_COMPOSE_ORACLE is not set: set it to what `scripts/compose-oracle` prints")
    })
}

struct Project<'a> {
    bench: &'a Bench,
}

impl<'a> Project<'a> {
    fn new(bench: &'a Bench) -> Self {
        fs::write(bench.path().join("app.conf"), "one").unwrap();
        Self { bench }.with(1)
    }

    /// Writes the compose file with another `web`.
    fn with(self, generation: u32) -> Self {
        let text = format!(
            r#"
services:
  db:
    image: ultrai-test/busybox:1
    command: [sh, -c, "{SERVE}"]
    volumes: [data:/data]
    restart: unless-stopped
    healthcheck:
      test: test -f /ok
      interval: 1s
  web:
    image: ultrai-test/busybox:1
    command: [sh, -c, "{SERVE}"]
    environment:
      GENERATION: "{generation}"
    depends_on:
      db: {{condition: service_healthy}}
    volumes: ["./app.conf:/app.conf:ro"]
    mem_limit: 64m
volumes:
  data:
"#
        );
        fs::write(self.bench.path().join("compose.yaml"), text).unwrap();
        self
    }

    async fn release(&self) -> Release {
        let options = Options {
            path: self.bench.path().join("compose.yaml"),
            project_name: Some(self.bench.target.project.to_string()),
            env: BTreeMap::new(),
            ..Options::default()
        };
        let loaded = compose::load(&options).unwrap();
        let version = Version::parse("1.0.0").unwrap();
        self.bench.seal(spec(&loaded.project, version).unwrap()).await
    }

    async fn deploy(&self) {
        let mut run = self.bench.begin(self.release().await).await;
        for step in [Step::Stage, Step::Switch, Step::Retire] {
            run.step(step).await.unwrap();
        }
    }

    async fn compose(&self, arguments: &[&str]) -> String {
        let call = Command::new(program())
            .env_clear()
            .env("HOME", self.bench.path())
            .env("DOCKER_HOST", self.bench.engine().address())
            .current_dir(self.bench.path())
            .args(["-p", self.bench.target.project.as_str()])
            .args(arguments)
            .output();
        let output = tokio::time::timeout(LIMIT, call).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        text
    }

    /// The network by its id, and the volume by when it was made; with the hashes of compose.
    async fn shared(&self) -> [(String, String); 2] {
        let (docker, project) = (&self.bench.docker, &self.bench.target.project);
        let network = docker.inspect_network(&format!("{project}_default"), None).await.unwrap();
        let volume = docker.inspect_volume(&format!("{project}_data")).await.unwrap();
        let hash = |labels: &HashMap<String, String>| labels[labels::CONFIG_HASH].clone();
        [
            (network.id.unwrap(), hash(&network.labels.unwrap())),
            (volume.created_at.unwrap(), hash(&volume.labels)),
        ]
    }

    async fn ids(&self) -> BTreeMap<String, String> {
        let found = self.bench.containers().await;
        found.into_iter().map(|(name, one)| (name, one.id.unwrap())).collect()
    }
}

#[tokio::test]
async fn compose_finds_what_we_deployed_and_changes_nothing() {
    let bench = Bench::new().await;
    let project = Project::new(&bench);
    project.deploy().await;
    let shared = project.shared().await;
    let listed = project.compose(&["ps", "-a", "--format", "{{.Name}} {{.State}}"]).await;
    for service in ["db", "web"] {
        assert!(listed.contains(&format!("{} running", bench.live(service))), "{listed}");
    }
    let before = project.ids().await;
    project.compose(&["up", "-d", "--no-build", "--pull", "never"]).await;
    assert_eq!(project.ids().await, before, "compose recreated something");
    assert_eq!(project.shared().await, shared, "compose made a network or volume anew");
    // What was upgraded without a stop is as good.
    let project = project.with(2);
    project.deploy().await;
    let before = project.ids().await;
    project.compose(&["up", "-d", "--no-build", "--pull", "never"]).await;
    assert_eq!(project.ids().await, before, "compose recreated something");
    bench.close().await;
}

#[tokio::test]
async fn what_compose_started_is_taken_over_and_comes_back() {
    let bench = Bench::new().await;
    let project = Project::new(&bench);
    project.compose(&["up", "-d", "--no-build", "--pull", "never"]).await;
    bench.output("db", "echo precious > /data/dump").await;
    let before = project.ids().await;
    let mut run = bench.begin(project.with(2).release().await).await;
    let old = run.before.clone().unwrap();
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    assert_eq!(bench.output("db", "cat /data/dump").await, "precious");
    bench.assert_healthy(&run.release).await;
    run.step(Step::Rollback).await.unwrap();
    let project = Project { bench: &bench };
    assert_eq!(project.ids().await, before);
    bench.assert_healthy(&old).await;
    assert_eq!(bench.output("db", "cat /data/dump").await, "precious");
    bench.close().await;
}
