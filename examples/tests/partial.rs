//! Partial updates, first deploys that fail, stacks of others, services that go.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use shop::{Shop, oracle};

const COMPOSE: &str = r#"
services:
  web:
    image: ultrai/backend:${WEB:-v1.0.0}
    ports: ["${PORT_A}:8085"]
    environment: {REDIS_URI: "redis://redis:6379/0", GREETING: "${GREETING:-hello}"}
    depends_on: {redis: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 30s, timeout: 5s, retries: 1}
  two:
    image: ultrai/backend:v1.0.0
    environment: {NAME: two}
  three:
    image: ultrai/backend:v1.0.0
    environment: {NAME: three}
  redis:
    image: redis:6.2-alpine
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 30s, timeout: 5s, retries: 3}
volumes: {data: }
"#;

#[test]
fn one_of_four_changed_and_the_other_three_keep_running() {
    let mut shop = Shop::new(COMPOSE);
    shop.deploy("1.0.0", 0);
    let before = shop.containers(true);
    shop.env.insert("GREETING".to_owned(), "good morning".to_owned());
    let report = shop.deploy("1.0.1", 0);
    let after = shop.containers(true);
    assert_eq!(after.len(), 4, "{after:?}");
    for name in ["two-1", "three-1", "redis-1"] {
        assert_eq!(before[name], after[name], "{name} keeps its id and start time: {report}");
    }
    assert_ne!(before["web-1"].0, after["web-1"].0);
}

#[test]
fn a_removed_service_is_kept_until_retire_and_comes_back() {
    let mut shop = Shop::new(COMPOSE);
    shop.deploy("1.0.0", 0);
    let before = shop.containers(true);
    let without = COMPOSE.replace(
        "  three:\n    image: ultrai/backend:v1.0.0\n    environment: {NAME: three}\n",
        "",
    );
    shop.write("docker-compose.yml", &without);

    // A release that fails brings it back, the very same container.
    shop.env.insert("WEB".to_owned(), "v1.2.0".to_owned());
    shop.configure(&format!(
        "[[check]]\nname = \"web\"\nurl = \"http://127.0.0.1:{}/health\"\ndeadline = \"3s\"",
        shop.env["PORT_A"]
    ));
    let failed = shop.deploy("1.1.0", 3);
    assert_eq!(failed["plan"]["services"]["three"]["action"], "remove", "{failed}");
    let back = shop.containers(false);
    assert_eq!(back["three-1"].0, before["three-1"].0);
    assert_eq!(back["web-1"].0, before["web-1"].0);
    assert_eq!(shop.containers(true).len(), 4);

    // One that succeeds removes it.
    shop.env.insert("WEB".to_owned(), "v1.1.0".to_owned());
    shop.deploy("1.1.1", 0);
    assert!(!shop.containers(true).contains_key("three-1"));
}

#[test]
fn a_first_deploy_that_fails_leaves_nothing_but_volumes() {
    let mut shop = Shop::new(COMPOSE);
    shop.env.insert("WEB".to_owned(), "v1.2.0".to_owned());
    shop.configure(&format!(
        "[[check]]\nname = \"web\"\nurl = \"http://127.0.0.1:{}/health\"\ndeadline = \"3s\"",
        shop.env["PORT_A"]
    ));
    let report = shop.deploy("1.2.0", 3);
    assert_eq!(report["ending"]["kind"], "rolled_back", "{report}");
    assert_eq!(report["ending"]["to"], serde_json::Value::Null, "{report}");
    assert_eq!(shop.everything(), [format!("volume {}_data", shop.project)]);
    let notes = report["notes"].to_string();
    assert!(notes.contains(&format!("{}_data", shop.project)), "the volume is named: {notes}");
}

#[test]
fn a_stack_of_the_real_compose_is_adopted_and_brought_back_with_its_data() {
    let Some(oracle) = oracle() else { return };
    let mut shop = Shop::new(COMPOSE);
    let up = shop.compose(&oracle, &["up", "-d"]);
    assert_eq!(up.code, 0, "{}", up.err);
    let redis = format!("{}-redis-1", shop.project);
    shop.docker(&["exec", &redis, "redis-cli", "set", "customer", "42"]);
    let before = shop.containers(true);

    shop.env.insert("WEB".to_owned(), "v1.2.0".to_owned());
    shop.configure(&format!(
        "[[check]]\nname = \"web\"\nurl = \"http://127.0.0.1:{}/health\"\ndeadline = \"3s\"",
        shop.env["PORT_A"]
    ));
    let report = shop.deploy("1.2.0", 3);
    assert_eq!(report["previous_proven"], false, "{report}");
    let after = shop.containers(false);
    for (name, (id, _)) in &before {
        assert_eq!(&after[name].0, id, "{name} is the same container: {report}");
    }
    assert_eq!(shop.docker(&["exec", &redis, "redis-cli", "get", "customer"]).trim(), "42");

    // A good one takes over for good, with the data.
    shop.env.insert("WEB".to_owned(), "v1.1.0".to_owned());
    shop.deploy("1.1.0", 0);
    assert_eq!(shop.docker(&["exec", &redis, "redis-cli", "get", "customer"]).trim(), "42");
}

#[test]
fn the_real_compose_goes_on_working_on_what_was_deployed() {
    let Some(oracle) = oracle() else { return };
    let mut shop = Shop::new(COMPOSE);
    shop.deploy("1.0.0", 0);
    shop.env.insert("GREETING".to_owned(), "again".to_owned());
    shop.deploy("1.0.1", 0);
    let before = shop.containers(true);
    let ps = shop.compose(&oracle, &["ps", "--services"]).expect(0).out;
    let mut services: Vec<_> = ps.lines().collect();
    services.sort_unstable();
    assert_eq!(services, ["redis", "three", "two", "web"]);
    let logs = shop.compose(&oracle, &["logs", "redis"]).expect(0).out;
    assert!(logs.contains("Ready to accept connections"), "{logs}");
    let up = shop.compose(&oracle, &["up", "-d"]).expect(0);
    assert_eq!(shop.containers(true), before, "`up` finds nothing to do: {}", up.err);
}
