//! A service without a host port behind a proxy of the same file: replaced without downtime.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use std::time::{Duration, Instant};

use shop::{Shop, load::Load};

const COMPOSE: &str = r#"
services:
  proxy:
    image: ultrai/haproxy:1
    ports: ["${PORT_A}:8080"]
    environment: {BACKEND: "web:8085"}
    depends_on: [web]
  web:
    image: ultrai/backend:${WEB:-v1.0.0}
    environment: {REDIS_URI: ""}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 30s, timeout: 5s, retries: 1}
"#;

#[test]
fn start_first_behind_a_proxy_at_fifty_requests_a_second() {
    let mut shop = Shop::new(COMPOSE);
    shop.deploy("1.0.0", 0);
    let deadline = Instant::now() + shop::PATIENCE;
    while shop.http("PORT_A", "/health").is_none_or(|(code, _)| code != 200) {
        assert!(Instant::now() < deadline, "the proxy finds no backend");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let before = shop.containers(true);

    let (report, count) = Load::during(&shop, "PORT_A", "/api/v1/version", |load| {
        let words =
            ["--format", "json", "deploy", "-e", "production", "--tag", "1.1.0", "--skip-build"];
        let output = shop.command(&words).env("WEB", "v1.1.0").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        (report, load.count())
    });
    assert_eq!(report["plan"]["services"]["web"]["action"], "start_first", "{report}");
    let after = shop.containers(true);
    assert_eq!(before["proxy-1"], after["proxy-1"], "the proxy is not touched");
    shop.env.insert("WEB".to_owned(), "v1.1.0".to_owned());
    assert!(shop.http("PORT_A", "/api/v1/version").unwrap().1.contains("1.1.0"));
    println!("{} of {} requests failed during the replacement", count.lost, count.sent);
    assert!(count.sent > 50, "too few requests to tell: {}", count.sent);
    assert_eq!(count.lost, 0, "of {} requests", count.sent);
}
