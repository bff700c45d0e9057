//! Secrets from everywhere on a real engine with a registry that wants a login. Apart from what the
//! program says and keeps, all that the engine tells is searched, but for containers' environments.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

#[path = "../canary/project.rs"]
mod project;
#[path = "../canary/search.rs"]
mod search;
#[path = "../shop/mod.rs"]
mod shop;
#[path = "../canary/values.rs"]
mod values;

use std::{collections::HashSet, fs, path::Path, process::Command, sync::Mutex};

use project::{Ended, Ground, SECRETS, SOURCES, check, echo, write_secrets};
use serde_json::Value;
use shop::Shop;
use ultrai_deploy_testkit::registry::{Access, Registry, USER};
use values::{OF_SERVICES, PEM, SPECIAL};

/// A release's secrets; what backups have of them is encrypted.
fn may(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    matches!(parts[..], [_, _, "releases", _, "secrets.json"])
}

struct Market {
    shop: Shop,
    ground: Ground,
    echo: String,
    registry: Registry,
    /// Images whose history was searched; it does not change.
    images: Mutex<HashSet<String>>,
}

const DOCKERFILE: &str = "FROM ultrai/backend:v1.0.0\nWORKDIR /app\nCOPY page page\n";

impl Market {
    async fn new() -> Self {
        let lines = OF_SERVICES.iter().map(|name| format!("      {name}: \"${{{name}}}\"\n"));
        let environment = lines.collect::<Vec<_>>().concat();
        let compose = format!(
            r#"
services:
  web:
    image: acme/canary:${{VERSION}}
    build: {{context: ./web, args: {{PAGE: "${{VERSION}}"}}}}
    command: ["sh", "-c", "env; env >&2; test -z \"$$DIE\" || exit 9; exec /app/demo-app"]
    volumes: ["data:/data"]
    healthcheck: {{test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 300ms, timeout: 2s, retries: 3}}
    environment:
      DIE: "${{DIE:-}}"
      DEMO_NEVER_HEALTHY: "${{SICK:-}}"
      PRE: "${{PRE:-0}}"
      POST: "${{POST:-0}}"
      MIGRATION: "${{MIGRATION:-0}}"
      DO: "${{DO:-true}}"
      INSIDE: "x-${{SPECIAL}}-y"
{environment}
volumes: {{data: {{}}}}
"#
        );
        let shop = Shop::new(&compose);
        let root = shop.path("");
        write_secrets(&root);
        fs::create_dir(shop.path("web")).unwrap();
        shop.write("web/Dockerfile", DOCKERFILE);
        shop.write("web/page", "a page");
        let registry = Registry::start(Access::Login).await;
        let market = Self {
            ground: Ground::new(&root, may),
            shop,
            echo: echo(),
            registry,
            images: Mutex::default(),
        };
        market.configure("good", "", "");
        market
    }

    fn configure(&self, path: &str, policy: &str, more: &str) {
        let (host, project) = (self.registry.host(), &self.shop.project);
        let check = check(&self.echo, path);
        let text = format!(
            r#"project = "{project}"
registry = "{host}/shop"
undeclared = "allow"
{SECRETS}
[registries."{host}"]
username = "{USER}"
password = "REGISTRY_PASSWORD"
[policy]
health_deadline = "5s"
{policy}
{check}
[[test]]
name = "before"
service = "web"
when = "pre"
command = ["sh", "-c", "env; exit $PRE"]
[[test]]
name = "after"
service = "web"
when = "post"
command = ["sh", "-c", "env; env >&2; exit $POST"]
{more}
{SOURCES}
"#
        );
        self.shop.write("deploy.toml", &text);
    }

    /// Runs it in production, and searches what the engine has afterwards.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Ended {
        let ended = self.ground.run(self.shop.command(&[words, &["-e", "production"]].concat()));
        self.search_engine();
        ended
    }

    #[track_caller]
    fn expect(&self, code: i32, words: &[&str]) -> Ended {
        self.run(words).expect(code)
    }

    /// Everything but the environments of containers, where the values are.
    #[track_caller]
    fn search_engine(&self) -> usize {
        let mut with_values = 0;
        for (list, inspect) in [
            (&["ps", "-aq", "--no-trunc"][..], &["inspect"][..]),
            (&["image", "ls", "-aq", "--no-trunc"], &["image", "inspect"]),
            (&["network", "ls", "-q", "--no-trunc"], &["network", "inspect"]),
            (&["volume", "ls", "-q"], &["volume", "inspect"]),
        ] {
            let ids = self.shop.docker(list);
            let ids: Vec<_> = ids.split_whitespace().collect();
            if ids.is_empty() {
                continue;
            }
            // Another test's may be gone meanwhile; then it tells of the others.
            let text = docker(&[inspect, &ids].concat());
            let mut told: Vec<Value> = serde_json::from_str(&text).unwrap();
            if list[0] == "ps" {
                for container in &mut told {
                    let environment = container["Config"]["Env"].take().to_string();
                    with_values += usize::from(!search::found(environment.as_bytes()).is_empty());
                }
            }
            let text = serde_json::to_string(&told).unwrap();
            search::assert_clean(&format!("{inspect:?}"), text.as_bytes());
            if list[0] != "image" {
                continue;
            }
            for id in ids {
                if self.images.lock().unwrap().insert(id.to_owned()) {
                    let words = ["history", "--no-trunc", "--format", "{{json .}}", id];
                    search::assert_clean("an image's history", docker(&words).as_bytes());
                }
            }
        }
        with_values
    }
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").arg("-H").arg(shop::engine()).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_told_and_nobody_else() {
    let market = Market::new().await;
    market.expect(0, &["plan", "--tag", "1.0.0"]);
    market.expect(0, &["deploy", "--tag", "1.0.0"]);
    assert!(market.search_engine() > 0, "the container has the values");
    let name = format!("{}-web-1", market.shop.project);
    let told = market.shop.docker(&["inspect", &name, "-f", "{{json .Config.Env}}"]);
    let told: Vec<String> = serde_json::from_str(&told).unwrap();
    for canary in [SPECIAL, PEM] {
        assert!(told.contains(&format!("{}={}", canary.name, canary.value)), "{told:?}");
    }
    assert!(told.contains(&format!("INSIDE=x-{}-y", SPECIAL.value)), "{told:?}");
    assert!(market.ground.search().iter().any(|path| path.ends_with("secrets.json")));

    // Built, a failing build, and one that would write a secret into the image.
    market.shop.write("web/page", "another page");
    market.expect(0, &["plan", "--tag", "1.1.0", "--save", "saved.json"]);
    market.expect(0, &["deploy", "--plan", "saved.json"]);
    market.shop.write("web/Dockerfile", "FROM ultrai/backend:v1.0.0\nCOPY nothing nowhere\n");
    market.expect(1, &["--format", "json", "deploy", "--tag", "1.1.1"]);
    market.shop.write("web/Dockerfile", DOCKERFILE);
    let compose = fs::read_to_string(market.shop.path("docker-compose.yml")).unwrap();
    let with = compose.replace("PAGE: \"${VERSION}\"", "PAGE: \"${PASSWORD}\"");
    assert_ne!(with, compose);
    market.shop.write("docker-compose.yml", &with);
    let refused = market.run(&["deploy", "--tag", "1.1.2"]);
    assert!([Some(1), Some(2)].contains(&refused.code), "{}", refused.out);
    market.shop.write("docker-compose.yml", &compose);

    let migration = "[[migration]]\nname = \"001\"\nservice = \"web\"\nreversible = true\n\
                     command = [\"sh\", \"-c\", \"env; env >&2; exit 9\"]";
    for (number, (path, set, more, code)) in [
        ("good", "PRE=7", "", 1),
        ("good", "DIE=", migration, 3),
        ("good", "SICK=1", "", 3),
        ("good", "DIE=1", "", 3),
        ("bad", "DIE=", "", 3),
        ("good", "POST=7", "", 3),
    ]
    .into_iter()
    .enumerate()
    {
        market.configure(path, "", more);
        let version = format!("1.2.{number}");
        let format = ["text", "json"][number % 2];
        market.expect(code, &["--format", format, "deploy", "--tag", &version, "--set", set]);
    }

    market.configure("good", "on_failure = { post_deploy_tests = \"hold\" }", "");
    market.expect(6, &["deploy", "--tag", "1.3.0", "--set", "POST=7"]);
    market.expect(6, &["--format", "json", "status"]);
    market.expect(130, &["cancel"]);
    market.configure("good", "", "");

    // Killed in a test, which has the values, too.
    let words = ["deploy", "--tag", "1.4.0", "-e", "production"];
    let mut deploy = market.ground.start(market.shop.command(&words));
    let deadline = std::time::Instant::now() + shop::PATIENCE;
    while !market.ground.said_last().contains(" after | ") {
        assert!(std::time::Instant::now() < deadline, "it does not get to its tests");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    deploy.kill();
    market.ground.end(deploy);
    market.search_engine();
    let resumed = market.run(&["--format", "json", "resume"]);
    assert!([Some(0), Some(3)].contains(&resumed.code), "{}", resumed.out);
    market.expect(0, &["rollback"]);

    // The registry does not let it in; what was sent stays unsaid.
    let wrong = market.shop.path("deploy.toml");
    let text = fs::read_to_string(&wrong).unwrap();
    let other = text.replace("password = \"REGISTRY_PASSWORD\"", "password = \"TASK\"");
    fs::write(&wrong, other).unwrap();
    market.shop.write("web/page", "a third page");
    market.expect(1, &["--format", "json", "deploy", "--tag", "1.5.0"]);
    fs::write(&wrong, text).unwrap();

    let [staging, promote] = [
        &["deploy", "--tag", "1.6.0", "-e", "staging"][..],
        &["promote", "--from", "staging", "--to", "production"],
    ];
    // One engine has one environment of a project: both are refused.
    for words in [staging, promote] {
        let ended = market.ground.run(market.shop.command(words));
        assert!([Some(1), Some(2)].contains(&ended.code), "{}", ended.out);
        market.search_engine();
    }
    for format in ["text", "json"] {
        for words in [
            &["status"][..],
            &["history"],
            &["backup", "list"],
            &["verify"],
            &["config", "show"],
            &["config", "check"],
            &["plan", "--tag", "1.7.0"],
        ] {
            let words = [&["--format", format], words, &["-e", "production"]].concat();
            market.ground.run(market.shop.command(&words)).expect(0);
        }
    }
    market.ground.assert_tidy();
    market.ground.tell("compose");
}
