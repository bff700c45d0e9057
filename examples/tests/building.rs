//! Images built by a deploy: all of them at first, then what changed, and a build that fails.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use std::{fs, path::Path, time::Instant};

use serde_json::Value;
use shop::Shop;

/// No `image`: what is built has the name that Compose gives it, whatever the version.
const COMPOSE: &str = r#"
services:
  frontend:
    build: {context: ./frontend, args: ["NODE_ENV=production"]}
    ports: ["${FRONTEND_PORT}:80"]
    depends_on: [backend]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:80/health"], interval: 30s, timeout: 5s, retries: 1}
  backend:
    build: ./backend
    ports: ["${BACKEND_PORT}:8085"]
    environment: {REDIS_URI: "redis://redis:6379/0"}
    depends_on: [redis]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 30s, timeout: 5s, retries: 1}
  redis:
    image: redis:6.2-alpine
"#;

/// The sources' build contexts, but each image starts from one that holds the program already.
fn shop() -> Shop {
    let shop = Shop::new(COMPOSE);
    for half in ["frontend", "backend"] {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("app").join(half), &shop.path(half));
        let dockerfile = format!("FROM ultrai/{half}:v1.0.0\nWORKDIR /app\nCOPY . .\n");
        shop.write(&format!("{half}/Dockerfile"), &dockerfile);
    }
    shop
}

/// Copies a context without the program, which is only there where the images were built.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if entry.file_name() != "demo-app" {
            fs::copy(from, to).unwrap();
        }
    }
}

fn deploy(shop: &Shop, version: &str, code: i32) -> Value {
    let words = ["--format", "json", "deploy", "-e", "production", "--tag", version];
    shop.ultrai(&words).expect(code).json()
}

fn built(report: &Value) -> Vec<String> {
    let images = report["built"].as_array().unwrap().iter();
    images.map(|image| image["reference"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_changed_is_built_and_replaced() {
    let shop = shop();
    let began = Instant::now();
    let first = deploy(&shop, "v1.0.0", 0);
    println!("built and deployed in {:.1?}", began.elapsed());
    let names = ["backend", "frontend"].map(|half| format!("{}-{half}", shop.project));
    let mut all = built(&first);
    all.sort();
    assert_eq!(all, names, "{first}");
    assert!(shop.http("BACKEND_PORT", "/api/v1/version").unwrap().1.contains("v1.0.0"));
    assert!(shop.http("FRONTEND_PORT", "/health").unwrap().1.contains("healthy"));
    let files = shop.docker(&["exec", &format!("{}-backend-1", shop.project), "ls", "/app"]);
    assert!(files.contains("tests") && !files.contains("Dockerfile"), ".dockerignore: {files}");
    let before = shop.containers(true);

    shop.write("backend/release.env", "APP_VERSION=v1.1.0\n");
    let began = Instant::now();
    let second = deploy(&shop, "v1.1.0", 0);
    println!("built anew and upgraded in {:.1?}", began.elapsed());
    assert!(shop.http("BACKEND_PORT", "/api/v1/version").unwrap().1.contains("v1.1.0"));
    let after = shop.containers(true);
    assert_eq!(after.len(), 3, "{after:?}");
    assert_ne!(before["backend-1"].0, after["backend-1"].0);
    for name in ["frontend-1", "redis-1"] {
        assert_eq!(before[name], after[name], "{name} keeps its id and start time: {second}");
    }
    let image = |name: &str| shop.docker(&["image", "inspect", "-f", "{{.Id}}", name]);
    let images = names.each_ref().map(|name| image(name));

    let lines = "RUN echo it begins; echo it breaks here >&2; exit 7\n";
    shop.write("backend/Dockerfile", &format!("FROM ultrai/backend:v1.0.0\n{lines}"));
    let broken = deploy(&shop, "v1.2.0", 1);
    assert_eq!(broken["ending"]["kind"], "refused", "{broken}");
    let cause = &broken["ending"]["cause"];
    assert!(cause["causes"].to_string().contains("code: 7"), "{cause}");
    let last = cause["evidence"].to_string();
    assert!(last.contains("it begins") && last.contains("it breaks here"), "{cause}");
    assert_eq!(shop.containers(true), after, "nothing is touched");
    assert_eq!(names.each_ref().map(|name| image(name)), images, "no image has moved");
    shop.ultrai(&["verify", "-e", "production"]).expect(0);

    // A person sees the last lines, too.
    let told = shop.ultrai(&["deploy", "-e", "production", "--tag", "v1.2.0"]).expect(1);
    assert!(told.out.contains("it breaks here"), "{}", told.out);
    assert!(told.out.contains("The environment was not touched."), "{}", told.out);
}
