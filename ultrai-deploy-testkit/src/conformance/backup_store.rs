//! Stores of backups.

use std::{
    collections::BTreeMap,
    io::{self, Cursor},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use ultrai_deploy_core::{
    Cancel, Context,
    backup::{BackupRequest, BackupSource, BackupStore, Content, PartStream, Selection},
    digest,
    error::{Error, ErrorKind, Result},
    name::BackupId,
};

use super::{
    Cases, fails, ok,
    sample::{context, run, target},
};

type Open<'a> = &'a dyn Fn(&str) -> Arc<dyn BackupStore>;

/// What every [`BackupStore`] must do. Returns how many cases ran.
///
/// It lets a deadline pass: run it with a paused clock.
///
/// # Panics
/// At the first case that fails.
pub async fn backup_store(open: impl Fn(&str) -> Arc<dyn BackupStore>) -> usize {
    let open: Open<'_> = &open;
    let mut cases = Cases::new("backup store");
    cases.run("a backup is listed as made", a_backup_is_listed_as_made(open)).await;
    cases.run("an empty backup is one too", an_empty_backup_is_one_too(open)).await;
    cases.run("a source gets its parts back", a_source_gets_its_parts_back(open)).await;
    cases.run("any name of a part comes back", any_name_of_a_part_comes_back(open)).await;
    cases.run("an unknown backup is not found", an_unknown_backup_is_not_found(open)).await;
    cases.run("the oldest comes first", the_oldest_comes_first(open)).await;
    cases.run("a second call begins anew", a_second_call_begins_anew(open)).await;
    cases.run("a failed backup is invisible", a_failed_backup_is_invisible(open)).await;
    cases.run("a hanging backup is invisible", a_hanging_backup_is_invisible(open)).await;
    cases.run("a cancelled backup is invisible", a_cancelled_backup_is_invisible(open)).await;
    cases.run("equal names are refused", equal_names_are_refused(open)).await;
    cases.run("a deleted backup is gone", a_deleted_backup_is_gone(open)).await;
    cases.ran
}

async fn a_backup_is_listed_as_made(open: Open<'_>) {
    let store = open("listed");
    let content = pattern(700_001);
    let sources = [shelf("files", &[("big", &content), ("small", b"x"), ("none", b"")])];
    let backup = ok(store.create(&context(), &request("one", 1), &sources).await);
    assert_eq!(backup.request, request("one", 1));
    // A store may keep more than what it is given.
    let given = backup.parts.iter().filter(|part| part.source == "files");
    let parts: Vec<_> = given
        .map(|part| (part.source.as_str(), part.name.as_str(), part.size, part.sha256.as_str()))
        .collect();
    let (big, small, none) = (digest::sha256(&content), digest::sha256(b"x"), digest::sha256(b""));
    assert_eq!(
        parts,
        [
            ("files", "big", 700_001, big.as_str()),
            ("files", "none", 0, none.as_str()),
            ("files", "small", 1, small.as_str())
        ]
    );
    ok(store.verify(&target(), &id("one")).await);
    let reopened = open("listed");
    assert_eq!(ok(reopened.list(&target()).await), [backup]);
    ok(reopened.verify(&target(), &id("one")).await);
}

async fn an_empty_backup_is_one_too(open: Open<'_>) {
    let store = open("empty");
    ok(store.create(&context(), &request("none", 1), &[]).await);
    ok(store.create(&context(), &request("nothing", 2), &[shelf("files", &[])]).await);
    assert_eq!(ok(store.list(&target()).await).len(), 2);
    ok(store.verify(&target(), &id("none")).await);
    ok(store.restore(&context(), &all("nothing"), &Shelf::new("files", &[])).await);
}

async fn a_source_gets_its_parts_back(open: Open<'_>) {
    let store = open("restore");
    let content = pattern(600_000);
    let sources =
        [shelf("files", &[("a", &content), ("b", b"of files")]), shelf("data", &[("b", b"data")])];
    ok(store.create(&context(), &request("one", 1), &sources).await);
    let (files, data) = (Shelf::new("files", &[("a", b"newer")]), Shelf::new("data", &[]));
    for _ in 0..2 {
        ok(open("restore").restore(&context(), &all("one"), &files).await);
    }
    assert_eq!(files.content(), pairs(&[("a", &content), ("b", b"of files")]));
    assert_eq!(data.content(), []);
    ok(store.restore(&context(), &all("one"), &data).await);
    assert_eq!(data.content(), pairs(&[("b", b"data")]));
}

async fn any_name_of_a_part_comes_back(open: Open<'_>) {
    let store = open("names");
    let long = "long".repeat(200);
    let names = ["", "..", "../../outside", "/etc/passwd", "a\nb", "manifest.json", "ü 🚀", &long];
    let parts: Vec<_> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    ok(store.create(&context(), &request("one", 1), &[shelf("files", &parts)]).await);
    let back = Shelf::new("files", &[]);
    ok(store.restore(&context(), &all("one"), &back).await);
    for name in names {
        assert!(back.content().contains(&(name.to_owned(), name.as_bytes().to_vec())), "{name:?}");
    }
}

async fn an_unknown_backup_is_not_found(open: Open<'_>) {
    let store = open("unknown");
    assert_eq!(ok(store.list(&target()).await), []);
    let message = fails(store.verify(&target(), &id("one")).await, ErrorKind::NotFound);
    assert!(message.contains("backup one"), "{message}");
    let source = Shelf::new("files", &[]);
    fails(store.restore(&context(), &all("one"), &source).await, ErrorKind::NotFound);
    ok(store.delete(&target(), &id("one")).await);
}

async fn the_oldest_comes_first(open: Open<'_>) {
    let store = open("oldest");
    for (name, second) in [("b", 2), ("a", 3), ("c", 1)] {
        ok(store.create(&context(), &request(name, second), &[]).await);
    }
    let listed = ok(store.list(&target()).await);
    let ids: Vec<_> = listed.iter().map(|backup| backup.request.id.as_str()).collect();
    assert_eq!(ids, ["c", "b", "a"]);
}

async fn a_second_call_begins_anew(open: Open<'_>) {
    let store = open("anew");
    let first = [shelf("files", &[("a", b"1"), ("b", b"1")])];
    ok(store.create(&context(), &request("one", 1), &first).await);
    let second = [shelf("files", &[("b", b"2")])];
    let backup = ok(store.create(&context(), &request("one", 2), &second).await);
    assert_eq!(ok(store.list(&target()).await), [backup]);
    let back = Shelf::new("files", &[]);
    ok(store.restore(&context(), &all("one"), &back).await);
    assert_eq!(back.content(), pairs(&[("b", b"2")]));
}

async fn a_failed_backup_is_invisible(open: Open<'_>) {
    let store = open("failed");
    let sources = [shelf("files", &[("a", b"good")]), Arc::new(Broken::Fails) as _];
    let message =
        fails(store.create(&context(), &request("one", 1), &sources).await, ErrorKind::Io);
    assert!(message.contains("pulled out"), "names the deepest cause: {message}");
    invisible(&*store).await;
}

async fn a_hanging_backup_is_invisible(open: Open<'_>) {
    let store = open("hanging");
    let cx = context().with_timeout(Duration::from_secs(2));
    let sources = [shelf("files", &[("a", b"good")]), Arc::new(Broken::Hangs) as _];
    fails(store.create(&cx, &request("one", 1), &sources).await, ErrorKind::Timeout);
    invisible(&*store).await;
}

async fn a_cancelled_backup_is_invisible(open: Open<'_>) {
    let store = open("cancelled");
    let cancel = Cancel::new();
    cancel.cancel();
    let cx = context().with_cancel(cancel);
    let sources = [shelf("files", &[("a", b"good")])];
    fails(store.create(&cx, &request("one", 1), &sources).await, ErrorKind::Cancelled);
    invisible(&*store).await;
}

async fn equal_names_are_refused(open: Open<'_>) {
    let store = open("equal");
    let sources = [shelf("files", &[("a", b"1")]), shelf("files", &[("a", b"2")])];
    fails(store.create(&context(), &request("one", 1), &sources).await, ErrorKind::Invalid);
    invisible(&*store).await;
}

async fn a_deleted_backup_is_gone(open: Open<'_>) {
    let store = open("deleted");
    for name in ["one", "two"] {
        let sources = [shelf("files", &[("a", name.as_bytes())])];
        ok(store.create(&context(), &request(name, 1), &sources).await);
    }
    for _ in 0..2 {
        ok(store.delete(&target(), &id("one")).await);
    }
    fails(store.verify(&target(), &id("one")).await, ErrorKind::NotFound);
    ok(store.verify(&target(), &id("two")).await);
    assert_eq!(ok(store.list(&target()).await).len(), 1);
}

async fn invisible(store: &dyn BackupStore) {
    assert_eq!(ok(store.list(&target()).await), []);
    fails(store.verify(&target(), &id("one")).await, ErrorKind::NotFound);
    let sources = [shelf("files", &[("a", b"good")])];
    ok(store.create(&context(), &request("one", 1), &sources).await);
    ok(store.verify(&target(), &id("one")).await);
}

fn id(text: &str) -> BackupId {
    ok(BackupId::new(text))
}

fn request(name: &str, second: i64) -> BackupRequest {
    BackupRequest {
        id: id(name),
        target: target(),
        run: run("run"),
        at: Timestamp::constant(second, 0),
        release: None,
        version: None,
        reason: "conformance".to_owned(),
    }
}

fn all(name: &str) -> Selection {
    Selection::all(target(), id(name))
}

/// Bytes that do not repeat at the size of any buffer.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// A source that has its parts in memory.
#[derive(Debug)]
struct Shelf {
    name: &'static str,
    parts: Mutex<BTreeMap<String, Vec<u8>>>,
}

fn pairs(parts: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    parts.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect()
}

fn shelf(name: &'static str, parts: &[(&str, &[u8])]) -> Arc<dyn BackupSource> {
    Arc::new(Shelf::new(name, parts))
}

impl Shelf {
    fn new(name: &'static str, parts: &[(&str, &[u8])]) -> Self {
        Self { name, parts: Mutex::new(pairs(parts).into_iter().collect()) }
    }

    fn content(&self) -> Vec<(String, Vec<u8>)> {
        self.lock().clone().into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BackupSource for Shelf {
    fn name(&self) -> &str {
        self.name
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(self.lock().keys().cloned().collect())
    }

    async fn read(&self, _: &Context, part: &str) -> Result<PartStream> {
        let content = self.lock().get(part).cloned();
        let content = content.ok_or_else(|| Error::new(ErrorKind::NotFound, "read", part))?;
        Ok(Box::pin(Cursor::new(content)))
    }

    async fn restore(&self, _: &Context, part: &str, mut stream: PartStream) -> Result<()> {
        let mut content = Vec::new();
        stream
            .read_to_end(&mut content)
            .await
            .map_err(|error| Error::new(ErrorKind::Io, "restore", part).with_source(error))?;
        self.lock().insert(part.to_owned(), content);
        Ok(())
    }
}

/// A source that gives some bytes and then no more.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Fails,
    Hangs,
}

#[async_trait]
impl BackupSource for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["part".to_owned()])
    }

    async fn read(&self, _: &Context, _: &str) -> Result<PartStream> {
        Ok(Box::pin(Cursor::new(pattern(300_000)).chain(End(*self))))
    }

    async fn restore(&self, _: &Context, part: &str, _: PartStream) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "restore", part))
    }
}

/// How a broken stream ends.
#[derive(Debug)]
struct End(Broken);

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0 {
            Broken::Fails => Poll::Ready(Err(io::Error::other("the cable was pulled out"))),
            Broken::Hangs => Poll::Pending,
        }
    }
}
