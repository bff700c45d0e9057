//! Bad input: a clear error with place and remedy, the right exit code, nothing changed.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use std::net::TcpListener;

use shop::Shop;

const GOOD: &str =
    "services:\n  web:\n    image: ultrai/backend:v1.0.0\n    ports: [\"${PORT_A}:8085\"]\n";

fn deploy(shop: &Shop, words: &[&str]) -> shop::Answer {
    let mut all = vec!["deploy", "-e", "production", "--skip-build", "--tag", "1.0.0"];
    all.extend(words);
    shop.ultrai(&all)
}

/// Deploys what is wrong: the exit code, words of the message, and nothing is there afterwards.
fn refused(shop: &Shop, code: i32, words: &[&str]) {
    let answer = deploy(shop, &[]);
    told(shop, &answer, code, words);
}

fn told(shop: &Shop, answer: &shop::Answer, code: i32, words: &[&str]) {
    let said = format!("{}{}", answer.out, answer.err);
    assert_eq!(answer.code, code, "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not said:\n{said}");
    }
    assert_eq!(shop.everything(), Vec::<String>::new(), "{said}");
}

#[test]
fn files_that_are_wrong() {
    let shop = Shop::new(GOOD);
    for (text, words) in [
        ("services:\n  web:\n    image: [\n", vec!["docker-compose.yml:", "not YAML"]),
        (
            "services:\n  web:\n    image: a\n    prots: []\n",
            vec!["docker-compose.yml:4:5", "did you mean `ports`"],
        ),
        (
            "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
            vec!["docker-compose.yml:", "a -> b", "b -> a", "remove one of these dependencies"],
        ),
        (
            "services:\n  web:\n    image: ${IMAGE:?name an image}\n",
            vec!["docker-compose.yml:3:12", "IMAGE must be set: name an image"],
        ),
    ] {
        shop.write("docker-compose.yml", text);
        refused(&shop, 2, &words);
    }
    std::fs::remove_file(shop.path("docker-compose.yml")).unwrap();
    refused(&shop, 2, &["no compose file", "docker-compose.yml", "--compose"]);
}

#[test]
fn configuration_and_flags_that_are_wrong() {
    let shop = Shop::new(GOOD);
    shop.write("deploy.toml", "project = \"x\"\nversion = 1.0\n");
    refused(&shop, 2, &["deploy.toml:2", "version"]);
    shop.configure("[environments.staging]\n");
    refused(&shop, 2, &["no environment production", "staging"]);
    shop.configure("");
    let answer = shop.ultrai(&["deploy", "-e", "production", "--tag", "latest"]);
    told(&shop, &answer, 2, &["`latest` is not a semantic version", "1.4.0"]);
    let answer = shop.ultrai(&["deploy", "-e", "production"]);
    told(&shop, &answer, 2, &["no version is named", "--tag"]);
    let answer = shop.ultrai(&["rollback", "-e", "production", "--backup", "none"]);
    told(&shop, &answer, 2, &["no backup none"]);
}

#[test]
fn an_engine_that_cannot() {
    let mut shop = Shop::new(GOOD);
    shop.write(
        "docker-compose.yml",
        "services:\n  web:\n    image: 127.0.0.1:9/none:1\n    pull_policy: never\n",
    );
    refused(&shop, 1, &["127.0.0.1:9/none:1", "docker-compose.yml:3:12"]);
    shop.write("docker-compose.yml", "services:\n  web:\n    image: 127.0.0.1:9/none:1\n");
    refused(&shop, 1, &["127.0.0.1:9/none:1"]);

    shop.write("docker-compose.yml", GOOD);
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    shop.env.insert("PORT_A".to_owned(), port.clone());
    let place = "docker-compose.yml:4:12";
    refused(&shop, 1, &[&port, "which a program on this host has", "publish another port", place]);
    drop(taken);

    shop.env.insert("DOCKER_HOST".to_owned(), "unix:///nonexistent/docker.sock".to_owned());
    let answer = deploy(&shop, &[]);
    told(&shop, &answer, 1, &["unix:///nonexistent/docker.sock", "DOCKER_HOST"]);
}
