//! The quickstart, and an application of one's own as local processes.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::app::{App, ULTRAI, json, said};

#[test]
fn the_quickstart_tells_its_story_within_twenty_seconds() {
    let app = App::new();
    let began = Instant::now();
    let output = app.ultrai(&["quickstart"]);
    let took = began.elapsed();
    assert!(output.status.success(), "{}", said(&output));
    let story = json(&output);
    let endings: Vec<_> =
        story["runs"].as_array().unwrap().iter().map(|run| run["ending"]["kind"].clone()).collect();
    assert_eq!(endings, ["succeeded", "succeeded", "rolled_back"]);
    let report = fs::read_to_string(story["report"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap(), story["runs"]);
    println!("the quickstart took {took:.1?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// An upgrade starts beside the old process.
const AUTO: &str = "port = \"auto\"";

#[test]
fn an_application_of_local_processes() {
    let app = App::new();
    app.configure(ULTRAI, AUTO, "APP_VERSION = \"1.0.0\"", "");
    app.deploy("1.0.0", 0);
    let again = app.deploy("1.0.0", 0);
    assert_eq!(again["ending"]["changed"], false);
    let before = app.processes();
    assert_eq!(before.len(), 1, "one process serves");

    app.configure(ULTRAI, AUTO, "APP_VERSION = \"1.1.0\", DEMO_NEVER_HEALTHY = \"1\"", "");
    app.deploy("1.1.0", 3);
    app.expect(0, &["verify"]);
    assert_eq!(app.processes(), before, "the same process serves");
}
