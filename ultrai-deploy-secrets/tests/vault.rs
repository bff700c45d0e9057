//! Vault, on a fake with a memory and Vault's own answers.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Chain, Error, ErrorKind,
    name::SecretName,
    secret::{Secret, SecretSource},
};
use ultrai_deploy_http::{
    address::HttpUrl,
    api::{Connection, Limits},
};
use ultrai_deploy_secrets::vault::{Config, Login, Vault};
use ultrai_deploy_testkit::{
    hosted::{Fault, Limit, Server},
    server::Answer,
    trace,
    vault::{self, Node, Role},
};

const TOKEN: &str = "hvs.hunter2-token";
const APP: &str = "GET secret/data/app";

async fn start(world: vault::Vault) -> Server<vault::Vault> {
    Server::start(world).await.unwrap()
}

/// With a token that may read the document `app`, which has two keys.
async fn usual() -> Server<vault::Vault> {
    let mut world = vault::Vault::new();
    world.token("", TOKEN, "secret/data/app");
    world.put("", "secret", "app", json!({ "A": "hunter2-a", "B": "hunter2-b", "N": 7 }));
    start(world).await
}

fn config(server: &Server<vault::Vault>) -> Config {
    with_login(server, Login::Token(Secret::new(TOKEN)))
}

fn with_login(server: &Server<vault::Vault>, login: Login) -> Config {
    let mut config = Config::new(HttpUrl::parse(&server.url("/")).unwrap(), login);
    config.path = Some("app".to_owned());
    let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
    config.limits = Limits {
        timeout: seconds(10),
        pause: millis(1),
        longest_pause: millis(1),
        attempts: 3,
        ..config.limits
    };
    config
}

fn app_role() -> Login {
    Login::AppRole {
        role_id: Secret::new("hunter2-role"),
        secret_id: Secret::new("hunter2-secret"),
        mount: "approle".to_owned(),
    }
}

fn name(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

async fn value(source: &Vault, key: &str) -> Option<String> {
    let value = source.get(&name(key)).await;
    let value = value.unwrap_or_else(|error| panic!("{}", Chain(&error)));
    value.map(|value| value.expose().to_owned())
}

/// The error and its whole text, which holds nothing secret.
async fn error(source: &Vault, key: &str) -> (Error, String) {
    let error = source.get(&name(key)).await.unwrap_err();
    let text = format!("{} {error:?}", Chain(&error));
    assert!(!text.contains("hunter2"), "{text}");
    (error, text)
}

#[tokio::test]
async fn a_document_is_read_once_for_all_who_ask() {
    let server = usual().await;
    let source = Arc::new(Vault::new(config(&server)).unwrap());
    let asked = (0..8).map(|at| {
        let source = Arc::clone(&source);
        async move { value(&source, if at % 2 == 0 { "A" } else { "B" }).await.unwrap() }
    });
    let values = futures_util::future::join_all(asked).await;
    assert_eq!(values[..2], ["hunter2-a", "hunter2-b"]);
    assert_eq!(value(&source, "C").await, None);
    let (told, text) = error(&source, "N").await;
    assert_eq!(told.kind(), ErrorKind::Invalid);
    assert!(text.contains("the document app in Vault: N is a number"), "{text}");
    assert_eq!(server.requests().len(), 1);
    let request = &server.requests()[0];
    assert_eq!(request.path, "/v1/secret/data/app");
    assert_eq!(request.header("x-vault-token"), Some(TOKEN));
    assert_eq!(request.header("x-vault-request"), Some("true"));
    assert_eq!(request.header("x-vault-namespace"), None);
    assert!(!format!("{source:?}").contains("hunter2"));
}

#[tokio::test]
async fn secrets_may_be_elsewhere_and_in_a_namespace() {
    let mut world = vault::Vault::new();
    world.token("teams/shop", TOKEN, "kv/prod/data/");
    world.put("teams/shop", "kv/prod", "web/app", json!({ "A": "hunter2-1" }));
    world.put("teams/shop", "kv/prod", "db", json!({ "pass word": "hunter2-2", "A": "other" }));
    world.put("", "kv/prod", "db", json!({ "pass word": "of another namespace" }));
    let server = start(world).await;
    let mut config = config(&server);
    config.namespace = Some("teams/shop".to_owned());
    config.mount = "kv/prod".to_owned();
    config.path = Some("web/app".to_owned());
    config.names = [
        (name("DB_PASSWORD"), "db#pass word".parse().unwrap()),
        (name("GONE"), "db#gone".parse().unwrap()),
    ]
    .into();
    let source = Vault::new(config.clone()).unwrap();
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2-1");
    assert_eq!(value(&source, "DB_PASSWORD").await.unwrap(), "hunter2-2");
    let (told, text) = error(&source, "GONE").await;
    assert_eq!(told.kind(), ErrorKind::NotFound);
    assert!(text.contains("the document db in Vault has no key gone"), "{text}");
    assert!(text.contains("vault kv get -mount=kv/prod db"), "{text}");
    assert_eq!(server.requests().len(), 2);

    config.path = None;
    let source = Vault::new(config).unwrap();
    assert_eq!(value(&source, "A").await, None, "nothing says where");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn every_refusal_says_what_to_do() {
    use ErrorKind::{Denied, Invalid, NotFound, Unavailable, Unexpected};
    let told = async |prepare: &dyn Fn(&mut vault::Vault), kind: ErrorKind, words: [&str; 2]| {
        let server = usual().await;
        prepare(&mut server.world());
        let source = Vault::new(config(&server)).unwrap();
        let (error, text) = error(&source, "A").await;
        assert_eq!(error.kind(), kind, "{text}");
        for word in words {
            assert!(text.contains(word), "no `{word}`: {text}");
        }
        server.requests().len()
    };
    let answered = |status: u16, errors: Value| {
        move |world: &mut vault::Vault| {
            for _ in 0..3 {
                let body = json!({ "errors": errors }).to_string();
                world.traffic.fail_next(APP, Fault::Instead(Answer::json(status, body)));
            }
        }
    };
    let words = ["the token may not read secret/data/app", "capabilities = [\"read\"]"];
    assert_eq!(told(&|world| world.revoke_all(), Denied, words).await, 1);
    told(&|world| world.revoke_all(), Denied, ["403", "invalid token"]).await;
    let words = ["version 1 of app is deleted", "vault kv undelete -mount=secret -versions=1 app"];
    told(&|world| world.delete("", "secret", "app"), NotFound, words).await;
    let words = ["version 1 of app is destroyed", "vault kv put"];
    told(&|world| world.destroy("", "secret", "app"), NotFound, words).await;
    let words = ["it is sealed", "vault operator unseal"];
    assert_eq!(told(&|world| world.node = Node::Sealed, Unavailable, words).await, 3);
    let words = ["it failed", "active cluster node not found"];
    assert_eq!(told(&|world| world.node = Node::Leaderless, Unavailable, words).await, 3);
    let words = ["does not understand", "look at mount, path and namespace"];
    assert_eq!(told(&answered(400, json!(["bad"])), Invalid, words).await, 1);
    told(&answered(412, json!([])), Invalid, ["newest state", "try again"]).await;
    told(&answered(429, json!(["quota"])), Unavailable, ["no more calls", "quota"]).await;
    told(&answered(472, json!([])), Invalid, ["disaster recovery", "primary cluster"]).await;
    told(&answered(473, json!([])), Invalid, ["performance standby", "active node"]).await;
    told(&answered(501, json!([])), Unavailable, ["not initialised", "operator init"]).await;
    told(&answered(405, json!(["no"])), Invalid, ["it refuses", "405"]).await;
    let elsewhere = Node::Standby("https://vault-2.example.com:8200".to_owned());
    let words = ["it stands by", "write the address of the active node"];
    assert_eq!(told(&|world| world.node = elsewhere.clone(), Unexpected, words).await, 1);
}

#[tokio::test]
async fn what_is_not_there_is_an_error_with_advice() {
    let mut world = vault::Vault::new();
    world.token("", TOKEN, "");
    let server = start(world).await;
    let source = Vault::new(config(&server)).unwrap();
    let (told, text) = error(&source, "A").await;
    assert_eq!(told.kind(), ErrorKind::NotFound);
    assert!(text.contains("there is no document app at secret"), "{text}");
    let config = Config { mount: "kv".to_owned(), ..config(&server) };
    let (told, text) = error(&Vault::new(config).unwrap(), "A").await;
    assert_eq!(told.kind(), ErrorKind::NotFound);
    assert!(text.contains("no KV engine at kv") && text.contains("secrets list"), "{text}");
    // What was not there may come.
    server.world().put("", "secret", "app", json!({ "A": "hunter2" }));
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn a_hiccup_is_not_told() {
    for fault in [Fault::Internal, Fault::Gateway, Fault::Lost, Fault::Half, Fault::TooMany] {
        let server = usual().await;
        server.world().traffic.fail_next(APP, fault.clone());
        let source = Vault::new(config(&server)).unwrap();
        assert_eq!(value(&source, "A").await.unwrap(), "hunter2-a", "{fault:?}");
        assert_eq!(server.requests().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_quota_is_waited_for_as_long_as_there_is_time() {
    let server = usual().await;
    let window = Duration::from_hours(1);
    server.world().traffic.limit("any", Limit { calls: 0, window });
    let source = Vault::new(config(&server)).unwrap();
    let (told, text) = error(&source, "A").await;
    assert_eq!((told.kind(), server.requests().len()), (ErrorKind::Unavailable, 1));
    assert!(text.contains("it allows no more calls for now"), "{text}");
}

#[tokio::test]
async fn a_program_logs_in_once() {
    let mut world = vault::Vault::new();
    world.role("", "approle", Role::new("hunter2-role", "hunter2-secret", "secret/data/"));
    world.put("", "secret", "app", json!({ "A": "hunter2-a" }));
    world.put("", "secret", "db", json!({ "B": "hunter2-b" }));
    let server = start(world).await;
    let mut config = with_login(&server, app_role());
    config.names = [(name("B"), "db#B".parse().unwrap())].into();
    let source = Vault::new(config).unwrap();
    assert_eq!(server.requests(), [], "not before it is needed");
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2-a");
    assert_eq!(value(&source, "B").await.unwrap(), "hunter2-b");
    assert_eq!(server.world().count("POST auth/approle/login"), 1);
    let login = &server.requests()[0];
    let body: Value = serde_json::from_slice(&login.body).unwrap();
    assert_eq!(body, json!({ "role_id": "hunter2-role", "secret_id": "hunter2-secret" }));
    assert_eq!(login.header("x-vault-token"), None);
    assert_eq!(server.requests()[1].header("x-vault-token"), Some("hvs.hunter2-issued-1"));
    assert!(!format!("{source:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_token_that_is_over_is_got_anew_once() {
    let mut world = vault::Vault::new();
    let role = Role::new("hunter2-role", "hunter2-secret", "secret/data/");
    world.role("", "approle", role.with_ttl(Duration::from_hours(1)));
    world.put("", "secret", "app", json!({ "A": "hunter2-a" }));
    world.put("", "secret", "db", json!({ "B": "hunter2-b" }));
    let server = start(world).await;
    let mut config = with_login(&server, app_role());
    config.names =
        [(name("B"), "db#B".parse().unwrap()), (name("C"), "third#C".parse().unwrap())].into();
    let source = Vault::new(config).unwrap();
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2-a");
    // By Vault's clock, of which nobody else knows.
    server.world().traffic.clock.advance(Duration::from_hours(2));
    assert_eq!(value(&source, "B").await.unwrap(), "hunter2-b");
    assert_eq!(server.world().count("login"), 2);
    // A token that is new and may not read is no token that is over.
    let denied = || Fault::Instead(Answer::json(403, r#"{"errors":["permission denied"]}"#));
    for _ in 0..3 {
        server.world().traffic.fail_next("third", denied());
    }
    let (told, text) = error(&source, "C").await;
    assert_eq!(told.kind(), ErrorKind::Denied, "{text}");
    assert_eq!(server.world().count("login"), 3);
    assert_eq!(server.world().count("third"), 2);
}

#[tokio::test]
async fn a_login_that_is_refused_says_what_to_do() {
    let told = async |role: Option<Role>, kind: ErrorKind, words: [&str; 2]| {
        let mut world = vault::Vault::new();
        if let Some(role) = role {
            world.role("", "approle", role);
        }
        world.put("", "secret", "app", json!({ "A": "hunter2-a" }));
        world.put("", "secret", "db", json!({ "B": "hunter2-b" }));
        let server = start(world).await;
        let mut config = with_login(&server, app_role());
        config.names = [(name("B"), "db#B".parse().unwrap())].into();
        let source = Vault::new(config).unwrap();
        // With one use of the token and of the id, what is asked first is told.
        let first = source.get(&name("A")).await;
        let (error, text) = match first {
            Ok(_) => error(&source, "B").await,
            Err(_) => error(&source, "A").await,
        };
        assert_eq!(error.kind(), kind, "{text}");
        for word in words {
            assert!(text.contains(word), "no `{word}`: {text}");
        }
    };
    let words = ["nobody can log in at auth/approle", "vault auth list"];
    told(None, ErrorKind::Denied, words).await;
    let words = ["does not accept role id and secret id", "invalid role or secret ID"];
    let role = |role_id, secret_id| Some(Role::new(role_id, secret_id, "secret/data/"));
    told(role("another", "hunter2-secret"), ErrorKind::Invalid, words).await;
    told(role("hunter2-role", "another"), ErrorKind::Invalid, words).await;
    let once = role("hunter2-role", "hunter2-secret").unwrap().with_uses(1).with_logins(1);
    told(Some(once), ErrorKind::Invalid, words).await;
}

#[tokio::test]
async fn a_lease_that_ends_is_read_again() {
    let server = usual().await;
    let leased = json!({ "lease_duration": 600, "data": { "data": { "A": "hunter2-old" } } });
    let answer = Answer::json(200, leased.to_string());
    server.world().traffic.fail_next(APP, Fault::Instead(answer));
    let source = Vault::new(config(&server)).unwrap();
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2-old");
    assert_eq!(value(&source, "A").await.unwrap(), "hunter2-old");
    assert_eq!(server.requests().len(), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    tokio::time::resume();
    assert_ne!(value(&source, "A").await.unwrap(), "hunter2-old");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_answers_and_is_no_vault_is_told_and_not_shown() {
    let huge = Answer::json(200, format!("\"{}\"", "hunter2".repeat(200_000)));
    let claiming = Answer::json(200, "hunter2").claiming(50 << 30);
    let of = |body: &str| Answer::json(200, body);
    for (answer, told) in [
        (of("{\"data\":{\"data\":{\"A\":\"hunter2"), "makes no sense"),
        (of("hunter2"), "makes no sense"),
        (of(""), "makes no sense"),
        (of("[\"hunter2\"]"), "nothing where the document should be"),
        (of("{\"data\":\"hunter2\"}"), "a text where the document should be"),
        (of("{\"data\":{\"data\":[\"hunter2\"]}}"), "a list where the document should be"),
        (of("{\"data\":{\"data\":null}}"), "null where the document should be"),
        (of("{\"data\":{\"A\":\"hunter2\"}}"), "an object where the document should be"),
        (of("{\"data\":{\"data\":{\"A\":{\"b\":\"hunter2\"}}}}"), "A is an object"),
        (of("{\"data\":{\"data\":{\"A\":true}}}"), "A is true or false"),
        (Answer::text(200, "<html>hunter2</html>"), "makes no sense"),
        (Answer::json(404, "hunter2"), "makes no sense"),
        (Answer::json(404, "[]"), "there is no document app"),
        (Answer::json(404, "{\"data\":{\"metadata\":7}}"), "there is no document app"),
        (huge, "longer than 1048576 bytes"),
        (claiming, "the answer (200)"),
        (Answer::json(204, ""), "Vault at http://127.0.0.1"),
        (Answer::raw("no HTTP\r\n\r\n"), "it could not be asked"),
        (Answer::reset(), "it could not be asked"),
    ] {
        let server = usual().await;
        for _ in 0..3 {
            server.world().traffic.fail_next(APP, Fault::Instead(answer.clone()));
        }
        let source = Vault::new(config(&server)).unwrap();
        let text = match source.get(&name("A")).await {
            Ok(value) => panic!("{told}: {value:?}"),
            Err(error) => format!("{} {error:?}", Chain(&error)),
        };
        assert!(text.contains(told), "no `{told}`: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_login_that_makes_no_sense_is_no_login() {
    for (body, told) in [
        ("hunter2", "makes no sense"),
        ("{\"auth\":null}", "no token in it"),
        ("{\"auth\":{\"client_token\":7}}", "no token in it"),
        ("{\"auth\":{\"client_token\":\"hunter2\\n\"}}", "no token"),
        ("{\"auth\":{\"client_token\":\"\",\"mfa_requirement\":{}}}", "a second factor"),
    ] {
        let server = usual().await;
        let answer = Fault::Instead(Answer::json(200, body));
        server.world().traffic.fail_next("login", answer);
        let source = Vault::new(with_login(&server, app_role())).unwrap();
        let (_, text) = error(&source, "A").await;
        assert!(text.contains(told), "no `{told}`: {text}");
        assert_eq!(server.requests().len(), 1, "nothing is asked without a token");
    }
}

#[tokio::test]
async fn what_does_not_end_is_given_up() {
    for answer in [Answer::hang(), Answer::json(200, "{\"a\":1}").stalling_after(2)] {
        let server = usual().await;
        for _ in 0..3 {
            server.world().traffic.fail_next(APP, Fault::Instead(answer.clone()));
        }
        let mut config = config(&server);
        config.limits.timeout = Duration::from_millis(200);
        let (told, text) = error(&Vault::new(config).unwrap(), "A").await;
        assert_eq!(told.kind(), ErrorKind::Timeout, "{text}");
    }
}

#[tokio::test]
async fn a_token_goes_nowhere_else() {
    let other = usual().await;
    let server = usual().await;
    server.world().node = Node::Standby(other.url(""));
    let source = Vault::new(config(&server)).unwrap();
    error(&source, "A").await;
    assert_eq!(other.requests(), []);

    let login = Login::Token(Secret::new(TOKEN));
    let url = HttpUrl::parse("http://vault.example.com:8200").unwrap();
    let plain = Config::new(url, login);
    let refused = Vault::new(plain.clone()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("in clear text"), "{refused}");
    let connection = Connection::default().allowing_clear_text();
    Vault::new(Config { connection, ..plain }).unwrap();
    for bad in ["", "hunter2\n"] {
        let login = Login::Token(Secret::new(bad));
        let refused = Vault::new(with_login(&server, login)).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
    }
}

/// Whoever answers may repeat what was sent before, and what was read.
#[tokio::test]
async fn nothing_secret_is_logged_or_told() {
    let ((), log) = trace::of(async {
        let mut world = vault::Vault::new();
        world.role("", "approle", Role::new("hunter2-role", "hunter2-secret", "secret/data/"));
        world.put("", "secret", "app", json!({ "A": "hunter2-of-a" }));
        let server = start(world).await;
        let mut config = with_login(&server, app_role());
        config.names = [(name("B"), "db#B".parse().unwrap())].into();
        let source = Vault::new(config).unwrap();
        assert_eq!(value(&source, "A").await.unwrap(), "hunter2-of-a");
        let echo = "hvs.hunter2-issued-1 hunter2-of-a hunter2-role hunter2-secret";
        for status in [200, 400, 404, 405, 500] {
            for body in [json!({ "errors": [echo] }).to_string(), echo.to_owned()] {
                for _ in 0..3 {
                    let answer = Answer::json(status, body.clone());
                    server.world().traffic.fail_next("secret/data/db", Fault::Instead(answer));
                }
                error(&source, "B").await;
                let left = server.world().count("secret/data/db") % 3;
                for _ in left..3 {
                    let _used_up = source.get(&name("B")).await;
                }
            }
        }
    })
    .await;
    assert!(log.contains("called an API"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}
