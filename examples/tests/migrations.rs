//! A migration of a database on a real Docker Engine: it needs what does not run yet, and what it did
//! stays in the named volume.

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

const COMPOSE: &str = r#"
services:
  db:
    image: redis:6.2-alpine
    command: ["redis-server", "--dir", "/data"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 1s, timeout: 5s, retries: 10}
  app:
    image: redis:6.2-alpine
    command: ["redis-server", "--port", "6380", "--save", ""]
    environment: {RELEASE: "${VERSION}"}
    healthcheck: {test: ["CMD", "redis-cli", "-p", "6380", "ping"], interval: 1s, timeout: 5s, retries: 10}
    depends_on: {db: {condition: service_healthy}}
volumes: {data: {}}
"#;

/// Counts in the database; `more` is what it does then.
fn configure(shop: &Shop, more: &str) {
    shop.configure(&format!(
        "[[migration]]\nname = \"count\"\nservice = \"app\"\nreversible = false\n\
         command = [\"sh\", \"-c\", \"redis-cli -h db INCR count && redis-cli -h db SAVE\"]\n{more}"
    ));
}

fn count(shop: &Shop) -> String {
    let db = format!("{}-db-1", shop.project);
    shop.docker(&["exec", &db, "redis-cli", "GET", "count"]).trim().to_owned()
}

#[test]
fn a_migration_needs_the_database_and_stays_in_its_volume() {
    let shop = Shop::new(COMPOSE);
    configure(&shop, "");
    let first = shop.deploy("1.0.0", 0);
    assert_eq!(first["migrations"][0]["status"], "applied", "{first}");
    assert_eq!(count(&shop), "1");
    let names: Vec<_> = shop.containers(true).into_keys().collect();
    assert_eq!(names, ["app-1", "db-1"], "nothing is left of the migration");
    let whole = shop.everything();

    let second = shop.deploy("1.1.0", 0);
    assert_eq!(second["migrations"], serde_json::json!([]), "{second}");
    assert_eq!((count(&shop).as_str(), shop.everything()), ("1", whole.clone()));

    // One that fails beside a database that serves: nothing that serves is touched.
    let fails = "[[migration]]\nname = \"fails\"\nservice = \"app\"\nreversible = true\n\
                 command = [\"sh\", \"-c\", \"redis-cli -h db INCR count; exit 3\"]\n";
    configure(&shop, fails);
    let before = shop.containers(true);
    let failed = shop.deploy("1.2.0", 3);
    assert_eq!(failed["ending"]["kind"], "rolled_back", "{failed}");
    assert_eq!(failed["migrations"][0]["status"], "failed", "{failed}");
    assert_eq!((shop.containers(true), shop.everything()), (before, whole));
    assert_eq!(count(&shop), "2");
}
