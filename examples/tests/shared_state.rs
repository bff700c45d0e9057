//! State in a bucket that is not to be had: told within a bounded time, with what to do, and without
//! a secret.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use ultrai_deploy_store::crypt::Encryption;

const SECRETS: [&str; 2] = ["hunter2-bucket", "AGE-SECRET-KEY"];
/// No command may take longer; what is asked for here waits 15 s at most.
const BOUND: Duration = Duration::from_secs(20);

fn project(key: bool) -> TempDir {
    let directory = tempfile::Builder::new().prefix("ultrai-shared-").tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(
        path("deploy.toml"),
        "project = \"shop\"\nbackend = \"local\"\nstate = \"s3://shop/state\"\n\
         [backups]\nidentity_file = \"key\"\n[services.web]\ncommand = [\"true\"]\n",
    )
    .unwrap();
    if key {
        fs::write(path("key"), Encryption::generate().identity_file().expose()).unwrap();
        fs::set_permissions(path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

/// Runs a command, which fails with this code and these words.
fn fails(project: &TempDir, env: &[(&str, &str)], code: i32, words: &[&str]) {
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_ultrai"))
        .arg("--state")
        .arg(project.path().join("state"))
        .args(["deploy", "-e", "production", "--tag", "1.0.0"])
        .current_dir(project.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let took = begun.elapsed();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    println!("{:.1} s: {}", took.as_secs_f64(), said.trim_end());
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not said:\n{said}");
    }
    for secret in SECRETS {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(took < BOUND, "{took:?}");
}

fn keys(endpoint: &str) -> [(&str, &str); 3] {
    [
        ("AWS_ACCESS_KEY_ID", "AKIATEST"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2-bucket"),
        ("AWS_ENDPOINT_URL", endpoint),
    ]
}

/// A server that gives every request this answer, or none at all.
fn server(answer: Option<(&'static str, &'static str)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut unanswered = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let Some((status, code)) = answer else {
                unanswered.push(stream);
                continue;
            };
            let mut request = [0; 8192];
            // A client that goes away is the client's business.
            let _read = stream.read(&mut request);
            let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
            let _written = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    endpoint
}

#[test]
fn what_is_missing_here_is_named() {
    let endpoint = server(None);
    fails(&project(false), &keys(&endpoint), 2, &["key does not exist", "age-keygen"]);
    let lacking = [("AWS_ENDPOINT_URL", endpoint.as_str())];
    fails(&project(true), &lacking, 2, &["AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn a_bucket_that_is_away_is_told_in_time() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    fails(&project(true), &keys(&closed), 1, &["cannot be reached", "AWS_ENDPOINT_URL"]);
    let silent = server(None);
    fails(&project(true), &keys(&silent), 1, &["did not answer within 15 s", "AWS_ENDPOINT_URL"]);
}
