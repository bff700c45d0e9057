//! What a backup directory notices, and what a cut off backup leaves.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{
    Context,
    backup::{BackupRequest, BackupSource, BackupStore, Content, PartStream, Selection},
    error::{ErrorKind, Result},
    file::{self, State},
    name::{BackupId, EnvironmentName, ProjectName, RunId, Target},
};

/// A source whose parts are their own names.
#[derive(Debug, Default)]
struct Echo(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl BackupSource for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["first".into(), "second".into()])
    }

    async fn read(&self, _: &Context, part: &str) -> Result<PartStream> {
        Ok(Box::pin(Cursor::new(part.to_owned())))
    }

    async fn restore(&self, _: &Context, part: &str, mut content: PartStream) -> Result<()> {
        let mut text = String::new();
        content.read_to_string(&mut text).await.unwrap();
        self.0.lock().unwrap().insert(part.to_owned(), text);
        Ok(())
    }
}

struct Fixture {
    _base: TempDir,
    state: State,
    cx: Context,
}

impl Fixture {
    /// A state directory with backups `one` and `two`.
    async fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let target = Target::new(
            ProjectName::new("shop").unwrap(),
            EnvironmentName::new("staging").unwrap(),
        );
        let state = file::open(base.path(), &target).unwrap();
        let cx = Context::detached(target, RunId::new("0191").unwrap());
        let fixture = Self { _base: base, state, cx };
        for id in ["one", "two"] {
            fixture.create(id).await.unwrap();
        }
        fixture
    }

    async fn create(&self, name: &str) -> Result<()> {
        let request = BackupRequest {
            id: id(name),
            target: self.state.target.clone(),
            run: self.cx.run().clone(),
            at: Timestamp::UNIX_EPOCH,
            release: None,
            version: None,
            reason: "test".into(),
        };
        let sources = [Arc::new(Echo::default()) as _];
        self.state.backups.create(&self.cx, &request, &sources).await.map(drop)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.state.root.join("backups").join(below)
    }

    async fn listed(&self) -> Vec<String> {
        let backups = self.state.backups.list(&self.state.target).await.unwrap();
        backups.iter().map(|backup| backup.request.id.to_string()).collect()
    }

    fn all(&self, name: &str) -> Selection {
        Selection::all(self.state.target.clone(), id(name))
    }

    async fn verify(&self, name: &str) -> Result<()> {
        self.state.backups.verify(&self.state.target, &id(name)).await
    }
}

fn id(text: &str) -> BackupId {
    BackupId::new(text).unwrap()
}

#[tokio::test]
async fn a_part_that_differs_is_named_and_nothing_of_it_is_given_back() {
    let fixture = Fixture::new().await;
    let second = fixture.path("one/parts/00001");
    for damage in ["Second", "secon", "second!", ""] {
        fs::write(&second, damage).unwrap();
        let error = fixture.verify("one").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage:?}");
        assert!(error.to_string().contains("part second of echo"), "{error}");
        let source = Echo::default();
        let error = fixture
            .state
            .backups
            .restore(&fixture.cx, &fixture.all("one"), &source)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(source.0.lock().unwrap().is_empty(), "the first part was given back");
    }
    fs::remove_file(&second).unwrap();
    let error = fixture.verify("one").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("is missing"), "{error}");
    fixture.verify("two").await.unwrap();
}

#[tokio::test]
async fn every_changed_byte_of_a_manifest_is_noticed() {
    let fixture = Fixture::new().await;
    let path = fixture.path("one/manifest.json");
    let whole = fs::read(&path).unwrap();
    for offset in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x04;
        fs::write(&path, &bytes).unwrap();
        match fixture.verify("one").await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                assert_eq!(whole[offset], b'1', "only the format's digit can do this");
            }
            // White space between tokens carries nothing.
            Ok(()) => assert!(whole[offset].is_ascii_whitespace(), "byte {offset}"),
        }
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(fixture.verify("one").await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(fixture.listed().await, ["two"], "a bad backup does not hide the good one");
}

#[tokio::test]
async fn without_a_manifest_there_is_no_backup() {
    let fixture = Fixture::new().await;
    fs::remove_file(fixture.path("one/manifest.json")).unwrap();
    assert_eq!(fixture.verify("one").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fixture.listed().await, ["two"]);
    fixture.create("one").await.unwrap();
    fixture.verify("one").await.unwrap();
}

#[tokio::test]
async fn a_manifest_of_another_backup_is_refused() {
    let fixture = Fixture::new().await;
    fs::copy(fixture.path("two/manifest.json"), fixture.path("one/manifest.json")).unwrap();
    assert_eq!(fixture.verify("one").await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn what_a_killed_backup_left_goes_with_the_next_one() {
    let fixture = Fixture::new().await;
    let left = fixture.state.root.join("tmp/killed");
    fs::create_dir_all(left.join("backup/parts")).unwrap();
    fs::write(left.join("backup/parts/00000"), "half").unwrap();
    fs::write(left.with_extension("lock"), "").unwrap();
    assert_eq!(fixture.listed().await, ["one", "two"]);
    fixture.create("three").await.unwrap();
    let rest: Vec<_> = fs::read_dir(fixture.state.root.join("tmp")).unwrap().collect();
    assert!(rest.is_empty(), "{rest:?}");
}
