//! The conformance suites.

use std::sync::Arc;

use futures_util::future::join_all;
use object_store::{Error, ObjectStoreExt as _, PutMode, path::Path};
use ultrai_deploy_core::{
    backup, file,
    name::{EnvironmentName, ProjectName, Target},
};
use ultrai_deploy_store::{Journal, Lease, ReleaseStore, backup::BackupStore, crypt::Encryption};
use ultrai_deploy_testkit::conformance;

use crate::{
    sealing::Mask,
    server::{Bucket, left_out},
};

pub(crate) fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

#[expect(clippy::print_stdout, reason = "a suite that ran nothing must be seen")]
fn told(suite: &str, cases: usize) {
    println!("S3 {suite}: {cases} cases ran");
    assert!(cases > 0);
}

/// All else is built on this, so the server has to do it as S3 does.
#[tokio::test]
async fn one_of_many_creations_is_first() {
    if left_out() {
        return;
    }
    let store = Bucket::new().open(Bucket::address());
    for round in 0..8 {
        let path = Path::from(format!("round-{round}"));
        let creations = (0..32_u8).map(|author| {
            let (store, path) = (Arc::clone(&store), path.clone());
            async move { store.put_opts(&path, vec![author].into(), PutMode::Create.into()).await }
        });
        let results = join_all(creations).await;
        let won: Vec<_> = results.iter().enumerate().filter(|(_, result)| result.is_ok()).collect();
        assert_eq!(won.len(), 1, "round {round}");
        let lost = |result: &&_| matches!(result, Err(Error::AlreadyExists { .. }));
        assert_eq!(results.iter().filter(lost).count(), 31, "round {round}");
        let stands = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(usize::from(stands[0]), won[0].0, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn journal() {
    if left_out() {
        return;
    }
    let store = Bucket::new().open_paused();
    let open =
        |name: &str| Arc::new(Journal::new(Arc::clone(&store), &Path::from(name), &target())) as _;
    told("journal", conformance::journal(open).await);
}

#[tokio::test(start_paused = true)]
async fn lease() {
    if left_out() {
        return;
    }
    let store = Bucket::new().open_paused();
    let open = |name: &str| Arc::new(Lease::new(Arc::clone(&store), &Path::from(name))) as _;
    told("lease", conformance::shared_lease(open).await);
}

#[tokio::test(start_paused = true)]
async fn release_store() {
    if left_out() {
        return;
    }
    let (base, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Bucket::new().open_paused();
    let open = |name: &str| {
        let local = file::open(&base.path().join(name), &target()).unwrap().releases;
        let prefix = Path::from(name);
        let sealing = Some(Mask::sealing(0x5a));
        Arc::new(ReleaseStore::new(Arc::clone(&store), &prefix, &target(), local, sealing)) as _
    };
    told("release store", conformance::release_store(open, scratch.path()).await);
}

#[tokio::test(start_paused = true)]
async fn backup_store() {
    if left_out() {
        return;
    }
    for encryption in [None, Some(Encryption::generate())] {
        let store = Bucket::new().open_paused();
        let open = |name: &str| {
            let (store, prefix) = (Arc::clone(&store), Path::from(name));
            Arc::new(BackupStore::new(store, prefix, encryption.clone()))
                as Arc<dyn backup::BackupStore>
        };
        let suite = if encryption.is_some() { "backup store, encrypted" } else { "backup store" };
        told(suite, conformance::backup_store(open).await);
    }
}
