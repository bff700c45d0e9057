//! The journal, the lease and the releases pass the conformance suites in memory and on local disk.

use std::{path, sync::Arc};

use object_store::{ObjectStore, memory::InMemory, path::Path};
use ultrai_deploy_core::file;
use ultrai_deploy_store::{Journal, Lease, Location, ReleaseStore, location::Options};
use ultrai_deploy_testkit::conformance;

use crate::{sealing::Mask, target};

#[expect(clippy::print_stdout, reason = "a suite that ran nothing must be seen")]
fn told(suite: &str, cases: usize) {
    println!("{suite}: {cases} cases ran");
    assert!(cases > 0);
}

fn disk(base: &path::Path) -> Arc<dyn ObjectStore> {
    let url = format!("file://{}", base.join("store").display());
    Location::open(&url, &Options::default()).unwrap().store
}

async fn journal(what: &str, store: Arc<dyn ObjectStore>) {
    let open =
        |name: &str| Arc::new(Journal::new(Arc::clone(&store), &Path::from(name), &target())) as _;
    told(&format!("{what} journal"), conformance::journal(open).await);
}

async fn lease(what: &str, store: Arc<dyn ObjectStore>) {
    let open = |name: &str| Arc::new(Lease::new(Arc::clone(&store), &Path::from(name))) as _;
    told(&format!("{what} lease"), conformance::shared_lease(open).await);
}

/// Each store that is opened is another host's, with nothing on its disk.
async fn releases(what: &str, store: Arc<dyn ObjectStore>) {
    let (base, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |name: &str| {
        let host = tempfile::tempdir_in(base.path()).unwrap().keep();
        let local = file::open(&host, &target()).unwrap().releases;
        let (prefix, sealing) = (Path::from(name), Some(Mask::sealing(0x5a)));
        Arc::new(ReleaseStore::new(Arc::clone(&store), &prefix, &target(), local, sealing)) as _
    };
    told(&format!("{what} releases"), conformance::release_store(open, scratch.path()).await);
}

#[tokio::test(start_paused = true)]
async fn journal_in_memory() {
    journal("memory", Arc::new(InMemory::new())).await;
}

#[tokio::test(start_paused = true)]
async fn journal_on_disk() {
    let base = tempfile::tempdir().unwrap();
    journal("disk", disk(base.path())).await;
}

#[tokio::test(start_paused = true)]
async fn lease_in_memory() {
    lease("memory", Arc::new(InMemory::new())).await;
}

#[tokio::test(start_paused = true)]
async fn lease_on_disk() {
    let base = tempfile::tempdir().unwrap();
    lease("disk", disk(base.path())).await;
}

#[tokio::test(start_paused = true)]
async fn releases_in_memory() {
    releases("memory", Arc::new(InMemory::new())).await;
}

#[tokio::test(start_paused = true)]
async fn releases_on_disk() {
    let base = tempfile::tempdir().unwrap();
    releases("disk", disk(base.path())).await;
}
