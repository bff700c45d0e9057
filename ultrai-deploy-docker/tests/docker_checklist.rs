//! The checklist on a real engine, one that is gone, and one that says what is wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use ultrai_deploy_core::{
    clock::Clock,
    health::Verdict,
    memory,
    name::{ProjectName, SecretName, ServiceName},
    preflight::{Found, PreflightCheck},
    secret::Secret,
    spec::{ReleaseSpec, ServiceSpec},
    version::Version,
};
use ultrai_deploy_docker::{
    Config, Engine,
    bollard::{API_DEFAULT_VERSION, Docker},
    checklist::{ClockCheck, EngineCheck, EngineSpec, RegistryCheck, RegistrySpec},
    registry::Registries,
};
use ultrai_deploy_testkit::{
    registry::{Access, PASSWORD, Registry, USER},
    server::{Answer, Server},
};

async fn look(check: &dyn PreflightCheck) -> Found {
    check.check(&support::context()).await.unwrap()
}

fn spec(spec: Value) -> EngineSpec {
    serde_json::from_value(spec).unwrap()
}

/// An engine on this host that says `info` of itself.
async fn saying(info: Value) -> (Server, Engine) {
    let version = json!({"ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"});
    let server = Server::start(move |request| {
        let is_info = request.path.ends_with("/info");
        Answer::json(200, if is_info { info.to_string() } else { version.to_string() })
    })
    .await
    .unwrap();
    let address = format!("tcp://{}", server.address());
    let client = Docker::connect_with_http(&address, 10, API_DEFAULT_VERSION).unwrap();
    (server, Engine::with_client(client, &Config::default()))
}

#[tokio::test]
async fn an_engine_that_has_all_is_told_with_its_figures() {
    let asked = spec(json!({"version": "20.10", "free": "1MiB", "memory": "64MiB"}));
    let found = look(&EngineCheck::new(support::engine(), asked)).await;
    assert_eq!((found.verdict, &found.remedy), (Verdict::Pass, &None), "{found:?}");
    for figure in ["Docker ", "API 1.", "GiB are free below /", "of memory"] {
        assert!(found.what.contains(figure), "{found:?}");
    }
}

#[tokio::test]
async fn what_an_engine_lacks_is_told_with_a_remedy() {
    for (asked, says, remedy) in [
        (json!({"version": "9999.1"}), "9999.1 is needed", "update it to 9999.1"),
        (json!({"free": "1000000TiB"}), "1000000 TiB are needed", "docker image prune"),
        (json!({"memory": "1000TiB"}), "1000 TiB are needed", "more memory"),
    ] {
        let found = look(&EngineCheck::new(support::engine(), spec(asked))).await;
        assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
        assert!(found.what.contains(says), "{found:?}");
        assert!(found.remedy.unwrap().contains(remedy));
    }
}

#[tokio::test]
async fn a_full_disk_is_found_full() {
    // The kernel says of this one that it has no room at all.
    let (_server, engine) =
        saying(json!({"DockerRootDir": "/proc", "ServerVersion": "26.1"})).await;
    let found = look(&EngineCheck::new(engine, spec(json!({"free": "5GiB"})))).await;
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(
        found.what.starts_with("0 B of 0 B are free below /proc, 5 GiB are needed"),
        "{found:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_known_is_no_pass_where_it_is_asked_for() {
    let (server, engine) = saying(json!({"DockerRootDir": "/nonexistent/docker"})).await;
    for (asked, verdict) in
        [(json!({}), Verdict::Pass), (json!({"free": "5GiB"}), Verdict::Inconclusive)]
    {
        let found = look(&EngineCheck::new(engine.clone(), spec(asked))).await;
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.what.contains("not known from here"), "{found:?}");
    }
    // The same for an engine on another host, whatever directory it names.
    let remote = Engine::new(&Config::at(format!("tcp://{}", server.address())));
    let found = look(&EngineCheck::new(remote, spec(json!({"free": "1MiB"})))).await;
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.remedy.unwrap().contains("df -h /nonexistent/docker"));
}

#[tokio::test]
async fn an_engine_that_is_gone_is_a_finding() {
    let engine = Engine::new(&Config::at("unix:///nonexistent/docker.sock"));
    let found = look(&EngineCheck::new(engine, EngineSpec::default())).await;
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.what.contains("/nonexistent/docker.sock"), "{found:?}");
    assert!(found.remedy.unwrap().contains("start it"));
}

#[tokio::test]
async fn what_a_release_uses_and_the_engine_has_not_is_told_by_name() {
    let project = ProjectName::new("shop").unwrap();
    let web = ServiceSpec {
        config: json!({
            "resources": {"memory": 1_000_000, "pids": 10},
            "healthcheck": {"test": "inherit", "start_interval": {"secs": 1, "nanos": 0}}
        }),
        ..ServiceSpec::default()
    };
    let release = ReleaseSpec::new(project, Version::parse("v1.0.0").unwrap())
        .with_service(ServiceName::new("web").unwrap(), web);
    let info = json!({"MemoryLimit": false, "PidsLimit": true, "OSType": "linux", "Architecture": "x86_64"});
    let (_server, engine) = saying(info).await;
    let check = EngineCheck::new(engine, EngineSpec::default()).with_release(&release).unwrap();
    let found = look(&check).await;
    assert_eq!(found.verdict, Verdict::Fail);
    for says in ["service web has a limit of memory", "start_interval of service web"] {
        assert!(found.what.contains(says), "{found:?}");
    }
    assert!(!found.what.contains("processes"), "{found:?}");
    assert!(found.remedy.unwrap().contains("leave the limit of web out"));
}

/// A clock that is wrong by so much.
#[derive(Debug)]
struct Wrong(SignedDuration);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.0
    }
}

#[tokio::test]
async fn clocks_that_differ_are_found() {
    let check = |seconds| {
        let clock = Arc::new(Wrong(SignedDuration::from_secs(seconds)));
        ClockCheck::new(support::engine(), serde_json::from_value(json!({})).unwrap())
            .with_clock(clock)
    };
    assert_eq!(look(&check(0)).await.verdict, Verdict::Pass);
    for (seconds, says) in [(60, "s behind ours, 5s are allowed"), (-60, "s ahead of ours")] {
        let found = look(&check(seconds)).await;
        assert_eq!(found.verdict, Verdict::Fail);
        assert!(found.what.contains(says), "{found:?}");
        assert!(found.remedy.unwrap().contains("timedatectl"));
    }
}

fn logged_in(host: &str, password: &str) -> Registries {
    let name = SecretName::new("REGISTRY_PASSWORD").unwrap();
    let secrets: memory::Secrets = [(name.clone(), Secret::new(password))].into_iter().collect();
    Registries::new().with_login(host, USER, name).with_secrets(Arc::new(secrets))
}

async fn registry(host: &str, registries: Registries, login: bool) -> Found {
    let spec = RegistrySpec { host: host.to_owned(), login };
    look(&RegistryCheck::new(support::engine(), registries, spec).unwrap()).await
}

#[tokio::test]
async fn a_login_is_tried_by_the_engine() {
    let shut = Registry::start(Access::Login).await;
    let open = Registry::start(Access::Open).await;
    let (shut_at, open_at) = (shut.host(), open.host());
    let found = registry(&shut_at, logged_in(&shut_at, PASSWORD), true).await;
    assert_eq!(found.verdict, Verdict::Pass, "{found:?}");
    assert!(found.what.contains("accepts the login"), "{found:?}");
    let found = registry(&open_at, Registries::new(), false).await;
    assert_eq!(found.verdict, Verdict::Pass, "{found:?}");
    for (host, registries, login) in [
        (&shut_at, logged_in(&shut_at, "wrong-wrong"), false),
        (&shut_at, Registries::new(), false),
        (&open_at, Registries::new(), true),
    ] {
        let found = registry(host, registries, login).await;
        assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
        assert!(found.what.contains(host.as_str()), "{found:?}");
        assert!(found.remedy.as_deref().unwrap().contains("docker login"), "{found:?}");
        assert!(!format!("{found:?}").contains("wrong-wrong"), "{found:?}");
    }
}

#[tokio::test]
async fn a_registry_that_is_down_is_a_finding() {
    let gone = Registry::start(Access::Open).await;
    let host = gone.host();
    drop(gone);
    let found =
        tokio::time::timeout(Duration::from_mins(1), registry(&host, Registries::new(), false));
    let found = found.await.unwrap();
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
    assert!(found.remedy.unwrap().contains("cannot be reached"));
}
