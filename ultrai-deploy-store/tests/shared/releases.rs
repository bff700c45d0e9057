//! Releases on more than one host, and what is in the bucket.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path,
    sync::Arc,
};

use object_store::{ObjectStore, memory::InMemory, path::Path};
use serde_json::json;
use tempfile::TempDir;
use ultrai_deploy_core::{
    error::{Effect, ErrorKind},
    file,
    name::{ProjectName, SecretName, ServiceName},
    release::{Release, ReleaseService},
    release_store::ReleaseStore as _,
    secret::{Secret, Secrets},
    version::Version,
};
use ultrai_deploy_store::{ReleaseStore, Sealing};

use crate::{delete, names, read, sealing::Mask, target, write};

const SECRET: &str = "hunter2-hunter2";

struct Lab {
    store: Arc<dyn ObjectStore>,
    base: TempDir,
}

impl Lab {
    fn new() -> Self {
        Self { store: Arc::new(InMemory::new()), base: tempfile::tempdir().unwrap() }
    }

    /// A host with nothing on its disk.
    fn host_with(&self, sealing: Option<Arc<dyn Sealing>>) -> ReleaseStore {
        let disk = tempfile::tempdir_in(self.base.path()).unwrap().keep();
        let local = file::open(&disk, &target()).unwrap().releases;
        ReleaseStore::new(Arc::clone(&self.store), &Path::default(), &target(), local, sealing)
    }

    fn host(&self) -> ReleaseStore {
        self.host_with(Some(Mask::sealing(7)))
    }

    /// A directory with a link and a closed file in it.
    fn files(&self) -> BTreeMap<String, path::PathBuf> {
        let directory = self.base.path().join("config");
        fs::create_dir_all(directory.join("sub")).unwrap();
        fs::write(directory.join("sub/file"), "mounted").unwrap();
        let closed = directory.join("sub/closed");
        fs::write(&closed, "mounted").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
        let _again = symlink("sub/file", directory.join("link"));
        BTreeMap::from([("config".to_owned(), directory)])
    }
}

fn release(version: &str, files: BTreeMap<String, String>) -> Release {
    let service = ReleaseService::new(None, json!({ "of": version })).with_files(files);
    let services = BTreeMap::from([(ServiceName::new("web").unwrap(), service)]);
    let version = Version::parse(version).unwrap();
    Release::new(ProjectName::new("shop").unwrap(), version, services).unwrap()
}

fn secrets() -> Secrets {
    BTreeMap::from([(SecretName::new("TOKEN").unwrap(), Secret::new(SECRET))])
}

#[tokio::test]
async fn another_host_has_all_that_a_release_needs() {
    let lab = Lab::new();
    let one = lab.host();
    let digests = one.put_files(&lab.files()).await.unwrap();
    let release = release("1.0.0", digests.clone());
    one.put(&release, &secrets()).await.unwrap();
    one.set_current(Some(&release.id)).await.unwrap();

    let other = lab.host();
    let laid_out = other.file_path(&digests["config"]).unwrap();
    assert!(!laid_out.exists());
    assert_eq!(other.current().await.unwrap(), Some(release.id.clone()));
    assert_eq!(*other.get(&release.id).await.unwrap(), release);
    assert_eq!(fs::read_to_string(laid_out.join("link")).unwrap(), "mounted");
    let directory = other.directory(&release.id).unwrap();
    assert!(directory.join("release.json").exists());
    assert!(fs::read_to_string(directory.join("secrets.json")).unwrap().contains(SECRET));
    let name = SecretName::new("TOKEN").unwrap();
    let print =
        |key: ultrai_deploy_core::secret::FingerprintKey| key.fingerprint(&name, &Secret::new("x"));
    let (first, second) = (one.fingerprint_key().await, other.fingerprint_key().await);
    assert_eq!(print(first.unwrap()), print(second.unwrap()));
    for name in names(&lab.store).await {
        let bytes = read(&lab.store, &name).await;
        for plain in [SECRET, "mounted"] {
            let shown = bytes.windows(plain.len()).any(|bytes| bytes == plain.as_bytes());
            assert!(!shown, "{name} shows {plain}");
        }
    }
    assert!(!format!("{one:?}").contains(SECRET));
}

#[tokio::test]
async fn secrets_are_not_kept_without_encryption() {
    let lab = Lab::new();
    let store = lab.host_with(None);
    let release = release("1.0.0", BTreeMap::new());
    let error = store.put(&release, &secrets()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    assert!(error.advice().is_some_and(|advice| advice.contains("age-keygen")), "{error}");
    assert_eq!(names(&lab.store).await, Vec::<String>::new());
    // One that has none is fine.
    store.put(&release, &Secrets::new()).await.unwrap();
    assert_eq!(*lab.host_with(None).get(&release.id).await.unwrap(), release);
}

#[tokio::test]
async fn without_the_key_nothing_is_read_and_nothing_is_removed() {
    let lab = Lab::new();
    let one = lab.host();
    let digests = one.put_files(&lab.files()).await.unwrap();
    let (used, leaving) = (release("1.0.0", digests), release("1.1.0", BTreeMap::new()));
    for release in [&used, &leaving] {
        one.put(release, &secrets()).await.unwrap();
    }
    for stranger in [lab.host_with(None), lab.host_with(Some(Mask::sealing(9)))] {
        let error = stranger.get(&used.id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert_eq!(stranger.secrets(&used.id).await.unwrap_err().kind(), ErrorKind::Denied);
    }
    lab.host_with(None).remove(&leaving.id).await.unwrap();
    let files = names(&lab.store).await.into_iter().filter(|name| name.starts_with("files/"));
    assert_eq!(files.count(), 1, "who uses it could not be read");
    assert_eq!(*lab.host().get(&used.id).await.unwrap(), used);
}

#[tokio::test]
async fn files_go_with_the_last_release_that_uses_them() {
    let lab = Lab::new();
    let one = lab.host();
    let digests = one.put_files(&lab.files()).await.unwrap();
    let (first, second) = (release("1.0.0", digests.clone()), release("1.1.0", digests));
    for release in [&first, &second] {
        one.put(release, &secrets()).await.unwrap();
    }
    let files = || async {
        let names = names(&lab.store).await;
        names.into_iter().filter(|name| name.starts_with("files/")).count()
    };
    one.remove(&first.id).await.unwrap();
    assert_eq!(files().await, 1);
    lab.host().remove(&second.id).await.unwrap();
    assert_eq!(files().await, 0);
}

#[tokio::test]
async fn what_was_replaced_does_not_pile_up() {
    let lab = Lab::new();
    let hosts = [lab.host(), lab.host()];
    let releases = [release("1.0.0", BTreeMap::new()), release("1.1.0", BTreeMap::new())];
    for release in &releases {
        hosts[0].put(release, &secrets()).await.unwrap();
    }
    for turn in 0..20 {
        let host = &hosts[turn % 2];
        host.set_current(Some(&releases[turn % 2].id)).await.unwrap();
        host.set_note(&json!(turn)).await.unwrap();
        host.set_migrations(&host.migrations().await.unwrap()).await.unwrap();
    }
    let names = names(&lab.store).await;
    assert!(names.len() <= 3 * 4 + releases.len(), "{names:?}");
    assert!(names.contains(&"current/0000000020".to_owned()), "{names:?}");
    assert_eq!(lab.host().current().await.unwrap(), Some(releases[1].id.clone()));
    assert_eq!(lab.host().note().await.unwrap(), Some(json!(19)));
}

#[tokio::test]
async fn a_driver_that_was_overtaken_is_told() {
    let lab = Lab::new();
    let host = lab.host();
    host.set_note(&json!("one")).await.unwrap();
    let late = read(&lab.store, "note/0000000001").await;
    // A write that was on its way for long comes after others, and hides nothing.
    for turn in 0..6 {
        host.set_note(&json!(turn)).await.unwrap();
    }
    write(&lab.store, "note/0000000001", late).await;
    assert_eq!(host.note().await.unwrap(), Some(json!(5)));
    let notes = names(&lab.store).await;
    assert_eq!(notes.iter().filter(|name| name.starts_with("note/")).count(), 5, "{notes:?}");
}

#[tokio::test]
async fn damage_is_told_with_its_object() {
    let lab = Lab::new();
    let one = lab.host();
    let digests = one.put_files(&lab.files()).await.unwrap();
    let release = release("1.0.0", digests.clone());
    one.put(&release, &secrets()).await.unwrap();
    one.set_migrations(&one.migrations().await.unwrap()).await.unwrap();
    let name = format!("files/{}", digests["config"]);
    let whole = read(&lab.store, &name).await;
    write(&lab.store, &name, whole[..whole.len() - 1].to_vec()).await;
    let error = lab.host().get(&release.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(&name), "{error}");
    delete(&lab.store, &name).await;
    assert_eq!(lab.host().get(&release.id).await.unwrap_err().kind(), ErrorKind::Corrupt);
    write(&lab.store, "migrations/0000000001", b"x".to_vec()).await;
    assert_eq!(lab.host().migrations().await.unwrap_err().kind(), ErrorKind::Corrupt);
}
