//! The file `examples/checks.toml` against the sample application itself.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]

use std::{collections::BTreeMap, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use ultrai_demo_app::Config as App;
use ultrai_deploy_core::{
    Context,
    health::{Endpoint, Health, Role},
    name::{EnvironmentName, ProjectName, RunId, Target},
    verification::ProbeSource,
    version::Version,
};
use ultrai_deploy_http::{
    Client, Config, Probes,
    address::HttpUrl,
    suite::{File, Selection},
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/checks.toml");

/// Everything that runs ends when it is dropped.
struct Running {
    _tasks: JoinSet<()>,
    app: SocketAddr,
}

/// The application with a database and a Redis that answer as far as it asks.
async fn running(more: &[(&str, &str)]) -> Running {
    let mut tasks = JoinSet::new();
    let redis = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = redis.local_addr().unwrap();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = redis.accept().await {
            let mut asked = [0; 512];
            // A client that goes away is the application's own business.
            let _gone = stream.read(&mut asked).await;
            let _gone = stream.write_all(b"+PONG\r\n").await;
        }
    });
    let mut vars = BTreeMap::from([
        ("APP_VERSION", "1.2.0".to_owned()),
        ("REDIS_URI", format!("redis://{address}")),
        // A connection is all that is looked at.
        ("MONGODB_URI", format!("mongodb://{address}")),
        ("CLAUDE_API_KEY", "k".to_owned()),
    ]);
    vars.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value));
    let config = App::from_vars(vars).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = listener.local_addr().unwrap();
    tasks.spawn(async move {
        ultrai_demo_app::serve(listener, config, std::future::pending()).await.unwrap();
    });
    Running { _tasks: tasks, app }
}

async fn look(running: &Running, version: &str, tags: &[&str]) -> Health {
    let file = File::load(FILE).unwrap();
    let selection = Selection {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        base_url: Some(HttpUrl::parse(&format!("http://{}", running.app)).unwrap()),
        version: Some(Version::parse(version).unwrap()),
        ..Selection::default()
    };
    let check = file.check(&selection).unwrap().unwrap();
    let probe = Probes::new(Client::new(Config::default()).unwrap()).probe(&check).unwrap();
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    let cx = Context::detached(target, RunId::generate());
    probe.check(&cx, &Endpoint::none(Role::Live)).await.unwrap()
}

#[tokio::test]
async fn a_good_release_passes_every_test() {
    let running = running(&[]).await;
    let Health::Healthy(evidence) = look(&running, "v1.2.0", &[]).await else { panic!() };
    let lines: Vec<_> = evidence[0].text.lines().collect();
    assert_eq!(lines.len(), 11, "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("passed   ")), "{lines:#?}");
}

#[tokio::test]
async fn each_fault_is_caught_by_the_test_that_is_for_it() {
    for (fault, version, told) in [
        (("DEMO_NEVER_HEALTHY", "1"), "1.2.0", "`health` failed: GET http://"),
        (("MONGODB_URI", "mongodb://127.0.0.1:1"), "1.2.0", "`database` failed"),
        (("REDIS_URI", "redis://127.0.0.1:1"), "1.2.0", "`redis` failed"),
        (("CLAUDE_API_KEY", ""), "1.2.0", "available'] finds nothing in the body"),
        (("DEMO_FAIL_PATH", "/api/models"), "1.2.0", "`models` failed"),
        (("DEMO_FAIL_PATH", "/health/ready"), "1.2.0", "`ready` failed"),
        (("DEMO_WRONG_VERSION", "1"), "1.2.0", "/version is version 0.0.1, not 1.2.0"),
        (("APP_VERSION", "1.1.0"), "1.2.0", "/version is version 1.1.0, not 1.2.0"),
        (
            ("DEMO_FAIL_PATH", "/api/v1/upload"),
            "1.2.0",
            "`an upload is accepted` failed: POST http://",
        ),
        (("DEMO_FAIL_PATH", "/api/v1/upload"), "1.2.0", "not run: `chat answers in under 3 s`"),
        (("DEMO_FAIL_PATH", "/api/v1/chat"), "1.2.0", "`chat answers in under 3 s` failed"),
    ] {
        let running = running(&[fault]).await;
        let Health::Unhealthy { why, evidence } = look(&running, version, &[]).await else {
            panic!("{fault:?} was not caught")
        };
        assert!(why.contains(told), "{fault:?}: {why}");
        let failed = evidence[0].text.lines().filter(|line| line.starts_with("FAILED")).count();
        assert!(failed >= 1 && evidence.len() >= 2, "{evidence:#?}");
    }
}

#[tokio::test]
async fn only_the_tests_of_a_tag_are_run() {
    let running = running(&[("DEMO_FAIL_PATH", "/api/models")]).await;
    let Health::Healthy(evidence) = look(&running, "1.2.0", &["post"]).await else { panic!() };
    assert_eq!(evidence[0].text.lines().count(), 5, "{}", evidence[0].text);
}
