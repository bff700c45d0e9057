//! What a deploy would change on a real engine, and applying exactly that.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use serde_json::{Value, json};
use shop::Shop;

const COMPOSE: &str = r#"
services:
  web:
    image: ultrai/backend:${WEB:-v1.0.0}
    ports: ["${PORT_A}:8085"]
    environment: {GREETING: "${GREETING:-hello}", OPENAI_API_KEY: "${OPENAI_API_KEY}"}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 30s, timeout: 5s, retries: 1}
  same:
    image: ultrai/backend:v1.0.0
"#;
const NEW: &str = "  extra:\n    image: ultrai/backend:v1.0.0\n";

/// The plan for 1.1.0, saved.
fn plan(shop: &Shop) -> Value {
    let words = ["--format", "json", "plan", "-e", "production", "--tag", "1.1.0"];
    shop.ultrai(&[&words[..], &["--save", "plan.json"]].concat()).expect(0).json()
}

fn apply(shop: &Shop, code: i32) -> Value {
    let words = ["--format", "json", "deploy", "-e", "production", "--plan", "plan.json"];
    shop.ultrai(&words).expect(code).json()
}

fn image(shop: &Shop, reference: &str) -> String {
    shop.docker(&["image", "inspect", "-f", "{{.Id}}", reference]).trim().to_owned()
}

/// Applying is refused for this, and no container is touched.
fn refused(shop: &Shop, why: &str) {
    let before = shop.containers(true);
    let report = apply(shop, 1);
    assert_eq!(report["ending"]["kind"], "refused", "{report}");
    let cause = report["ending"]["cause"].to_string();
    assert!(cause.contains(why), "{why}: {cause}");
    assert!(cause.contains("look at `ultrai plan` and save it again"), "{cause}");
    assert_eq!(shop.containers(true), before);
}

#[test]
fn a_plan_on_an_engine_is_shown_saved_and_applied() {
    let mut shop = Shop::new(COMPOSE);
    shop.deploy("1.0.0", 0);
    let before = shop.containers(true);

    let next = format!("{COMPOSE}{NEW}");
    shop.write("docker-compose.yml", &next);
    shop.env.insert("WEB".to_owned(), "v1.1.0".to_owned());
    shop.env.insert("GREETING".to_owned(), "good morning".to_owned());
    shop.env.insert("OPENAI_API_KEY".to_owned(), "sk-test-another".to_owned());
    let plan = plan(&shop);
    assert_eq!(shop.containers(true), before, "nothing is touched");

    let services = &plan["services"];
    let actions = ["extra", "same", "web"].map(|name| services[name]["action"].clone());
    assert_eq!(actions, ["create", "keep", "stop_first"], "{plan}");
    let web = &services["web"];
    let ids = ["v1.0.0", "v1.1.0"].map(|tag| image(&shop, &format!("ultrai/backend:{tag}")));
    assert_eq!(web["image"]["old"]["id"], ids[0], "{plan}");
    assert_eq!(web["image"]["new"]["known"]["id"], ids[1], "{plan}");
    let keys = web["configuration"].as_array().unwrap();
    let of = |part: &str| keys.iter().find(|key| key["key"].as_str().unwrap().contains(part));
    let greeting = of("GREETING").unwrap();
    assert_eq!((&greeting["old"], &greeting["new"]), (&json!("hello"), &json!("good morning")));
    assert_eq!(of("OPENAI_API_KEY").unwrap()["edit"], "changed", "{plan}");
    assert_eq!(plan["downtime"], json!(["web"]), "the port is fixed");
    assert_eq!(plan["rollback_point"]["version"], "1.0.0");
    let text = shop.ultrai(&["plan", "-e", "production", "--tag", "1.1.0"]).expect(0).out;
    assert!(text.contains("ultrai/backend:v1.1.0 sha256:"), "{text}");
    let saved = std::fs::read_to_string(shop.path("plan.json")).unwrap();
    for told in [plan.to_string(), text, saved.clone()] {
        assert!(!told.contains("sk-test-"), "{told}");
    }

    // What is to be deployed moves, and what runs does.
    shop.write(
        "docker-compose.yml",
        &next.replace("ultrai/backend:v1.0.0\n", "redis:6.2-alpine\n"),
    );
    refused(&shop, "the image of extra is sha256:");
    shop.write("docker-compose.yml", &next);
    shop.docker(&["stop", "-t", "0", &format!("{}-same-1", shop.project)]);
    refused(&shop, "same is not up");
    shop.docker(&["start", &format!("{}-same-1", shop.project)]);
    shop.write("plan.json", &saved.replace("good morning", "good evening"));
    let tampered = apply(&shop, 2).to_string();
    assert!(tampered.contains("field `digest`"), "{tampered}");
    shop.write("plan.json", &saved);

    let applied = apply(&shop, 0);
    assert_eq!(applied["release"], plan["release"], "{applied}");
    let after = shop.containers(true);
    assert_eq!(after["same-1"].0, before["same-1"].0, "kept");
    assert_eq!(after.len(), 3, "{after:?}");
    let runs = shop.docker(&["inspect", "-f", "{{.Image}}", &after["web-1"].0]);
    assert_eq!(runs.trim(), ids[1], "the very image of the plan");
    refused(&shop, "serves, not release");
}
