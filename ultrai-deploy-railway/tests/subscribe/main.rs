//! Subscriptions to what does not play by the rules.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod hostile;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "not all that tests share is used by each")]
mod support;

use std::time::Duration;

use hostile::{Act, Hostile, Seen, TOKEN, close, patience, text};
use support::context;
use tokio_tungstenite::tungstenite::Message;
use ultrai_deploy_core::{Effect, Error, ErrorKind, Result, error::Chain};
use ultrai_deploy_railway::{
    model::{Deployment, DeploymentId, DeploymentStatus},
    subscribe::{Log, Patience, Subscription},
};

/// Long enough for any machine.
const LONG: Duration = Duration::from_mins(1);
const BUILDING: &str = r#"{"type":"next","id":"1","payload":{"data":{"deployment":{"id":"d","status":"BUILDING","deploymentStopped":false}}}}"#;
const SUCCESS: &str = r#"{"type":"next","id":"1","payload":{"data":{"deployment":{"id":"d","status":"SUCCESS","deploymentStopped":false}}}}"#;
const COMPLETE: &str = r#"{"type":"complete","id":"1"}"#;

fn subscription(server: &Hostile, patience: Patience) -> Subscription<Deployment> {
    server.client().watch_deployment(&DeploymentId::new("d")).with_patience(patience)
}

/// All items, and how it ended.
async fn collect(mut subscription: Subscription<Deployment>) -> (Vec<String>, Result<()>) {
    let (cx, mut all) = (context(), Vec::new());
    let end = loop {
        match subscription.next(&cx).await {
            Ok(Some(item)) => all.push(item.status.to_string()),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // It stays over.
    assert!(subscription.next(&cx).await.unwrap().is_none());
    (all, end)
}

fn assert_harmless(error: &Error, what: &str) {
    let shown = format!("{} {error:?} {:?}", Chain(error), error.evidence());
    assert!(!shown.contains("hunter2"), "{what}: {shown}");
    assert!(shown.len() < 4000, "{what}: {shown}");
    assert_eq!(error.effect(), Effect::None, "{what}: {shown}");
    assert!(!error.is_retryable(), "{what}: {shown}");
}

#[tokio::test]
async fn what_does_not_speak_the_protocol_is_a_clear_error() {
    use ErrorKind::{Denied, NotFound, Unavailable, Unexpected, Unsupported};
    let say = |says: &[Message]| Act::Say(says.to_vec());
    let refused = |message: &str| {
        say(&[text(&format!(
            r#"{{"type":"error","id":"1","payload":[{{"message":"{message}"}}]}}"#
        ))])
    };
    let cases = [
        (
            "an API that knows no upgrade",
            Unexpected,
            1,
            Act::Http("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        ),
        (
            "a token that is not let in",
            Denied,
            1,
            Act::Http("HTTP/1.1 401 No\r\nContent-Length: 21\r\n\r\n{token}"),
        ),
        (
            "a redirect",
            Unexpected,
            1,
            Act::Http(
                "HTTP/1.1 302 x\r\nLocation: https://evil.example/?{token}\r\nContent-Length: 0\r\n\r\n",
            ),
        ),
        (
            "a gateway without its server",
            Unavailable,
            3,
            Act::Http("HTTP/1.1 502 x\r\nContent-Length: 0\r\n\r\n"),
        ),
        ("no HTTP", Unavailable, 3, Act::Http("SSH-2.0-x\r\n{token}\r\n\r\n")),
        (
            "no key",
            Unexpected,
            1,
            Act::Http(
                "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
            ),
        ),
        (
            "a wrong key",
            Unexpected,
            1,
            Act::Http(
                "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {token}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
            ),
        ),
        (
            "no subprotocol",
            Unexpected,
            1,
            Act::Http(
                "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
            ),
        ),
        (
            "an older subprotocol",
            Unexpected,
            1,
            Act::Http(
                "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: graphql-ws\r\n\r\n",
            ),
        ),
        ("no frames", Unavailable, 3, Act::Bytes(b"<html>\xff\xfe{token}".to_vec())),
        ("an end", Unavailable, 3, Act::Bytes(Vec::new())),
        ("close 4400", Unsupported, 1, Act::Close(4400)),
        ("close 4401", Denied, 1, Act::Close(4401)),
        ("close 4403", Denied, 1, Act::Close(4403)),
        ("close 4500", Unavailable, 3, Act::Close(4500)),
        ("close 1000 at once", Unavailable, 3, Act::Close(1000)),
        ("close 4403 later", Denied, 1, say(&[close(4403)])),
        ("text that is no message", Unexpected, 1, say(&[text("hello hunter2-token-hunter2")])),
        ("bytes", Unexpected, 1, say(&[Message::Binary(vec![0xff; 100].into())])),
        ("5 MiB at once", Unexpected, 1, say(&[text(&" ".repeat(5 * 1024 * 1024))])),
        (
            "an item of another form",
            Unexpected,
            1,
            say(&[text(&BUILDING.replace("false", &format!("{TOKEN:?}")))]),
        ),
        (
            "an item of nothing",
            Unexpected,
            1,
            say(&[text(r#"{"type":"next","id":"1","payload":{"data":null}}"#)]),
        ),
        ("no such deployment", NotFound, 1, refused("Deployment not found hunter2-token-hunter2")),
        ("a forbidden operation", Denied, 1, refused("Not Authorized")),
    ];
    let count = cases.len();
    for (what, kind, connections, act) in cases {
        let server = Hostile::start(vec![act]).await;
        let (items, end) = collect(subscription(&server, patience())).await;
        let error = end.expect_err(what);
        assert_eq!(error.kind(), kind, "{what}: {}", Chain(&error));
        assert_eq!(server.connections(), connections, "{what}: {}", Chain(&error));
        assert_eq!(items.len(), 0, "{what}");
        assert_harmless(&error, what);
    }
    println!("{count} hostile servers end in a clear error");
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let brief = Duration::from_millis(100);
    let server = Hostile::start(vec![Act::Silence]).await;
    let short = Patience { connect: brief, ..patience() };
    let (_, end) = collect(subscription(&server, short)).await;
    let error = end.unwrap_err();
    assert_eq!((error.kind(), server.connections()), (ErrorKind::Unavailable, 3), "{error}");
    assert_harmless(&error, "silence");

    // It lets in, and answers no question for a sign of life.
    let server = Hostile::start(vec![Act::Say(vec![text(BUILDING)])]).await;
    let mut quiet = subscription(&server, Patience { quiet: brief, ..patience() });
    let cx = context();
    assert!(quiet.next(&cx).await.unwrap().is_some());
    // Each connection says something, so it never gives up.
    assert!(quiet.next(&cx).await.unwrap().is_some());
    assert_eq!(server.connections(), 2);
    let seen = server.seen.borrow();
    assert!(seen.texts.iter().any(|text| text.contains("\"ping\"")), "{seen:?}");
}

#[tokio::test]
async fn what_was_lost_is_connected_anew() {
    let server = Hostile::start(vec![
        Act::Bytes(Vec::new()),
        Act::Say(vec![text(BUILDING), close(4500)]),
        Act::Close(1001),
        Act::Say(vec![
            Message::Ping(vec![1].into()),
            text(r#"{"type":"ping"}"#),
            text(r#"{"type":"tomorrow"}"#),
            text(SUCCESS),
            text(COMPLETE),
        ]),
    ])
    .await;
    let (items, end) = collect(subscription(&server, patience())).await;
    end.unwrap();
    assert_eq!(items, ["BUILDING", "SUCCESS"]);
    // Signs of life were given, to both that asked.
    let mut seeing = server.seen.subscribe();
    let is_alive = |seen: &Seen| seen.pongs == 1 && seen.texts.concat().contains("\"pong\"");
    let seen = tokio::time::timeout(LONG, seeing.wait_for(is_alive)).await.unwrap().unwrap();
    assert_eq!(seen.heads.len(), 4);
    for head in &seen.heads {
        assert!(head.starts_with("GET /graphql/v2?op=WatchDeployment HTTP/1.1"), "{head}");
        assert!(head.contains(&format!("project-access-token: {TOKEN}")), "{head}");
        assert!(head.contains("sec-websocket-protocol: graphql-transport-ws"), "{head}");
    }
    assert!(!seen.texts.concat().contains("hunter2"), "the token is in headers only");
}

/// A build's log is closed by Railway when the build ends; what comes twice is told once.
#[tokio::test]
async fn a_log_ends_in_peace_and_repeats_nothing() {
    let heap = |lines: &[(u8, &str)]| {
        let lines = lines.iter().map(|(at, message)| {
            format!(r#"{{"timestamp":"2026-11-21T12:00:00.00000000{at}Z","message":"{message}","severity":null}}"#)
        });
        let lines = lines.collect::<Vec<_>>().join(",");
        text(&format!(
            r#"{{"type":"next","id":"1","payload":{{"data":{{"buildLogs":[{lines}]}}}}}}"#
        ))
    };
    let server = Hostile::start(vec![
        Act::Say(vec![heap(&[(1, "one"), (2, "two")]), close(1011)]),
        Act::Say(vec![
            heap(&[(1, "one"), (2, "two"), (2, "too")]),
            heap(&[(3, "two")]),
            close(1000),
        ]),
    ])
    .await;
    let id = DeploymentId::new("d");
    let mut lines = server.client().follow_logs(&id, Log::Build).with_patience(patience());
    let (cx, mut all) = (context(), Vec::new());
    while let Some(line) = lines.next(&cx).await.unwrap() {
        all.push(line.message);
    }
    assert_eq!(all, ["one", "two", "too", "two"]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_wait_may_be_dropped_and_ends_with_its_context() {
    let server = Hostile::start(vec![Act::Say(vec![text(BUILDING)])]).await;
    let mut watch = subscription(&server, patience());
    let first = watch.next(&context()).await.unwrap().unwrap();
    assert_eq!(first.status, DeploymentStatus::Building);
    let dropped = tokio::time::timeout(Duration::from_millis(20), watch.next(&context())).await;
    assert!(dropped.is_err());
    let soon = context().with_timeout(Duration::from_millis(20));
    let error = watch.next(&soon).await.unwrap_err();
    assert_eq!((error.kind(), server.connections()), (ErrorKind::Timeout, 1), "{error}");
}

/// Whoever waits for a change looks again when one is told, after a while in any case, and as without
/// subscriptions when there are none.
#[tokio::test]
async fn a_change_is_told_or_looked_for() {
    let (cx, id, building) = (context(), DeploymentId::new("d"), DeploymentStatus::Building);
    let brief = Duration::from_millis(20);
    let began = tokio::time::Instant::now();
    let server = Hostile::start(vec![Act::Say(vec![text(BUILDING), text(SUCCESS)])]).await;
    let mut changes = server.client().changes(&id, LONG).with_patience(patience());
    changes.after(&cx, &building).await.unwrap();
    // Nothing more comes.
    let mut changes = changes.with_look(brief);
    changes.after(&cx, &DeploymentStatus::Success).await.unwrap();
    assert_eq!(server.connections(), 1);

    let server = Hostile::start(vec![Act::Close(4500)]).await;
    let mut changes = server.client().changes(&id, brief).with_patience(patience());
    for _ in 0..5 {
        changes.after(&cx, &building).await.unwrap();
    }
    assert_eq!(server.connections(), 3, "it goes on without them");
    let soon = context().with_timeout(brief);
    let mut changes = server.client().changes(&id, LONG).with_patience(patience());
    let error = changes.after(&soon, &building).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(began.elapsed() < LONG, "it waited for nothing");
}
