//! Eight ways in which 1.1.0 is worse than 1.0.0.

use crate::app::{App, GATE, SUITE, SWITCH};

/// All that proves a release of the application.
fn all() -> String {
    [SWITCH, GATE, SUITE].concat()
}

#[test]
fn it_starts_too_slowly() {
    App::well(&all()).goes_back(
        &["SLOW_START=60"],
        "verify",
        &["`health`", "no HTTP answer", "gave up after 6"],
    );
}

#[test]
fn it_never_gets_healthy() {
    App::well(&all()).goes_back(
        &["NEVER_HEALTHY=1"],
        "verify",
        &["`health`", "answered 503", "unhealthy"],
    );
}

#[test]
fn it_is_healthy_and_then_dies() {
    let checks = [SWITCH, SUITE].concat();
    let app = App::well(&checks);
    app.configure("watch = \"30s\"", &checks);
    app.goes_back(&["CRASH_AFTER=10"], "watch", &["backend", "ended with exit code 1"]);
}

#[test]
fn one_answer_of_sixteen_is_an_error() {
    // Without the suite: it may well be that which meets the sixteenth.
    App::well(&[SWITCH, GATE].concat()).goes_back(
        &["FAIL_EVERY=16"],
        "post-deploy tests",
        &["`load`", "error_rate is", "status 500"],
    );
}

#[test]
fn it_answers_too_slowly() {
    App::well(&all()).goes_back(
        &["SLOW_ANSWERS=3200"],
        "post-deploy tests",
        &["`load`", "p95_latency is 3."],
    );
}

#[test]
fn it_is_another_version() {
    App::well(&all()).goes_back(
        &["WRONG_VERSION=1"],
        "verify",
        &["`version`", "is version 0.0.1, not 1.1.0"],
    );
}

#[test]
fn its_database_is_down() {
    App::well(&all()).goes_back(
        &["MONGODB_URI=mongodb://mongodb:1/ultrai"],
        "post-deploy tests",
        &["`verification tests`", "`database` failed", "answered 503", "Connection refused"],
    );
}

#[test]
fn all_its_llm_providers_are_down() {
    let mut app = App::well(&all());
    for key in ["OPENAI_API_KEY", "CLAUDE_API_KEY", "COHERE_API_KEY"] {
        app.shop.env.insert(key.to_owned(), String::new());
    }
    app.goes_back(
        &[],
        "post-deploy tests",
        &["`at least one LLM provider is available` failed", "finds nothing"],
    );
}
