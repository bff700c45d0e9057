//! Calls of an API whose server is busy, broken or hostile.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use ultrai_deploy_core::{
    Cancel, Context, Effect, Error, ErrorKind, Result,
    error::Chain,
    name::{EnvironmentName, ProjectName, RunId, Target},
    secret::Secret,
};
use ultrai_deploy_http::{
    address::HttpUrl,
    api::{Api, Call, Credential, Limits, Refused, Repeat, Reply},
    header::HeaderName,
};
use ultrai_deploy_testkit::server::{Answer, Server};

const TOKEN: &str = "rnd_hunter2hunter2";
/// Long enough for any machine; tests that reach it fail.
const LONG: Duration = Duration::from_mins(1);

fn context() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Context::detached(target, RunId::generate()).with_timeout(LONG)
}

fn limits() -> Limits {
    let (pause, longest_pause) = (Duration::from_millis(1), Duration::from_millis(5));
    Limits { pause, longest_pause, body_limit: 64 * 1024, ..Limits::default() }
}

fn api_under(server: &Server, limits: Limits) -> Api {
    let credential = Credential::bearer("Example API key", &Secret::new(TOKEN)).unwrap();
    Api::new(HttpUrl::parse(&server.url("/v1")).unwrap(), credential, limits).unwrap()
}

fn api(server: &Server) -> Api {
    api_under(server, limits())
}

fn read() -> Call {
    Call::get("read a service", ["services", "srv-1"])
}

fn write() -> Call {
    Call::post("start a deploy", ["services", "srv-1", "deploys"]).with_json(&json!({})).unwrap()
}

async fn send(server: &Server, call: &Call) -> Result<Reply> {
    api(server).send(&context(), call).await
}

/// Everything that somebody could see of an error.
fn shown(error: &Error) -> String {
    format!("{} {error:?} {:?}", Chain(error), error.evidence())
}

#[tokio::test]
async fn a_call_carries_the_token_and_what_it_was_given() {
    let server = Server::start(|_| Answer::json(201, r#"{"id":"dep-1"}"#)).await.unwrap();
    let call = Call::post("x", ["a b", "../c", "d?e"])
        .with_query("name", "x&y=z")
        .with_json(&json!({ "k": 1 }))
        .unwrap();
    let reply = send(&server, &call).await.unwrap();
    assert_eq!(reply.status(), 201);
    assert_eq!(reply.json::<Value>().unwrap()["id"], "dep-1");
    let request = server.requests().pop().unwrap();
    // A segment stays one, whatever it holds.
    assert_eq!(request.path, "/v1/a%20b/..%2Fc/d%3Fe?name=x%26y%3Dz");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert!(request.header("user-agent").unwrap().starts_with("ultrai-deploy/"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body, br#"{"k":1}"#);
    for empty in [["services", ""], ["services", ".."], [".", "x"]] {
        let error = send(&server, &Call::get("x", empty)).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None));
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_token_of_another_kind_has_its_own_header() {
    let server = Server::start(|_| Answer::json(200, "{}")).await.unwrap();
    let name = HeaderName::new("Project-Access-Token").unwrap();
    let credential = Credential::in_header("project token", &name, &Secret::new(TOKEN)).unwrap();
    let api = Api::new(HttpUrl::parse(&server.url("")).unwrap(), credential, limits()).unwrap();
    api.send(&context(), &read()).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.header("project-access-token"), Some(TOKEN));
    assert_eq!(request.header("authorization"), None);
}

/// What changes nothing is tried again after everything that may pass; what changes something is
/// sent once, unless it certainly did not arrive, and then nobody claims to know what it did.
#[tokio::test]
async fn only_what_may_be_repeated_is() {
    let whole = r#"{"id":"srv-1"}"#;
    let broken = [
        Answer::json(500, "{}"),
        Answer::json(502, "bad gateway"),
        Answer::close(),
        Answer::reset(),
        Answer::raw("this is no HTTP\r\n\r\n"),
        Answer::json(200, whole).cut_after(5),
        Answer::json(503, "{}").with_header("Retry-After", "0"),
    ];
    for answer in broken {
        let server = Server::queue([answer.clone(), Answer::json(200, whole)]).await.unwrap();
        let reply = send(&server, &read()).await.unwrap();
        assert_eq!(reply.json::<Value>().unwrap()["id"], "srv-1");
        assert_eq!(server.requests().len(), 2, "{answer:?}");

        let server = Server::queue([answer.clone(), Answer::json(200, whole)]).await.unwrap();
        let keyed = write().with_repeat(Repeat::Keyed);
        send(&server, &keyed).await.unwrap();

        let server = Server::queue([answer.clone(), Answer::json(200, whole)]).await.unwrap();
        let error = send(&server, &write()).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{answer:?}: {error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{answer:?}: {error}");
        assert_eq!(server.requests().len(), 1, "{answer:?}");
    }
}

#[tokio::test]
async fn what_did_not_arrive_changed_nothing() {
    let server = Server::start(|_| Answer::json(200, "{}")).await.unwrap();
    let api = api(&server);
    drop(server);
    let error = api.send(&context(), &write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert!(error.to_string().contains("could not connect"), "{error}");
    assert!(!error.is_retryable(), "its tries are used up");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let short = Limits { timeout: Duration::from_millis(50), attempts: 2, ..limits() };
    for answer in [Answer::hang(), Answer::json(200, "{\"a\":1}").stalling_after(2)] {
        for (call, effect, tries) in [(read(), Effect::None, 2), (write(), Effect::Unknown, 1)] {
            let answer = answer.clone();
            let server = Server::start(move |_| answer.clone()).await.unwrap();
            let error =
                api_under(&server, short.clone()).send(&context(), &call).await.unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, effect), "{error}");
            assert_eq!(server.requests().len(), tries);
        }
    }
}

#[tokio::test]
async fn the_deadline_of_all_tries_is_kept() {
    let server =
        Server::start(|_| Answer::json(503, "{}").with_header("Retry-After", "3600")).await;
    let server = server.unwrap();
    let error = send(&server, &read()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(server.requests().len(), 1, "an hour is longer than there is time");
    let cx = context().with_timeout(Duration::from_millis(100));
    let server = Server::start(|_| Answer::hang()).await.unwrap();
    let error = api(&server).send(&cx, &write()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, Effect::Unknown), "{error}");
}

/// Being told to slow down is no try, and the window is left alone until it is new.
#[tokio::test]
async fn a_platform_that_is_busy_is_obeyed() {
    let busy = || Answer::json(429, "{}").with_header("Retry-After", "0");
    let mut answers: Vec<_> = (0..20).map(|_| busy()).collect();
    answers.push(Answer::json(201, "{}"));
    let server = Server::queue(answers).await.unwrap();
    send(&server, &write()).await.unwrap();
    assert_eq!(server.requests().len(), 21);

    let last = |reset: &str| {
        let answer = Answer::json(200, "{}").with_header("Ratelimit-Limit", "10");
        answer.with_header("Ratelimit-Remaining", "3").with_header("Ratelimit-Reset", reset)
    };
    let rest = || Answer::json(200, "{}");
    let server = Server::queue([last("1"), rest(), rest()]).await.unwrap();
    let api = api(&server);
    api.send(&context(), &read()).await.unwrap();
    let began = tokio::time::Instant::now();
    api.send(&context(), &write()).await.unwrap();
    api.send(&context(), &read()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(900), "reads wait for theirs");

    let server = Server::start(move |_| last("3000")).await.unwrap();
    let api = api_under(&server, limits());
    api.send(&context(), &read()).await.unwrap();
    assert!(api.spread("write", Duration::from_secs(5)) == Duration::from_secs(5));
    assert!(api.spread("read", Duration::from_secs(5)) > Duration::from_mins(40));
    let error = api.send(&context(), &read()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert!(error.to_string().contains("no more calls are allowed for 2"), "{error}");
    assert_eq!(server.requests().len(), 1, "nothing is sent that would be refused");
}

#[tokio::test]
async fn a_refusal_says_what_may_be_done_about_it() {
    for (status, body, kind, words) in [
        (400, r#"{"message":"invalid clearCache"}"#, ErrorKind::Invalid, "invalid clearCache"),
        (401, "{}", ErrorKind::Denied, "the Example API key is not accepted"),
        (402, "{}", ErrorKind::Denied, "plan"),
        (403, r#"{"error":"no"}"#, ErrorKind::Denied, "the Example API key may not do this"),
        (404, r#"{"message":"not found: srv-1"}"#, ErrorKind::NotFound, "not found: srv-1"),
        (409, "", ErrorKind::Conflict, "nothing more"),
        (410, "gone", ErrorKind::NotFound, "gone"),
        (422, r#"{"errors":[{"message":"bad"}]}"#, ErrorKind::Invalid, "bad"),
        (406, "<html><body>no</body></html>", ErrorKind::Invalid, "an HTML page"),
    ] {
        let server = Server::start(move |_| Answer::json(status, body)).await.unwrap();
        let error = send(&server, &write()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{status}");
        assert!(shown(&error).contains(words), "{status}: {}", Chain(&error));
        let source = std::error::Error::source(&error).unwrap().downcast_ref::<Refused>().unwrap();
        assert_eq!(source.status, status);
        assert_eq!(server.requests().len(), 1, "{status} is not tried again");
    }
}

/// An address elsewhere does not get the token, nor the call.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(|_| Answer::json(200, "{}")).await.unwrap();
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = format!("{}?token=t0ken", other.url("/x"));
        let answer = Answer::json(status, "{}").with_header("Location", &elsewhere);
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let error = send(&server, &read()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected);
        assert!(error.to_string().contains("it leads elsewhere, to 127.0.0.1"), "{error}");
        assert!(!shown(&error).contains("t0ken"), "{}", shown(&error));
    }
    assert_eq!(other.requests(), []);
}

#[tokio::test]
async fn answers_that_make_no_sense_are_clear_errors() {
    let html = "<!doctype html><title>maintenance</title>";
    for (answer, words) in [
        (Answer::text(200, html).with_header("Content-Type", "text/html"), "is an HTML page"),
        (Answer::json(200, r#"{"id":7}"#), "does not have the form"),
        (Answer::json(200, "[1,2"), "does not have the form"),
        (Answer::json(200, "\u{feff}{}"), "does not have the form"),
        (Answer::json(204, ""), "is empty"),
    ] {
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let reply = send(&server, &read()).await.unwrap();
        let error = reply.json::<std::collections::BTreeMap<String, String>>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected);
        assert!(error.to_string().contains(words), "{error}");
    }
    let invalid = [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"\xff\xfe\"".to_vec()];
    let server = Server::queue(invalid.map(Answer::raw)).await.unwrap();
    let reply = send(&server, &read()).await.unwrap();
    assert!(reply.json::<String>().is_err(), "no UTF-8");
}

/// Whatever it claims, no more than the limit is read.
#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    for claimed in [None, Some(50 * 1024 * 1024 * 1024)] {
        let long = Answer::json(200, "x".repeat(1024 * 1024));
        let answer = match claimed {
            Some(length) => long.claiming(length),
            None => long,
        };
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let error = send(&server, &read()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected);
        assert!(error.to_string().contains("is longer than 65536 bytes"), "{error}");
        assert_eq!(server.requests().len(), 1, "it would be as long again");
    }
}

/// Who cancels does not wait for what only reads; what changes something is not left in the dark.
#[tokio::test]
async fn a_cancellation_ends_what_only_reads() {
    let server = Server::start(|_| Answer::json(200, "{}").after(Duration::from_millis(300))).await;
    let (server, cancel) = (server.unwrap(), Cancel::new());
    let cx = context().with_cancel(cancel.clone());
    let api = api(&server);
    let (read, write) = (read(), write());
    let (read, write, ()) = tokio::join!(api.send(&cx, &read), api.send(&cx, &write), async {
        while server.requests().len() < 2 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    let error = read.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Cancelled, Effect::None));
    write.unwrap();
}

/// A server that repeats what it was sent, at trace level: the token is in no log, no error, no Debug.
#[tokio::test]
async fn the_token_is_shown_nowhere() {
    let seen = Arc::new(Mutex::new(String::new()));
    let _guard = tracing::subscriber::set_default(Everything(Arc::clone(&seen)));
    let mut errors = String::new();
    for status in [200, 302, 400, 401, 403, 500] {
        let server = Server::start(move |request| {
            let token = request.header("authorization").unwrap_or_default();
            let body = json!({ "message": format!("you sent {token}, that is {TOKEN}") });
            let to = format!("https://{TOKEN}.example.com/{TOKEN}");
            Answer::json(status, body.to_string()).with_header("Location", &to)
        });
        let server = server.await.unwrap();
        let api = api_under(&server, Limits { attempts: 2, ..limits() });
        write!(errors, "{api:?}{:?}", api.credential()).unwrap();
        for call in [read(), write()] {
            match api.send(&context(), &call).await {
                Ok(reply) => errors += &shown(&reply.json::<Vec<u8>>().unwrap_err()),
                Err(error) => errors += &shown(&error),
            }
        }
    }
    assert!(errors.contains("you sent"), "{errors}");
    let secret = "hunter2hunter2";
    assert!(!errors.contains(secret), "{errors}");
    let seen = seen.lock().unwrap();
    assert!(seen.contains("called an API"), "{seen}");
    assert!(!seen.contains(secret), "{seen}");
}

/// What a call carries is cut out before anything is shortened: half of it would not be found.
#[tokio::test]
async fn what_a_call_carries_is_not_repeated() {
    let secret = Secret::new("hunter2\"hunter2\nhunter3-hunter3");
    let long = |before: usize| format!("{}{}", "x".repeat(before), secret.expose());
    for text in [long(0), long(480), long(490), long(499)] {
        let bodies = [
            json!({ "message": text }).to_string(),
            json!({ "odd": text }).to_string(),
            json!(text).to_string(),
            text.clone(),
        ];
        for body in bodies {
            for status in [200, 400, 500] {
                let answer = Answer::json(status, body.clone());
                let server = Server::start(move |_| answer.clone()).await.unwrap();
                let call = write().with_secrets([&secret]).unwrap();
                let error = match send(&server, &call).await {
                    Ok(reply) => {
                        assert!(!format!("{reply:?}").contains("hunter"), "{reply:?}");
                        reply.json::<Vec<u8>>().unwrap_err()
                    }
                    Err(error) => error,
                };
                assert!(!shown(&error).contains("hunt"), "{}", shown(&error));
            }
        }
    }
}

/// Keeps every event and span of every crate, at every level.
struct Everything(Arc<Mutex<String>>);

impl tracing::Subscriber for Everything {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut Words(&mut self.0.lock().unwrap()));
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut Words(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Words(&mut self.0.lock().unwrap()));
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
