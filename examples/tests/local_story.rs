//! The quickstart, and an application of one's own as local processes.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test panics where it fails and measures real time"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn ultrai(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ultrai"))
        .arg("--state")
        .arg(directory.join("state"))
        .args(["--format", "json"])
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_quickstart_tells_its_story_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let output = ultrai(directory.path(), &["quickstart"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let story = json(&output);
    let endings: Vec<_> =
        story["runs"].as_array().unwrap().iter().map(|run| run["ending"]["kind"].clone()).collect();
    assert_eq!(endings, ["succeeded", "succeeded", "rolled_back"]);
    let report = fs::read_to_string(story["report"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap(), story["runs"]);
}

#[test]
fn an_application_of_local_processes() {
    let directory = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_ultrai");
    let write = |fault: &str| {
        let text = format!(
            "project = \"shop\"\nbackend = \"local\"\n[services.web]\ncommand = [\"{program}\", \
             \"demo-app\"]\nport = \"auto\"\nenv = {{ APP_VERSION = \"1.0.0\" {fault} }}\n\
             [services.web.health]\npath = \"/health\"\ndeadline = \"3s\"\n"
        );
        fs::write(directory.path().join("deploy.toml"), text).unwrap();
    };
    let deploy =
        |version: &str| ultrai(directory.path(), &["deploy", "-e", "production", "--tag", version]);
    write("");
    let first = deploy("1.0.0");
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let again = deploy("1.0.0");
    assert_eq!(json(&again)["ending"]["changed"], false);
    assert_eq!(deploy("1.0.1").status.code(), Some(0));
    let rollback = || ultrai(directory.path(), &["rollback", "-e", "production"]);
    let back = rollback();
    assert_eq!((back.status.code(), &json(&back)["version"]), (Some(0), &"1.0.0".into()));
    let further = rollback();
    assert_eq!(further.status.code(), Some(2), "not forward again");
    let told = String::from_utf8_lossy(&further.stdout);
    assert!(told.contains("nothing was proven in shop/production before"), "{told}");
    write(", DEMO_NEVER_HEALTHY = \"1\"");
    let sick = deploy("1.1.0");
    assert_eq!(sick.status.code(), Some(3), "{}", String::from_utf8_lossy(&sick.stderr));
    let verified = ultrai(directory.path(), &["verify", "-e", "production"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stderr));
    let status = json(&ultrai(directory.path(), &["status", "-e", "production"]));
    let pid_of = |instance: &str| {
        // The process outlives the program that started it; the test ends it.
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            let environ = fs::read(path.join("environ")).ok()?;
            String::from_utf8_lossy(&environ).contains(instance).then_some(())?;
            path.file_name()?.to_string_lossy().parse::<i32>().ok()
        });
        processes.collect::<Vec<_>>()
    };
    let instance = status["services"]["web"]["instances"][0].as_str().unwrap().to_owned();
    let pids = pid_of(&instance);
    assert_eq!(pids.len(), 1, "one process serves: {status}");
    let pid = rustix::process::Pid::from_raw(pids[0]).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}
