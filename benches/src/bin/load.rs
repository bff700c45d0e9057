//! Our side of `scripts/bench-load`: the trivial server that all generators are set on, and ours.
#![expect(clippy::print_stdout, reason = "a bench prints numbers")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use ultrai_deploy_core::{
    Context,
    evidence::EvidenceKind,
    health::{Endpoint, Health, Role, Timing},
    name::{EnvironmentName, ProjectName, RunId, Target},
    verification::{CheckSpec, NoProbes, ProbeSource as _},
};
use ultrai_deploy_load::Probes;

const USAGE: &str = "serve [STALL_AFTER_SECONDS] | send URL RATE SECONDS MAX_OPEN";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", stall @ ..] => serve(stall.first().map(|text| text.parse().unwrap())).await,
        ["send", url, rate, seconds, most] => send(url, rate, seconds, most).await,
        _ => panic!("{USAGE}"),
    }
}

/// Answers every request with two bytes; where asked, nothing for one second, so many seconds after
/// the first request.
async fn serve(stall_after: Option<f64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let first: Arc<std::sync::OnceLock<Instant>> = Arc::default();
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        while open.try_join_next().is_some() {}
        let first = Arc::clone(&first);
        let service = service_fn(move |_request| {
            let first = Arc::clone(&first);
            async move {
                if let Some(seconds) = stall_after {
                    let begin = *first.get_or_init(Instant::now) + Duration::from_secs_f64(seconds);
                    let end = begin + Duration::from_secs(1);
                    if (begin..end).contains(&Instant::now()) {
                        sleep_until(end).await;
                    }
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
            }
        });
        open.spawn(async move {
            // A generator closes as it likes.
            let _closed =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Sends a load as the gate does, and prints what it measured.
async fn send(url: &str, rate: &str, seconds: &str, most: &str) {
    let form = json!({"load": {
        "url": url, "path": "/", "rate": rate.parse::<f64>().unwrap(), "warm_up": "0s",
        "duration": format!("{seconds}s"), "max_open": most.parse::<usize>().unwrap(),
        "require": ["error_rate < 50%"],
    }});
    let timing = Timing { timeout: Duration::from_mins(10), ..Timing::default() };
    let check = CheckSpec::new("bench", form).with_timing(timing);
    let probe = Probes::new(Arc::new(NoProbes)).probe(&check).unwrap();
    let (shop, bench) = (ProjectName::new("shop").unwrap(), EnvironmentName::new("bench").unwrap());
    let cx = Context::detached(Target::new(shop, bench), RunId::generate());
    let health = probe.check(&cx, &Endpoint::none(Role::Live)).await.unwrap();
    let evidence = match health {
        Health::Healthy(evidence)
        | Health::Unhealthy { evidence, .. }
        | Health::Inconclusive { evidence, .. } => evidence,
        other => panic!("{other:?}"),
    };
    let measured = evidence.iter().find(|piece| piece.kind == EvidenceKind::Measurement).unwrap();
    println!("{}", measured.text);
}
