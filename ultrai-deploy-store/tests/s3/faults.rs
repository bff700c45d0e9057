//! What goes wrong between here and the bucket changes nothing, or is told.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use futures_util::future::join_all;
use object_store::{ObjectStore, path::Path};
use ultrai_deploy_core::{
    error::{Effect, ErrorKind},
    file,
    journal::{Event, Journal as _, Record},
    lease::{Fence, Holder, Lease as _, Wait},
    name::{ProjectName, RunId, SecretName, ServiceName},
    release::{Release, ReleaseService},
    release_store::ReleaseStore as _,
    secret::Secret,
    version::Version,
};
use ultrai_deploy_store::{Journal, Lease, ReleaseStore};

use crate::{
    proxy::{Fault, Proxy},
    sealing::Mask,
    server::{Bucket, left_out},
    suites::target,
};

const BROKEN: [Fault; 4] =
    [Fault::SlowDown, Fault::CutRequest, Fault::CutAnswer, Fault::LoseAnswer];

fn record(seq: u64, message: &str) -> Record {
    let event = Event::Note { message: message.to_owned() };
    Record { seq, at: jiff::Timestamp::UNIX_EPOCH, fence: Fence(1), event }
}

fn holder(run: &str) -> Holder {
    Holder {
        run: RunId::new(run).unwrap(),
        host: "host".into(),
        process: 1,
        user: "user".into(),
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn journal(store: &Arc<dyn ObjectStore>) -> Journal {
    Journal::new(Arc::clone(store), &Path::default(), &target())
}

fn lease(store: &Arc<dyn ObjectStore>) -> Lease {
    Lease::new(Arc::clone(store), &Path::default())
}

#[tokio::test]
async fn a_journal_is_whole_whatever_is_cut() {
    if left_out() {
        return;
    }
    for fault in BROKEN {
        let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
        let (store, run) = (bucket.open(proxy.address()), RunId::generate());
        let journal = journal(&store);
        let records: Vec<_> = (1..=4).map(|seq| record(seq, &"x".repeat(2000))).collect();
        for record in &records {
            proxy.plan("PUT", "/r", fault, 2);
            journal.append(&run, record).await.unwrap();
        }
        proxy.plan("GET", "list-type", fault, 2);
        assert_eq!(journal.runs().await.unwrap(), std::slice::from_ref(&run), "{fault:?}");
        for path in ["list-type", "/runs/", "0002", "0004"] {
            proxy.plan("GET", path, fault, 1);
        }
        assert_eq!(journal.load(&run).await.unwrap(), records, "{fault:?}");
        proxy.plan("POST", "delete", fault, 1);
        journal.remove(&run).await.unwrap();
        assert_eq!(journal.runs().await.unwrap(), [], "{fault:?}");
        assert_eq!(proxy.left(), 0, "{fault:?} came to pass");
    }
}

#[tokio::test]
async fn a_record_of_another_is_not_taken_for_ones_own() {
    if left_out() {
        return;
    }
    for fault in BROKEN {
        let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
        let run = RunId::generate();
        let one = journal(&bucket.open(proxy.address()));
        let other = journal(&bucket.open(Bucket::address()));
        one.append(&run, &record(1, "first")).await.unwrap();
        // The very same record, written by another driver.
        other.append(&run, &record(2, "same")).await.unwrap();
        proxy.plan("PUT", "0002", fault, 1);
        let error = one.append(&run, &record(2, "same")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{fault:?}: {error}");
        assert_eq!(proxy.left(), 0);
        assert_eq!(other.load(&run).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_lease_is_taken_whatever_is_cut() {
    if left_out() {
        return;
    }
    for fault in BROKEN {
        let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
        let one = lease(&bucket.open(proxy.address()));
        let other = lease(&bucket.open(Bucket::address()));
        for expected in 1..=2 {
            proxy.plan("PUT", "/lease/", fault, 1);
            let fence = one.acquire(&target(), &holder("one"), Wait::No).await.unwrap();
            assert_eq!(fence, Fence(expected), "{fault:?}");
            let error = other.acquire(&target(), &holder("other"), Wait::No).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Fenced);
            assert!(error.to_string().contains("run one of user"), "{error}");
            proxy.plan("PUT", ".renewals", fault, 1);
            one.renew(&target(), fence).await.unwrap();
            proxy.plan("PUT", ".released", fault, 1);
            one.release(&target(), fence).await.unwrap();
            assert_eq!(other.holder(&target()).await.unwrap(), None);
        }
        assert_eq!(proxy.left(), 0, "{fault:?} came to pass");
    }
}

#[tokio::test]
async fn one_of_many_takes_a_lease_whatever_is_cut() {
    if left_out() {
        return;
    }
    for fault in BROKEN {
        let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
        let leases: Vec<_> = (0..6).map(|_| lease(&bucket.open(proxy.address()))).collect();
        proxy.plan("PUT", "/lease/", fault, 4);
        let takings = leases
            .iter()
            .map(|lease| async move { lease.acquire(&target(), &holder("run"), Wait::No).await });
        let taken = join_all(takings).await;
        let won = taken.iter().filter(|taken| taken.is_ok()).count();
        assert_eq!(won, 1, "{fault:?}: {taken:?}");
        for error in taken.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::Fenced, "{fault:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_release_is_kept_whatever_is_cut() {
    if left_out() {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let config = base.path().join("config");
    fs::write(&config, "content").unwrap();
    for (number, fault) in BROKEN.into_iter().enumerate() {
        let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
        let open = |host: &str, address: &str| {
            let directory = base.path().join(format!("{host}-{number}"));
            let local = file::open(&directory, &target()).unwrap().releases;
            let (store, sealing) = (bucket.open(address), Some(Mask::sealing(7)));
            ReleaseStore::new(store, &Path::default(), &target(), local, sealing)
        };
        let one = open("one", proxy.address());
        proxy.plan("PUT", "/", fault, 1);
        let files = BTreeMap::from([("config".to_owned(), config.clone())]);
        let digests = one.put_files(&files).await.unwrap();
        let service = ReleaseService::new(None, "x".into()).with_files(digests.clone());
        let services = BTreeMap::from([(ServiceName::new("web").unwrap(), service)]);
        let version = Version::parse("1.0.0").unwrap();
        let release = Release::new(ProjectName::new("shop").unwrap(), version, services).unwrap();
        let token = SecretName::new("TOKEN").unwrap();
        let secrets = BTreeMap::from([(token.clone(), Secret::new("hunter2-hunter2"))]);
        for path in ["/releases/", "/current/", "/note/", "/migrations/", "fingerprint-key"] {
            proxy.plan("PUT", path, fault, 1);
        }
        one.put(&release, &secrets).await.unwrap();
        one.set_current(Some(&release.id)).await.unwrap();
        one.set_note(&"note".into()).await.unwrap();
        one.set_migrations(&one.migrations().await.unwrap()).await.unwrap();
        let key = one.fingerprint_key().await.unwrap();

        let other = open("other", proxy.address());
        for path in ["/releases/", "/files/", "/current/", "fingerprint-key"] {
            proxy.plan("GET", path, fault, 1);
        }
        assert_eq!(other.current().await.unwrap(), Some(release.id.clone()), "{fault:?}");
        assert_eq!(*other.get(&release.id).await.unwrap(), release, "{fault:?}");
        let laid_out = other.file_path(&digests["config"]).unwrap();
        assert_eq!(fs::read_to_string(laid_out).unwrap(), "content");
        let found = other.secrets(&release.id).await.unwrap();
        assert_eq!(found[&token].expose(), "hunter2-hunter2");
        let print = |key: &ultrai_deploy_core::secret::FingerprintKey| {
            key.fingerprint(&token, &Secret::new("x"))
        };
        assert_eq!(print(&other.fingerprint_key().await.unwrap()), print(&key), "{fault:?}");
        assert_eq!(proxy.left(), 0, "{fault:?} came to pass");
    }
}

#[tokio::test]
async fn a_request_that_is_never_answered_ends() {
    if left_out() {
        return;
    }
    let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
    let store = bucket.open_with(proxy.address(), Duration::from_millis(1500), 2);
    let (journal, run) = (journal(&store), RunId::generate());
    proxy.plan("PUT", "/runs/", Fault::Hang, 1);
    journal.append(&run, &record(1, "x")).await.unwrap();
    proxy.plan("GET", "/runs/", Fault::Hang, 1);
    assert_eq!(journal.load(&run).await.unwrap(), [record(1, "x")]);
    assert_eq!(proxy.left(), 0);
}

#[tokio::test]
async fn a_store_that_stays_away_is_told() {
    if left_out() {
        return;
    }
    let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
    let store = bucket.open_with(proxy.address(), Duration::from_secs(20), 1);
    proxy.plan("PUT", "/", Fault::SlowDown, 1000);
    let (journal, run) = (journal(&store), RunId::generate());
    let error = journal.append(&run, &record(1, "x")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Unavailable, Effect::Unknown),
        "{error}"
    );
    assert!(error.is_retryable());
    let message = ultrai_deploy_core::Chain(&error).to_string();
    assert!(message.contains(&format!("shop/staging/runs/{run}")), "{message}");
    assert!(message.contains("SlowDown") || message.contains("503"), "{message}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_told() {
    if left_out() {
        return;
    }
    let store = Bucket::missing().open(Bucket::address());
    let error = journal(&store).append(&RunId::generate(), &record(1, "x")).await.unwrap_err();
    let message = ultrai_deploy_core::Chain(&error).to_string();
    assert!(message.contains("NoSuchBucket"), "{message}");
    assert!(error.advice().is_some_and(|advice| advice.contains("bucket")), "{error}");
}
