//! Configuration, mounted files and secrets go with a release of containers, and come back with it.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use serde_json::Value;
use shop::Shop;

const COMPOSE: &str = r#"
services:
  web:
    image: ultrai/backend:${VERSION}
    ports: ["${PORT_A}:8085"]
    environment:
      PLAIN: "${PLAIN}"
      TOKEN: "${TOKEN}"
      URL: "x://:${TOKEN}@host/${PLAIN}"
    volumes: ["./settings.ini:/etc/settings.ini:ro"]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 1s, timeout: 5s, retries: 3}
"#;

/// What a container was started with, and what is in its file.
#[derive(Debug, PartialEq)]
struct Inside {
    environment: Value,
    file: String,
}

fn inside(shop: &Shop) -> Inside {
    let name = format!("{}-web-1", shop.project);
    let environment = shop.docker(&["inspect", "-f", "{{json .Config.Env}}", &name]);
    // Byte for byte: what docker prints of it is text.
    let file = shop.docker(&["exec", &name, "busybox", "base64", "-w0", "/etc/settings.ini"]);
    Inside { environment: serde_json::from_str(&environment).unwrap(), file }
}

fn has(inside: &Inside, pair: &str) -> bool {
    inside.environment.as_array().unwrap().iter().any(|one| one == pair)
}

fn write_private(shop: &Shop, name: &str, text: &str) {
    shop.write(name, text);
    fs::set_permissions(shop.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Everything at once: a value of the environment's configuration, a mounted file and a secret.
fn write(shop: &Shop, plain: &str, file: &[u8], secret: &str) {
    shop.write(".env.production", &format!("PLAIN={plain}\n"));
    fs::write(shop.path("settings.ini"), file).unwrap();
    write_private(shop, "token.env", &format!("TOKEN={secret}\n"));
}

/// A container that gets well does so at once.
const POLICY: &str = "[policy]\nhealth_deadline = \"8s\"\n";

const SOURCE: &str = "[[secret_source]]\nkind = \"dotenv\"\npath = \"token.env\"\n";

#[test]
fn all_of_it_comes_back_byte_for_byte() {
    let shop = Shop::new(COMPOSE);
    shop.write(
        "deploy.toml",
        &format!("project = \"{}\"\nsecrets = [\"TOKEN\"]\n{POLICY}{SOURCE}", shop.project),
    );
    write(&shop, "'one \"q\" $HOME \\n #5'", b"one\r\n\0\xff", "'hunter2-one $a \"b\" \\ {{c}}'");
    shop.deploy("v1.0.0", 0);
    let old = inside(&shop);
    assert!(has(&old, "PLAIN=one \"q\" $HOME \\n #5"), "{old:?}");
    assert!(has(&old, "TOKEN=hunter2-one $a \"b\" \\ {{c}}"), "{old:?}");
    assert_eq!(old.file.trim(), "b25lDQoA/w==", "{old:?}");

    // It goes back by itself, while the checkout goes on to hold the new ones.
    write(&shop, "two", b"two", "hunter2-two");
    let failed = shop.deploy("v1.2.0", 3);
    assert_eq!(failed["ending"]["kind"], "rolled_back", "{failed}");
    assert_eq!(inside(&shop), old);
    assert!(!failed.to_string().contains("hunter2"), "{failed}");

    // And on request, from a release that was well.
    shop.deploy("v1.1.0", 0);
    let new = inside(&shop);
    assert!(has(&new, "PLAIN=two") && has(&new, "URL=x://:hunter2-two@host/two"), "{new:?}");
    assert_eq!(new.file.trim(), "dHdv", "{new:?}");
    shop.ultrai(&["rollback", "-e", "production"]).expect(0);
    assert_eq!(inside(&shop), old);
    shop.ultrai(&["verify", "-e", "production"]).expect(0);
}

/// Redis keeps several passwords at once so that they can be changed without an interruption, and is
/// told of a new one while it runs: it is not replaced by a release that only has another password.
/// It begins with the hash of `hunter2-redis-one`, which is no secret.
const REDIS: &str = r#"
services:
  web:
    image: ultrai/backend:${VERSION}
    ports: ["${PORT_A}:8085"]
    environment: {REDIS_URI: "redis://:${REDIS_PASSWORD}@redis:6379/0"}
    depends_on: [redis]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8085/health"], interval: 1s, timeout: 5s, retries: 3}
  redis:
    image: redis:6.2-alpine
    command: ["redis-server", "--aclfile", "/etc/users.acl"]
    volumes: ["./users.acl:/etc/users.acl:ro"]
"#;

const USERS: &str = "user default on ~* &* +@all \
     #2b5dab0f116d12a1bee6ea1f55317c0912a1c7acac8350f258064417c8ed0a0e\n";

const CHECK: &str = "[[check]]\nname = \"redis\"\nservice = \"web\"\npath = \"/health/redis\"\n\
     json = { \"/status\" = \"connected\" }\ndeadline = \"6s\"\n";

/// Changes the password that the source has.
fn rotate(shop: &Shop, password: &str) {
    write_private(shop, "redis.env", &format!("REDIS_PASSWORD={password}\n"));
}

/// Tells the Redis that runs, as the one who has `password`.
fn redis(shop: &Shop, password: &str, words: &[&str]) -> String {
    let name = format!("{}-redis-1", shop.project);
    let mut all = vec!["exec", &name, "redis-cli", "--no-auth-warning", "-a", password];
    all.extend(words);
    shop.docker(&all).trim().to_owned()
}

/// Waits until the application answers that Redis lets it in.
#[track_caller]
fn is_let_in(shop: &Shop) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = shop.http("PORT_A", "/health/redis");
        if answer
            .as_ref()
            .is_some_and(|(status, body)| *status == 200 && body.contains("connected"))
        {
            return;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_password_of_redis_is_rotated_and_a_wrong_one_is_taken_back() {
    let shop = Shop::new(REDIS);
    let source = SOURCE.replace("token.env", "redis.env");
    let project = &shop.project;
    let text = format!("project = \"{project}\"\nsecrets = [\"REDIS_PASSWORD\"]\n{source}{CHECK}");
    shop.write("deploy.toml", &text);
    shop.write("users.acl", USERS);
    rotate(&shop, "hunter2-redis-one");
    let first = shop.deploy("v1.0.0", 0);
    is_let_in(&shop);

    // Redis is told of the new one beside the old one, the same version goes out with it, and then
    // the old one is taken from Redis.
    assert_eq!(
        redis(&shop, "hunter2-redis-one", &["ACL", "SETUSER", "default", ">hunter2-redis-two"]),
        "OK"
    );
    rotate(&shop, "hunter2-redis-two");
    let words = ["plan", "-e", "production", "--tag", "v1.0.0", "--skip-build"];
    let planned = shop.ultrai(&words).expect(0).out;
    assert!(planned.contains("secret REDIS_PASSWORD changed"), "{planned}");
    let rotated = shop.deploy("v1.0.0", 0);
    assert_eq!(rotated["ending"]["changed"], true, "{rotated}");
    assert_ne!(rotated["release"], first["release"], "it is a release of its own");
    assert_eq!(rotated["plan"]["services"]["redis"]["action"], "keep", "{rotated}");
    assert_eq!(
        redis(&shop, "hunter2-redis-two", &["ACL", "SETUSER", "default", "<hunter2-redis-one"]),
        "OK"
    );
    assert!(redis(&shop, "hunter2-redis-one", &["PING"]).contains("NOAUTH"), "it is refused");
    is_let_in(&shop);
    shop.ultrai(&["verify", "-e", "production"]).expect(0);

    // A wrong one does not pass, and the one before it, which works, is back.
    rotate(&shop, "hunter2-redis-wrong");
    let wrong = shop.deploy("v1.0.0", 3);
    assert_eq!(wrong["ending"]["kind"], "rolled_back", "{wrong}");
    let cause = wrong["ending"]["cause"].to_string();
    assert!(cause.contains("check `redis`") && cause.contains("WRONGPASS"), "{cause}");
    is_let_in(&shop);
    assert_eq!(shop.http("PORT_A", "/api/counter").unwrap().0, 200);

    let history = shop.ultrai(&["--format", "json", "history", "-e", "production"]).expect(0).out;
    for told in [planned, first.to_string(), rotated.to_string(), wrong.to_string(), history] {
        assert!(!told.contains("hunter2"), "{told}");
    }
}
