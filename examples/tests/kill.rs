//! SIGKILL of `ultrai deploy` at points spread over its journal, then `ultrai resume`: each ends
//! with one whole verified release serving, and nothing of the other is left. So does a first
//! deploy, or nothing at all is left of it.

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
    path::PathBuf,
    process::Child,
    time::{Duration, Instant},
};

use serde_json::Value;
use shop::Shop;

/// Whether the run is now where it is to be killed, by its records so far.
type Point = fn(&[Value]) -> bool;

/// From the first deploy intent to the last removal; each is a stretch that the run leaves again.
const POINTS: [(&str, Point); 12] = [
    ("the stage is intended, nothing is begun", |records| {
        has(records, "intent", &[]) && !has(records, "effect", &[])
    }),
    ("the first effect is begun", |records| {
        has(records, "effect", &[]) && !has(records, "effect_done", &[])
    }),
    ("backend is created, frontend is not", |records| {
        done(records, "create", "backend") && !done(records, "create", "frontend")
    }),
    ("all are created, nothing is started", |records| {
        done(records, "create", "frontend") && !begun(records, "set aside", "")
    }),
    ("the first old container is being set aside", |records| {
        begun(records, "set aside", "") && !begun(records, "stop", "")
    }),
    ("the first stop is begun", |records| under_way(records, "stop", "backend")),
    ("the first start is begun", |records| under_way(records, "start", "backend")),
    ("the second stop is begun", |records| under_way(records, "stop", "frontend")),
    ("the switch is done, nothing is checked", |records| {
        has(records, "step_done", &[("step", "switch")]) && !has(records, "checked", &[])
    }),
    ("some is checked, not all", checking),
    ("retire is intended, nothing is removed", |records| {
        has(records, "intent", &[("step", "retire")]) && !begun(records, "remove", "")
    }),
    ("the first removal is begun", |records| under_way(records, "remove", "")),
];

/// The points between create and start, and what at least is created and not started there,
/// which the engine is asked for, too.
const CREATED: [(&str, &[&str]); 2] = [
    ("backend is created, frontend is not", &["backend"]),
    ("all are created, nothing is started", &["backend", "frontend"]),
];

/// How often a point is tried that the run has left before the kill took effect.
const TRIES: usize = 3;

fn has(records: &[Value], kind: &str, fields: &[(&str, &str)]) -> bool {
    records.iter().any(|record| {
        let event = &record["event"];
        event["type"] == kind && fields.iter().all(|(name, value)| event[*name] == *value)
    })
}

/// The effects of an action on objects of a name.
fn effects<'a>(records: &'a [Value], action: &str, name: &str) -> Vec<&'a Value> {
    let events = records.iter().map(|record| &record["event"]);
    events
        .filter(|event| event["type"] == "effect" && event["action"] == action)
        .filter(|event| event["object"].as_str().unwrap().contains(name))
        .map(|event| &event["effect"])
        .collect()
}

fn begun(records: &[Value], action: &str, name: &str) -> bool {
    !effects(records, action, name).is_empty()
}

/// Whether one such effect at least is done.
fn done(records: &[Value], action: &str, name: &str) -> bool {
    effects(records, action, name).into_iter().any(|effect| {
        let mut events = records.iter().map(|record| &record["event"]);
        events.any(|event| event["type"] == "effect_done" && event["effect"] == *effect)
    })
}

fn under_way(records: &[Value], action: &str, name: &str) -> bool {
    begun(records, action, name) && !done(records, action, name)
}

fn checking(records: &[Value]) -> bool {
    has(records, "checked", &[]) && !has(records, "stage_finished", &[("stage", "verify")])
}

/// The journals of all runs, oldest first.
fn journals(shop: &Shop) -> Vec<PathBuf> {
    let entries = fs::read_dir(shop.state().join("runs")).into_iter().flatten();
    let mut journals: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    journals.sort();
    journals
}

/// A journal that is read as it grows.
struct Journal {
    path: PathBuf,
    read: usize,
    records: Vec<Value>,
}

impl Journal {
    /// Reads the records that have become complete; the header is none.
    fn look(&mut self) -> &[Value] {
        let bytes = fs::read(&self.path).unwrap();
        while let Some(length) = bytes[self.read..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[self.read..self.read + length];
            self.read += length + 1;
            let json = line.splitn(3, |byte| *byte == b' ').nth(2).unwrap();
            self.records.extend(serde_json::from_slice::<Value>(json));
        }
        &self.records
    }
}

/// What came of an attempt to kill a run at a point.
enum Kill {
    /// It was at the point when it died; its last record.
    Hit(String),
    /// It was somewhere else; its last record.
    Missed(String),
    /// It had ended.
    Over,
}

/// Starts a deploy and kills it when its journal says that it is at a point. What counts is the
/// journal that it left: by the time of the kill it may have moved on.
fn kill_at(shop: &Shop, version: &str, point: Point) -> Kill {
    let before = journals(shop).len();
    let words =
        ["--format", "json", "deploy", "-e", "production", "--tag", version, "--skip-build"];
    // From one good version to the other and back.
    let words = [&words[..], &["--allow-downgrade"]].concat();
    let mut child: Child = shop.command(&words).spawn().unwrap();
    let deadline = Instant::now() + shop::PATIENCE;
    let mut journal = None;
    loop {
        if journal.is_none() && journals(shop).len() > before {
            let path = journals(shop).pop().unwrap();
            journal = Some(Journal { path, read: 0, records: Vec::new() });
        }
        if journal.as_mut().is_some_and(|journal| point(journal.look())) {
            child.kill().unwrap();
            child.wait().unwrap();
            break;
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "the run does not end");
        std::thread::park_timeout(Duration::from_micros(500));
    }
    let mut journal = journal.expect("a run has a journal");
    let records = journal.look();
    let last = &records.last().expect("a journal begins with a record")["event"];
    let mut events = records.iter().map(|record| &record["event"]);
    let effect =
        events.find(|event| event["type"] == "effect" && event["effect"] == last["effect"]);
    let names = ["step", "stage", "action", "object", "check"];
    let words = names.map(|name| effect.unwrap_or(last)[name].as_str());
    let words: Vec<_> =
        last["type"].as_str().into_iter().chain(words.into_iter().flatten()).collect();
    let last = format!("record {} ({})", records.len(), words.join(" "));
    if has(records, "ended", &[]) {
        Kill::Over
    } else if point(records) {
        Kill::Hit(last)
    } else {
        Kill::Missed(last)
    }
}

/// The services of which a container is created that was never started.
fn created(shop: &Shop) -> BTreeSet<&'static str> {
    let label = format!("label=com.docker.compose.project={}", shop.project);
    let words = ["ps", "-a", "--filter", &label, "--filter", "status=created"];
    let names = shop.docker(&[&words[..], &["--format", "{{.Names}}"]].concat());
    ["backend", "frontend"].into_iter().filter(|service| names.contains(service)).collect()
}

/// One whole verified release serves, and nothing of another is left.
fn whole(shop: &Shop) -> String {
    let all: BTreeSet<_> = shop.containers(true).into_keys().collect();
    let expected = ["backend-1", "frontend-1", "mongodb-1", "redis-1"].map(str::to_owned);
    assert_eq!(all, BTreeSet::from(expected), "leftovers");
    assert_eq!(shop.containers(false).len(), 4, "all run");
    let left: Vec<_> =
        shop.everything().into_iter().filter(|name| name.contains("guard")).collect();
    assert_eq!(left, Vec::<String>::new());
    let verified = shop.ultrai(&["--format", "json", "verify", "-e", "production"]);
    let verified = verified.expect(0).json();
    let serving = verified["version"].as_str().unwrap().to_owned();
    let answer = shop.http("BACKEND_PORT", "/api/v1/version").unwrap().1;
    assert!(answer.contains(serving.trim_start_matches('v')), "{answer} is not {serving}");
    let format = "{{.Config.Image}}";
    for service in ["backend", "frontend"] {
        let name = format!("{}-{service}-1", shop.project);
        let image = shop.docker(&["inspect", "-f", format, &name]);
        let tag = shop.docker(&["inspect", "-f", "{{.Image}}", &name]);
        let wanted = shop.docker(&[
            "image",
            "inspect",
            "-f",
            "{{.Id}}",
            &format!("ultrai/{service}:{serving}"),
        ]);
        assert_eq!(tag, wanted, "{service} runs {image}");
    }
    serving
}

/// Asks for the status of a run whose process is gone, and goes on with it.
fn resume(shop: &Shop, name: &str) -> Value {
    let status = shop.ultrai(&["status", "-e", "production"]).out;
    assert!(status.contains("ultrai resume"), "status names the next command: {status}");
    let resumed = shop.ultrai(&["--format", "json", "resume", "-e", "production"]);
    assert!([0, 3].contains(&resumed.code), "{name}: {}{}", resumed.out, resumed.err);
    resumed.json()["ending"]["kind"].clone()
}

#[test]
fn killed_at_any_point_and_resumed() {
    let shop = Shop::sources().with_checks();
    shop.deploy("v1.0.0", 0);
    let mut serving = "v1.0.0".to_owned();
    let mut missed = Vec::new();
    for (name, point) in POINTS {
        let hit = (0..TRIES).any(|_| {
            let next = if serving == "v1.0.0" { "v1.1.0" } else { "v1.0.0" };
            let kill = kill_at(&shop, next, point);
            let between = CREATED.iter().find(|(created, _)| *created == name);
            if let (Kill::Hit(_), Some((_, services))) = (&kill, between) {
                // The engine may have gone on with a creation that had begun.
                let created = created(&shop);
                assert!(services.iter().all(|service| created.contains(service)), "{created:?}");
            }
            // Wherever it was killed, it ends well.
            let ending = if matches!(kill, Kill::Over) { Value::Null } else { resume(&shop, name) };
            serving = whole(&shop);
            match &kill {
                Kill::Hit(last) => {
                    println!("{name}: last was {last}; resume: {ending}; {serving} serves");
                }
                Kill::Missed(last) => {
                    println!("{name}: MISSED, last was {last}; resume: {ending}; {serving} serves");
                }
                Kill::Over => println!("{name}: MISSED, the run was over; {serving} serves"),
            }
            matches!(kill, Kill::Hit(_))
        });
        if !hit {
            missed.push(name);
        }
    }
    println!("{} of {} points were hit", POINTS.len() - missed.len(), POINTS.len());
    assert!(missed.len() <= 2, "missed in {TRIES} tries each: {missed:?}");
    assert!(!missed.iter().any(|name| CREATED.iter().any(|(created, _)| created == name)));
}

/// Points of a first deploy, and whether it is undone or gone on with afterwards.
const FIRST: [(&str, Point, bool); 3] = [
    (
        "backend is created, nothing is started",
        |records| done(records, "create", "backend") && !begun(records, "start", ""),
        true,
    ),
    ("redis is being started", |records| under_way(records, "start", "redis"), false),
    ("some is checked, not all", checking, true),
];

#[test]
fn a_first_deploy_that_is_killed() {
    for (name, point, undo) in FIRST {
        let hit = (0..TRIES).find_map(|_| {
            let shop = Shop::sources().with_checks();
            match kill_at(&shop, "v1.0.0", point) {
                Kill::Hit(last) => Some((shop, last)),
                Kill::Missed(_) | Kill::Over => None,
            }
        });
        let Some((shop, last)) = hit else { panic!("{name}: missed in {TRIES} tries") };
        if undo {
            shop.ultrai(&["cancel", "-e", "production"]).expect(130);
            let data = ["mongodb_data", "redis_data"];
            let volumes = data.map(|name| format!("volume {}_{name}", shop.project));
            assert_eq!(shop.everything(), volumes, "nothing is left but data");
            println!("{name}: last was {last}; cancelled: nothing is left but volumes");
            // What comes next is a first deploy again.
            assert!(shop.ultrai(&["status", "-e", "production"]).out.contains("nothing"));
        } else {
            assert_eq!(resume(&shop, name), "succeeded");
            assert_eq!(whole(&shop), "v1.0.0");
            println!("{name}: last was {last}; resumed: v1.0.0 serves");
        }
    }
}

#[test]
fn killed_and_then_simply_deployed_again() {
    let shop = Shop::sources().with_checks();
    shop.deploy("v1.0.0", 0);
    let kill = kill_at(&shop, "v1.1.0", |records| under_way(records, "stop", "backend"));
    let (Kill::Hit(last) | Kill::Missed(last)) = kill else { panic!("the run was over") };
    let report = shop.deploy("v1.1.0", 0);
    assert!(report["notes"].to_string().contains("unfinished"), "{report}");
    assert_eq!(whole(&shop), "v1.1.0");
    println!("last was {last}; the next deploy: {}", report["ending"]["kind"]);
}
