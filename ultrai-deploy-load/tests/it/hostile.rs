//! Servers that do everything wrong: told what it is, and in bounded time.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::health::Health;
use ultrai_deploy_testkit::server::{Answer, Server};

use crate::{
    keeping::{self, Act},
    load, why,
};

/// A header of 4 KiB.
const LINE: &[u8] = &{
    let mut line = [b'x'; 4096];
    (line[1], line[4094], line[4095]) = (b':', b'\r', b'\n');
    line
};

fn own() -> serde_json::Value {
    json!({
        "rate": 100, "duration": "200ms", "timeout": "400ms",
        "require": ["error_rate < 30%"], "max_open": 10, "min_requests": 20,
    })
}

#[tokio::test]
async fn each_wrong_answer_has_its_name() {
    for (answer, named) in [
        (Answer::hang(), "timeout"),
        (Answer::close(), "closed"),
        (Answer::reset(), "closed"),
        (Answer::raw("SSH-2.0-OpenSSH_9.6\r\n"), "malformed"),
        (Answer::raw(vec![0; 100_000]), "malformed"),
        (Answer::text(200, "whole").cut_after(2), "closed"),
        (Answer::text(200, "whole").stalling_after(2), "timeout"),
        (Answer::text(200, "ok").claiming(9), "closed"),
        (Answer::text(404, "no"), "status 404"),
    ] {
        let began = Instant::now();
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let health = load(&server.url("/"), &own()).await;
        assert!(matches!(health, Health::Unhealthy { .. }), "{named}: {health:?}");
        assert!(why(&health).contains(named), "{named}: {}", why(&health));
        assert!(began.elapsed() < Duration::from_secs(5), "{named}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn answers_without_an_end_are_given_up() {
    for (head, rest, named) in [
        (&b"HTTP/1.1 200 -\r\n"[..], LINE, "malformed"),
        (b"HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", "timeout"),
    ] {
        let server = keeping::Server::start(move |_| Act::Endless(head, rest)).await;
        let began = Instant::now();
        let health = load(&server.url(), &own()).await;
        assert!(why(&health).contains(named), "{named}: {}", why(&health));
        assert!(began.elapsed() < Duration::from_secs(5), "{named}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn what_has_no_tls_and_no_address_is_unhealthy() {
    let server = keeping::Server::start(|_| Act::Status(200)).await;
    let https = format!("https://{}", server.address());
    let health = load(&https, &own()).await;
    assert!(why(&health).contains("no connection was accepted"), "{}", why(&health));
    let health = load("http://no-such-host.invalid/", &own()).await;
    assert!(why(&health).contains("has no address"), "{}", why(&health));
}
