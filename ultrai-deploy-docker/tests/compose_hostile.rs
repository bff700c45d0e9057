//! Whatever a file holds: an answer, soon, and never a panic or an overflow of the stack.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use proptest::{collection::vec, prelude::*, sample::select};
use ultrai_deploy_docker::compose::{self, LoadError, Loaded, Options};

fn load(text: &str) -> Result<Loaded, LoadError> {
    let directory = tempfile::Builder::new().prefix("shop").tempdir().unwrap();
    fs::write(directory.path().join("compose.yaml"), text).unwrap();
    fs::write(directory.path().join("a.env"), text).unwrap();
    let path = directory.path().to_path_buf();
    compose::load(&Options { path, ..Options::default() })
}

fn refused(text: &str, expected: &str) {
    let message = load(text).unwrap_err().to_string();
    assert!(message.contains(expected), "{}", &message[..message.len().min(500)]);
}

#[test]
fn large_and_deep_files_are_refused_or_read() {
    let with = |body: &str| format!("services:\n  web:\n    image: x\n{body}\n");
    refused(&with(&format!("    x-a: {}", "[".repeat(100_000))), "limit");
    refused(&with(&format!("    x-a:\n      {}", "- ".repeat(100_000))), "nested deeper");
    let nested = format!("{}x{}", "${A:-".repeat(50_000), "}".repeat(50_000));
    refused(&with(&format!("    hostname: '{nested}'")), "nested deeper");
    let ports = "      - '1-4096:1-4096'\n      - '5001-9000'\n".repeat(100);
    refused(&with(&format!("    ports:\n{ports}")), "more than 4096 ports");
    refused(&with(&format!("    expose:\n{}", "      - '1-4096'\n".repeat(100))), "4096 ports");
    let items: Vec<_> = (0..60_000).map(|item| format!("a{item}: x")).collect();
    refused(&with(&format!("    x-a: {{{}}}", items.join(", "))), "100000 nodes");
    let services: Vec<_> = (0..3_000)
        .map(|number| format!("  s{number}: {{image: x, depends_on: [s{}]}}", number + 1))
        .collect();
    let services = services.join("\n");
    let chain = format!("services:\n{services}\n  s3000: {{image: x}}\n");
    assert_eq!(load(&chain).unwrap().project.services.len(), 3_001);
    let ring = format!("services:\n{services}\n  s3000: {{image: x, depends_on: [s0]}}\n");
    refused(&ring, "in a circle");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_value_of_any_key_is_answered(
        key in select(vec![
            "ports", "volumes", "environment", "command", "healthcheck", "depends_on", "networks",
            "deploy", "build", "env_file", "labels", "ulimits", "extra_hosts", "expose", "tmpfs",
            "secrets", "configs", "restart", "cpus", "mem_limit", "stop_grace_period", "logging",
            "security_opt", "image", "container_name", "network_mode", "label_file", "scale",
        ]),
        value in vec(
            select(vec![
                "a", ":", "/", "-", "0", "80", "[", "]", "{", "}", ", ", "'", "\"", "$", "${A",
                "}", ":-", "#", " ", "\\", "|", "&a ", "*a", "!!str ", "<<: ", "é", "~", ".", "%",
                "2001-01-01", "T1:2:3Z", "service:", "a.env", "1e9", "+", "\t", "source: ",
                "target: ", "type: bind", "path: ", "test: ", "\u{E000}", "\u{7f}",
            ]),
            0..12,
        ),
    ) {
        let value = value.concat();
        for text in [
            format!("services:\n  web:\n    image: x\n    {key}: {value}\n"),
            format!("services:\n  web:\n    image: x\n    {key}:\n      - {value}\n"),
            format!("services:\n  web:\n    image: x\n    {key}:\n      {value}: {value}\n"),
        ] {
            match load(&text) {
                Ok(loaded) => {
                    let stored = serde_json::to_string(&loaded.project).unwrap();
                    let again: compose::Project = serde_json::from_str(&stored).unwrap();
                    for service in again.services.values() {
                        compose::config_hash(service);
                    }
                    prop_assert_eq!(again, loaded.project);
                }
                Err(error) => prop_assert!(!error.problems.is_empty()),
            }
        }
    }
}
