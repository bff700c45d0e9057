//! What each kind of receiver gets, over real sockets and from real processes.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    consequence::Severity,
    journal::Initiator,
    memory,
    name::{RunId, SecretName},
    secret::Secret,
    version::Version,
};
use ultrai_deploy_http::Client;
use ultrai_deploy_notify::{
    Channel, Config, Counts, FINISH, Limits, Notice, Notifications, What, signature,
};
use ultrai_deploy_testkit::server::{Answer, Server};

use crate::lab::target;

const HIDDEN: &str = "hunter2-hunter2";

fn rolled_back() -> Notice {
    Notice {
        key: "run-1/17".into(),
        what: What::RolledBack {
            cause: vec!["connection refused".into(), "cannot verify".into()],
            to: Some("0123456789abcdef".parse().unwrap()),
        },
        target: target(),
        run: Some(RunId::new("run-1").unwrap()),
        version: Some(Version::parse("1.1.0").unwrap()),
        version_before: Some(Version::parse("1.0.0").unwrap()),
        initiator: Some(Initiator {
            user: "ada".into(),
            host: "ci-1".into(),
            process: 7,
            reason: Some("release day".into()),
        }),
        at: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

pub(crate) fn channel(config: &Value, secrets: &[(&str, String)]) -> Channel {
    let config: Config = serde_json::from_value(config.clone()).unwrap();
    let secrets = secrets
        .iter()
        .map(|(name, value)| (SecretName::new(*name).unwrap(), Secret::new(value.clone())));
    let client = Client::new(ultrai_deploy_http::Config::default()).unwrap();
    Channel::from_config(&config, client, Arc::new(secrets.collect::<memory::Secrets>())).unwrap()
}

async fn send(channel: Channel, notices: impl IntoIterator<Item = Notice>) -> Counts {
    let (notifications, worker) = Notifications::new([channel]);
    for notice in notices {
        notifications.notify(notice);
    }
    worker.finish(FINISH).await
}

#[tokio::test]
async fn slack_gets_a_text() {
    let server = Server::start(|_| Answer::text(200, "ok")).await.unwrap();
    let url = server.url(&format!("/services/{HIDDEN}"));
    let slack = channel(&json!({ "kind": "slack", "url": "SLACK" }), &[("SLACK", url)]);
    assert!(!format!("{slack:?}").contains(HIDDEN));
    assert_eq!(send(slack, [rolled_back()]).await.delivered, 1);
    let requests = server.requests();
    assert_eq!(requests[0].path, format!("/services/{HIDDEN}"));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(
        body["text"],
        "*1.1.0 was rolled back in shop/staging, 1.0.0 serves again: connection refused*\n\
         • cannot verify\n\
         run `run-1` by ada at 2027-01-15T08:00:00Z"
    );
}

#[tokio::test]
async fn a_webhook_gets_the_documented_payload_with_a_signature_that_verifies() {
    let server = Server::start(|_| Answer::text(204, "")).await.unwrap();
    let config = json!({ "kind": "webhook", "url": "HOOK", "signing_secret": "KEY" });
    let secrets = [("HOOK", server.url("/in")), ("KEY", HIDDEN.to_owned())];
    assert_eq!(send(channel(&config, &secrets), [rolled_back()]).await.delivered, 1);
    let request = &server.requests()[0];
    assert_eq!(request.header("ultrai-event"), Some("rolled_back"));
    let header = request.header(signature::HEADER).unwrap();
    let (now, tolerance) = (Timestamp::now(), signature::TOLERANCE);
    let verify =
        |secret| signature::verify(&Secret::new(secret), header, &request.body, now, tolerance);
    assert_eq!(verify(HIDDEN), Ok(()));
    assert_eq!(verify("another"), Err(signature::Rejected::Forged));
    assert_eq!(
        String::from_utf8(request.body.clone()).unwrap(),
        r#"{"format":1,"key":"run-1/17","event":"rolled_back","severity":"critical","summary":"1.1.0 was rolled back in shop/staging, 1.0.0 serves again: connection refused","project":"shop","environment":"staging","run":"run-1","version":"1.1.0","version_before":"1.0.0","initiator":{"user":"ada","host":"ci-1","reason":"release day"},"at":"2027-01-15T08:00:00Z","cause":["connection refused","cannot verify"],"release":"0123456789abcdef","commands":[],"left_out":0}"#
    );
}

#[tokio::test]
async fn pagerduty_opens_one_incident_and_closes_it() {
    let server = Server::start(|_| Answer::json(202, r#"{"status":"success"}"#)).await.unwrap();
    let config =
        json!({ "kind": "pagerduty", "routing_key": "PAGER", "base_url": server.url("/") });
    let pager = channel(&config, &[("PAGER", HIDDEN.to_owned())]);
    let mut well = rolled_back();
    (well.key, well.what) = ("run-2/30".into(), What::Succeeded { changed: true });
    let at = Timestamp::UNIX_EPOCH;
    let alert = |severity| Notice::alert(target(), "ServiceDown", severity, "503", at);
    let over = Notice::recovered(target(), "ServiceDown", Severity::Critical, at);
    let minor = Notice::alert(target(), "HighLatency", Severity::Major, "p95 is 4s", at);
    let all = [rolled_back(), well, minor, alert(Severity::Critical), over];
    assert_eq!(send(pager, all).await.delivered, 5);
    let sent = server.requests();
    assert!(sent.iter().all(|one| one.path == "/v2/enqueue"));
    let sent: Vec<Value> =
        sent.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect();
    let of = |field: &str| sent.iter().map(|one| one[field].as_str().unwrap()).collect::<Vec<_>>();
    // The alert that is not critical wakes nobody up.
    assert_eq!(of("event_action"), ["trigger", "resolve", "trigger", "resolve"]);
    let (deploy, check) = ("shop/staging/deploy", "shop/staging/check/ServiceDown");
    assert_eq!(of("dedup_key"), [deploy, deploy, check, check]);
    assert_eq!(of("routing_key"), [HIDDEN; 4]);
    let payload = &sent[0]["payload"];
    assert_eq!(payload["severity"], "critical");
    assert_eq!(payload["source"], "shop/staging");
    assert_eq!(payload["timestamp"], "2027-01-15T08:00:00Z");
    assert!(payload["summary"].as_str().unwrap().ends_with(": connection refused"));
    assert_eq!(payload["custom_details"]["run"], "run-1");
}

/// A script of these lines in `directory`.
fn script(directory: &Path, lines: &str) -> Value {
    let path = directory.join("notify");
    std::fs::write(&path, format!("#!/bin/sh\ncd '{}'\n{lines}\n", directory.display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    json!({ "kind": "command", "command": [path, "an argument"] })
}

#[tokio::test]
async fn a_command_gets_the_payload_and_variables() {
    let directory = tempfile::tempdir().unwrap();
    let says = "cat > in; echo \"$1,$ULTRAI_EVENT,$ULTRAI_ENVIRONMENT,$ULTRAI_VERSION,$ULTRAI_VERSION_BEFORE,$ULTRAI_SEVERITY,$ULTRAI_RUN\" > out";
    let command = channel(&script(directory.path(), says), &[]);
    assert_eq!(send(command, [rolled_back()]).await.delivered, 1);
    let read = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("out"), "an argument,rolled_back,staging,1.1.0,1.0.0,critical,run-1\n");
    let payload: Value = serde_json::from_str(&read("in")).unwrap();
    assert_eq!((&payload["key"], &payload["project"]), (&json!("run-1/17"), &json!("shop")));
}

#[tokio::test]
async fn how_a_command_ends_says_what_became_of_it() {
    for (lines, delivered, calls) in [
        ("exit 0", 1, 1),
        ("exec 0<&-; exit 0", 1, 1),
        ("exit 3", 0, 1),
        ("seq 1 99999 >&2; exit 0", 1, 1),
        ("kill -9 $$", 0, 1),
        // Asks to be called again, and then takes it.
        ("test -e once && exit 0; touch once; exit 75", 1, 2),
        // What it leaves behind holds its output open.
        ("sleep 30 & exit 0", 1, 1),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let counting = format!("echo >> calls\n{lines}");
        let quick = Limits { pause: Duration::from_millis(1), ..Limits::default() };
        let command = channel(&script(directory.path(), &counting), &[]).with_limits(quick);
        assert_eq!(send(command, [rolled_back()]).await.delivered, delivered, "{lines}");
        let called = std::fs::read_to_string(directory.path().join("calls")).unwrap();
        assert_eq!(called.lines().count(), calls, "{lines}");
    }
}

/// Whether a process is there and no zombie.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    for by in ["its own limit", "the end of the program"] {
        let directory = tempfile::tempdir().unwrap();
        let hangs = "sleep 600 & echo $! > child.new; mv child.new child; wait";
        let own = if by == "its own limit" { 700 } else { 60_000 };
        let limits =
            Limits { timeout: Duration::from_millis(own), attempts: 1, ..Limits::default() };
        let command = channel(&script(directory.path(), hangs), &[]).with_limits(limits);
        let (notifications, worker) = Notifications::new([command]);
        notifications.notify(rolled_back());
        let counts =
            worker.finish(Duration::from_millis(if own == 700 { 20_000 } else { 700 })).await;
        assert_eq!((counts.delivered, counts.failed), (0, 1), "{by}");
        let child = std::fs::read_to_string(directory.path().join("child")).unwrap();
        let gone = async {
            while runs(&child) {
                tokio::task::yield_now().await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
        assert!(gone.is_ok(), "{child} still runs after {by}");
    }
}
