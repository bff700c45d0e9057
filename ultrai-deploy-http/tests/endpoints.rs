//! Health endpoints as axum serves them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower_service::Service;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    consequence::{Consequences, Severity},
    health::{Check, Endpoint, Health, HealthProbe, Timing},
    name::{EnvironmentName, ProjectName, SecretName, Target},
    redact::Redactor,
    secret::Secret,
};
use ultrai_deploy_http::endpoints::HealthEndpoints;

/// How a dependency behaves.
#[derive(Clone, Copy, Debug)]
enum Does {
    Well,
    Sick,
    Fail,
    Hang,
}

#[derive(Debug)]
struct Told(Does, Arc<AtomicU32>);

#[async_trait]
impl HealthProbe for Told {
    async fn check(&self, _: &Context, _: &Endpoint) -> Result<Health> {
        self.1.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        match self.0 {
            Does::Well => Ok(Health::Healthy(Vec::new())),
            Does::Sick => {
                Ok(Health::Unhealthy { why: "AUTH hunter2-hunter2".into(), evidence: Vec::new() })
            }
            Does::Fail => Err(Error::new(ErrorKind::Denied, "look", "10.0.0.7 refused")),
            Does::Hang => std::future::pending().await,
        }
    }
}

fn endpoints(dependencies: &[(&str, Does, Severity)]) -> (HealthEndpoints, Arc<AtomicU32>) {
    let asked = Arc::<AtomicU32>::default();
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    let secret = (SecretName::new("A").unwrap(), Secret::new("hunter2-hunter2"));
    let redactor = Redactor::new(&std::iter::once(secret).collect());
    let mut builder = HealthEndpoints::builder(target).redactor(redactor.into());
    for (name, does, severity) in dependencies {
        let probe = Arc::new(Told(*does, Arc::clone(&asked)));
        let check = Check::new(*name, None, probe, Timing::default());
        builder = builder.dependency(check.with_consequences(Consequences::of(*severity)));
    }
    (builder.limit(Duration::from_millis(300)).build().unwrap(), asked)
}

/// The app that has them, until the set is dropped.
async fn serve(router: axum::Router) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async { axum::serve(listener, router).await.unwrap() });
    (address, serving)
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, _, body) = ask(address, "GET", path).await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn the_sources_forms_are_served_however_they_are_mounted() {
    let all =
        [("redis", Does::Well, Severity::Critical), ("database", Does::Well, Severity::Major)];
    let (health, _) = endpoints(&all);
    for router in [
        axum::Router::new().nest_service("/health", health.clone()),
        axum::Router::new().fallback_service(health.clone()),
    ] {
        let (address, _serving) = serve(router).await;
        let (status, body) = get(address, "/health").await;
        assert_eq!((status, &body["status"]), (200, &"healthy".into()));
        assert!(body["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        assert_eq!(get(address, "/health/live").await.0, 200);
        let (status, body) = get(address, "/health/ready").await;
        assert_eq!((status, &body["status"]), (200, &"ready".into()), "{body}");
        for name in ["redis", "database"] {
            assert!(body["dependencies"][name]["latency_ms"].as_f64().unwrap() < 300.0, "{body}");
            let (status, body) = get(address, &format!("/health/{name}")).await;
            assert_eq!((status, &body["status"]), (200, &"connected".into()));
        }
        assert_eq!(get(address, "/health/nothing").await.0, 404);
    }
}

#[tokio::test]
async fn what_is_needed_and_sick_is_not_ready_and_says_why_in_a_line() {
    for (does, why) in [
        (Does::Sick, "AUTH ***"),
        (Does::Fail, "it could not be asked"),
        (Does::Hang, "no answer within 300ms"),
    ] {
        for (severity, expected) in [(Severity::Critical, 503), (Severity::Minor, 200)] {
            let all = [("redis", does, severity), ("database", Does::Well, Severity::Major)];
            let (health, _) = endpoints(&all);
            let (address, _serving) =
                serve(axum::Router::new().nest_service("/health", health)).await;
            let (status, body) = get(address, "/health/ready").await;
            assert_eq!(status, expected, "{does:?} {severity:?}");
            let redis = &body["dependencies"]["redis"];
            assert_eq!((&redis["status"], &redis["why"]), (&"disconnected".into(), &why.into()));
            assert_eq!(body["dependencies"]["database"]["status"], "connected");
            assert_eq!(get(address, "/health/redis").await.0, 503);
            assert_eq!(get(address, "/health").await.0, 200, "the program itself answers");
            assert_eq!(get(address, "/health/live").await.0, 200);
        }
    }
}

#[tokio::test]
async fn head_has_no_body_and_other_methods_are_refused() {
    let (health, _) = endpoints(&[("redis", Does::Sick, Severity::Critical)]);
    let (address, _serving) = serve(axum::Router::new().nest_service("/health", health)).await;
    let (status, head, body) = ask(address, "HEAD", "/health/ready").await;
    assert_eq!((status, body.as_str()), (503, ""));
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    for method in ["POST", "PUT", "DELETE"] {
        let (status, head, _) = ask(address, method, "/health/ready").await;
        assert_eq!(status, 405);
        assert!(head.contains("allow: get, head"), "{head}");
    }
}

/// Without sockets, so that the clock can be paused.
async fn call(health: &HealthEndpoints, path: &str) -> u16 {
    let request = axum::http::Request::get(path).body(()).unwrap();
    health.clone().call(request).await.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_requests_is_one_look() {
    let (health, asked) = endpoints(&[("redis", Does::Well, Severity::Critical)]);
    let mut storm = JoinSet::new();
    for _ in 0..1000 {
        let health = health.clone();
        storm.spawn(async move { call(&health, "/health/ready").await });
    }
    assert!(storm.join_all().await.into_iter().all(|status| status == 200));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_millis(999)).await;
    call(&health, "/health/redis").await;
    assert_eq!(asked.load(Ordering::Relaxed), 1, "still fresh");
    tokio::time::advance(Duration::from_millis(1)).await;
    call(&health, "/health/redis").await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_everybody_left_is_not_waited_for() {
    let (health, asked) = endpoints(&[("redis", Does::Hang, Severity::Critical)]);
    let began = tokio::time::Instant::now();
    let left = Duration::from_millis(100);
    assert!(tokio::time::timeout(left, call(&health, "/ready")).await.is_err());
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(call(&health, "/ready").await, 503);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(began.elapsed(), left + Duration::from_mins(1) + Duration::from_millis(300));
}

#[test]
fn names_that_are_no_paths_are_refused() {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    for names in [&["a b"][..], &[""], &["ready"], &["../x"], &["redis", "redis"]] {
        let mut builder = HealthEndpoints::builder(target.clone());
        for name in names {
            let probe = Arc::new(Told(Does::Well, Arc::default()));
            builder = builder.dependency(Check::new(*name, None, probe, Timing::default()));
        }
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Invalid, "{names:?}");
    }
}
