//! What goes wrong between here and the bucket harms no backup, or is told.

use std::time::Duration;

use ultrai_deploy_core::{
    Chain,
    backup::BackupStore as _,
    error::{Effect, ErrorKind},
};
use ultrai_deploy_store::crypt::Encryption;

use crate::{
    proxy::{Fault, Proxy},
    server::{Bucket, left_out},
    support::{Shelf, all, context, id, noise, open, packs, request, sources, target},
};

const BROKEN: [Fault; 4] =
    [Fault::SlowDown, Fault::CutRequest, Fault::CutAnswer, Fault::LoseAnswer];

#[tokio::test]
async fn a_backup_is_whole_whatever_is_cut() {
    if left_out() {
        return;
    }
    // More than one pack of it, and none of it compressible.
    let (large, small) = (noise(5 << 20, 3), b"small".to_vec());
    let sources = sources(&[("large", &large), ("small", &small)]);
    for (number, fault) in BROKEN.into_iter().enumerate() {
        let encryption = (number % 2 == 1).then(Encryption::generate);
        let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
        let kept = open(&bucket.open(proxy.address()), encryption.as_ref());
        for (method, path, times) in
            [("PUT", "/packs/", 2), ("PUT", "/backups/", 1), ("GET", "list-type", 1)]
        {
            proxy.plan(method, path, fault, times);
        }
        kept.create(&context(), &request("one", 1), &sources).await.unwrap();
        assert_eq!(proxy.left(), 0, "{fault:?} came to pass");

        for (path, times) in [("/packs/", 2), ("/backups/", 1), ("list-type", 1)] {
            proxy.plan("GET", path, fault, times);
        }
        kept.verify(&target(), &id("one")).await.unwrap();
        let listed = kept.list(&target()).await.unwrap();
        assert_eq!(listed.len(), 1, "{fault:?}");
        assert_eq!(proxy.left(), 0, "{fault:?} came to pass");

        for (path, times) in [("/packs/", 2), ("/backups/", 1)] {
            proxy.plan("GET", path, fault, times);
        }
        let shelf = Shelf::default();
        kept.restore(&context(), &all("one"), &shelf).await.unwrap();
        assert!(shelf.get("large").as_ref() == Some(&large), "{fault:?}: byte for byte");
        assert_eq!(shelf.get("small").as_ref(), Some(&small), "{fault:?}");
        assert_eq!(proxy.left(), 0, "{fault:?} came to pass");

        proxy.plan("POST", "delete", fault, 2);
        kept.delete(&target(), &id("one")).await.unwrap();
        assert_eq!(proxy.left(), 0, "{fault:?} came to pass");
        let direct = bucket.open(Bucket::address());
        assert!(packs(&direct).await.is_empty(), "{fault:?}: nothing of it is left");
    }
}

#[tokio::test]
async fn a_backup_whose_store_stays_away_does_not_exist() {
    if left_out() {
        return;
    }
    let (bucket, proxy) = (Bucket::new(), Proxy::start(Bucket::address()).await);
    let kept = open(&bucket.open_with(proxy.address(), Duration::from_secs(20), 1), None);
    let sources = sources(&[("some", &noise(1 << 20, 3))]);
    // Its last object, without which it does not exist.
    proxy.plan("PUT", "/backups/", Fault::SlowDown, 1000);
    let error = kept.create(&context(), &request("one", 1), &sources).await.unwrap_err();
    let message = Chain(&error).to_string();
    assert!(message.contains("SlowDown") || message.contains("503"), "{message}");
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Unavailable, Effect::Unknown),
        "{message}"
    );

    let direct = open(&bucket.open(Bucket::address()), None);
    assert!(direct.list(&target()).await.unwrap().is_empty());
    direct.create(&context(), &request("two", 2), &sources).await.unwrap();
    direct.verify(&target(), &id("two")).await.unwrap();
}
