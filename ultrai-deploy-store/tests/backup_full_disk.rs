//! A disk that gets full, on a real file system: needs the right to mount a small tmpfs.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem};
use support::{context, id, noise, open, request, sources, target};
use tempfile::TempDir;
use ultrai_deploy_core::{backup::BackupStore as _, error::ErrorKind};

const MIB: usize = 1 << 20;

/// A file system of 4 MiB.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(
            mounted.as_ref().is_ok_and(std::process::ExitStatus::success),
            "cannot mount a tmpfs ({mounted:?}): run this test as root, or in `unshare -rm`"
        );
        Self(directory)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.0.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { directories.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_backup_that_does_not_fit_leaves_the_earlier_ones() {
    let disk = SmallDisk::mount();
    let local = LocalFileSystem::new_with_prefix(disk.0.path()).unwrap().with_fsync(true);
    let store: Arc<dyn ObjectStore> = Arc::new(local);
    let backups = open(&store, None);
    let kept = noise(MIB, 1);
    backups.create(&context(), &request("one", 1), &sources(&[("a", &kept)])).await.unwrap();
    let before = disk.files();

    let large = sources(&[("a", &noise(6 * MIB, 2))]);
    let error = backups.create(&context(), &request("two", 2), &large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    assert!(error.advice().is_some());

    assert_eq!(backups.list(&target()).await.unwrap().len(), 1);
    backups.verify(&target(), &id("one")).await.unwrap();
    backups.delete(&target(), &id("two")).await.unwrap();
    assert_eq!(disk.files(), before, "nothing of it is left");
    let small = sources(&[("a", &kept), ("b", &noise(MIB, 3))]);
    backups.create(&context(), &request("three", 3), &small).await.unwrap();
    backups.verify(&target(), &id("three")).await.unwrap();
}
