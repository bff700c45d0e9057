//! Eight ways in which 1.1.0 is worse than 1.0.0.

use crate::app::{App, GATE, SUITE, SWITCH};

/// All that proves a release of the application.
fn all() -> String {
    [SWITCH, GATE, SUITE].concat()
}

#[test]
fn it_starts_too_slowly() {
    App::well(&all()).goes_back(&["SLOW_START=60"], &["health", "refused"]);
}

#[test]
fn it_never_gets_healthy() {
    App::well(&all()).goes_back(&["NEVER_HEALTHY=1"], &["`health`", "503"]);
}

#[test]
fn it_is_healthy_and_then_dies() {
    let checks = [SWITCH, SUITE].concat();
    let app = App::well(&checks);
    app.configure("watch = \"20s\"", &checks);
    app.goes_back(&["CRASH_AFTER=8"], &["backend", "exit"]);
}

#[test]
fn one_answer_of_sixteen_is_an_error() {
    App::well(&all()).goes_back(&["FAIL_EVERY=16"], &["load", "error_rate"]);
}

#[test]
fn it_answers_too_slowly() {
    App::well(&all()).goes_back(&["SLOW_ANSWERS=3200"], &["load", "p95_latency"]);
}

#[test]
fn it_is_another_version() {
    App::well(&all()).goes_back(&["WRONG_VERSION=1"], &["version", "0.0.1", "1.1.0"]);
}

#[test]
fn its_database_is_down() {
    App::well(&all()).goes_back(
        &["MONGODB_URI=mongodb://mongodb:1/ultrai"],
        &["verification tests", "database", "503", "refused"],
    );
}

#[test]
fn all_its_llm_providers_are_down() {
    let mut app = App::well(&all());
    for key in ["OPENAI_API_KEY", "CLAUDE_API_KEY", "COHERE_API_KEY"] {
        app.shop.env.insert(key.to_owned(), String::new());
    }
    app.goes_back(&[], &["verification tests", "LLM provider", "providers"]);
}
