//! Receivers that misbehave on real sockets, beside a real run: only the outcome is asserted, the
//! times are printed. The bound is asserted in `bounds.rs`, under a paused clock.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{net::TcpListener, time::Instant};
use ultrai_deploy_core::{Ending, report::Report};
use ultrai_deploy_notify::{Channel, Counts, Limits, Notifications};
use ultrai_deploy_testkit::{
    server::{Answer, Server},
    trace,
};

use crate::{
    channels::channel,
    lab::{Lab, failing, shop},
};

const HIDDEN: &str = "hunter2-hunter2";

fn slack(url: String) -> Channel {
    let config = json!({ "kind": "slack", "name": "bad", "url": "SLACK" });
    let quick = Limits {
        timeout: Duration::from_millis(200),
        pause: Duration::from_millis(10),
        ..Limits::default()
    };
    channel(&config, &[("SLACK", url)]).with_limits(quick)
}

/// A run that is rolled back, with this receiver and a good one.
async fn run(bad: Option<Channel>, good: &Server) -> (Report, Counts, Duration) {
    let config = json!({ "kind": "webhook", "url": "HOOK" });
    let good = channel(&config, &[("HOOK", good.url("/in"))]);
    let (notifications, worker) = Notifications::new([good].into_iter().chain(bad));
    let (lab, observer) = (Lab::default(), Arc::new(notifications.clone()));
    lab.deploy_alone(shop("1.0.0", json!({}))).await;
    let began = Instant::now();
    let run = lab.deploy(observer, failing("1.1.0"));
    let limit = Duration::from_millis(1500);
    let report = worker.beside(limit, async { run.join().await.unwrap() }).await;
    (report, notifications.counts(), began.elapsed())
}

#[tokio::test]
async fn whatever_a_receiver_does_the_outcome_is_the_same() {
    let ((), log) = trace::of(each_receiver()).await;
    assert!(log.contains("a notification was not delivered"), "{log}");
    assert!(!log.contains(HIDDEN), "{log}");
}

async fn each_receiver() {
    let good = Server::start(|_| Answer::text(200, "ok")).await.unwrap();
    let (_, _, without) = run(None, &good).await;
    println!("{:<28} {without:?}", "no bad receiver");
    let ok = || Answer::text(200, "ok");
    let elsewhere = Server::start(|_| Answer::text(200, "ok")).await.unwrap();
    let leads = elsewhere.url("/");
    // What it does, its answer, and how many of the two notices count as delivered.
    let receivers: Vec<(&str, Answer, u64)> = vec![
        ("answers", ok(), 2),
        ("hangs", Answer::hang(), 0),
        ("answers 500", Answer::text(500, "broken"), 0),
        ("answers 404", Answer::text(404, "no_service"), 0),
        ("closes early", Answer::close(), 0),
        ("resets", Answer::reset(), 0),
        ("sends garbage", Answer::raw("\x16\x03\x01 no HTTP\r\n\r\n"), 0),
        ("closes in the body", ok().cut_in_half(), 2),
        ("stalls in the body", ok().stalling_after(1), 2),
        ("redirects", Answer::text(307, "").with_header("Location", &leads), 0),
        ("answers 429 for an hour", Answer::text(429, "").with_header("Retry-After", "3600"), 0),
        ("answers late", ok().after(Duration::from_millis(50)), 2),
    ];
    for (what, answer, delivered) in receivers {
        let bad = Server::start(move |_| answer.clone()).await.unwrap();
        let bad = slack(bad_url(&bad));
        let before = good.requests().len();
        let (report, counts, took) = run(Some(bad), &good).await;
        println!("{what:<28} {took:?}");
        let ending = report.ending.unwrap();
        assert!(matches!(ending, Ending::RolledBack { to: Some(_), .. }), "{what}: {ending:?}");
        assert_eq!(good.requests().len(), before + 2, "the other one is told, while this {what}");
        assert_eq!((counts.delivered, counts.failed), (2 + delivered, 2 - delivered), "{what}");
    }
    assert_eq!(elsewhere.requests().len(), 0, "nobody is sent elsewhere");
}

fn bad_url(server: &Server) -> String {
    server.url(&format!("/services/{HIDDEN}"))
}

#[tokio::test]
async fn nobody_listens() {
    let good = Server::start(|_| Answer::text(200, "ok")).await.unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{HIDDEN}", port.local_addr().unwrap());
    drop(port);
    let (report, counts, _) = run(Some(slack(url)), &good).await;
    assert_eq!(report.ending.unwrap().as_str(), "rolled back");
    assert_eq!((counts.delivered, counts.failed), (2, 2));
}

#[tokio::test]
async fn a_secret_that_has_no_value_or_no_url_says_which() {
    let good = Server::start(|_| Answer::text(200, "ok")).await.unwrap();
    for url in ["", "hooks.slack.example/x", "http://hooks.slack.example/x"] {
        let (report, counts, _) = run(Some(slack(url.to_owned())), &good).await;
        assert_eq!(report.ending.unwrap().as_str(), "rolled back", "{url}");
        assert_eq!((counts.delivered, counts.failed), (2, 2), "{url}");
    }
}
