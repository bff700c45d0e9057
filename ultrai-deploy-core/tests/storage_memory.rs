//! The memory backends of storage pass the conformance suites.

use std::sync::Arc;

use ultrai_deploy_core::memory;
use ultrai_deploy_testkit::conformance::{self, Named};

#[expect(clippy::print_stdout, reason = "a suite that ran nothing must be seen")]
fn told(suite: &str, cases: usize) {
    println!("memory {suite}: {cases} cases ran");
    assert!(cases > 0);
}

#[tokio::test(start_paused = true)]
async fn journal() {
    let stores = Named::<memory::Journal>::default();
    told("journal", conformance::journal(|name| Arc::new(stores.open(name))).await);
}

#[tokio::test(start_paused = true)]
async fn lease() {
    let stores = Named::<memory::Lease>::default();
    told("lease", conformance::lease(|name| Arc::new(stores.open(name))).await);
}

#[tokio::test(start_paused = true)]
async fn backup_store() {
    let stores = Named::<memory::BackupStore>::default();
    told("backup store", conformance::backup_store(|name| Arc::new(stores.open(name))).await);
}

#[tokio::test(start_paused = true)]
async fn release_store() {
    let stores = Named::<memory::ReleaseStore>::default();
    let scratch = tempfile::tempdir().unwrap();
    let open = |name: &str| Arc::new(stores.open(name)) as _;
    told("release store", conformance::release_store(open, scratch.path()).await);
}
