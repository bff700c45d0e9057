//! What a lease leaves on disk.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{fs, os::unix::fs::PermissionsExt};

use jiff::Timestamp;
use ultrai_deploy_core::{
    error::ErrorKind,
    file,
    lease::{Fence, Holder, Lease, Wait},
    name::{EnvironmentName, ProjectName, RunId, Target},
};

fn target(environment: &str) -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new(environment).unwrap())
}

fn holder() -> Holder {
    Holder {
        run: RunId::new("0191").unwrap(),
        host: "host".into(),
        process: 1,
        user: "user".into(),
        since: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn old_generations_go_and_the_number_stays() {
    let base = tempfile::tempdir().unwrap();
    let mut fence = Fence(0);
    for _ in 0..30 {
        // Each is dropped with its lease held, as by a crash.
        let state = file::open(base.path(), &target("staging")).unwrap();
        fence = state.lease.acquire(&state.target, &holder(), Wait::No).await.unwrap();
    }
    assert_eq!(fence, Fence(30));
    let files: Vec<_> =
        fs::read_dir(base.path().join("shop/staging/lease")).unwrap().map(Result::unwrap).collect();
    assert!(files.len() < 12, "{files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn a_holder_that_cannot_be_read_still_holds() {
    let base = tempfile::tempdir().unwrap();
    let one = file::open(base.path(), &target("staging")).unwrap();
    let other = file::open(base.path(), &target("staging")).unwrap();
    let fence = one.lease.acquire(&one.target, &holder(), Wait::No).await.unwrap();
    fs::write(one.root.join("lease/1"), "damaged").unwrap();
    let error = other.lease.acquire(&other.target, &holder(), Wait::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("fence 1"), "{error}");
    let error = other.lease.holder(&other.target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    one.lease.renew(&one.target, fence).await.unwrap();
}

#[tokio::test]
async fn a_lease_serves_its_own_environment_only() {
    let base = tempfile::tempdir().unwrap();
    let state = file::open(base.path(), &target("staging")).unwrap();
    let production = target("production");
    let error = state.lease.acquire(&production, &holder(), Wait::No).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("shop/production"), "{error}");
}

#[tokio::test]
async fn a_lease_whose_files_were_removed_is_lost() {
    let base = tempfile::tempdir().unwrap();
    let state = file::open(base.path(), &target("staging")).unwrap();
    let fence = state.lease.acquire(&state.target, &holder(), Wait::No).await.unwrap();
    fs::remove_file(state.root.join("lease/1")).unwrap();
    let error = state.lease.renew(&state.target, fence).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
}
