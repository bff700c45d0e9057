//! The main job on a real engine: deployed, upgraded, taken back with the same containers.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use shop::Shop;

#[test]
fn the_sources_application_is_deployed_upgraded_and_taken_back() {
    let mut shop = Shop::sources().with_tests();

    let first = shop.deploy("v1.0.0", 0);
    assert_eq!(first["ending"]["kind"], "succeeded", "{first}");
    assert_eq!(tests(&first), [("pre-deploy", 0), ("post-deploy", 0)], "{first}");
    let tails = first["tests"].to_string();
    for path in [
        "/health/database",
        "/health/redis",
        "/health/llm-providers",
        "/health/ready",
        "/health/live",
        "/api/models",
        "/api/analysis-patterns",
        "/api/v1/version",
    ] {
        assert!(tails.contains(&format!("ok     {path}")), "{path}: {tails}");
    }
    assert!(shop.http("BACKEND_PORT", "/api/v1/version").unwrap().1.contains("1.0.0"));
    assert!(shop.http("FRONTEND_PORT", "/health").unwrap().1.contains("healthy"));

    let upgrade = shop.deploy("v1.1.0", 0);
    assert_eq!(upgrade["plan"]["services"]["redis"]["action"], "keep", "{upgrade}");
    assert!(shop.http("BACKEND_PORT", "/api/v1/version").unwrap().1.contains("1.1.0"));
    let before = shop.containers(true);
    assert_eq!(before.len(), 4, "nothing is kept after finalise: {before:?}");

    // The same release again changes nothing and restarts nothing.
    let again = shop.deploy("v1.1.0", 0);
    assert_eq!(again["ending"]["changed"], false, "{again}");
    assert_eq!(shop.containers(true), before);

    // A backend that never gets healthy is taken back by itself.
    let sick = shop.deploy("v1.2.0", 3);
    assert_eq!(sick["ending"]["kind"], "rolled_back", "{sick}");
    assert_eq!(ids(&shop), ids_of(&before), "the same containers serve again");
    let cause = sick["ending"]["cause"].to_string();
    assert!(cause.contains("backend health over http"), "{cause}");
    assert!(cause.contains("503"), "the last answer: {cause}");
    assert!(cause.contains("\"log\""), "the end of the log: {cause}");
    shop.ultrai(&["verify", "-e", "production"]).expect(0);

    // So is one that is healthy but fails its post-deploy tests.
    let failing = shop.deploy("v1.3.0", 3);
    assert_eq!(failing["ending"]["kind"], "rolled_back", "{failing}");
    assert_eq!(tests(&failing), [("pre-deploy", 0), ("post-deploy", 1)], "{failing}");
    let cause = failing["ending"]["cause"].to_string();
    assert!(cause.contains("`post-deploy` ended with exit code 1"), "{cause}");
    for tail in [failing["tests"][1]["tail"].to_string(), cause] {
        assert!(tail.contains("ok     /health/redis"), "what it said before: {tail}");
        assert!(tail.contains("FAILED /api/models") && tail.contains("(status 500)"), "{tail}");
    }
    assert_eq!(ids(&shop), ids_of(&before), "and nothing of the tests is left");
    shop.ultrai(&["verify", "-e", "production"]).expect(0);

    // And back to 1.0.0 on request, by way of the backup that was taken before 1.1.0.
    let backups = shop.ultrai(&["--format", "json", "backup", "list", "-e", "production"]).json();
    let oldest = backups.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    let back = shop
        .ultrai(&["--format", "json", "rollback", "-e", "production", "--backup", &oldest])
        .expect(0)
        .json();
    assert_eq!(back["version"], "v1.0.0", "{back}");
    assert!(shop.http("BACKEND_PORT", "/api/v1/version").unwrap().1.contains("1.0.0"));

    let status = shop.ultrai(&["status", "-e", "production"]).expect(0).out;
    assert!(status.contains("v1.0.0"), "{status}");
    let history = shop.ultrai(&["history", "-e", "production"]).expect(0).out;
    assert_eq!(history.lines().count(), 6, "{history}");
    no_secret_but_in_its_files(&shop);

    // What was recorded is told also while the engine is down.
    shop.env.insert("DOCKER_HOST".to_owned(), "unix:///nonexistent/docker.sock".to_owned());
    let status = shop.ultrai(&["status", "-e", "production"]).expect(1).out;
    assert!(status.contains("v1.0.0") && status.contains("by the last record"), "{status}");
    assert!(status.contains("/nonexistent/docker.sock"), "{status}");
}

/// The tests of a report and their exit codes.
fn tests(report: &serde_json::Value) -> Vec<(&str, i64)> {
    let tests = report["tests"].as_array().unwrap().iter();
    tests
        .map(|test| (test["test"].as_str().unwrap(), test["exit_code"].as_i64().unwrap()))
        .collect()
}

fn ids(shop: &Shop) -> Vec<(String, String)> {
    ids_of(&shop.containers(true))
}

fn ids_of(
    containers: &std::collections::BTreeMap<String, (String, String)>,
) -> Vec<(String, String)> {
    containers.iter().map(|(name, (id, _))| (name.clone(), id.clone())).collect()
}

/// The value of the declared secret stands in files of secrets and backups only, all closed to
/// others.
fn no_secret_but_in_its_files(shop: &Shop) {
    use std::os::unix::fs::PermissionsExt;
    let value = &shop.env["OPENAI_API_KEY"];
    let mut directories = vec![shop.state()];
    let mut seen = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            if content.contains(value.as_str()) {
                seen += 1;
                let text = path.to_string_lossy();
                assert!(text.ends_with("secrets.json") || text.contains("/backups/"), "{text}");
                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{text} is open to others");
            }
        }
    }
    assert!(seen > 0, "the secret is kept for a rollback");
}
