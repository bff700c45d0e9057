//! SIGKILL of `ultrai deploy` at points spread over its journal, then `ultrai resume`: each ends
//! with one whole verified release serving, and nothing of the other is left.

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

/// Looks at the records so far; true when it is time to kill.
type Point = fn(&[Value]) -> bool;

/// From the first deploy intent to finalise; the third and fourth lie between create and start.
const POINTS: [(&str, Point); 12] = [
    ("the first intent is durable", |records| has(records, "intent", &[])),
    ("the first effect is begun", |records| has(records, "effect", &[])),
    ("backend is created, not started", |records| created_not_started(records, "backend")),
    ("frontend is created, not started", |records| created_not_started(records, "frontend")),
    ("the first old container is set aside", |records| {
        has(records, "effect", &[("action", "set aside")])
    }),
    ("the first stop is begun", |records| has(records, "effect", &[("action", "stop")])),
    ("the first start is begun", |records| has(records, "effect", &[("action", "start")])),
    ("the second stop is begun", |records| {
        records.iter().filter(|record| is(record, "effect", &[("action", "stop")])).count() == 2
    }),
    ("the switch is done", |records| has(records, "step_done", &[("step", "switch")])),
    ("verify has begun", |records| has(records, "stage_started", &[("stage", "verify")])),
    ("retire is intended", |records| has(records, "intent", &[("step", "retire")])),
    ("the first removal is begun", |records| has(records, "effect", &[("action", "remove")])),
];

fn is(record: &Value, kind: &str, fields: &[(&str, &str)]) -> bool {
    let event = &record["event"];
    event["type"] == kind && fields.iter().all(|(name, value)| event[*name] == *value)
}

fn has(records: &[Value], kind: &str, fields: &[(&str, &str)]) -> bool {
    records.iter().any(|record| is(record, kind, fields))
}

fn created_not_started(records: &[Value], service: &str) -> bool {
    let of = |action: &str| {
        records.iter().find(|record| {
            is(record, "effect", &[("action", action)])
                && record["event"]["object"].as_str().is_some_and(|name| name.contains(service))
        })
    };
    let Some(create) = of("create") else { return false };
    let done = records.iter().any(|record| {
        record["event"]["type"] == "effect_done"
            && record["event"]["effect"] == create["event"]["effect"]
    });
    done && of("start").is_none()
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

/// The records of the newest run, as far as they are complete.
fn records(shop: &Shop) -> Vec<Value> {
    let Some(newest) = journals(shop).pop() else { return Vec::new() };
    let text = fs::read_to_string(newest).unwrap_or_default();
    text.lines()
        .skip(1)
        .filter_map(|line| serde_json::from_str(line.splitn(3, ' ').nth(2)?).ok())
        .collect()
}

/// Starts a deploy and kills it at a point; the number of the last record, or nothing when the
/// run was over before.
fn kill_at(shop: &Shop, version: &str, point: Point) -> Option<usize> {
    let before = journals(shop).len();
    let words =
        ["--format", "json", "deploy", "-e", "production", "--tag", version, "--skip-build"];
    let mut child: Child = shop.command(&words).spawn().unwrap();
    let deadline = Instant::now() + shop::PATIENCE;
    loop {
        let seen = if journals(shop).len() > before { records(shop) } else { Vec::new() };
        if point(&seen) {
            child.kill().unwrap();
            child.wait().unwrap();
            let last = records(shop);
            let over = last.iter().any(|record| record["event"]["type"] == "ended");
            return (!over).then_some(last.len());
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "the point was not reached: {seen:?}");
        std::thread::park_timeout(Duration::from_micros(500));
    }
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

#[test]
fn killed_at_any_point_and_resumed() {
    let shop = Shop::sources().with_checks();
    shop.deploy("v1.0.0", 0);
    let mut serving = "v1.0.0".to_owned();
    let mut killed = 0;
    for (name, point) in POINTS {
        let next = if serving == "v1.0.0" { "v1.1.0" } else { "v1.0.0" };
        let Some(record) = kill_at(&shop, next, point) else {
            // It was faster than the look at its journal; what it left is checked all the same.
            serving = whole(&shop);
            println!("{name}: the run was over first; {serving} serves");
            continue;
        };
        killed += 1;
        let status = shop.ultrai(&["status", "-e", "production"]).out;
        assert!(status.contains("ultrai resume"), "status names the next command: {status}");
        let resumed = shop.ultrai(&["--format", "json", "resume", "-e", "production"]);
        assert!([0, 3].contains(&resumed.code), "{name}: {}{}", resumed.out, resumed.err);
        let report = resumed.json();
        serving = whole(&shop);
        let ending = &report["ending"]["kind"];
        println!("{name}: killed at record {record}; resume: {ending}; {serving} serves");
    }
    println!("{killed} of {} points were hit", POINTS.len());
    assert!(killed >= 10, "only {killed} kills hit their point");
}

#[test]
fn killed_and_then_simply_deployed_again() {
    let shop = Shop::sources().with_checks();
    shop.deploy("v1.0.0", 0);
    let point: Point = |records| has(records, "effect", &[("action", "stop")]);
    let record = kill_at(&shop, "v1.1.0", point).expect("the stop takes longer than a look");
    let report = shop.deploy("v1.1.0", 0);
    assert!(report["notes"].to_string().contains("unfinished"), "{report}");
    assert_eq!(whole(&shop), "v1.1.0");
    println!("killed at record {record}; the next deploy: {}", report["ending"]["kind"]);
}
