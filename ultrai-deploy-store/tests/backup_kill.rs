//! Killed at every operation on the store: what is listed is whole, and what is left over goes.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]
#![expect(clippy::print_stdout, reason = "it tells how often it killed")]

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{ObjectStore, path::Path};
use support::{
    Shelf, all, context,
    faults::{Dying, Stop},
    id, memory, memory_with, noise, objects, open, packs, request, sources, target,
};
use ultrai_deploy_core::{
    Context,
    backup::{BackupSource, BackupStore as _, Content, PartStream},
    error::{Chain, ErrorKind, Result},
};

const MIB: usize = 1 << 20;
const STOPS: [Stop; 3] = [Stop::Before, Stop::After, Stop::Hang];

fn first() -> Vec<Arc<dyn BackupSource>> {
    sources(&[("a", &noise(MIB, 1)), ("b", b"first")])
}

/// Some of the first backup, and some that is new.
fn second() -> Vec<Arc<dyn BackupSource>> {
    sources(&[("a", &noise(MIB, 1)), ("b", b"second"), ("c", &noise(MIB / 2, 2))])
}

async fn one_backup() -> BTreeMap<Path, Bytes> {
    let store = memory();
    open(&store, None).create(&context(), &request("one", 1), &first()).await.unwrap();
    objects(&store).await
}

/// What a store must be like after a kill: everything listed is whole, the next backup works, and
/// nothing is left once all backups are deleted.
async fn heals(store: &Arc<dyn ObjectStore>, at: &str) -> Vec<String> {
    let backups = open(store, None);
    let listed = backups.list(&target()).await.unwrap();
    let names: Vec<_> = listed.iter().map(|backup| backup.request.id.to_string()).collect();
    for name in &names {
        let verified = backups.verify(&target(), &id(name)).await;
        assert!(verified.is_ok(), "{name} {at}: {}", Chain(&verified.unwrap_err()));
    }
    backups.create(&context(), &request("three", 3), &second()).await.unwrap();
    backups.delete(&target(), &id("nothing")).await.unwrap();
    for name in names.iter().map(String::as_str).chain(["three"]) {
        backups.verify(&target(), &id(name)).await.unwrap();
        let back = Shelf::default();
        backups.restore(&context(), &all(name), &back).await.unwrap();
        assert_eq!(back.get("a"), Some(noise(MIB, 1)), "{name} {at}");
    }
    for name in ["one", "two", "three"] {
        backups.delete(&target(), &id(name)).await.unwrap();
    }
    assert!(objects(store).await.is_empty(), "{at}");
    names
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_killed_anywhere_is_whole_or_not_there() {
    let before = one_backup().await;
    let counted = Arc::new(Dying::after(&memory_with(&before).await, 10_000, Stop::Before));
    let store: Arc<dyn ObjectStore> = Arc::<Dying>::clone(&counted);
    open(&store, None).create(&context(), &request("two", 2), &second()).await.unwrap();
    let operations = counted.asked(10_000);
    assert!(operations > 8, "{operations}");

    let mut published = 0;
    for stop in STOPS {
        for operation in 0..operations {
            let at = format!("at operation {operation}, {stop:?}");
            let store = memory_with(&before).await;
            let dying: Arc<dyn ObjectStore> = Arc::new(Dying::after(&store, operation, stop));
            let cx = context().with_timeout(Duration::from_mins(1));
            let killed = open(&dying, None).create(&cx, &request("two", 2), &second()).await;
            let kind = killed.unwrap_err().kind();
            // A store that says no more than that it failed cannot be reached.
            let is_silent = stop == Stop::Hang;
            let expected = if is_silent { ErrorKind::Timeout } else { ErrorKind::Unavailable };
            assert_eq!(kind, expected, "{at}");

            let backups = open(&store, None);
            let only_first = backups.list(&target()).await.unwrap().len() == 1;
            if only_first {
                backups.delete(&target(), &id("nothing")).await.unwrap();
                assert_eq!(objects(&store).await, before, "orphans are gone {at}");
            } else {
                assert_eq!((operation, stop), (operations - 1, Stop::After), "manifest is last");
                published += 1;
            }
            assert_eq!(heals(&store, &at).await.len(), 2 - usize::from(only_first));
        }
    }
    assert_eq!(published, 1);
    println!("killed {} times", operations * 3);
}

#[tokio::test(start_paused = true)]
async fn deleting_that_is_killed_anywhere_loses_nothing_else() {
    let store = memory_with(&one_backup().await).await;
    open(&store, None).create(&context(), &request("two", 2), &second()).await.unwrap();
    let before = objects(&store).await;
    let counted = Arc::new(Dying::after(&store, 10_000, Stop::Before));
    let dying: Arc<dyn ObjectStore> = Arc::<Dying>::clone(&counted);
    open(&dying, None).delete(&target(), &id("one")).await.unwrap();
    let operations = counted.asked(10_000);
    assert!(operations > 4, "{operations}");

    for stop in STOPS {
        for operation in 0..operations {
            let at = format!("at operation {operation}, {stop:?}");
            let store = memory_with(&before).await;
            let dying: Arc<dyn ObjectStore> = Arc::new(Dying::after(&store, operation, stop));
            let backups = open(&dying, None);
            let (target, one) = (target(), id("one"));
            let delete = backups.delete(&target, &one);
            let killed = tokio::time::timeout(Duration::from_mins(1), delete).await;
            assert!(!matches!(killed, Ok(Ok(()))), "{at}");
            let names = heals(&store, &at).await;
            assert!(names == ["two"] || names == ["one", "two"], "{at}: {names:?}");
        }
    }
}

/// While it is read, somebody else tidies up who has lost the lease and does not know.
#[derive(Debug)]
struct Meddling(Arc<dyn ObjectStore>, Mutex<bool>);

#[async_trait]
impl BackupSource for Meddling {
    fn name(&self) -> &'static str {
        "meddling"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["a".to_owned(), "b".to_owned()])
    }

    async fn read(&self, _: &Context, part: &str) -> Result<PartStream> {
        let done = *self.1.lock().unwrap();
        if part == "b" && !done {
            while packs(&self.0).await.is_empty() {
                tokio::task::yield_now().await;
            }
            open(&self.0, None).delete(&target(), &id("nothing")).await.unwrap();
            assert!(packs(&self.0).await.is_empty());
            *self.1.lock().unwrap() = true;
        }
        Ok(Box::pin(std::io::Cursor::new(noise(9 * MIB, 1))))
    }

    async fn restore(&self, _: &Context, _: &str, _: PartStream) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_backup_from_which_something_was_removed_does_not_appear() {
    let store = memory();
    let backups = open(&store, None);
    let meddling: [Arc<dyn BackupSource>; 1] =
        [Arc::new(Meddling(Arc::clone(&store), Mutex::new(false)))];
    let error = backups.create(&context(), &request("one", 1), &meddling).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.is_retryable() && error.advice().is_some());
    assert!(backups.list(&target()).await.unwrap().is_empty());
    backups.create(&context(), &request("one", 2), &meddling).await.unwrap();
    backups.verify(&target(), &id("one")).await.unwrap();
}
