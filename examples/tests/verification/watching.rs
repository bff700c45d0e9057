//! What is watched after a deploy, by its run and by `ultrai watch`.

use crate::app::{App, SWITCH, first_line};

/// A rule over requests of one's own.
const RULE: &str = r#"
[watch]
path = "/api/models"
rate = 40
window = "30s"
slice = "3s"
min_requests = 60
[[rule]]
name = "errors"
when = "error_rate > 0.05"
"#;

#[test]
fn a_rule_takes_a_release_back() {
    let checks = [SWITCH, RULE].concat();
    let app = App::well(&checks);
    app.configure("watch = \"30s\"", &checks);
    app.goes_back(&["FAIL_EVERY=8"], "watch", &["`errors`", "error_rate is"]);
}

#[test]
fn what_is_well_stays() {
    let app = App::well(&[SWITCH, RULE].concat());
    let watched = app.run(&["watch", "--for", "5s"]).expect(0);
    assert!(watched.out.contains("was watched to the end"), "{}", watched.out);
    app.serves("1.0.0");
}

#[test]
fn what_gets_sick_later_is_taken_back() {
    let app = App::well(SWITCH);
    app.deploy("1.1.0", &[]).expect(0);
    app.serves("1.1.0");
    app.kill_backend();
    let watched = app.run(&["watch", "--for", "1m"]).expect(3);
    let line = first_line(&watched);
    assert!(line.starts_with("rollback to 1.0.0 to ") && line.contains(": succeeded ("), "{line}");
    let told = ["critical: check", "exit code 137", "going back to"];
    for told in told {
        assert!(watched.err.contains(told), "{told}: {}", watched.err);
    }
    app.serves("1.0.0");
}

#[test]
fn it_is_only_told_where_that_was_asked_for() {
    let app = App::well(SWITCH);
    app.deploy("1.1.0", &[]).expect(0);
    app.kill_backend();
    let watched = app.run(&["watch", "--for", "1m", "--no-rollback"]).expect(1);
    assert!(watched.out.contains("was not taken back"), "{}", watched.out);
    assert!(watched.out.contains("backend"), "{}", watched.out);
}
