//! Promotion on real engines, through a registry that wants a login: production runs the very image
//! that staging has proven, whatever became of its tag, and nothing is built.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use shop::Shop;
use ultrai_deploy_testkit::registry::{Access, PASSWORD, Registry, USER};

/// The project has another name in each environment, as both may be on one engine.
const COMPOSE: &str = r#"
name: ${PROJECT}
services:
  web:
    build: .
    image: acme/${NAME}:${VERSION}
    environment: {LEVEL: "${LEVEL}"}
"#;

/// A shop with a registry.
struct Market {
    shop: Shop,
    registry: Registry,
}

impl Market {
    async fn open(production: &str) -> Self {
        let mut shop = Shop::new(COMPOSE);
        let registry = Registry::start(Access::Login).await;
        let (host, name) = (registry.host(), shop.project.clone());
        shop.write(
            "deploy.toml",
            &format!(
                r#"
registry = "{host}/shop"
[registries."{host}"]
username = "{USER}"
password = "REGISTRY_PASSWORD"
[environments.staging]
variables = {{ PROJECT = "{name}-staging", NAME = "{name}", LEVEL = "debug" }}
[environments.production]
variables = {{ PROJECT = "{name}-production", NAME = "{name}", LEVEL = "info" }}
{production}
"#
            ),
        );
        shop.env.insert("REGISTRY_PASSWORD".into(), PASSWORD.into());
        let market = Self { shop, registry };
        market.describe("1");
        market
    }

    /// Changes what a build would make.
    fn describe(&self, content: &str) {
        let dockerfile = format!(
            "FROM ultrai/base:1\nENV CONTENT={content}-{}\nCMD trap 'exit 0' TERM; sleep 1000 & wait\n",
            self.shop.project
        );
        self.shop.write("Dockerfile", &dockerfile);
    }

    fn json(&self, words: &[&str], code: i32) -> Value {
        let answer = self.shop.ultrai(&[&["--format", "json"], words].concat()).expect(code);
        for text in [&answer.out, &answer.err] {
            assert!(!text.contains(PASSWORD), "{text}");
        }
        answer.json()
    }

    fn stage(&self, version: &str) -> Value {
        self.json(&["deploy", "-e", "staging", "--tag", version], 0)
    }

    fn promote(&self, code: i32) -> Value {
        self.json(&["promote", "--from", "staging", "--to", "production"], code)
    }

    /// The id of the image that the container of an environment runs, as its engine says it.
    fn runs(&self, environment: &str) -> String {
        let name = format!("{}-{environment}-web-1", self.shop.project);
        let told = self.shop.docker(&["inspect", "-f", "{{.Image}} {{.State.Running}}", &name]);
        told.trim().strip_suffix(" true").unwrap().to_owned()
    }

    /// The image of the release that serves, as it is stored.
    fn sealed(&self, environment: &str) -> Value {
        let project = format!("{}-{environment}", self.shop.project);
        let state = self.shop.path("state").join(project).join(environment);
        let text = std::fs::read(state.join("current/release.json")).unwrap();
        let release: Value = serde_json::from_slice(&text).unwrap();
        let services = release.get("release").unwrap_or(&release)["services"].clone();
        services["web"]["image"].clone()
    }

    fn remote(&self, version: &str) -> String {
        format!("{}/shop/acme/{}:{version}", self.registry.host(), self.shop.project)
    }

    fn forget(&self, images: &[&str]) {
        for image in images {
            self.shop.docker(&["image", "rm", "-f", image]);
        }
    }
}

/// What became of a stage.
fn stage<'a>(report: &'a Value, name: &str) -> &'a Value {
    let stages = report["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["stage"] == name).unwrap()
}

#[tokio::test]
async fn production_runs_what_staging_has_proven() {
    let mut market = Market::open("").await;
    market.shop.env.insert("REGISTRY_PASSWORD".into(), "wrong-password".into());
    let refused = market.json(&["deploy", "-e", "staging", "--tag", "v1.0.0"], 1);
    assert_eq!(refused["ending"]["kind"], "refused", "{refused}");
    let cause = refused["ending"]["cause"]["message"].as_str().unwrap();
    assert!(cause.contains("does not accept the credentials"), "{cause}");
    assert!(!refused.to_string().contains("wrong-password"), "{refused}");
    market.shop.env.insert("REGISTRY_PASSWORD".into(), PASSWORD.into());

    market.stage("v1.0.0");
    let first = market.runs("staging");
    let sealed = market.sealed("staging");
    assert_eq!(sealed["id"], *first);
    assert_eq!(sealed["reference"], market.remote("v1.0.0"));

    // Its tags lead elsewhere by now: the engine's, and the registry's.
    let login = market.shop.path("docker");
    let docker = |words: &[&str]| market.shop.docker(words);
    let config = login.to_string_lossy().into_owned();
    docker(&["--config", &config, "login", "-u", USER, "-p", PASSWORD, &market.registry.host()]);
    let local = format!("acme/{}:v1.0.0", market.shop.project);
    for tag in [&local, &market.remote("v1.0.0")] {
        docker(&["tag", "ultrai/base:1", tag]);
    }
    docker(&["--config", &config, "push", &market.remote("v1.0.0")]);
    market.describe("2");

    let promoted = market.promote(0);
    assert_eq!(market.runs("production"), first);
    assert_eq!(market.runs("staging"), first);
    assert_eq!(market.sealed("production"), sealed);
    assert_eq!(promoted["kind"]["promotion"]["from"], "staging", "{promoted}");
    assert_eq!(stage(&promoted, "build")["why"], "promoted from staging");
    assert_eq!(promoted["built"].as_array().unwrap().len(), 0, "{promoted}");
    let name = format!("{}-production-web-1", market.shop.project);
    let env = docker(&["inspect", "-f", "{{.Config.Env}}", &name]);
    assert!(env.contains("LEVEL=info"), "its configuration is its own: {env}");

    // The next one goes the same way; then the engine loses the first one.
    market.stage("v1.1.0");
    let second = market.runs("staging");
    assert_ne!(second, first);
    market.promote(0);
    assert_eq!(market.runs("production"), second);
    market.forget(&[&first]);
    let back = market.json(&["rollback", "-e", "production", "--to", "v1.0.0"], 0);
    assert_eq!(back["ending"]["kind"], "succeeded", "{back}");
    assert_eq!(market.runs("production"), first);

    // Staging has something else than what it has proven under that version.
    let unproven = market.shop.ultrai(&[
        "promote",
        "--from",
        "staging",
        "--to",
        "production",
        "--tag",
        "v9.0.0",
    ]);
    assert!(unproven.expect(2).err.contains("v9.0.0 is not proven in"));
    for environment in ["staging", "production"] {
        let name = format!("{}-{environment}-web-1", market.shop.project);
        market.shop.docker(&["rm", "-f", &name]);
    }
    market.forget(&[&second, &first]);
}

/// An engine of production's own.
struct Other {
    directory: PathBuf,
    host: String,
}

impl Other {
    fn start() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine-production");
        script(&directory, "stop");
        let host = script(&directory, "start");
        Self { directory, host }
    }

    fn docker(&self, words: &[&str]) -> String {
        let output = Command::new("docker").args(["-H", &self.host]).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        script(&self.directory, "stop");
    }
}

fn script(directory: &Path, word: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test-engine");
    let output = Command::new(path)
        .arg(word)
        .env_remove("ULTRAI_TEST_DOCKER_HOST")
        .env("ULTRAI_TEST_DIR", directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn another_engine_pulls_it_by_its_digest() {
    if std::env::var_os("ULTRAI_SKIP_OWN_ENGINE").is_some() {
        println!("LEFT OUT: ULTRAI_SKIP_OWN_ENGINE is set, and this starts an engine");
        return;
    }
    let other = Other::start();
    let images = |other: &Other| -> Vec<String> {
        let told = other.docker(&["images", "-aq", "--no-trunc"]);
        told.split_whitespace().map(str::to_owned).collect()
    };
    // Its data outlives a run of this test.
    let before = images(&other);
    let market = Market::open(&format!("docker_host = \"{}\"", other.host)).await;
    market.stage("v1.0.0");
    let first = market.runs("staging");
    // The registry's tag leads elsewhere by now.
    market.describe("2");
    let mut command = market.shop.command(&["deploy", "-e", "staging", "--tag", "v1.0.1"]);
    assert!(command.output().unwrap().status.success());
    let second = market.runs("staging");
    let login = market.shop.path("docker").to_string_lossy().into_owned();
    let host = market.registry.host();
    market.shop.docker(&["--config", &login, "login", "-u", USER, "-p", PASSWORD, &host]);
    market.shop.docker(&["tag", &second, &market.remote("v1.0.0")]);
    market.shop.docker(&["--config", &login, "push", &market.remote("v1.0.0")]);

    let words = ["promote", "--from", "staging", "--to", "production", "--tag", "v1.0.0"];
    market.json(&words, 0);
    let name = format!("{}-production-web-1", market.shop.project);
    let runs = other.docker(&["inspect", "-f", "{{.Image}} {{.State.Running}}", &name]);
    assert_eq!(runs.trim(), format!("{first} true"));
    let mut new = images(&other);
    new.retain(|image| !before.contains(image));
    assert_eq!(new, [first.as_str()], "nothing was built");

    // What no registry has is refused, and nothing is begun.
    market.shop.write(
        "deploy.toml",
        &std::fs::read_to_string(market.shop.path("deploy.toml")).unwrap().replacen(
            "registry =",
            "#",
            1,
        ),
    );
    market.describe("3");
    market.stage("v1.2.0");
    let refused = market.promote(1);
    let cause = refused["ending"]["cause"]["message"].as_str().unwrap();
    assert!(cause.contains("of web") && cause.contains("write `registry`"), "{cause}");
    let third = market.runs("staging");
    market.shop.docker(&["rm", "-f", &format!("{}-staging-web-1", market.shop.project)]);
    market.forget(&[&first, &second, &third]);
}
