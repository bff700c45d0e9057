//! Two hosts that share their state in a bucket: the real `ultrai` twice, each with directories of
//! its own, on one engine. Local processes would not do: another host has none of them.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod bucket;
mod shop;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bucket::Server;
use serde_json::Value;
use shop::{Answer, Shop};
use ultrai_deploy_store::crypt::Encryption;

/// Healthy so many seconds after its start.
const COMPOSE: &str = r#"
services:
  web:
    image: ultrai/base:1
    command: ["sh", "-c", "sleep ${SLOW:-0}; touch /tmp/ok; exec sleep 100000"]
    stop_signal: SIGKILL
    environment:
      - VERSION=${VERSION}
      - OPENAI_API_KEY=${OPENAI_API_KEY}
    healthcheck:
      test: ["CMD", "test", "-e", "/tmp/ok"]
      interval: 1s
      timeout: 2s
      retries: 3
      start_period: 60s
"#;
/// As long as it takes to see that the other is refused, and to kill.
const SLOW: &str = "15";

/// A machine with directories of its own.
struct Host<'a> {
    shop: &'a Shop,
    server: &'a Server,
    home: PathBuf,
}

/// A run under way, which tells its progress into a file.
struct Run {
    child: Child,
    told: PathBuf,
}

impl<'a> Host<'a> {
    fn new(shop: &'a Shop, server: &'a Server, name: &str) -> Self {
        let home = shop.path(name);
        fs::create_dir_all(&home).unwrap();
        Self { shop, server, home }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ultrai"));
        command
            .arg("--state")
            .arg(self.home.join("state"))
            .args(["--format", "json"])
            .args(words)
            .args(["-e", "production"])
            .current_dir(self.shop.directory.path())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &self.home)
            .env("DOCKER_HOST", shop::engine())
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "hunter2-bucket")
            .env("AWS_ENDPOINT_URL", self.server.url())
            .envs(&self.shop.env)
            .stdin(Stdio::null());
        command
    }

    fn ultrai(&self, words: &[&str]) -> Answer {
        answer(&mut self.command(words))
    }

    fn spawn(&self, words: &[&str]) -> Run {
        let told = self.home.join("told");
        let mut command = self.command(words);
        command.env("SLOW", SLOW).stdout(Stdio::null()).stderr(fs::File::create(&told).unwrap());
        Run { child: command.spawn().unwrap(), told }
    }
}

impl Run {
    fn told(&self) -> String {
        fs::read_to_string(&self.told).unwrap()
    }

    /// SIGKILL once the new container is being started.
    fn kill_at_start(&mut self) {
        until("the new container is started", || {
            assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.told());
            self.told().contains("    start ")
        });
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn answer(command: &mut Command) -> Answer {
    let output = command.output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + shop::PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came to pass: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

fn write_key(path: &Path) {
    fs::write(path, Encryption::generate().identity_file().expose()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn configure(shop: &Shop, key: &str) {
    shop.configure(&format!(
        "state = \"s3://shop/state\"\n[backups]\nidentity_file = \"{}\"\n",
        shop.path(key).display()
    ));
}

/// What serves: its version, the secret that it has, and its container.
fn serving(shop: &Shop) -> (String, String, String) {
    let name = format!("{}-web-1", shop.project);
    let format = "{{.Id}}{{range .Config.Env}}\n{{.}}{{end}}";
    let text = shop.docker(&["inspect", "-f", format, &name]);
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().to_owned()
    };
    (value("VERSION"), value("OPENAI_API_KEY"), text.lines().next().unwrap().to_owned())
}

fn same(one: &Host<'_>, other: &Host<'_>, words: &[&str]) -> Value {
    let found = one.ultrai(words).expect(0).json();
    assert_eq!(other.ultrai(words).expect(0).json(), found, "{words:?}");
    found
}

#[test]
fn what_one_leaves_the_other_goes_on_with() {
    let Some(server) = Server::start() else { return };
    let shop = Shop::new(COMPOSE);
    write_key(&shop.path("key"));
    configure(&shop, "key");
    let hosts = ["one", "other"].map(|name| Host::new(&shop, &server, name));
    hosts[0].ultrai(&["deploy", "--tag", "1.0.0"]).expect(0);
    let secret = shop.env["OPENAI_API_KEY"].clone();
    assert_eq!(serving(&shop).0, "1.0.0");

    // Both at once: one of them has it, and the other is told who.
    let words = ["deploy", "--tag", "1.1.0", "--wait", "0"];
    let mut runs = hosts.each_ref().map(|host| host.spawn(&words));
    let mut ended = None;
    until("one of the two is refused", || {
        ended = runs.iter_mut().position(|run| run.child.try_wait().unwrap().is_some());
        ended.is_some()
    });
    let refused = ended.unwrap();
    let (dead, alive) = (&hosts[1 - refused], &hosts[refused]);
    assert_eq!(runs[refused].child.wait().unwrap().code(), Some(5), "{}", runs[refused].told());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let holder = format!("(process {} on {}, since", runs[1 - refused].child.id(), host.trim());
    let told = runs[refused].told();
    assert!(told.contains(&holder), "{holder} is not in {told}");

    // Killed, it looks as if it still worked; the other waits for that by itself.
    runs[1 - refused].kill_at_start();
    let begun = Instant::now();
    let resumed = alive.ultrai(&["resume"]).expect(0);
    println!("taken over and finished {:.1} s after the kill", begun.elapsed().as_secs_f64());
    assert!(resumed.err.contains(&holder), "{}", resumed.err);
    assert!(resumed.err.contains("20 s at most"), "{}", resumed.err);
    assert_eq!(resumed.json()["ending"]["kind"], "succeeded", "{}", resumed.out);
    let (version, has, _) = serving(&shop);
    assert_eq!((version.as_str(), &has), ("1.1.0", &secret));
    same(dead, alive, &["history"]);

    // The release before comes from the bucket with its secret, which nobody says again.
    let mut back = alive.command(&["rollback"]);
    answer(back.env_remove("OPENAI_API_KEY")).expect(0);
    let before = serving(&shop);
    assert_eq!((before.0.as_str(), &before.1), ("1.0.0", &secret));

    // The other way round, and undone.
    let mut run = alive.spawn(&["deploy", "--tag", "1.2.0"]);
    run.kill_at_start();
    let begun = Instant::now();
    let undone = dead.ultrai(&["rollback"]).expect(0);
    println!("taken over and undone {:.1} s after the kill", begun.elapsed().as_secs_f64());
    assert_eq!(undone.json()["ending"]["kind"], "rolled_back", "{}", undone.out);
    assert_eq!(serving(&shop), before, "the same container");

    let history = same(dead, alive, &["history"]);
    assert!(history.to_string().contains("rolled_back"), "{history}");
    let backups = same(dead, alive, &["backup", "list"]);
    assert!(backups.as_array().unwrap().len() >= 3, "{backups}");
    let verified = same(dead, alive, &["backup", "verify"]);
    println!("{} backups are whole, read from both", verified.as_array().unwrap().len());

    // One that cannot read it says so, and shows nothing.
    write_key(&shop.path("wrong"));
    configure(&shop, "wrong");
    let stranger = Host::new(&shop, &server, "stranger");
    let told = stranger.ultrai(&["deploy", "--tag", "1.3.0"]).expect(1).err;
    assert!(told.contains("identit"), "{told}");
    assert!(!told.contains(&secret) && !told.contains("AGE-SECRET-KEY"), "{told}");
    println!("with another identity: {}", told.lines().last().unwrap_or_default());
}
