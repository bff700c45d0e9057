//! A failure that is held for a person: accepted, taken back, replaced, forgotten.

use std::{
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::Value;

use crate::app::{App, said};

const HOLD: &str = "on_failure = { post_deploy_tests = \"hold\" }";
/// Long enough for the deploy to end, also on a busy machine.
const HOLD_SHORTLY: &str = "on_failure = { post_deploy_tests = \"hold\" }\nhold = \"1s\"";

/// 1.0.0 serves; what serves it.
fn served() -> (App, Vec<i32>) {
    let app = App::new();
    app.configure_tested("1.0.0", 0, "");
    app.deploy("1.0.0", 0);
    let before = app.processes();
    (app, before)
}

fn hold(app: &App, version: &str, policy: &str) -> Value {
    app.configure_tested(version, 7, policy);
    let report = app.deploy(version, 6);
    assert!(report["held_until"].is_string() && report["ending"].is_null(), "{report}");
    report
}

/// Until the time of a held run is over.
fn wait_for_the_end(held: &Value) {
    let until: Timestamp = held["held_until"].as_str().unwrap().parse().unwrap();
    let patience = Instant::now() + Duration::from_secs(10);
    while Timestamp::now() <= until {
        assert!(Instant::now() < patience, "{held}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn assert_serves(app: &App, version: &str, processes: &[i32]) {
    assert_eq!(app.version(), version);
    assert_eq!(app.processes(), processes);
    app.expect(0, &["verify"]);
    let status = app.expect(0, &["status"]);
    assert!(status["unfinished"].is_null() && status["next"].is_null(), "{status}");
}

#[test]
fn a_held_release_is_told_and_accepted() {
    let (app, before) = served();
    app.configure_tested("1.2.0", 0, HOLD);
    app.expect(0, &["plan", "--tag", "1.2.0", "--save", "plan.json"]);
    let held = hold(&app, "1.1.0", HOLD);
    assert_eq!(app.version(), "1.1.0", "it serves");
    assert_eq!(app.processes().len(), 2, "and what served before is kept");

    // To look changes nothing, however often.
    for _ in 0..2 {
        let status = app.expect(6, &["status"]);
        let open = &status["unfinished"];
        assert_eq!((&open["run"], &open["held"]), (&held["run"], &true.into()), "{status}");
        assert_eq!(open["held_until"], held["held_until"], "{status}");
        assert_eq!(open["back_to"], "1.0.0", "{status}");
        assert!(open["causes"][0].as_str().unwrap().contains("exit code 7"), "{status}");
    }
    let text = said(&app.ultrai(&["status", "-e", "production", "--format", "text"]));
    assert!(text.contains("goes back to 1.0.0, which is kept"), "{text}");
    let list = said(&app.ultrai(&["history", "-e", "production", "--format", "text"]));
    assert!(list.contains("held until 20"), "{list}");
    assert_eq!(app.expect(0, &["history"])[0]["held_until"], held["held_until"]);

    // What cannot be done says so, and leaves it held.
    assert_eq!(app.expect(6, &["resume"])["run"], held["run"]);
    let retry = app.expect(2, &["resume", "--retry"]).to_string();
    assert!(retry.contains("held and not stuck") && retry.contains("--proceed"), "{retry}");
    let locked = app.expect(5, &["deploy", "--tag", "1.2.0", "--no-resume"]).to_string();
    assert!(locked.contains("held until"), "{locked}");
    let save = app.expect(5, &["plan", "--tag", "1.2.0", "--save", "other.json"]).to_string();
    assert!(save.contains("is not over") && save.contains("ultrai status"), "{save}");
    assert!(!app.path("other.json").exists());
    app.configure_tested("1.2.0", 0, HOLD);
    let plan = app.expect(1, &["deploy", "--plan", "plan.json"]).to_string();
    assert!(plan.contains("is unfinished (held until"), "{plan}");

    let next = app.expect(6, &["status"])["next"].clone();
    let accepted = app.shell(next.as_str().unwrap());
    let told = said(&accepted);
    assert_eq!(accepted.status.code(), Some(0), "{next}: {told}");
    assert!(told.contains("accepted the held release although it failed:"), "{told}");
    let after = app.processes();
    assert_eq!(after.len(), 1, "{told}");
    assert_ne!(after, before);
    assert_serves(&app, "1.1.0", &after);
    let again = app.expect(1, &["resume", "--proceed"]).to_string();
    assert!(again.contains("no run of shop/production is held"), "{again}");
}

#[test]
fn a_held_release_is_taken_back() {
    let (app, before) = served();
    for (version, how, code) in
        [("1.1.0", None, 0), ("1.1.1", Some("cancel"), 130), ("1.1.2", Some("rollback"), 0)]
    {
        let held = hold(&app, version, HOLD);
        if let Some(how) = how {
            let report = app.expect(code, &[how]);
            assert_eq!(report["run"], held["run"], "{report}");
            assert_eq!(report["ending"]["kind"], "rolled_back", "{report}");
        } else {
            let or = app.expect(6, &["status"])["or"].clone();
            let back = app.shell(or.as_str().unwrap());
            assert_eq!(back.status.code(), Some(code), "{or}: {}", said(&back));
            assert!(said(&back).contains("Version 1.0.0 serves again; its checks passed."));
        }
        assert_serves(&app, "1.0.0", &before);
    }
    // It failed and was taken back: that is a verdict as any other.
    let refused = app.deploy("1.1.2", 1).to_string();
    assert!(refused.contains("--allow-failed 1.1.2"), "{refused}");
}

/// A newer deploy that was killed before it took the place does not stand before it.
#[test]
fn a_held_release_is_taken_back_behind_a_killed_deploy() {
    let (app, before) = served();
    let held = hold(&app, "1.1.0", HOLD);
    app.configure_tested("1.2.0", 0, HOLD);
    app.add(
        "[[test]]\nname = \"before\"\nservice = \"web\"\nwhen = \"pre\"\n\
         command = [\"sh\", \"-c\", \"kill -9 $PPID\"]",
    );
    let killed = app.ultrai(&["deploy", "--tag", "1.2.0", "-e", "production"]);
    assert_eq!(killed.status.code(), None, "{}", said(&killed));
    assert_eq!(app.version(), "1.1.0");
    assert_eq!(app.expect(0, &["rollback"])["run"], held["run"]);
    assert_serves(&app, "1.0.0", &before);
}

#[test]
fn a_newer_deploy_takes_the_place_of_a_held_one() {
    let (app, _) = served();
    let first = hold(&app, "1.1.0", HOLD);
    app.configure_tested("1.2.0", 0, HOLD);
    let newer = app.deploy("1.2.0", 0);
    let note = format!("took the place of run {}, which was held", first["run"].as_str().unwrap());
    assert_eq!(newer["notes"][0], note, "{newer}");
    assert_eq!(newer["previous_version"], "1.0.0", "{newer}");
    let good = app.processes();
    assert_eq!(good.len(), 1, "one serves, none is left");
    assert_serves(&app, "1.2.0", &good);

    // One that fails goes back before the held one, which a check after the switch held.
    app.configure_tested("1.3.0", 0, "on_failure = { verify = \"hold\" }");
    app.add(
        "[[check]]\nname = \"never\"\nservice = \"web\"\npath = \"/nothing\"\ndeadline = \"100ms\"",
    );
    let second = app.deploy("1.3.0", 6);
    let cause = second["held_for"].to_string();
    assert!(cause.contains("never") && cause.contains("404"), "{cause}");
    assert_eq!(app.version(), "1.3.0");
    app.configure_tested("1.4.0", 7, "");
    let failed = app.deploy("1.4.0", 3);
    assert_eq!(failed["ending"]["to"], newer["release"], "{failed}");
    assert_serves(&app, "1.2.0", &good);

    let superseded = app.expect(0, &["history", "--outcome", "superseded"]);
    let told: Vec<_> = superseded
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["run"].clone(), run["ending"]["by"].clone()))
        .collect();
    let expected = [(&second, &failed), (&first, &newer)];
    assert_eq!(told, expected.map(|(held, by)| (held["run"].clone(), by["run"].clone())));
    let text = said(&app.ultrai(&["history", "-e", "production", "--format", "text"]));
    assert_eq!(text.matches("superseded by ").count(), 2, "{text}");
}

/// Closed by a person it stays, unproven, and is what the next failure goes back to.
#[test]
fn an_abandoned_one_serves_on_without_a_proof() {
    let (app, _) = served();
    let held = hold(&app, "1.1.0", HOLD);
    app.expect(0, &["abandon", "--reason", "known"]);
    assert_eq!(app.expect(0, &["history", "--outcome", "abandoned"])[0]["run"], held["run"]);
    app.configure_tested("1.2.0", 7, "");
    let words = ["deploy", "--tag", "1.2.0", "-e", "production", "--format", "text"];
    let failed = app.ultrai(&words);
    assert_eq!(failed.status.code(), Some(3), "{}", said(&failed));
    assert!(said(&failed).contains("(1.1.0, which no run had proven) serves again"));
    assert_eq!(app.version(), "1.1.0");
    assert_eq!(app.expect(0, &["rollback"])["version"], "1.0.0");
    assert_eq!(app.processes().len(), 1, "nothing is left");
}

#[test]
fn nobody_decided_in_time() {
    let (app, before) = served();
    for (version, words, code) in [
        ("1.1.0", &["status"][..], 0),
        ("1.1.1", &["resume"], 3),
        ("1.1.2", &["resume", "--proceed"], 3),
    ] {
        let held = hold(&app, version, HOLD_SHORTLY);
        wait_for_the_end(&held);
        // To ask for the past takes nothing back.
        assert_eq!(app.expect(0, &["history", "--outcome", "unfinished"])[0]["run"], held["run"]);
        assert_eq!(app.version(), version);
        let looked = app.ultrai(&[words, &["-e", "production"]].concat());
        assert_eq!(looked.status.code(), Some(code), "{words:?}: {}", said(&looked));
        if words.contains(&"--proceed") {
            assert!(said(&looked).contains("too late to accept it"), "{}", said(&looked));
        }
        assert_serves(&app, "1.0.0", &before);
    }

    // A deploy that comes too late takes it back first: nothing is superseded.
    let held = hold(&app, "1.1.3", HOLD_SHORTLY);
    wait_for_the_end(&held);
    app.configure_tested("1.2.0", 0, HOLD_SHORTLY);
    let report = app.deploy("1.2.0", 0);
    assert_eq!(report["previous_version"], "1.0.0", "{report}");
    let back = app.expect(0, &["history", "--outcome", "rolled-back", "--limit", "1"]);
    assert_eq!(back[0]["run"], held["run"], "{back}");
    let after = app.processes();
    assert_eq!(after.len(), 1);
    assert_serves(&app, "1.2.0", &after);
}
