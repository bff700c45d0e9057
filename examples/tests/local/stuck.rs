//! A run that cannot go back: told by exit code and `status`, healed by the command that it names.

use std::{fs, os::unix::fs::symlink};

use crate::app::{App, ULTRAI, free_port, said};

#[test]
fn a_stuck_run_is_told_and_healed() {
    let app = App::new();
    let program = app.path("server-1");
    // The port is fixed, so the old process stops before the new one starts.
    let port = format!("port = {}", free_port());
    symlink(ULTRAI, &program).unwrap();
    app.configure(program.to_str().unwrap(), &port, "APP_VERSION = \"1.0.0\"", "");
    let first = app.deploy("1.0.0", 0);

    fs::remove_file(&program).unwrap();
    app.configure(ULTRAI, &port, "APP_VERSION = \"1.1.0\", DEMO_NEVER_HEALTHY = \"1\"", "");
    let stuck = app.deploy("1.1.0", 4);
    assert_eq!(stuck["ending"]["kind"], "stuck", "{stuck}");
    let undo = stuck["ending"]["undo"].to_string();
    assert!(undo.contains("server-1"), "why going back failed: {undo}");

    let status = app.expect(4, &["status"]);
    assert_eq!(status["unfinished"]["stuck"], true, "{status}");
    assert_eq!(status["unfinished"]["run"], stuck["run"], "{status}");
    let next = status["next"].as_str().unwrap().to_owned();
    assert!(next.starts_with("ultrai resume --retry "), "{next}");

    // Nothing else is begun, and the attempt changes nothing.
    let refused = app.ultrai(&["deploy", "-e", "production", "--tag", "1.2.0"]);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert_eq!(app.expect(4, &["status"])["unfinished"]["run"], stuck["run"]);

    // Still not mended: it says so again.
    let again = app.expect(4, &["resume", "--retry"]);
    assert_eq!(again["ending"]["kind"], "stuck", "{again}");

    symlink(ULTRAI, &program).unwrap();
    let healed = app.shell(&next);
    assert_eq!(healed.status.code(), Some(3), "`{next}`: {}", said(&healed));
    let told = said(&healed);
    assert!(told.contains("Version 1.0.0 serves again; its checks passed"), "{told}");
    let status = app.expect(0, &["status"]);
    assert_eq!(status["release"], first["release"], "{status}");
    assert!(status["unfinished"].is_null() && status["next"].is_null(), "{status}");
    app.expect(0, &["verify"]);
    assert_eq!(app.processes().len(), 1, "one process serves");
}
