//! Faults of the seams beside the deployer.
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};
use ultrai_deploy_core::{
    Context, Effect, ErrorKind, Result,
    backup::{BackupRequest, BackupStore},
    health::{Endpoint, Health, HealthProbe, Role},
    journal::{Event, Journal, Record},
    lease::{Fence, Holder, Lease, Wait},
    memory,
    name::{BackupId, EnvironmentName, ProjectName, ReleaseId, RunId, ServiceName, Target},
    release_store::ReleaseStore,
};
use ultrai_deploy_testkit::faulty::{Fault, Faulty, Method};

const HOUR: Duration = Duration::from_hours(1);

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("test").unwrap())
}

fn note(seq: u64) -> Record {
    let event = Event::Note { message: "here".to_owned() };
    Record { seq, at: Timestamp::UNIX_EPOCH, fence: Fence(1), event }
}

#[tokio::test]
async fn a_journal_fails_loses_its_answer_and_lies() {
    let (whole, run) = (memory::Journal::default(), RunId::generate());
    let journal = Faulty::new(Arc::new(whole.clone()))
        .with(Fault::of(Method::Append).with_kind(ErrorKind::Io))
        .with(Fault::of(Method::Append).at(2).after())
        .with(Fault::lie(Method::Append).at(3));
    let error = journal.append(&run, &note(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Io, Effect::Unknown));
    assert_eq!(whole.runs().await.unwrap(), [], "it failed before");
    journal.append(&run, &note(1)).await.unwrap_err();
    assert_eq!(whole.load(&run).await.unwrap(), [note(1)], "only the answer got lost");
    journal.append(&run, &note(2)).await.unwrap();
    assert_eq!(journal.load(&run).await.unwrap(), [note(1)], "it was to lie");
    journal.append(&run, &note(2)).await.unwrap();
    assert_eq!(journal.load(&run).await.unwrap(), [note(1), note(2)], "it lies once");
    assert_eq!((journal.calls(Method::Append), journal.calls(Method::Load)), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_lease_hangs_and_is_slow() {
    let lease = Faulty::new(Arc::new(memory::Lease::default()))
        .with(Fault::slow(Method::Acquire, HOUR))
        .with(Fault::hang(Method::Renew))
        .with(Fault::lie(Method::Release));
    let holder = Holder {
        run: RunId::generate(),
        host: "here".to_owned(),
        process: 1,
        user: "me".to_owned(),
        since: Timestamp::UNIX_EPOCH,
    };
    let begun = Instant::now();
    let fence = lease.acquire(&target(), &holder, Wait::No).await.unwrap();
    assert!(begun.elapsed() >= HOUR);
    assert!(timeout(HOUR, lease.renew(&target(), fence)).await.is_err(), "it does not hang");
    lease.release(&target(), fence).await.unwrap();
    assert_eq!(lease.holder(&target()).await.unwrap(), Some(holder), "it was to lie");
    lease.release(&target(), fence).await.unwrap();
    assert_eq!(lease.holder(&target()).await.unwrap(), None);
}

#[tokio::test]
async fn a_release_store_fails_without_effect() {
    let store = Faulty::new(Arc::new(memory::ReleaseStore::default()))
        .with(Fault::of(Method::SetCurrent).without_effect())
        .with(Fault::of(Method::List).at(2).times(2));
    assert_eq!(store.set_current(None).await.unwrap_err().effect(), Effect::None);
    store.set_current(None).await.unwrap();
    let none: [ReleaseId; 0] = [];
    assert_eq!(store.list().await.unwrap(), none);
    for _ in 0..2 {
        assert_eq!(store.list().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(store.list().await.unwrap(), none);
}

#[tokio::test]
async fn a_backup_store_loses_its_answer_and_lies_about_what_it_verified() {
    let whole = memory::BackupStore::default();
    let store = Faulty::new(Arc::new(whole.clone()))
        .with(Fault::of(Method::Create).after())
        .with(Fault::lie(Method::Verify));
    let cx = Context::detached(target(), RunId::generate());
    let request = BackupRequest {
        id: BackupId::new("b1").unwrap(),
        target: target(),
        run: RunId::generate(),
        at: Timestamp::UNIX_EPOCH,
        release: None,
        version: None,
        reason: "to see".to_owned(),
    };
    store.create(&cx, &request, &[]).await.unwrap_err();
    assert_eq!(whole.list(&target()).await.unwrap().len(), 1, "only the answer got lost");
    let missing = BackupId::new("b2").unwrap();
    store.verify(&target(), &missing).await.unwrap();
    assert_eq!(store.verify(&target(), &missing).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[derive(Debug)]
struct Well;

#[async_trait]
impl HealthProbe for Well {
    async fn check(&self, _: &Context, _: &Endpoint) -> Result<Health> {
        Ok(Health::Healthy(Vec::new()))
    }
}

#[tokio::test]
async fn a_probe_lies_once_and_cannot_ask() {
    let sick = Health::Unhealthy { why: "so it was told".to_owned(), evidence: Vec::new() };
    let probe: Arc<dyn HealthProbe> = Arc::new(Well);
    let probe = Faulty::new(probe)
        .with(Fault::lie_about_health(sick.clone()))
        .with(Fault::of(Method::Check).at(2));
    let cx = Context::detached(target(), RunId::generate());
    let endpoint = Endpoint::new(Role::Live, ServiceName::new("web").unwrap(), "web-1");
    assert_eq!(probe.check(&cx, &endpoint).await.unwrap(), sick);
    probe.check(&cx, &endpoint).await.unwrap_err();
    assert_eq!(probe.check(&cx, &endpoint).await.unwrap(), Health::Healthy(Vec::new()));
}

#[test]
#[should_panic(expected = "Load has something to answer")]
fn what_has_something_to_answer_cannot_lie() {
    let _fault = Fault::lie(Method::Load);
}
