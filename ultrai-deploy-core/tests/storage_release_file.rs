//! What the release store keeps on disk, and what it notices.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::TempDir;
use ultrai_deploy_core::{
    error::{Chain, Error, ErrorKind},
    file::{self, State},
    name::{EnvironmentName, ProjectName, SecretName, ServiceName, Target},
    release::{Release, ReleaseService},
    release_store::ReleaseStore,
    secret::{Secret, Secrets},
    version::Version,
};

struct Fixture {
    base: TempDir,
    state: State,
}

impl Fixture {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let target = Target::new(
            ProjectName::new("shop").unwrap(),
            EnvironmentName::new("staging").unwrap(),
        );
        let state = file::open(&base.path().join("state"), &target).unwrap();
        Self { base, state }
    }

    fn source(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.base.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    async fn put_files(&self, path: &Path) -> Result<PathBuf, Error> {
        let files = BTreeMap::from([("config".to_owned(), path.to_owned())]);
        let digests = self.state.releases.put_files(&files).await?;
        Ok(self.state.releases.file_path(&digests["config"]).unwrap())
    }

    async fn put(&self, version: &str, files: &[&Path]) -> Release {
        let release = release(version, files);
        self.state.releases.put(&release, &secrets()).await.unwrap();
        release
    }

    fn file(&self, release: &Release, name: &str) -> PathBuf {
        self.state.releases.directory(&release.id).unwrap().join(name)
    }
}

fn release(version: &str, files: &[&Path]) -> Release {
    let files = files.iter().map(|path| {
        let digest = path.file_name().unwrap().to_str().unwrap().to_owned();
        (format!("file-{digest}"), digest)
    });
    let service = ReleaseService::new(None, json!({ "port": 80 })).with_files(files.collect());
    let services = BTreeMap::from([(ServiceName::new("web").unwrap(), service)]);
    let version = Version::parse(version).unwrap();
    Release::new(ProjectName::new("shop").unwrap(), version, services).unwrap()
}

fn secrets() -> Secrets {
    Secrets::from([(SecretName::new("PASSWORD").unwrap(), Secret::new("hunter2"))])
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_changed_release_is_noticed() {
    let fixture = Fixture::new();
    let release = fixture.put("1.0.0", &[]).await;
    let path = fixture.file(&release, "release.json");
    let text = fs::read_to_string(&path).unwrap();
    for damage in [text.replace("80", "81"), text.replace("1.0.0", "1.0.1"), text[..50].into()] {
        fs::write(&path, damage).unwrap();
        let error = fixture.state.releases.get(&release.id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let error = fixture.state.releases.get(&release.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    fixture.put("1.0.0", &[]).await;
    assert_eq!(*fixture.state.releases.get(&release.id).await.unwrap(), release);
}

#[tokio::test]
async fn only_the_owner_reads_releases_secrets_and_key() {
    let fixture = Fixture::new();
    let release = fixture.put("1.0.0", &[]).await;
    fixture.state.releases.fingerprint_key().await.unwrap();
    for path in [
        fixture.file(&release, "secrets.json"),
        fixture.file(&release, "release.json"),
        fixture.state.root.join("fingerprint.key"),
    ] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&fixture.file(&release, "")), 0o700);
    let text = fs::read_to_string(fixture.file(&release, "release.json")).unwrap();
    assert!(!text.contains("hunter2"));
}

#[tokio::test]
async fn damaged_secrets_do_not_show_in_the_error() {
    let fixture = Fixture::new();
    let release = fixture.put("1.0.0", &[]).await;
    for damage in [r#"{"PASSWORD":"hunter2""#, r#"{"PASSWORD":["hunter2"]}"#, r#""hunter2""#] {
        fs::write(fixture.file(&release, "secrets.json"), damage).unwrap();
        let error = fixture.state.releases.secrets(&release.id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(!format!("{} {error:?}", Chain(&error)).contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn copies_keep_permissions_but_only_the_owner_may_write() {
    let fixture = Fixture::new();
    let root = fixture.base.path().join("tree");
    for (name, mode) in
        [("plain", 0o664), ("run", 0o775), ("private", 0o600), ("shared", 0o640), ("set", 0o4755)]
    {
        fixture.source(&format!("tree/sub/{name}"), name, mode);
    }
    fs::set_permissions(&root, Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(root.join("sub"), Permissions::from_mode(0o555)).unwrap();
    let stored = fixture.put_files(&root).await.unwrap();
    for (name, expected) in [
        ("sub/plain", 0o644),
        ("sub/run", 0o755),
        ("sub/private", 0o600),
        ("sub/shared", 0o640),
        ("sub/set", 0o755),
        ("sub", 0o755),
        (".", 0o750),
    ] {
        assert_eq!(mode(&stored.join(name)), expected, "{name}");
    }
    assert_eq!(fs::read_to_string(stored.join("sub/private")).unwrap(), "private");
    assert_eq!(fixture.put_files(&root).await.unwrap(), stored);
    assert_eq!(fixture.put_files(&stored).await.unwrap(), stored, "a copy has the same digest");
}

#[tokio::test]
async fn a_private_file_stays_readable_for_its_owner() {
    let fixture = Fixture::new();
    let source = fixture.source("private", "x", 0o600);
    let ours = fixture.put_files(&source).await.unwrap();
    // Only root may give a file away; everybody else checks that the copy is their own.
    let given_away = chown(&source, Some(12345), Some(12345)).is_ok();
    let stored = fixture.put_files(&source).await.unwrap();
    let (source, copy) = (fs::metadata(&source).unwrap(), fs::metadata(&stored).unwrap());
    assert_eq!((copy.uid(), copy.gid()), (source.uid(), source.gid()));
    assert_eq!(stored != ours, given_away);
}

#[tokio::test]
async fn a_damaged_copy_is_replaced() {
    let fixture = Fixture::new();
    let source = fixture.source("tree/file", "content", 0o644);
    let stored = fixture.put_files(source.parent().unwrap()).await.unwrap();
    fs::write(stored.join("file"), "changed").unwrap();
    fs::write(stored.join("more"), "more").unwrap();
    assert_eq!(fixture.put_files(source.parent().unwrap()).await.unwrap(), stored);
    assert_eq!(fs::read_to_string(stored.join("file")).unwrap(), "content");
    assert!(!stored.join("more").exists());
}

#[tokio::test]
async fn what_is_too_large_or_no_file_is_refused_by_name() {
    let fixture = Fixture::new();
    let base = fixture.base.path();
    fs::create_dir_all(base.join("large")).unwrap();
    File::create(base.join("large/data")).unwrap().set_len((64 << 20) + 1).unwrap();
    fs::create_dir_all(base.join("many")).unwrap();
    for number in 0..10_000 {
        File::create(base.join("many").join(number.to_string())).unwrap();
    }
    fs::create_dir_all(base.join("odd")).unwrap();
    let _socket = UnixListener::bind(base.join("odd/socket")).unwrap();
    for (path, expected) in
        [("large", "64 MiB"), ("many", "10000 files"), ("odd", "odd/socket"), ("gone", "gone")]
    {
        let error = fixture.put_files(&base.join(path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("config: "), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let left: Vec<_> = fs::read_dir(fixture.state.root.join("files")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_current_link_is_relative_and_checked() {
    let fixture = Fixture::new();
    let release = fixture.put("1.0.0", &[]).await;
    let store = &fixture.state.releases;
    store.set_current(Some(&release.id)).await.unwrap();
    let link = fixture.state.root.join("current");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("releases").join(release.id.as_str()));
    assert!(link.join("release.json").exists());
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    assert_eq!(store.current().await.unwrap_err().kind(), ErrorKind::Corrupt);
    store.set_current(Some(&release.id)).await.unwrap();
    assert_eq!(store.current().await.unwrap(), Some(release.id));
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_finished_by_the_next() {
    let fixture = Fixture::new();
    let files = [
        fixture.put_files(&fixture.source("a", "a", 0o644)).await.unwrap(),
        fixture.put_files(&fixture.source("b", "b", 0o644)).await.unwrap(),
    ];
    let cut_off = fixture.put("1.0.0", &[&files[0]]).await;
    fixture.put("1.1.0", &[&files[1]]).await;
    let directory = fixture.file(&cut_off, "");
    let leaving = fixture.state.root.join("releases").join(format!(".removing-{}", cut_off.id));
    fs::rename(directory, &leaving).unwrap();
    assert_eq!(fixture.state.releases.list().await.unwrap().len(), 1);
    let other = fixture.put("1.2.0", &[]).await;
    fixture.state.releases.remove(&other.id).await.unwrap();
    assert!(!leaving.exists());
    assert!(!files[0].exists());
    assert!(files[1].exists());
}

#[tokio::test]
async fn files_stay_while_a_release_that_may_use_them_cannot_be_read() {
    let fixture = Fixture::new();
    let file = fixture.put_files(&fixture.source("a", "a", 0o644)).await.unwrap();
    let one = fixture.put("1.0.0", &[&file]).await;
    let two = fixture.put("1.1.0", &[&file]).await;
    fs::write(fixture.file(&two, "release.json"), "damaged").unwrap();
    fixture.state.releases.remove(&one.id).await.unwrap();
    assert!(file.exists());
}

#[tokio::test]
async fn a_damaged_key_is_refused() {
    let fixture = Fixture::new();
    fs::write(fixture.state.root.join("fingerprint.key"), "short").unwrap();
    let error = fixture.state.releases.fingerprint_key().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.advice().is_some());
}
