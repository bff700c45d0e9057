//! Suites against a real server, that also answers as it should not.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use ultrai_deploy_core::{
    Context, Result,
    health::{Endpoint, Health, Role, Timing},
    name::{EnvironmentName, ProjectName, RunId, SecretName, ServiceName, Target},
    secret::{Secret, SecretSource},
    verification::{CheckSpec, ProbeSource},
};
use ultrai_deploy_http::{Client, Config, Probes};
use ultrai_deploy_testkit::server::{Answer, Server};

/// Long enough for any machine; tests that reach it fail.
const LONG: Duration = Duration::from_mins(1);

fn context() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Context::detached(target, RunId::generate()).with_timeout(LONG)
}

fn check(suite: &Value, timeout: Duration) -> CheckSpec {
    CheckSpec::new("suite", json!({ "suite": suite }))
        .of(ServiceName::new("web").unwrap())
        .with_timing(Timing { timeout, ..Timing::default() })
}

fn probes() -> Probes {
    Probes::new(Client::new(Config::default()).unwrap())
}

async fn run(server: &Server, parallel: usize, tests: Value, timeout: Duration) -> Health {
    let suite = json!({"at": {"url": server.url("/")}, "parallel": parallel, "tests": tests});
    let probe = probes().probe(&check(&suite, timeout)).unwrap();
    probe.check(&context(), &Endpoint::none(Role::Live)).await.unwrap()
}

fn unhealthy(health: Health) -> (String, Vec<String>) {
    match health {
        Health::Unhealthy { why, evidence } => {
            (why, evidence.into_iter().map(|piece| piece.text).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn paths(server: &Server) -> Vec<String> {
    server.requests().iter().map(|request| request.path.clone()).collect()
}

#[tokio::test]
async fn what_one_answer_holds_goes_into_the_next_request() {
    let server = Server::start(|request| match request.path.as_str() {
        "/upload" => {
            Answer::json(201, r#"{"id": 7, "name": "a/b"}"#).with_header("X-Token", "hunter2-token")
        }
        "/items/7/a%2Fb" => Answer::json(200, r#"{"id": 7}"#),
        "/chat" => Answer::json(200, "{}"),
        _ => Answer::text(404, ""),
    })
    .await
    .unwrap();
    let tests = json!([
        {
            "name": "upload", "at": {"path": "/upload"}, "method": "POST",
            "body": {"upload": {"field": "doc", "name": "a.txt", "content_type": "text/plain", "content": "aGVsbG8="}},
            "expect": {"status": [201]},
            "capture": {"id": {"json": "/id"}, "name": {"json": "/name"}},
            "secret_capture": {"token": {"header": "x-token"}},
        },
        {
            "name": "show", "at": {"path": "/items/{{id}}/{{name}}"},
            "request_headers": {"authorization": "Bearer {{token}}"},
            "expect": {"json": {"/id": "{{id}}"}},
        },
        {
            "name": "chat", "at": {"path": "/chat"}, "method": "POST",
            "body": {"json": {"document": "{{id}}", "text": "about {{name}}"}},
            "expect": {"json": {"/reply": "x"}},
        },
    ]);
    let (why, evidence) = unhealthy(run(&server, 1, tests, LONG).await);
    assert!(why.starts_with("`chat` failed: POST") && why.contains("/reply is missing"), "{why}");
    let requests = server.requests();
    assert!(String::from_utf8_lossy(&requests[0].body).contains("\r\n\r\nhello\r\n--"));
    let kind = requests[0].header("content-type").unwrap();
    assert!(kind.starts_with("multipart/form-data; boundary="), "{kind}");
    assert_eq!(requests[1].header("authorization"), Some("Bearer hunter2-token"));
    assert_eq!(requests[2].header("content-type"), Some("application/json"));
    let sent: Value = serde_json::from_slice(&requests[2].body).unwrap();
    assert_eq!(sent, json!({"document": 7, "text": "about a/b"}));
    let lines: Vec<_> = evidence[0].lines().collect();
    assert!(lines[0].starts_with("passed   upload  201 "), "{lines:?}");
    assert!(lines[1].starts_with("passed   show  200 "), "{lines:?}");
    assert!(lines[2].starts_with("FAILED   chat  200 "), "{lines:?}");
}

#[tokio::test]
async fn a_captured_secret_is_shown_nowhere() {
    let server = Server::start(|request| match request.path.as_str() {
        "/login" => Answer::json(200, r#"{"token": "hunter2-token"}"#),
        "/broken-login" => Answer::json(500, r#"{"token": "hunter2-token"}"#),
        _ => Answer::json(500, request.header("authorization").unwrap_or_default()),
    })
    .await
    .unwrap();
    let tests = json!([
        {"name": "login", "at": {"path": "/login"}, "secret_capture": {"token": {"json": "/token"}}},
        {"name": "echo", "at": {"path": "/echo"}, "request_headers": {"authorization": "Bearer {{token}}"},
            "expect": {"body_matches": "^nothing$"}},
    ]);
    let health = run(&server, 1, tests, LONG).await;
    assert_eq!(server.requests()[1].header("authorization"), Some("Bearer hunter2-token"));
    assert!(!format!("{health:?}").contains("hunter2"), "{health:?}");
    assert!(unhealthy(health).0.contains("`echo` failed"));

    // It was never captured, so nothing could be cut out of the answer: the body is not shown.
    let tests = json!([{"name": "login", "at": {"path": "/broken-login"},
        "secret_capture": {"token": {"json": "/token"}}}]);
    let health = run(&server, 1, tests, LONG).await;
    assert!(!format!("{health:?}").contains("hunter2"), "{health:?}");
    unhealthy(health);
}

#[tokio::test]
async fn what_needs_a_failed_test_is_not_asked() {
    let server = Server::start(|request| match request.path.as_str() {
        "/login" => Answer::json(200, "{}"),
        _ => Answer::json(200, r#"{"ok": true}"#),
    })
    .await
    .unwrap();
    let tests = json!([
        {"name": "login", "at": {"path": "/login"}, "capture": {"id": {"json": "/id"}}},
        {"name": "show", "at": {"path": "/items/{{id}}"}},
        {"name": "list", "at": {"path": "/items"}, "needs": ["show"]},
        {"name": "other", "at": {"path": "/other"}},
    ]);
    let (why, evidence) = unhealthy(run(&server, 1, tests, LONG).await);
    assert!(
        why.contains("there is nothing at /id to be captured; not run: `show`, `list`"),
        "{why}"
    );
    assert_eq!(paths(&server), ["/login", "/other"]);
    assert!(evidence[0].contains("not run  list  `show`, which it needs, did not pass"));
}

#[tokio::test]
async fn a_test_is_tried_again_until_it_passes() {
    let failed = || Answer::text(503, "starting");
    let server = Server::queue([failed(), failed(), Answer::text(200, ""), failed(), failed()])
        .await
        .unwrap();
    let test = |name: &str, retries: u32| json!({"name": name, "at": {"path": "/"}, "retries": retries, "pause": "1ms"});
    let (why, evidence) =
        unhealthy(run(&server, 1, json!([test("slow", 5), test("broken", 1)]), LONG).await);
    assert!(why.starts_with("`broken` failed") && why.contains("answered 503"), "{why}");
    assert_eq!(server.requests().len(), 5);
    let lines: Vec<_> = evidence[0].lines().collect();
    assert!(lines[0].starts_with("passed   slow  200 ") && lines[0].contains("3 attempts in"));
    assert!(lines[1].contains("2 attempts in"), "{lines:?}");
}

/// Nothing is answered before three are asked for: one after the other would end in their timeout.
#[tokio::test]
async fn tests_run_side_by_side_and_never_before_what_they_need() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut server: JoinSet<Vec<String>> = JoinSet::new();
    server.spawn(async move {
        let mut asked = Vec::new();
        for together in [3, 1] {
            let mut open = Vec::new();
            for _ in 0..together {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                let length = stream.read(&mut head).await.unwrap();
                let first =
                    String::from_utf8_lossy(&head[..length]).lines().next().map(str::to_owned);
                asked.push(first.unwrap());
                open.push(stream);
            }
            for mut stream in open {
                stream.write_all(b"HTTP/1.1 200 -\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
        asked
    });
    let mut tests = vec![json!({"name": "a", "at": {"path": "/a"}})];
    tests.push(json!({"name": "last", "at": {"path": "/last"}, "needs": ["a"]}));
    tests.extend(["b", "c"].map(|name| json!({"name": name, "at": {"path": format!("/{name}")}})));
    let suite = json!({"at": {"url": url}, "parallel": 3, "tests": tests});
    let probe = probes().probe(&check(&suite, LONG)).unwrap();
    let health = probe.check(&context(), &Endpoint::none(Role::Live)).await.unwrap();
    assert!(matches!(health, Health::Healthy(_)), "{health:?}");
    let asked = server.join_next().await.unwrap().unwrap();
    assert_eq!(asked[3], "GET /last HTTP/1.1");
}

#[tokio::test]
async fn a_minor_failure_is_told_and_fails_nothing() {
    let server = Server::start(|_| Answer::text(500, "no")).await.unwrap();
    let tests = json!([{"name": "page", "at": {"path": "/"}, "severity": "minor"}]);
    let Health::Healthy(evidence) = run(&server, 1, tests, LONG).await else { panic!() };
    assert!(evidence[0].text.starts_with("FAILED   page (minor)  500"), "{evidence:?}");
}

#[tokio::test]
async fn servers_that_misbehave_fail_the_test_in_time() {
    let endless = || Answer::text(200, "x".repeat(1_100_000)).stalling_after(1_050_000);
    for (answer, told) in [
        (Answer::hang(), "no answer within"),
        (Answer::close(), "no HTTP answer"),
        (Answer::raw("220 mail\r\n"), "no HTTP answer"),
        (Answer::json(200, r#"{"a": 1}"#).cut_in_half(), "the body broke off after 4 bytes"),
        (Answer::text(200, "0123456789").stalling_after(4), "the body had not ended after"),
        (endless(), "the body is longer than 1048576 bytes"),
        (Answer::text(200, "<html>"), "the body is not JSON"),
    ] {
        let server = Server::queue([answer.clone()]).await.unwrap();
        let tests = json!([{"name": "a", "at": {"path": "/"}, "timeout": "300ms",
            "expect": {"json_exists": ["/a"]}}]);
        let bounded = tokio::time::timeout(LONG / 2, run(&server, 1, tests, LONG));
        let (why, _) = unhealthy(bounded.await.unwrap());
        assert!(why.contains(told), "{told}: {why}");
    }
}

#[tokio::test]
async fn the_look_ends_before_its_time_is_over_and_tells_what_was_not_run() {
    let server = Server::start(|_| Answer::hang()).await.unwrap();
    let tests = json!([
        {"name": "first", "at": {"path": "/1"}, "retries": 100},
        {"name": "second", "at": {"path": "/2"}},
    ]);
    let (why, evidence) = unhealthy(run(&server, 1, tests, Duration::from_millis(400)).await);
    assert!(why.starts_with("`first` failed") && why.ends_with("not run: `second`"), "{why}");
    assert!(evidence[0].contains("the time of the suite was over"), "{evidence:?}");
    assert_eq!(paths(&server), ["/1"]);
}

#[derive(Debug)]
struct OneSecret;

#[async_trait]
impl SecretSource for OneSecret {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        Ok((name.as_str() == "API_KEY").then(|| Secret::new("hunter2-key")))
    }
}

#[tokio::test]
async fn a_service_is_asked_with_the_secrets_of_the_release() {
    let server =
        Server::start(|request| Answer::text(200, request.header("x-api-key").unwrap_or_default()))
            .await
            .unwrap();
    let suite = json!({"at": {"service": {"port": 8085}}, "tests": [
        {"name": "a", "at": {"path": "/a"}, "secret_headers": {"x-api-key": "API_KEY"},
            "expect": {"body_matches": "^$"}},
    ]});
    let spec = check(&suite, LONG);
    let with = probes().with_secrets(Arc::new(OneSecret));
    assert_eq!(with.secrets(&spec).unwrap(), [SecretName::new("API_KEY").unwrap()]);
    let here = Endpoint::new(Role::Staged, ServiceName::new("web").unwrap(), "web-1");
    let nowhere = with.probe(&spec).unwrap().check(&context(), &here).await.unwrap();
    assert!(matches!(nowhere, Health::Pending { .. }), "{nowhere:?}");
    let here = here.with_address(8085, server.address());
    let health = with.probe(&spec).unwrap().check(&context(), &here).await.unwrap();
    assert_eq!(server.requests()[0].header("x-api-key"), Some("hunter2-key"));
    assert!(!format!("{health:?}").contains("hunter2"), "{health:?}");
    unhealthy(health);
    // Without a source, and without a service, it is known before anything is asked.
    probes().probe(&spec).unwrap_err();
    with.probe(&CheckSpec { service: None, ..spec }).unwrap_err();
}
