//! The Docker Engine restarted, and killed, in the middle of a deploy and of a rollback. The engine
//! is one of this test's own, or all other tests would suffer.

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
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use shop::Shop;

/// `web` is replaced, `redis` is kept. What an engine that comes back starts again is for the
/// restart policies to say; an old container that is kept must stay as it is.
const COMPOSE: &str = r#"
services:
  web:
    image: ultrai/backend:${WEB:-v1.0.0}
    ports: ["${PORT_A}:8085"]
    restart: always
    environment: {REDIS_URI: "redis://redis:6379/0"}
    depends_on: {redis: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 1s, timeout: 5s, retries: 3}
  redis:
    image: redis:6.2-alpine
    restart: unless-stopped
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 1s, timeout: 5s, retries: 3}
"#;

const IMAGES: [&str; 4] =
    ["ultrai/backend:v1.0.0", "ultrai/backend:v1.1.0", "ultrai/backend:v1.3.0", "redis:6.2-alpine"];

/// An engine that only this test uses; stopped with all that is in it at the end.
struct Engine {
    directory: PathBuf,
    host: String,
}

impl Engine {
    fn start() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine-restart");
        // One that an interrupted test left is not taken over: its state is unknown.
        script(&directory, "stop");
        let host = script(&directory, "start");
        let engine = Self { directory, host };
        for image in IMAGES {
            let id = |host: &str| {
                let words = ["-H", host, "image", "inspect", "-f", "{{.Id}}", image];
                let output = Command::new("docker").args(words).output().unwrap();
                String::from_utf8_lossy(&output.stdout).into_owned()
            };
            if id(&engine.host) != id(&shop::engine()) {
                let from = ["-H", &shop::engine(), "save", image];
                let mut save =
                    Command::new("docker").args(from).stdout(Stdio::piped()).spawn().unwrap();
                let to = ["-H", &engine.host, "load", "-q"];
                let mut load = Command::new("docker");
                load.args(to).stdin(save.stdout.take().unwrap()).stdout(Stdio::null());
                assert!(load.status().unwrap().success() && save.wait().unwrap().success());
            }
        }
        engine
    }

    /// Ends it by a signal, and starts it again; says how long it was away.
    fn again(&self, signal: Signal) -> Duration {
        let socket = self.host.trim_start_matches("unix://");
        let file = Path::new(socket).with_file_name("dockerd.pid");
        let pid = fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        let begun = Instant::now();
        kill_process(pid, signal).unwrap();
        while test_kill_process(pid).is_ok() {
            assert!(begun.elapsed() < shop::PATIENCE, "the engine does not end");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        script(&self.directory, "start");
        begun.elapsed()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        script(&self.directory, "stop");
    }
}

fn script(directory: &Path, word: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test-engine");
    let mut command = Command::new(script);
    command.arg(word).env("ULTRAI_TEST_DIR", directory).env_remove("ULTRAI_TEST_DOCKER_HOST");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/test-engine {word}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The text of all journals that the environment has.
fn journals(shop: &Shop) -> String {
    let entries = fs::read_dir(shop.state().join("runs")).into_iter().flatten();
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap_or_default()).collect()
}

/// Starts a deploy and waits until its journal says `words`.
fn begin(shop: &Shop, version: &str, words: &str) -> Child {
    let before = journals(shop).matches(words).count();
    // What failed in one round is to fail again in the next.
    let arguments =
        ["--format", "json", "deploy", "-e", "production", "--tag", version, "--skip-build"];
    // And it goes from one good version to the other and back.
    let allowed = ["--allow-failed", version, "--allow-downgrade"];
    let mut child =
        shop.command(&[&arguments[..], &allowed].concat()).env("WEB", version).spawn().unwrap();
    let deadline = Instant::now() + shop::PATIENCE;
    while journals(shop).matches(words).count() == before {
        assert!(child.try_wait().unwrap().is_none(), "the run was over before `{words}`");
        assert!(Instant::now() < deadline, "`{words}` was not reached");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    child
}

/// One whole verified release serves, and nothing of another is left.
fn whole(shop: &Shop) -> String {
    let verified = shop.ultrai(&["--format", "json", "verify", "-e", "production"]).expect(0);
    let serving = verified.json()["version"].as_str().unwrap().to_owned();
    let all: BTreeSet<_> = shop.containers(true).into_keys().collect();
    assert_eq!(all, ["redis-1", "web-1"].map(str::to_owned).into(), "leftovers");
    assert_eq!(shop.containers(false).len(), 2, "all run");
    let names = [("container", "-redis-1"), ("container", "-web-1"), ("network", "_default")];
    let names = names.map(|(kind, name)| format!("{kind} {}{name}", shop.project));
    assert_eq!(shop.everything(), names, "leftovers");
    let answer = shop.http("PORT_A", "/api/v1/version").unwrap().1;
    assert!(answer.contains(serving.trim_start_matches('v')), "{answer} is not {serving}");
    serving
}

#[test]
fn the_engine_goes_away_and_comes_back() {
    if std::env::var("ULTRAI_SKIP_OWN_ENGINE").is_ok_and(|skip| skip == "1") {
        println!("SKIPPED on request: ULTRAI_SKIP_OWN_ENGINE=1");
        return;
    }
    let engine = Engine::start();
    let shop = Shop::on(engine.host.clone(), COMPOSE);
    shop.configure(&format!(
        "[[check]]\nname = \"models\"\nurl = \"http://127.0.0.1:{}/api/models\"\n\
         status = [200, 401]\nwhen = \"post\"\ndeadline = \"2s\"",
        shop.env["PORT_A"]
    ));
    shop.deploy("v1.0.0", 0);
    let mut serving = whole(&shop);
    let moments = [
        ("a deploy that creates", "\"action\":\"create\""),
        ("a deploy that stops the old one", "\"action\":\"stop\""),
        ("a rollback", "\"type\":\"intent\",\"step\":\"rollback\""),
    ];
    for (moment, words) in moments {
        for (how, signal) in [("restarted", Signal::TERM), ("killed", Signal::KILL)] {
            let version = match moment {
                "a rollback" => "v1.3.0",
                _ if serving == "v1.0.0" => "v1.1.0",
                _ => "v1.0.0",
            };
            let child = begin(&shop, version, words);
            let begun = Instant::now();
            let away = engine.again(signal);
            let output = child.wait_with_output().unwrap();
            let took = begun.elapsed();
            let code = output.status.code().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let error = String::from_utf8_lossy(&output.stderr);
            println!(
                "{how} in {moment}: away for {away:.1?}; after {took:.1?} exit {code}, {}: {}",
                report["ending"]["kind"], report["ending"]["cause"]["message"]
            );
            assert!([0, 3].contains(&code), "{text}{error}");
            let healed =
                shop.ultrai(&["--format", "json", "resume", "-e", "production", "--retry"]);
            assert!([0, 3].contains(&healed.code), "{}{}", healed.out, healed.err);
            serving = whole(&shop);
            println!("  resume: exit {}; {serving} serves", healed.code);
        }
    }
}
