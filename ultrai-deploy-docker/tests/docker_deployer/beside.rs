//! What was replaced beside its old one comes back beside its new one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use ultrai_deploy_core::{current::Serving, deployer::Step, plan::Action};

use crate::{
    bench::{Bench, SERVE, healthy, name},
    support::until,
};

/// A backend behind a proxy that finds it by the name of its service.
fn shop(version: &str) -> Value {
    let health = "curl -f http://localhost:8085/health";
    json!({
        "proxy": {"image": "ultrai/haproxy:1", "environment": {"BACKEND": "web:8085"}},
        "web": {
            "image": format!("ultrai/backend:{version}"), "environment": {"REDIS_URI": ""},
            "restart": "unless_stopped",
            "healthcheck": {"test": {"shell": health}, "interval": {"secs": 30, "nanos": 0}}
        }
    })
}

/// What the proxy says, or nothing when it does not answer well.
async fn ask(proxy: SocketAddr) -> Option<String> {
    let answer = async {
        let mut stream = TcpStream::connect(proxy).await.ok()?;
        let request = "GET /api/v1/version HTTP/1.0\r\nHost: web\r\n\r\n";
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        text.lines().next()?.contains(" 200 ").then_some(text)
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.ok()?
}

#[tokio::test]
async fn no_request_is_lost_on_the_way_back() {
    let bench = Bench::new().await.with_drain(Duration::from_secs(1));
    let first = bench.deploy(shop("v1.0.0")).await;
    let old = bench.id("web").await;
    let networks = bench.serving("proxy").await.network_settings.unwrap().networks.unwrap();
    let address = networks.into_values().next().unwrap().ip_address.unwrap();
    let proxy = SocketAddr::new(address.parse().unwrap(), 8080);
    until("the proxy finds the backend", || ask(proxy)).await;

    let mut run = bench.begin(bench.release(shop("v1.1.0")).await).await;
    assert_eq!(run.plan.services[&name("web")].action, Action::StartFirst);
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    until("the new one answers", || async { ask(proxy).await.filter(|it| it.contains("1.1.0")) })
        .await;

    let (lost, mut asked) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let load = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            let lost = Arc::clone(&lost);
            asked.spawn(async move {
                if ask(proxy).await.is_none() {
                    lost.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    };
    tokio::select! {
        ended = run.step(Step::Rollback) => ended.unwrap(),
        () = load => {}
    }
    let sent = asked.len();
    asked.join_all().await;
    let lost = lost.load(Ordering::SeqCst);
    eprintln!("{lost} of {sent} requests lost during the rollback");
    assert_eq!(bench.id("web").await, old);
    assert!(ask(proxy).await.unwrap().contains("1.0.0"));
    assert_eq!(bench.names().await, [bench.live("proxy"), bench.live("web")]);
    bench.assert_healthy(&first).await;
    assert!(sent > 20, "too few requests to tell: {sent}");
    assert_eq!(lost, 0, "of {sent} requests");
    bench.close().await;
}

#[tokio::test]
async fn the_old_one_takes_over_though_it_is_not_well_again() {
    let bench = Bench::new().await;
    // Its second start finds what the first one left.
    let once = format!("if test -e /once; then SICK=1; fi; touch /once; {SERVE}")
        .replace("touch /ok", "if test -n \"$SICK\"; then busybox rm -f /ok; else touch /ok; fi");
    let web = |n: u32| {
        json!({"web": {
            "command": ["sh", "-c", once], "healthcheck": healthy(),
            "environment": {"N": n.to_string()}, "networks": {"default": {"aliases": ["www"]}}
        }})
    };
    let first = bench.deploy(web(1)).await;
    let old = bench.serving("web").await;
    let mut run = bench.begin(bench.release(web(2)).await).await;
    assert_eq!(run.plan.services[&name("web")].action, Action::StartFirst);
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();

    run.step(Step::Rollback).await.unwrap();
    let back = bench.serving("web").await;
    assert_eq!(back.id, old.id);
    assert_eq!(bench.names().await, [bench.live("web")]);
    assert_eq!(bench.current().await.serving, Serving::Release(first.id));
    let aliases = |of: &ultrai_deploy_docker::bollard::models::ContainerInspectResponse| {
        let networks = of.network_settings.clone().unwrap().networks.unwrap();
        networks.into_values().next().unwrap().aliases.unwrap()
    };
    assert_eq!(aliases(&back), aliases(&old), "its names on the network");
    bench.close().await;
}
