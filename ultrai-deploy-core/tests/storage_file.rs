//! The file backends of storage pass the conformance suites.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::Path;

use ultrai_deploy_core::{
    file::{self, State},
    name::{EnvironmentName, ProjectName, Target},
};
use ultrai_deploy_testkit::conformance;

#[expect(clippy::print_stdout, reason = "a suite that ran nothing must be seen")]
fn told(suite: &str, cases: usize) {
    println!("file {suite}: {cases} cases ran");
    assert!(cases > 0);
}

fn open(base: &Path, name: &str) -> State {
    let target =
        Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap());
    file::open(&base.join(name), &target).unwrap()
}

#[tokio::test(start_paused = true)]
async fn journal() {
    let base = tempfile::tempdir().unwrap();
    told("journal", conformance::journal(|name| open(base.path(), name).journal).await);
}

#[tokio::test(start_paused = true)]
async fn lease() {
    let base = tempfile::tempdir().unwrap();
    told("lease", conformance::lease(|name| open(base.path(), name).lease).await);
}

#[tokio::test(start_paused = true)]
async fn backup_store() {
    let base = tempfile::tempdir().unwrap();
    told("backup store", conformance::backup_store(|name| open(base.path(), name).backups).await);
}

#[tokio::test(start_paused = true)]
async fn release_store() {
    let base = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let open = |name: &str| open(base.path(), name).releases as _;
    told("release store", conformance::release_store(open, scratch.path()).await);
}
