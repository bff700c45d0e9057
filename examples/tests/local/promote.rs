//! Promotion of local processes: the files that were proven, whatever the project has by now.

use std::fs;

use serde_json::Value;

use crate::app::{App, ULTRAI, json, said};

const WORDS: [&str; 5] = ["promote", "--from", "staging", "--to", "production"];

fn web(app: &App, environment: &str) -> Value {
    let path = format!("state/shop/{environment}/current/release.json");
    let release: Value = serde_json::from_slice(&fs::read(app.path(&path)).unwrap()).unwrap();
    release.get("release").unwrap_or(&release)["services"]["web"].clone()
}

#[test]
fn the_files_that_were_proven_are_promoted() {
    let app = App::new();
    fs::create_dir(app.path("content")).unwrap();
    fs::write(app.path("content/page"), "proven").unwrap();
    let lines = "port = \"auto\"\nfiles = [\"content\"]";
    app.configure(ULTRAI, lines, "APP_VERSION = \"1.0.0\"", "");
    let refused = app.ultrai(&WORDS);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("nothing serves in shop/staging"), "{}", said(&refused));
    let staged = app.ultrai(&["deploy", "-e", "staging", "--tag", "1.0.0"]);
    assert_eq!(staged.status.code(), Some(0), "{}", said(&staged));

    fs::write(app.path("content/page"), "changed since").unwrap();
    fs::write(app.path("content/more"), "new").unwrap();
    let promoted = app.ultrai(&[&WORDS[..], &["--reason", "it is good"]].concat());
    assert_eq!(promoted.status.code(), Some(0), "{}", said(&promoted));
    assert_eq!(app.version(), "1.0.0");
    assert_eq!(web(&app, "production")["files"], web(&app, "staging")["files"]);
    let report = json(&promoted);
    assert_eq!(report["initiator"]["reason"], "it is good");
    assert_eq!(report["notes"], serde_json::json!([]), "{report}");
    let content = fs::canonicalize(app.path("state/shop/production/files")).unwrap();
    let digest = web(&app, "production")["files"]["content"].as_str().unwrap().to_owned();
    assert_eq!(fs::read_to_string(content.join(digest).join("page")).unwrap(), "proven");

    let history = app.ultrai(&["history", "-e", "production", "--format", "text"]);
    assert!(said(&history).contains("from staging it is good"), "{}", said(&history));
    app.add("[services.worker]\ncommand = [\"sleep\", \"60\"]\nfiles = [\"content\"]");
    let refused = app.ultrai(&WORDS);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("staging has no worker"), "{}", said(&refused));
    let same = app.ultrai(&["promote", "--from", "staging", "--to", "staging"]);
    assert_eq!(same.status.code(), Some(2), "{}", said(&same));
}
