//! What a second backup stores, and what goes with the first one.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use support::{
    Shelf, all, context, id, memory, noise, objects, open, packs, request, sources, stored_bytes,
    target,
};
use tokio::io::AsyncReadExt as _;
use ultrai_deploy_core::{
    Context,
    backup::{BackupSource, BackupStore as _, Content, PartStream},
    error::Result,
};
use ultrai_deploy_store::crypt::Encryption;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_small_change_stores_little() {
    for encryption in [None, Some(Encryption::generate())] {
        let store = memory();
        let backups = open(&store, encryption.as_ref());
        let mut content = noise(6 * MIB, 1);
        backups.create(&context(), &request("one", 1), &sources(&[("a", &content)])).await.unwrap();
        let first = stored_bytes(&store).await;
        assert!((6 * MIB..7 * MIB).contains(&first), "{first}");

        content[3 * MIB] ^= 1;
        content.splice(MIB..MIB, *b"put in");
        let parts = sources(&[("a", &content), ("moved", &content)]);
        backups.create(&context(), &request("two", 2), &parts).await.unwrap();
        let added = stored_bytes(&store).await - first;
        assert!(added < 5 * MIB / 2, "{added} of {first} bytes");

        let back = Shelf::default();
        backups.restore(&context(), &all("two"), &back).await.unwrap();
        assert_eq!(back.get("moved"), Some(content));
        backups.verify(&target(), &id("one")).await.unwrap();
    }
}

#[tokio::test]
async fn what_compresses_and_repeats_is_stored_small() {
    let store = memory();
    let backups = open(&store, None);
    let zeros = vec![0; 6 * MIB];
    backups.create(&context(), &request("one", 1), &sources(&[("a", &zeros)])).await.unwrap();
    let stored = stored_bytes(&store).await;
    assert!(stored < 10_000, "{stored}");
    backups.verify(&target(), &id("one")).await.unwrap();
}

#[tokio::test]
async fn deleting_the_first_keeps_what_the_second_needs() {
    let store = memory();
    let backups = open(&store, None);
    let (shared, own) = (noise(2 * MIB, 1), noise(MIB, 2));
    for (name, second) in [("one", 1), ("two", 2)] {
        let parts = sources(&[("shared", &shared), (name, &own[..second * 1000])]);
        let second = i64::try_from(second).unwrap();
        backups.create(&context(), &request(name, second), &parts).await.unwrap();
    }
    let before = packs(&store).await.len();
    backups.delete(&target(), &id("one")).await.unwrap();
    assert!(packs(&store).await.len() < before, "its table is gone");
    backups.verify(&target(), &id("two")).await.unwrap();
    backups.delete(&target(), &id("two")).await.unwrap();
    assert!(objects(&store).await.is_empty());
}

#[tokio::test]
async fn a_pack_that_is_hardly_of_use_dies_with_its_backup() {
    let store = memory();
    let backups = open(&store, None);
    let content = noise(7 * MIB, 1);
    let create = async |name, second, length| {
        let parts = sources(&[("a", &content[..length])]);
        backups.create(&context(), &request(name, second), &parts).await.unwrap();
    };
    create("one", 1, 7 * MIB).await;
    create("two", 2, MIB).await;
    // Only what "two" holds is of use now, and "one" is no longer there to say otherwise.
    backups.delete(&target(), &id("one")).await.unwrap();
    create("three", 3, MIB).await;
    backups.delete(&target(), &id("two")).await.unwrap();
    backups.verify(&target(), &id("three")).await.unwrap();
    let stored = stored_bytes(&store).await;
    assert!(stored < 2 * MIB, "{stored}");
}

#[tokio::test]
async fn what_is_damaged_is_stored_again() {
    let store = memory();
    let backups = open(&store, None);
    let content = noise(2 * MIB, 1);
    let create = async |name, second| {
        let parts = sources(&[("a", &content)]);
        backups.create(&context(), &request(name, second), &parts).await.unwrap();
    };
    create("one", 1).await;
    for (path, content) in objects(&store).await {
        if content.len() > MIB {
            let mut bytes = content.to_vec();
            bytes[MIB] ^= 1;
            support::put(&store, &path, bytes).await;
        }
    }
    create("two", 2).await;
    for name in ["two", "one"] {
        backups.verify(&target(), &id(name)).await.unwrap_err();
    }
    create("three", 3).await;
    backups.verify(&target(), &id("three")).await.unwrap();
    for name in ["one", "two", "three"] {
        backups.delete(&target(), &id(name)).await.unwrap();
    }
    assert!(objects(&store).await.is_empty(), "marks go with their packs");
}

/// A log that is written to all the time.
#[derive(Debug, Default)]
struct Growing(Mutex<Vec<u8>>);

#[async_trait]
impl BackupSource for Growing {
    fn name(&self) -> &'static str {
        "files"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["log".to_owned()])
    }

    async fn read(&self, _: &Context, _: &str) -> Result<PartStream> {
        let mut content = self.0.lock().unwrap();
        let line = format!("line {}\n", content.len());
        content.extend_from_slice(line.repeat(2000).as_bytes());
        let tail = std::io::Cursor::new(noise(MIB, content.len() as u64));
        Ok(Box::pin(std::io::Cursor::new(content.clone()).chain(tail)))
    }

    async fn restore(&self, _: &Context, _: &str, _: PartStream) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_part_that_changes_while_it_is_read_is_kept_as_read() {
    let store = memory();
    let backups = open(&store, None);
    let source: Arc<dyn BackupSource> = Arc::new(Growing::default());
    let mut kept = Vec::new();
    for (name, second) in [("one", 1), ("two", 2)] {
        let source = std::slice::from_ref(&source);
        let backup = backups.create(&context(), &request(name, second), source).await.unwrap();
        backups.verify(&target(), &id(name)).await.unwrap();
        let back = Shelf::default();
        backups.restore(&context(), &all(name), &back).await.unwrap();
        assert_eq!(back.get("log").unwrap().len() as u64, backup.parts[0].size);
        kept.push(backup.parts[0].size);
    }
    assert!(kept[0] < kept[1]);
}
