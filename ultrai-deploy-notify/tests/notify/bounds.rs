//! Whatever receivers do: the outcome stays, and the time is bounded. Under a paused clock.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::consequence::Severity;
use ultrai_deploy_notify::{Channel, FINISH, Filter, Limits, Name, Notice, Notifications};

use crate::lab::{Does, Fake, Lab, failing, shop, target};

fn channel(name: &str, fake: &Arc<Fake>) -> Channel {
    let filter = Filter { on: BTreeSet::from(Name::ALL), ..Filter::default() };
    Channel::new(name, fake.clone()).with_filter(filter)
}

fn alert(check: &str) -> Notice {
    let at = Timestamp::UNIX_EPOCH;
    Notice::alert(target(), check, Severity::Major, "error_rate is 0.2, > 0.05", at)
}

fn recovered(check: &str) -> Notice {
    Notice::recovered(target(), check, Severity::Major, Timestamp::UNIX_EPOCH)
}

#[tokio::test(start_paused = true)]
async fn no_receiver_changes_the_outcome_or_costs_more_than_the_bound() {
    for does in [
        None,
        Some(Does::Hang),
        Some(Does::Fail),
        Some(Does::Refuse),
        Some(Does::Later(Duration::from_secs(20))),
        Some(Does::Later(Duration::from_hours(1))),
    ] {
        let lab = Lab::default();
        let bad = does.clone().map_or_else(|| Fake::new([]), Fake::always);
        let good = Fake::new([]);
        let (notifications, worker) =
            Notifications::new([channel("bad", &bad), channel("good", &good)]);
        let began = Instant::now();
        let mut own = Duration::ZERO;
        let report = worker
            .beside(FINISH, async {
                let observer = Arc::new(notifications.clone());
                let first = lab.deploy(observer.clone(), shop("1.0.0", json!({})));
                first.join().await.unwrap();
                let report = lab.deploy(observer, failing("1.1.0")).join().await.unwrap();
                own = began.elapsed();
                report
            })
            .await;
        assert_eq!(report.ending.as_ref().unwrap().as_str(), "rolled back", "{does:?}");
        assert!(began.elapsed() <= own + FINISH, "{does:?}: {:?}", began.elapsed());
        let all = ["started", "succeeded", "started", "failed", "rolled_back"];
        assert_eq!(good.names(), all, "beside one that does {does:?}");
        let counts = notifications.counts();
        let expected = if does.is_some() { (5, 5) } else { (10, 0) };
        assert_eq!((counts.delivered, counts.failed), expected, "{does:?}");
        assert_eq!(counts.is_incomplete(), does.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_moment_is_tried_again() {
    let later = Does::Later(Duration::from_secs(2));
    let fake = Fake::new([Does::Fail, later, Does::Hang]);
    let (notifications, worker) = Notifications::new([channel("slack", &fake)]);
    let began = Instant::now();
    notifications.notify(alert("rule"));
    worker.finish(Duration::from_mins(1)).await;
    assert_eq!((fake.names(), fake.asked()), (vec!["alert"], 4));
    // Half a second after the failure, the two seconds that were asked for, the attempt that hung,
    // and the third pause.
    let expected = Duration::from_millis(500 + 2000 + 3000 + 2000);
    assert_eq!(began.elapsed(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_tried_again() {
    let fake = Fake::new([Does::Refuse]);
    let (notifications, worker) = Notifications::new([channel("slack", &fake)]);
    notifications.notify(alert("rule"));
    let counts = worker.finish(FINISH).await;
    assert_eq!((fake.asked(), counts.failed, fake.got().len()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_wants_a_longer_pause_than_anybody_waits_is_given_up_at_once() {
    let fake = Fake::always(Does::Later(Duration::from_hours(1)));
    let (notifications, worker) = Notifications::new([channel("slack", &fake)]);
    let began = Instant::now();
    notifications.notify(alert("rule"));
    let counts = worker.finish(Duration::from_mins(5)).await;
    assert_eq!((fake.asked(), counts.failed, began.elapsed()), (1, 1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_says_how_many() {
    let fake = Fake::new([]);
    let limits = Limits { queue: 4, burst: 100, ..Limits::default() };
    let (notifications, worker) = Notifications::new([channel("slack", &fake).with_limits(limits)]);
    for n in 0..16 {
        notifications.notify(alert(&format!("rule {n}")));
    }
    let counts = worker.finish(FINISH).await;
    assert_eq!((counts.delivered, counts.dropped), (4, 12));
    assert_eq!(fake.got()[0].1, 12, "the first message says how many are missing");
    assert_eq!(fake.got()[1].1, 0, "and only the first");
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_alerts_is_limited_and_what_ends_a_run_is_not() {
    let lab = Lab::default();
    let fake = Fake::new([]);
    let limits = Limits { burst: 2, every: Duration::from_hours(1), ..Limits::default() };
    let filter = Filter { on: BTreeSet::from(Name::ALL), ..Filter::default() };
    let channel = Channel::new("slack", fake.clone()).with_filter(filter).with_limits(limits);
    let (notifications, worker) = Notifications::new([channel]);
    for n in 0..10 {
        notifications.notify(alert(&format!("rule {n}")));
    }
    for n in 0..10 {
        notifications.notify(recovered(&format!("rule {n}")));
    }
    let observer = Arc::new(notifications.clone());
    let run = lab.deploy(observer, shop("1.0.0", json!({})));
    worker.beside(FINISH, async { run.join().await.unwrap() }).await;
    // Only what was told to begin is told to end, and what began it all was too much.
    assert_eq!(fake.names(), ["alert", "alert", "recovered", "recovered", "succeeded"]);
    assert_eq!(fake.got()[2].1, 8, "the next message says how many alerts were left out");
    assert_eq!(notifications.counts().limited, 8 + 8 + 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_alert_is_told_once() {
    let fake = Fake::new([]);
    let (notifications, worker) = Notifications::new([channel("slack", &fake)]);
    for _ in 0..3 {
        notifications.notify(alert("rule"));
        notifications.clone().notify(alert("rule"));
    }
    notifications.notify(recovered("rule"));
    notifications.notify(alert("rule"));
    worker.finish(FINISH).await;
    assert_eq!(fake.names(), ["alert", "recovered", "alert"]);
}

#[tokio::test(start_paused = true)]
async fn each_channel_gets_what_it_wants() {
    let (all, grave, elsewhere) = (Fake::new([]), Fake::new([]), Fake::new([]));
    let critical = Filter { min_severity: Severity::Critical, ..Filter::default() };
    let production = "production".parse().unwrap();
    let far = Filter { environments: BTreeSet::from([production]), ..Filter::default() };
    let (notifications, worker) = Notifications::new([
        Channel::new("all", all.clone()),
        Channel::new("grave", grave.clone()).with_filter(critical),
        Channel::new("elsewhere", elsewhere.clone()).with_filter(far),
    ]);
    let lab = Lab::holding();
    let observer = Arc::new(notifications.clone());
    let work = async {
        lab.deploy(observer.clone(), shop("1.0.0", json!({}))).join().await.unwrap();
        lab.deploy(observer, failing("1.1.0")).join().await.unwrap();
        notifications.notify(alert("rule"));
    };
    worker.beside(FINISH, work).await;
    assert_eq!(all.names(), ["succeeded", "approval_needed", "alert"]);
    assert_eq!(grave.names(), ["succeeded"]);
    assert_eq!(elsewhere.names(), Vec::<&str>::new());
    let (held, _) = &all.got()[1];
    assert_eq!(held.version.as_ref().unwrap().as_str(), "1.1.0");
    assert_eq!(held.version_before.as_ref().unwrap().as_str(), "1.0.0");
    assert_eq!(held.initiator.as_ref().unwrap().user, "somebody");
    assert_eq!(held.what.commands(), ["ultrai resume --proceed", "ultrai rollback"]);
    assert!(held.summary().contains("smoke"), "the cause is in the first line: {}", held.summary());
}
