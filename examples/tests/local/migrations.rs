//! Migrations of local processes: each adds a line to a file that outlives the releases.

use std::{fmt::Write, fs, path::Path, process::Stdio, time::Instant};

use serde_json::Value;

use crate::app::{App, ULTRAI, said};

/// A service whose migrations are `names`, each with what it does after its line.
fn configure(app: &App, version: &str, more: &str, names: &[(&str, &str)]) {
    let data = app.path("data");
    let mut text = more.to_owned();
    for (name, script) in names {
        let _infallible = write!(
            text,
            "\n[[migration]]\nname = \"{name}\"\nservice = \"web\"\nreversible = false\n\
             command = [\"sh\", \"-c\", \"echo {name} $APP_VERSION >> {}; {script}\"]\n",
            data.display()
        );
    }
    app.configure(ULTRAI, "port = \"auto\"", &format!("APP_VERSION = \"{version}\""), &text);
}

fn data(app: &App) -> String {
    fs::read_to_string(app.path("data")).unwrap_or_default()
}

fn statuses(app: &App) -> Vec<(String, String)> {
    let listed = app.expect(0, &["migrations"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = listed["migrations"].as_array().unwrap().iter();
    all.map(|one| (text(&one["name"]), text(&one["status"]))).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn migrations_run_once_and_stay() {
    let app = App::new();
    let one = ("001-users", "echo made users");
    configure(&app, "1.0.0", "", &[one]);
    assert_eq!(statuses(&app), pairs(&[("001-users", "pending")]));
    let planned = app.expect(0, &["plan", "--tag", "1.0.0"]);
    assert!(planned["not_undoable"].to_string().contains("001-users"), "{planned}");
    let first = app.deploy("1.0.0", 0);
    assert_eq!(first["migrations"][0]["status"], "applied", "{first}");
    assert_eq!(first["migrations"][0]["tail"], "made users");
    assert_eq!(app.deploy("1.0.0", 0)["ending"]["changed"], false);
    assert_eq!(data(&app), "001-users 1.0.0\n");

    // Of the next one only what is new, and it stays when the release goes.
    let two = ("002-orders", "true");
    configure(&app, "1.1.0", "", &[one, two]);
    let text = fs::read_to_string(app.path("deploy.toml")).unwrap();
    let version = "APP_VERSION = \"1.1.0\"";
    let sick = text.replace(version, &format!("{version}, DEMO_NEVER_HEALTHY = \"1\""));
    fs::write(app.path("deploy.toml"), sick).unwrap();
    let output = app.ultrai(&["deploy", "--tag", "1.1.0", "-e", "production", "--format", "text"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let words = "Migration `002-orders` of this release stays applied: what it changed in the data \
                 was not rolled back; it is declared not reversible.";
    assert!(said(&output).contains(words), "{}", said(&output));
    assert_eq!(app.version(), "1.0.0");
    assert_eq!(data(&app), "001-users 1.0.0\n002-orders 1.1.0\n");

    // One that fails changes nothing that serves, shows why, and is tried again.
    let before = app.processes();
    let three = ("003-carts", "echo no such table; exit 9");
    configure(&app, "1.2.0", "", &[one, two, three]);
    let failed = app.deploy("1.2.0", 3);
    let cause = failed["ending"]["cause"].to_string();
    assert!(cause.contains("migration `003-carts` failed with exit code 9"), "{cause}");
    assert!(cause.contains("no such table"), "{cause}");
    assert_eq!((app.processes(), app.version().as_str()), (before, "1.0.0"));
    let expected = [("001-users", "applied"), ("002-orders", "applied"), ("003-carts", "failed")];
    assert_eq!(statuses(&app), pairs(&expected));
    configure(&app, "1.2.0", "", &[one, two, ("003-carts", "true")]);
    app.deploy("1.2.0", 0);
    assert_eq!(app.expect(0, &["rollback"])["migrations"], serde_json::json!([]));
    assert_eq!(data(&app).lines().count(), 4, "{}", data(&app));
}

/// SIGKILL in the middle of a migration: nobody guesses.
#[test]
fn a_migration_that_was_killed_waits_for_a_person() {
    let app = App::new();
    configure(&app, "1.0.0", "", &[("001", "true")]);
    app.deploy("1.0.0", 0);
    configure(&app, "1.1.0", "", &[("001", "true"), ("002", "exec sleep 60")]);
    let mut child = std::process::Command::new(ULTRAI)
        .arg("--state")
        .arg(app.path("state"))
        .args(["deploy", "--tag", "1.1.0", "-e", "production"])
        .current_dir(app.path(""))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + std::time::Duration::from_secs(30);
    while !data(&app).contains("002") {
        assert!(child.try_wait().unwrap().is_none(), "it is over");
        assert!(Instant::now() < patience, "it did not begin");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    end_what_sleeps(&app.path(""));

    let resumed = app.expect(3, &["resume"]);
    assert_eq!(resumed["migrations"][0]["status"], "unknown", "{resumed}");
    configure(&app, "1.1.0", "", &[("001", "true"), ("002", "true")]);
    let refused = app.deploy("1.1.0", 1).to_string();
    assert!(refused.contains("nobody knows whether migration `002`"), "{refused}");
    let listed = app.ultrai(&["migrations", "-e", "production", "--format", "text"]);
    let listed = said(&listed);
    assert!(listed.contains("unknown  002"), "{listed}");
    let (_, told) = listed.split_once("then run\n  ").unwrap();
    let told = told.lines().next().unwrap();
    assert!(told.starts_with("ultrai migrations --environment production"), "{told}");
    for wrong in ["002", "003=applied"] {
        app.expect(2, &["migrations", "--mark", wrong]);
    }
    assert_eq!(app.shell(told).status.code(), Some(0), "{told}");
    assert_eq!(statuses(&app), pairs(&[("001", "applied"), ("002", "applied")]));
    app.deploy("1.1.0", 0);
    assert_eq!(data(&app), "001 1.0.0\n002 1.1.0\n");
}

/// Ends what a killed run's task left running.
fn end_what_sleeps(below: &Path) {
    let below = fs::canonicalize(below).unwrap();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let command = fs::read(path.join("cmdline")).unwrap_or_default();
        let Ok(cwd) = fs::read_link(path.join("cwd")) else { continue };
        if cwd.starts_with(&below) && command.starts_with(b"sleep\0") {
            let pid = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
}
