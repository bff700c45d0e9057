//! What is told of the past: asked for in parts, damaged, and forgotten.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::app::{App, said};

fn versions(app: &App, words: &[&str]) -> Vec<String> {
    let found = app.expect(0, &[&["history"], words].concat());
    let runs = found.as_array().unwrap().iter();
    runs.map(|run| run["version"].as_str().unwrap().to_owned()).collect()
}

fn journal(app: &App, run: &Value) -> PathBuf {
    app.path("state/shop/production/runs").join(format!("{}.journal", run.as_str().unwrap()))
}

fn text(app: &App, words: &[&str]) -> (Option<i32>, String) {
    let output =
        app.ultrai(&[&["history", "-e", "production", "--format", "text"], words].concat());
    (output.status.code(), said(&output))
}

#[test]
fn the_history_is_asked_and_a_damaged_journal_is_never_left_out() {
    let app = App::new();
    app.configure_tested("1.0.0", 0, "");
    assert_eq!(text(&app, &[]).1.trim(), "no runs in shop/production yet");
    let first = app.expect(0, &["deploy", "--tag", "1.0.0", "--reason", "the beginning"]);
    app.configure_tested("1.1.0", 7, "");
    app.deploy("1.1.0", 3);
    app.configure_tested("1.2.0", 0, "");
    let last = app.deploy("1.2.0", 0);

    assert_eq!(versions(&app, &[]), ["1.2.0", "1.1.0", "1.0.0"]);
    assert_eq!(versions(&app, &["--limit", "2"]), ["1.2.0", "1.1.0"]);
    assert_eq!(versions(&app, &["--version", "v1.1.0"]), ["1.1.0"]);
    assert_eq!(versions(&app, &["--outcome", "rolled-back"]), ["1.1.0"]);
    assert_eq!(versions(&app, &["--outcome", "succeeded", "--limit", "1"]), ["1.2.0"]);
    assert_eq!(versions(&app, &["--release", first["release"].as_str().unwrap()]), ["1.0.0"]);
    let began = last["started"].as_str().unwrap();
    assert_eq!(versions(&app, &["--since", began]), ["1.2.0"]);
    assert_eq!(versions(&app, &["--until", began]), ["1.1.0", "1.0.0"]);
    assert_eq!(versions(&app, &["--since", "1h"]).len(), 3);
    assert_eq!(versions(&app, &["--until", "1h"]), Vec::<String>::new());
    let (code, lines) = text(&app, &["--version", "1.0.0"]);
    assert_eq!(code, Some(0));
    assert!(lines.contains("succeeded") && lines.contains("the beginning"), "{lines}");
    for wrong in [
        &["--since", "1h", "--until", "2h"][..],
        &["--since", "yesterday"],
        &["--version", "latest"],
        &["--limit", "0"],
        &["--outcome", "good"],
    ] {
        let (code, told) = text(&app, wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {told}");
        assert!(told.contains("exchange them") || told.contains(wrong[1]), "{told}");
    }

    // One byte in the middle of the first run.
    let path = journal(&app, &first["run"]);
    let whole = fs::read(&path).unwrap();
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 1;
    fs::write(&path, broken).unwrap();
    let found = app.expect(1, &["history", "--version", "1.2.0"]);
    let runs: Vec<_> = found.as_array().unwrap().iter().map(|run| run["run"].clone()).collect();
    assert_eq!(runs, [last["run"].clone(), first["run"].clone()], "{found}");
    assert!(found[0]["damage"].is_null() && found[1]["damage"].is_object(), "{found}");
    let (code, lines) = text(&app, &[]);
    assert_eq!(code, Some(1));
    assert!(lines.contains(&format!("DAMAGED  {}", first["run"].as_str().unwrap())), "{lines}");
    assert!(lines.contains("1.2.0") && lines.contains("rolled back"), "{lines}");

    // Nothing is deployed on top of what cannot be read.
    let before = app.processes();
    app.configure_tested("1.3.0", 0, "");
    let refused = app.deploy("1.3.0", 1).to_string();
    assert!(refused.contains(first["run"].as_str().unwrap()), "it is named: {refused}");
    assert!(refused.contains("then move it away"), "{refused}");
    assert_eq!(app.processes(), before);
    fs::remove_file(&path).unwrap();
    app.deploy("1.3.0", 0);
    app.expect(0, &["history"]);
}

#[test]
fn runs_that_nobody_needs_are_forgotten() {
    let app = App::new();
    let policy = "keep_runs = 2\nkeep_releases = 1\nkeep_backups = 1";
    for patch in 0..4 {
        let version = format!("1.0.{patch}");
        app.configure_tested(&version, 0, policy);
        app.deploy(&version, 0);
    }
    assert_eq!(versions(&app, &[]), ["1.0.3", "1.0.2"]);
    // The proof that a kept release rests on stays, however many runs come after it, and so do the
    // newest of the failures for which releases are refused.
    for patch in 4..7 {
        let version = format!("1.0.{patch}");
        app.configure_tested(&version, 7, policy);
        app.deploy(&version, 3);
    }
    app.configure_tested("1.0.3", 0, policy);
    app.deploy("1.0.3", 0);
    let kept = versions(&app, &[]);
    assert_eq!(kept[..3], ["1.0.3", "1.0.6", "1.0.5"], "{kept:?}");
    assert!(kept.contains(&"1.0.2".to_owned()) && !kept.contains(&"1.0.4".to_owned()), "{kept:?}");
    assert_eq!(app.expect(0, &["rollback"])["version"], "1.0.2");
}
