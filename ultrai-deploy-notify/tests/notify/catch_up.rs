//! Every ending is told, also when the process that saw it died.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{clock::Clock, clock::SystemClock, lease::Wait, pipeline::DeployRequest};
use ultrai_deploy_notify::{Channel, FINISH, Ledger, Notifications, Parts, Worker};

use crate::lab::{Does, Fake, Lab, Later, failing, shop};

/// A process whose notifications are remembered below `directory`.
fn start(
    directory: &Path,
    channels: &[(&str, &Arc<Fake>)],
    clock: Arc<dyn Clock>,
) -> (Notifications, Worker) {
    let ledger = Some(Ledger::new(directory.join("notifications.json")));
    let channels = channels.iter().map(|(name, fake)| Channel::new(*name, (*fake).clone()));
    Notifications::with(channels, Parts { ledger, clock, ..Parts::default() })
}

fn now() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// What a new process tells of what is in the journal.
async fn caught_up(lab: &Lab, directory: &Path, clock: Arc<dyn Clock>) -> Vec<String> {
    let fake = Fake::new([]);
    let (notifications, worker) = start(directory, &[("slack", &fake)], clock);
    let told = notifications.catch_up(&lab.journal).await;
    worker.finish(FINISH).await;
    assert_eq!(fake.got().len(), told);
    fake.got().iter().map(|(notice, _)| notice.summary()).collect()
}

#[tokio::test]
async fn an_ending_that_a_killed_process_did_not_tell_is_told_once() {
    let (lab, directory) = (Lab::default(), tempfile::tempdir().unwrap());
    assert_eq!(caught_up(&lab, directory.path(), now()).await, [""; 0], "the ledger begins");
    lab.deploy_alone(shop("1.0.0", json!({}))).await;
    // The record is durable and its notice in the queue; then the process dies.
    let fake = Fake::new([]);
    let (notifications, worker) = start(directory.path(), &[("slack", &fake)], now());
    lab.deploy(Arc::new(notifications), failing("1.1.0")).join().await.unwrap();
    drop(worker);
    assert_eq!(fake.names(), [""; 0]);

    let told = caught_up(&lab, directory.path(), now()).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "1.0.0 serves in shop/staging");
    assert!(told[1].starts_with("1.1.0 was rolled back in shop/staging, 1.0.0 serves again: "));
    assert_eq!(caught_up(&lab, directory.path(), now()).await, [""; 0], "and not again");
}

#[tokio::test]
async fn what_was_told_is_not_told_again() {
    let (lab, directory) = (Lab::default(), tempfile::tempdir().unwrap());
    caught_up(&lab, directory.path(), now()).await;
    let (told, deaf) = (Fake::new([]), Fake::always(Does::Hang));
    let channels = [("slack", &told), ("pager", &deaf)];
    let (notifications, worker) = start(directory.path(), &channels, now());
    let run = lab.deploy(Arc::new(notifications), shop("1.0.0", json!({})));
    worker.beside(Duration::from_millis(300), async { run.join().await.unwrap() }).await;
    assert_eq!(told.names(), ["succeeded"]);

    let (slack, pager) = (Fake::new([]), Fake::new([]));
    let channels = [("slack", &slack), ("pager", &pager)];
    let (notifications, worker) = start(directory.path(), &channels, now());
    assert_eq!(notifications.catch_up(&lab.journal).await, 1);
    worker.finish(FINISH).await;
    assert_eq!(slack.names(), [""; 0]);
    assert_eq!(pager.names(), ["succeeded"], "the one that did not hear of it");
}

#[tokio::test]
async fn old_history_is_no_flood() {
    let (lab, directory) = (Lab::default(), tempfile::tempdir().unwrap());
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"] {
        lab.deploy_alone(shop(version, json!({ "version": version }))).await;
    }
    let path = directory.path();
    assert_eq!(caught_up(&lab, path, now()).await, [""; 0], "nobody knows what was told before");
    let old = Arc::new(Later(Duration::from_hours(25)));
    assert_eq!(caught_up(&lab, path, old).await, [""; 0], "too long ago");
    let told = caught_up(&lab, path, now()).await;
    let newest = ["1.2.0", "1.3.0", "1.4.0"].map(|one| format!("{one} serves in shop/staging"));
    assert_eq!(told, newest, "the newest, in their order");
}

#[tokio::test]
async fn whoever_takes_a_run_over_knows_what_it_is_about() {
    let lab = Lab::holding();
    let directory = tempfile::tempdir().unwrap();
    caught_up(&lab, directory.path(), now()).await;
    lab.deploy_alone(shop("1.0.0", json!({}))).await;
    lab.deploy_alone(failing("1.1.0")).await;
    let fake = Fake::new([]);
    let (notifications, worker) = start(directory.path(), &[("slack", &fake)], now());
    assert_eq!(notifications.catch_up(&lab.journal).await, 2);
    let work = async {
        let pipeline = lab.process(Some(Arc::new(notifications.clone())));
        pipeline.accept(Wait::No).await.unwrap().join().await.unwrap();
    };
    worker.beside(FINISH, work).await;
    assert_eq!(fake.names(), ["succeeded", "approval_needed", "succeeded"]);
    let (last, _) = &fake.got()[2];
    assert_eq!(last.summary(), "1.1.0 serves in shop/staging");
}

/// A stuck run that goes on is told by whoever drives it.
#[tokio::test]
async fn a_held_run_is_told_while_it_waits_and_not_when_it_goes_on() {
    let lab = Lab::holding();
    let directory = tempfile::tempdir().unwrap();
    caught_up(&lab, directory.path(), now()).await;
    lab.deploy_alone(shop("1.0.0", json!({}))).await;
    lab.deploy_alone(failing("1.1.0")).await;
    // A newer one takes its place.
    let request = DeployRequest::new(shop("1.2.0", json!({})));
    lab.process(None).deploy(request).join().await.unwrap();
    let told = caught_up(&lab, directory.path(), now()).await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[1].contains("1.1.0, held in shop/staging, was superseded"), "{told:?}");
    assert_eq!(told[2], "1.2.0 serves in shop/staging");
}
