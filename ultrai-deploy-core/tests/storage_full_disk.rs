//! What happens when the disk is full or read-only, on a real file system: needs the right to mount
//! a small tmpfs.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{fs, io::Cursor, path::Path, process::Command, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::TempDir;
use ultrai_deploy_core::{
    Context,
    backup::{BackupRequest, BackupSource, BackupStore, Content, PartStream},
    error::{Error, ErrorKind, Result},
    file,
    journal::{Event, Journal, Record},
    lease::{Fence, Holder, Lease, Wait},
    name::{BackupId, EnvironmentName, ProjectName, RunId, Target},
};

/// A file system of 512 KiB.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(
            mounted.as_ref().is_ok_and(std::process::ExitStatus::success),
            "cannot mount a tmpfs ({mounted:?}): run this test as root, or in `unshare -rm`"
        );
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// `"ro"` or `"rw"`.
    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let remounted = Command::new("mount").args(["-o", &options]).arg(self.path()).status();
        assert!(remounted.unwrap().success());
    }

    /// Leaves no free block; returns what to remove to have space again.
    fn fill(&self) -> std::path::PathBuf {
        let filler = self.path().join("filler");
        fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[derive(Debug)]
struct Large(usize);

#[async_trait]
impl BackupSource for Large {
    fn name(&self) -> &'static str {
        "large"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["data".into()])
    }

    async fn read(&self, _: &Context, _: &str) -> Result<PartStream> {
        Ok(Box::pin(Cursor::new(vec![7; self.0])))
    }

    async fn restore(&self, _: &Context, _: &str, _: PartStream) -> Result<()> {
        Ok(())
    }
}

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

fn note(seq: u64) -> Record {
    let event = Event::Note { message: "x".repeat(1000) };
    Record { seq, at: Timestamp::UNIX_EPOCH, fence: Fence(1), event }
}

fn says_full(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    assert!(error.advice().is_some());
}

#[tokio::test]
async fn a_record_that_does_not_fit_is_no_record() {
    let disk = SmallDisk::mount();
    let journal = file::open(disk.path(), &target()).unwrap().journal;
    let run = RunId::new("0191").unwrap();
    journal.append(&run, &note(1)).await.unwrap();
    let filler = disk.fill();
    let mut seq = 2;
    let error = loop {
        match journal.append(&run, &note(seq)).await {
            Ok(()) => seq += 1,
            Err(error) => break error,
        }
    };
    says_full(&error);
    fs::remove_file(filler).unwrap();

    let poisoned = journal.append(&run, &note(seq)).await.unwrap_err();
    assert_eq!(poisoned.kind(), ErrorKind::Io, "{poisoned}");
    assert!(poisoned.to_string().contains("could not be written"), "{poisoned}");
    assert_eq!(journal.load(&run).await.unwrap().len() as u64, seq - 1);
    journal.repair(&run).await.unwrap();
    journal.append(&run, &note(seq)).await.unwrap();
    let reopened = file::open(disk.path(), &target()).unwrap().journal;
    assert_eq!(reopened.load(&run).await.unwrap().len() as u64, seq);
}

/// Not by the modes of files, which stop nobody who is root.
#[tokio::test]
async fn a_real_read_only_mount_takes_no_record() {
    let disk = SmallDisk::mount();
    let state = file::open(disk.path(), &target()).unwrap();
    let (journal, run) = (state.journal, RunId::new("0191").unwrap());
    journal.append(&run, &note(1)).await.unwrap();
    disk.remount("ro");
    let other = RunId::new("0192").unwrap();
    for (run, seq) in [(&run, 2), (&other, 1)] {
        let error = journal.append(run, &note(seq)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.advice().is_some());
    }
    let holder = Holder {
        run: run.clone(),
        host: String::new(),
        process: 1,
        user: String::new(),
        since: Timestamp::UNIX_EPOCH,
    };
    let refused = state.lease.acquire(&target(), &holder, Wait::No).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "no run begins: {refused}");
    assert_eq!(journal.load(&run).await.unwrap().len(), 1, "what is there can be read");
    assert_eq!(journal.runs().await.unwrap(), std::slice::from_ref(&run));
    disk.remount("rw");
    journal.load(&run).await.unwrap();
    journal.append(&run, &note(2)).await.unwrap();
    assert_eq!(journal.load(&run).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_backup_that_does_not_fit_leaves_nothing() {
    let disk = SmallDisk::mount();
    let state = file::open(disk.path(), &target()).unwrap();
    let cx = Context::detached(target(), RunId::new("0191").unwrap());
    let request = BackupRequest {
        id: BackupId::new("one").unwrap(),
        target: target(),
        run: cx.run().clone(),
        at: Timestamp::UNIX_EPOCH,
        release: None,
        version: None,
        reason: "test".into(),
    };
    let sources = |size| [Arc::new(Large(size)) as _];
    let error = state.backups.create(&cx, &request, &sources(4 << 20)).await.unwrap_err();
    says_full(&error);
    assert!(state.backups.list(&target()).await.unwrap().is_empty());
    let left: Vec<_> = fs::read_dir(state.root.join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    state.backups.create(&cx, &request, &sources(100 << 10)).await.unwrap();
    state.backups.verify(&target(), &request.id).await.unwrap();
}
