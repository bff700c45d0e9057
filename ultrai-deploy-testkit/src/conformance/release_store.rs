//! Stores of releases.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use ultrai_deploy_core::{
    error::ErrorKind,
    migration::{Entry, Ledger, Status},
    name::{ProjectName, SecretName, ServiceName},
    release::{Release, ReleaseService},
    release_store::ReleaseStore,
    secret::{FingerprintKey, Secret, Secrets},
    version::Version,
};

use super::{Cases, fails, ok};

type Open<'a> = &'a dyn Fn(&str) -> Arc<dyn ReleaseStore>;

/// What every [`ReleaseStore`] must do. Returns how many cases ran.
///
/// `scratch` is an empty directory for files to be stored from.
///
/// # Panics
/// At the first case that fails.
pub async fn release_store(open: impl Fn(&str) -> Arc<dyn ReleaseStore>, scratch: &Path) -> usize {
    let open: Open<'_> = &open;
    let mut cases = Cases::new("release store");
    cases.run("an empty store has nothing", an_empty_store_has_nothing(open)).await;
    cases.run("a release comes back", a_release_comes_back(open)).await;
    cases.run("secrets come back", secrets_come_back(open)).await;
    cases.run("a second put changes nothing", a_second_put_changes_nothing(open)).await;
    cases.run("one release is current", one_release_is_current(open)).await;
    cases.run("a removed release is gone", a_removed_release_is_gone(open)).await;
    cases.run("the current one stays", the_current_one_stays(open)).await;
    cases.run("a note is replaced as a whole", a_note_is_replaced_as_a_whole(open)).await;
    cases.run("the ledger is replaced as a whole", the_ledger_is_replaced(open)).await;
    cases.run("the ledger outlives releases", the_ledger_outlives_releases(open)).await;
    cases.run("the key stays the same", the_key_stays_the_same(open)).await;
    cases.run("digests follow content", digests_follow_content(open, &scratch.join("d"))).await;
    cases.run("bad files are refused", bad_files_are_refused(open, &scratch.join("b"))).await;
    cases.run("shared files stay", shared_files_stay(open, &scratch.join("s"))).await;
    cases.ran
}

async fn an_empty_store_has_nothing(open: Open<'_>) {
    let store = open("empty");
    let id = release("1.0.0", &[]).id;
    assert_eq!(ok(store.list().await), []);
    assert_eq!(ok(store.current().await), None);
    let message = fails(store.get(&id).await, ErrorKind::NotFound);
    assert!(message.contains(id.as_str()), "{message}");
    fails(store.secrets(&id).await, ErrorKind::NotFound);
    ok(store.remove(&id).await);
    ok(store.set_current(None).await);
}

async fn a_release_comes_back(open: Open<'_>) {
    let store = open("release");
    let (one, two) = (release("1.0.0", &[]), release("1.1.0", &[]));
    for release in [&one, &two] {
        ok(store.put(release, &Secrets::new()).await);
        assert_eq!(*ok(store.get(&release.id).await), *release);
    }
    let mut ids = vec![one.id.clone(), two.id];
    ids.sort();
    let reopened = open("release");
    assert_eq!(ok(reopened.list().await), ids);
    assert_eq!(*ok(reopened.get(&one.id).await), one);
}

async fn secrets_come_back(open: Open<'_>) {
    let store = open("secrets");
    let (with, without) = (release("1.0.0", &[]), release("1.1.0", &[]));
    let values = [("PASSWORD", "hunter2 \"\n{}"), ("EMPTY", ""), ("KEY", "ключ")];
    ok(store.put(&with, &secrets(&values)).await);
    ok(store.put(&without, &Secrets::new()).await);
    let shown = format!("{store:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let reopened = open("secrets");
    assert_eq!(exposed(&ok(reopened.secrets(&with.id).await)), exposed(&secrets(&values)));
    assert_eq!(exposed(&ok(reopened.secrets(&without.id).await)), []);
}

async fn a_second_put_changes_nothing(open: Open<'_>) {
    let store = open("twice");
    let release = release("1.0.0", &[]);
    for _ in 0..2 {
        ok(store.put(&release, &secrets(&[("A", "1")])).await);
        ok(store.set_current(Some(&release.id)).await);
    }
    assert_eq!(ok(store.list().await).len(), 1);
    assert_eq!(ok(store.current().await), Some(release.id));
}

async fn one_release_is_current(open: Open<'_>) {
    let store = open("current");
    let (one, two) = (release("1.0.0", &[]), release("1.1.0", &[]));
    ok(store.put(&one, &Secrets::new()).await);
    fails(store.set_current(Some(&two.id)).await, ErrorKind::NotFound);
    assert_eq!(ok(store.current().await), None);
    ok(store.set_current(Some(&one.id)).await);
    ok(store.put(&two, &Secrets::new()).await);
    assert_eq!(ok(store.current().await), Some(one.id.clone()));
    for id in [&two.id, &one.id] {
        ok(store.set_current(Some(id)).await);
        assert_eq!(ok(open("current").current().await).as_ref(), Some(id));
    }
    ok(store.set_current(None).await);
    assert_eq!(ok(open("current").current().await), None);
}

async fn a_removed_release_is_gone(open: Open<'_>) {
    let store = open("removed");
    let (one, two) = (release("1.0.0", &[]), release("1.1.0", &[]));
    for release in [&one, &two] {
        ok(store.put(release, &secrets(&[("A", "1")])).await);
    }
    for _ in 0..2 {
        ok(store.remove(&one.id).await);
    }
    fails(store.get(&one.id).await, ErrorKind::NotFound);
    fails(store.secrets(&one.id).await, ErrorKind::NotFound);
    assert_eq!(ok(open("removed").list().await), [two.id]);
    ok(store.put(&one, &Secrets::new()).await);
    assert_eq!(*ok(store.get(&one.id).await), one);
}

async fn the_current_one_stays(open: Open<'_>) {
    let store = open("stays");
    let release = release("1.0.0", &[]);
    ok(store.put(&release, &Secrets::new()).await);
    ok(store.set_current(Some(&release.id)).await);
    fails(store.remove(&release.id).await, ErrorKind::Conflict);
    assert_eq!(*ok(store.get(&release.id).await), release);
    ok(store.set_current(None).await);
    ok(store.remove(&release.id).await);
}

async fn the_key_stays_the_same(open: Open<'_>) {
    let first = print(&ok(open("key").fingerprint_key().await));
    assert_eq!(print(&ok(open("key").fingerprint_key().await)), first);
    assert_ne!(print(&ok(open("other-key").fingerprint_key().await)), first);
}

async fn a_note_is_replaced_as_a_whole(open: Open<'_>) {
    let store = open("note");
    assert_eq!(ok(store.note().await), None);
    ok(store.set_note(&json!({ "a": 1, "b": 2 })).await);
    ok(store.set_note(&json!({ "b": 3 })).await);
    assert_eq!(ok(open("note").note().await), Some(json!({ "b": 3 })));
    assert_eq!(ok(open("no-note").note().await), None);
    assert_eq!(ok(open("note").list().await), []);
}

fn ledger(entries: &[(&str, Status)]) -> Ledger {
    let at = "2026-01-31T12:00:00.123Z".parse().unwrap_or_default();
    let entry = |status| Entry::of_person(status, "somebody".to_owned(), at);
    let entries = entries.iter().map(|(name, status)| ((*name).to_owned(), entry(*status)));
    Ledger { migrations: entries.collect() }
}

async fn the_ledger_is_replaced(open: Open<'_>) {
    let store = open("ledger");
    assert_eq!(ok(store.migrations().await), Ledger::default());
    let two = ledger(&[("001 \"users\"", Status::Unknown), ("ключ", Status::Failed)]);
    let one = ledger(&[("001 \"users\"", Status::Applied)]);
    for ledger in [two, one] {
        ok(store.set_migrations(&ledger).await);
        assert_eq!(ok(open("ledger").migrations().await), ledger);
    }
    assert_eq!(ok(open("no-ledger").migrations().await), Ledger::default());
}

async fn the_ledger_outlives_releases(open: Open<'_>) {
    let store = open("ledger-alone");
    let (release, ledger) = (release("1.0.0", &[]), ledger(&[("m", Status::Applied)]));
    ok(store.put(&release, &Secrets::new()).await);
    ok(store.set_migrations(&ledger).await);
    ok(store.remove(&release.id).await);
    assert_eq!(ok(store.list().await), []);
    assert_eq!(ok(open("ledger-alone").migrations().await), ledger);
}

async fn digests_follow_content(open: Open<'_>, scratch: &Path) {
    let store = open("digests");
    let make = |name: &str, file: &str, content: &str, mode: u32| {
        let directory = scratch.join(name);
        let path = directory.join("sub").join(file);
        write(&path, content, mode);
        let linked = symlink("sub", directory.join("link"));
        assert!(linked.is_ok(), "{linked:?}");
        directory
    };
    let base = make("base", "file", "content", 0o644);
    let same = make("same", "file", "content", 0o664);
    let others = [
        make("content", "file", "other", 0o644),
        make("name", "other", "content", 0o644),
        make("mode", "file", "content", 0o755),
        base.join("sub"),
        base.join("sub/file"),
    ];
    let digest = put(&*store, &base).await;
    assert_eq!(put(&*store, &same).await, digest, "where it lies does not matter");
    assert_eq!(put(&*open("digests"), &base).await, digest);
    let fresh = open("digests-alone");
    let files = BTreeMap::from([("name".to_owned(), base.clone())]);
    let alone = ok(fresh.file_digests(&files).await);
    assert_eq!(alone, BTreeMap::from([("name".to_owned(), digest.clone())]), "as it is stored");
    let kept = fresh.file_path(&digest).is_some_and(|path| path.exists());
    assert!(!kept, "a digest keeps nothing");
    for other in others {
        assert_ne!(put(&*store, &other).await, digest, "{}", other.display());
    }
    if let Some(stored) = store.file_path(&digest) {
        let content = fs::read_to_string(stored.join("link/file"));
        assert_eq!(content.ok().as_deref(), Some("content"));
    }
}

async fn bad_files_are_refused(open: Open<'_>, scratch: &Path) {
    let store = open("bad-files");
    write(&scratch.join("outside"), "x", 0o644);
    write(&scratch.join("tree/inside"), "x", 0o644);
    let link = scratch.join("tree/leads-away");
    let linked = symlink("../outside", &link);
    assert!(linked.is_ok(), "{linked:?}");
    for (path, named) in
        [(scratch.join("tree"), &link), (scratch.join("gone"), &scratch.join("gone"))]
    {
        let files = BTreeMap::from([("config".to_owned(), path)]);
        let message = fails(store.put_files(&files).await, ErrorKind::Invalid);
        assert!(message.contains(&named.display().to_string()), "{message}");
        assert!(message.contains("config"), "{message}");
    }
}

async fn shared_files_stay(open: Open<'_>, scratch: &Path) {
    let store = open("shared");
    for name in ["both", "first", "second"] {
        write(&scratch.join(name), name, 0o644);
    }
    let both = put(&*store, &scratch.join("both")).await;
    let (first, second) =
        (put(&*store, &scratch.join("first")).await, put(&*store, &scratch.join("second")).await);
    let one = release("1.0.0", &[&both, &first]);
    let two = release("1.1.0", &[&both, &second]);
    for release in [&one, &two] {
        ok(store.put(release, &Secrets::new()).await);
    }
    ok(store.remove(&one.id).await);
    let there = |digest: &str| store.file_path(digest).is_none_or(|path| path.exists());
    assert!(there(&both) && there(&second));
    if let Some(path) = store.file_path(&first) {
        assert!(!path.exists(), "{} is used by nobody", path.display());
    }
    assert_eq!(*ok(store.get(&two.id).await), two);
}

async fn put(store: &dyn ReleaseStore, path: &Path) -> String {
    let files: BTreeMap<String, PathBuf> = BTreeMap::from([("file".to_owned(), path.to_owned())]);
    ok(store.put_files(&files).await).remove("file").unwrap_or_default()
}

fn write(path: &Path, content: &str, mode: u32) {
    let written = fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| fs::write(path, content))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    assert!(written.is_ok(), "{}: {written:?}", path.display());
}

fn release(version: &str, files: &[&str]) -> Release {
    let files = files.iter().map(|digest| ((*digest).to_owned(), (*digest).to_owned()));
    let service = ReleaseService::new(None, json!({ "port": 80, "rate": 0.1, "of": version }))
        .with_files(files.collect());
    let services = BTreeMap::from([(ok(ServiceName::new("web")), service)]);
    ok(Release::new(ok(ProjectName::new("shop")), ok(Version::parse(version)), services))
}

fn secrets(values: &[(&str, &str)]) -> Secrets {
    values.iter().map(|(name, value)| (ok(SecretName::new(*name)), Secret::new(*value))).collect()
}

fn exposed(secrets: &Secrets) -> Vec<(String, String)> {
    secrets.iter().map(|(name, value)| (name.to_string(), value.expose().to_owned())).collect()
}

fn print(key: &FingerprintKey) -> String {
    format!("{:?}", key.fingerprint(&ok(SecretName::new("A")), &Secret::new("x")))
}
