//! Services that misbehave in ways that only time shows: a crash after the switch, a SIGTERM that
//! is not heard.

use std::time::{Duration, Instant};

use crate::app::{App, ULTRAI, free_port};

#[test]
fn a_crash_while_it_is_watched_is_rolled_back() {
    let app = App::new();
    let watch = "[policy]\nwatch = \"30s\"\n";
    let port = "port = \"auto\"";
    app.configure(ULTRAI, port, "APP_VERSION = \"1.0.0\"", "");
    app.deploy("1.0.0", 0);
    let before = app.processes();

    // Long enough to get through the switch and its checks, even on a busy machine.
    let crash = "APP_VERSION = \"1.1.0\", DEMO_CRASH_AFTER = \"4\"";
    app.configure(ULTRAI, port, crash, watch);
    let began = Instant::now();
    let report = app.deploy("1.1.0", 3);
    println!("a crash 4 s after the start was rolled back {:.1?} after it", began.elapsed());
    assert_eq!(report["ending"]["kind"], "rolled_back", "{report}");
    let failed: Vec<_> = report["stages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stage| stage["status"] == "failed")
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["watch"], "{report}");
    let cause = report["ending"]["cause"].to_string();
    assert!(cause.contains("crashed on demand"), "the end of the log: {cause}");
    app.expect(0, &["verify"]);
    assert_eq!(app.processes(), before, "the same process serves");
}

#[test]
fn a_service_that_ignores_sigterm_is_killed_after_its_grace_period() {
    let app = App::new();
    let web = format!("port = {}\nstop_grace = \"2s\"", free_port());
    app.configure(ULTRAI, &web, "APP_VERSION = \"1.0.0\", DEMO_IGNORE_SIGTERM = \"1\"", "");
    app.deploy("1.0.0", 0);
    let deaf = app.processes();
    assert_eq!(deaf.len(), 1);

    app.configure(ULTRAI, &web, "APP_VERSION = \"1.1.0\"", "");
    let began = Instant::now();
    let report = app.deploy("1.1.0", 0);
    let took = began.elapsed();
    println!("replacing a service that ignores SIGTERM for 2 s took {took:.1?}");
    assert!(took >= Duration::from_secs(2), "it was given its time: {report}");
    let after = app.processes();
    assert_eq!(after.len(), 1, "{report}");
    assert_ne!(after, deaf);
    app.expect(0, &["verify"]);
}
