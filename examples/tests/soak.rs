//! SIGKILL of `ultrai deploy` at random instants, again and again, and sometimes of the `resume`
//! after it, under requests that never pause. `ULTRAI_SOAK_ROUNDS` kills (10), at instants that
//! follow from `ULTRAI_SOAK_SEED` (printed).

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
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Child,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;
use shop::{
    Shop,
    load::{Count, Load},
};

/// `web` starts beside its old one, behind a proxy; `worker` has a host port, so its old one stops
/// first.
const COMPOSE: &str = r#"
services:
  proxy:
    image: ultrai/haproxy:1
    ports: ["${PORT_A}:8080"]
    environment: {BACKEND: "web:8085"}
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    depends_on: [web]
  web:
    image: ultrai/backend:${WEB:-v1.0.0}
    environment: &environment {REDIS_URI: "", DEMO_CRASH_AFTER: "${CRASH-}"}
    healthcheck: &health {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 1s, timeout: 5s, retries: 1}
  worker:
    image: ultrai/backend:${WEB:-v1.0.0}
    ports: ["${PORT_B}:8085"]
    environment: *environment
    healthcheck: *health
    depends_on: {web: {condition: service_healthy}}
"#;

/// What is deployed: its version, its image, and how many of sixteen rounds take it.
struct Candidate(&'static str, &'static str, u64);

const GOOD: [&str; 2] = ["v1.0.0", "v1.1.0"];
/// Never healthy, which takes its whole deadline; an answer that is an error; an exit.
const SICK: [Candidate; 3] = [
    Candidate("v1.2.0", "v1.2.0", 1),
    Candidate("v1.3.0", "v1.3.0", 3),
    Candidate("v1.4.0", "v1.1.0", 3),
];

/// The endings that a run may have, however often it was killed.
const ENDINGS: [&str; 3] = ["succeeded", "rolled_back", "refused"];

/// Random numbers by SplitMix64: the same seed gives the same instants everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit
    }

    fn within(&mut self, time: Duration) -> Duration {
        let micros = u64::try_from(time.as_micros()).unwrap();
        Duration::from_micros(self.below(micros.max(1)))
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
}

fn runs(shop: &Shop) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(shop.state().join("runs")).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect()
}

/// How many records a run has, and its last one in words.
fn last(journal: &PathBuf) -> String {
    let text = fs::read_to_string(journal).unwrap();
    let lines: Vec<_> = text.lines().skip(1).collect();
    let json = lines.last().and_then(|line| line.splitn(3, ' ').nth(2)).unwrap_or("{}");
    let event = serde_json::from_str::<Value>(json).unwrap_or_default()["event"].clone();
    let words = ["type", "stage", "step", "action", "object", "check", "effect"];
    let words: Vec<_> = words
        .into_iter()
        .filter_map(|name| match &event[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    format!("record {} ({})", lines.len(), words.join(" "))
}

/// Kills a process at an instant; false when it was over before.
fn kill_after(child: &mut Child, instant: Duration) -> bool {
    let end = Instant::now() + instant;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::park_timeout(
            end.saturating_duration_since(Instant::now()).min(Duration::from_millis(5)),
        );
    }
    let over = child.try_wait().unwrap().is_some();
    if !over {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    !over
}

/// A deploy that is under way, which is from its lock on: its process and its journal.
fn begin(shop: &Shop, version: &str) -> (Child, PathBuf) {
    let before = runs(shop);
    let sick = SICK.iter().find(|sick| sick.0 == version);
    let image = sick.map_or(version, |sick| sick.1);
    let crash = if sick.is_some() && image == GOOD[1] { "1" } else { "" };
    let words =
        ["--format", "json", "deploy", "-e", "production", "--tag", version, "--skip-build"];
    // From one good version to the other and back.
    let words = [&words[..], &["--allow-downgrade"]].concat();
    let mut child = shop.command(&words).env("WEB", image).env("CRASH", crash).spawn().unwrap();
    let deadline = Instant::now() + shop::PATIENCE;
    loop {
        if let Some(journal) = runs(shop).difference(&before).next()
            && fs::read_to_string(journal).unwrap().contains("\"type\":\"locked\"")
        {
            return (child, journal.clone());
        }
        assert!(child.try_wait().unwrap().is_none(), "it was over before it had the lock");
        assert!(Instant::now() < deadline, "the run does not begin");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// One whole verified release serves, and nothing of another is left.
fn whole(shop: &Shop) -> String {
    let verified = shop.ultrai(&["--format", "json", "verify", "-e", "production"]).expect(0);
    let serving = verified.json()["version"].as_str().unwrap().to_owned();
    let all: BTreeSet<_> = shop.containers(true).into_keys().collect();
    assert_eq!(all, ["proxy-1", "web-1", "worker-1"].map(str::to_owned).into(), "leftovers");
    assert_eq!(shop.containers(false).len(), 3, "all run");
    let names = ["container p-proxy-1", "container p-web-1", "container p-worker-1"];
    let names = names.map(|name| name.replace("p-", &format!("{}-", shop.project)));
    let network = format!("network {}_default", shop.project);
    assert_eq!(shop.everything(), [&names[..], &[network]].concat(), "leftovers");
    for service in ["web", "worker"] {
        let name = format!("{}-{service}-1", shop.project);
        let runs = shop.docker(&["inspect", "-f", "{{.Image}}", &name]);
        let image = format!("ultrai/backend:{serving}");
        assert_eq!(
            runs,
            shop.docker(&["image", "inspect", "-f", "{{.Id}}", &image]),
            "{service} is {serving}"
        );
    }
    // The proxy may need a moment to notice what came back; what it loses meanwhile is counted.
    let deadline = Instant::now() + Duration::from_secs(10);
    for port in ["PORT_A", "PORT_B"] {
        loop {
            let answer = shop.http(port, "/api/v1/version").unwrap_or_default().1;
            if answer.contains(serving.trim_start_matches('v')) {
                break;
            }
            assert!(Instant::now() < deadline, "{answer} is not {serving}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
    serving
}

#[derive(Default)]
struct Tally {
    killed: u64,
    killed_again: u64,
    over: u64,
    endings: BTreeMap<String, u64>,
}

struct Soak<'a> {
    shop: &'a Shop,
    random: Random,
    /// How long an undisturbed deploy of a good and of a bad version takes.
    lengths: [Duration; 2],
    serving: String,
    tally: Tally,
}

impl Soak<'_> {
    /// A sick version, or the good one that does not serve.
    fn version(&mut self) -> (&'static str, bool) {
        let mut pick = self.random.below(16);
        for Candidate(version, _, share) in SICK {
            if pick < share {
                return (version, false);
            }
            pick -= share;
        }
        (GOOD[usize::from(self.serving == GOOD[0])], true)
    }

    /// Deploys, kills, resumes (and may kill that, too), and looks what came of it.
    fn round(&mut self, round: u64, load: &Load) {
        let before = load.count();
        let (version, good) = self.version();
        let length = self.lengths[usize::from(!good)];
        let instant = self.random.within(length);
        let again = (self.random.below(3) == 0).then(|| self.random.within(length));
        let (mut child, journal) = begin(self.shop, version);
        let killed = kill_after(&mut child, instant);
        let mut said = format!("{version} killed at {instant:.2?}, {}", last(&journal));
        if killed {
            self.tally.killed += 1;
        } else {
            self.tally.over += 1;
            said = format!("{version} was over before {instant:.2?}");
        }
        if killed && let Some(instant) = again {
            let words = ["--format", "json", "resume", "-e", "production"];
            let mut child = self.shop.command(&words).spawn().unwrap();
            if kill_after(&mut child, instant) {
                self.tally.killed_again += 1;
                said = format!("{said}; resume killed at {instant:.2?}, {}", last(&journal));
            }
        }
        let resumed = self.shop.ultrai(&["--format", "json", "resume", "-e", "production"]);
        assert!([0, 1, 3].contains(&resumed.code), "{said}: {}{}", resumed.out, resumed.err);
        let ending = ending(&journal);
        assert!(ENDINGS.contains(&ending.as_str()), "{said}: {ending}: {}", resumed.err);
        let serving = whole(self.shop);
        let expected = if ending == "succeeded" { version } else { &self.serving };
        assert_eq!(serving, expected, "{said}: {ending}");
        assert!(good || ending != "succeeded", "{said}: a bad version has succeeded");
        let count = load.count() - before;
        println!(
            "round {round}: {said}; {ending}; {serving} serves; {} of {} requests lost",
            count.lost, count.sent
        );
        *self.tally.endings.entry(ending).or_default() += 1;
        self.serving = serving;
    }
}

/// The ending in a journal.
fn ending(journal: &PathBuf) -> String {
    let text = fs::read_to_string(journal).unwrap();
    let json = text.lines().last().and_then(|line| line.splitn(3, ' ').nth(2)).unwrap_or("{}");
    let event = serde_json::from_str::<Value>(json).unwrap()["event"].clone();
    event["ending"]["kind"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn killed_at_random_instants_under_load() {
    let rounds = number("ULTRAI_SOAK_ROUNDS").unwrap_or(10);
    let seed = number("ULTRAI_SOAK_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos())
    });
    println!("ULTRAI_SOAK_ROUNDS={rounds} ULTRAI_SOAK_SEED={seed}");
    let shop = Shop::new(COMPOSE);
    let check = |name: &str, port: &str, path: &str, more: &str| {
        format!(
            "[[check]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{}{path}\"\n\
             deadline = \"3s\"\n{more}\n",
            shop.env[port]
        )
    };
    let version = "version_at = \"/version\"";
    shop.configure(
        &[
            "[policy]\nstage_deadline = \"20s\"\n".to_owned(),
            check("proxy", "PORT_A", "/api/v1/version", version),
            check("worker", "PORT_B", "/api/v1/version", version),
            check("models", "PORT_B", "/api/models", "status = [200, 401]\nwhen = \"post\""),
            "[[test]]\nname = \"smoke\"\nservice = \"web\"\ncommand = [\"true\"]\nwhen = \"pre\"\n"
                .to_owned(),
        ]
        .concat(),
    );
    // Undisturbed ones first: they tell how long a run is under way.
    let time = |version: &str, code: i32| {
        let (child, _) = begin(&shop, version);
        let begun = Instant::now();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{version}: {error}");
        begun.elapsed()
    };
    time("v1.0.0", 0);
    let lengths = [time("v1.1.0", 0), time("v1.3.0", 3)];
    println!("undisturbed: {:.2?}, rolled back: {:.2?}", lengths[0], lengths[1]);
    whole(&shop);

    let (tally, count) = Load::during(&shop, "PORT_A", "/api/v1/version", |load| {
        let (random, serving) = (Random(seed), "v1.1.0".to_owned());
        let mut soak = Soak { shop: &shop, random, lengths, serving, tally: Tally::default() };
        let mut round = 0;
        // A run that was over before its instant is no kill; bounded, should that be the rule.
        while soak.tally.killed < rounds && round < 3 * rounds {
            round += 1;
            soak.round(round, load);
        }
        (soak.tally, load.count())
    });
    let Count { sent, lost } = count;
    println!(
        "{} deploys killed, {} resumes killed, {} were over before; endings: {:?}; \
         {lost} of {sent} requests lost",
        tally.killed, tally.killed_again, tally.over, tally.endings
    );
    assert_eq!(tally.killed, rounds, "kills that hit a run under way");
    assert!(sent > 50, "too few requests to tell: {sent}");
}
