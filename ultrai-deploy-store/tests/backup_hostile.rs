//! Manifests, tables and packs that somebody made up, with checksums that are right: an error within
//! bounds, never a panic, and nothing wrong given back.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use object_store::{ObjectStore, path::Path};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{
    Shelf, all, context, id, memory, memory_with, noise, objects, open, request, sources, target,
};
use ultrai_deploy_core::{
    backup::BackupStore as _,
    digest::{hex, sha256},
    error::{Chain, ErrorKind},
};

const MIB: usize = 1 << 20;

/// The parts of a stored manifest.
struct Manifest {
    path: Path,
    head: Value,
    body: Value,
}

impl Manifest {
    fn of(objects: &BTreeMap<Path, Bytes>) -> Self {
        let (path, bytes) =
            objects.iter().find(|(path, _)| path.as_ref().ends_with("manifest")).unwrap();
        let mut lines = bytes.splitn(3, |byte| *byte == b'\n').skip(1);
        let head = serde_json::from_slice(lines.next().unwrap()).unwrap();
        let body = zstd::decode_all(lines.next().unwrap()).unwrap();
        Self { path: path.clone(), head, body: serde_json::from_slice(&body).unwrap() }
    }

    /// With a checksum that is right.
    fn write(&self) -> Vec<u8> {
        self.write_with(&zstd::encode_all(&*serde_json::to_vec(&self.body).unwrap(), 1).unwrap())
    }

    fn write_with(&self, body: &[u8]) -> Vec<u8> {
        let mut rest = serde_json::to_vec(&self.head).unwrap();
        rest.push(b'\n');
        rest.extend_from_slice(body);
        [format!("ultrai backup 1 {}\n", sha256(&rest)).as_bytes(), &rest].concat()
    }

    /// Puts a table of packs in the place of its own.
    fn set_table(&mut self, objects: &mut BTreeMap<Path, Bytes>, table: Vec<u8>) {
        self.head["packs"]["length"] = json!(table.len());
        self.head["packs"]["sha256"] = json!(sha256(&table));
        objects.insert(pack(self.head["packs"]["name"].as_str().unwrap()), table.into());
    }

    fn set_recipe(&mut self, depth: u64, entries: &[[u8; 48]], size: u64, content: [u8; 32]) {
        self.body["recipes"][0] = json!({"depth": depth, "entries": hex(&entries.concat())});
        self.body["backup"]["parts"][0]["size"] = json!(size);
        self.body["backup"]["parts"][0]["sha256"] = json!(hex(&content));
    }
}

fn pack(name: &str) -> Path {
    Path::from(format!("kept/shop/staging/packs/{name}"))
}

fn entry(id: [u8; 32], numbers: [u32; 4]) -> [u8; 48] {
    let mut bytes = [0; 48];
    bytes[..32].copy_from_slice(&id);
    for (at, number) in numbers.iter().enumerate() {
        bytes[32 + 4 * at..36 + 4 * at].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// One row of a table: a pack with this content.
fn row(name: u128, content: &[u8], length: u32, plain: u32) -> Vec<u8> {
    let mut row = uuid::Uuid::from_u128(name).as_bytes().to_vec();
    row.extend_from_slice(&Sha256::digest(content));
    row.extend_from_slice(&length.to_le_bytes());
    row.extend_from_slice(&plain.to_le_bytes());
    row
}

async fn backup() -> (BTreeMap<Path, Bytes>, Manifest) {
    let store = memory();
    let parts = sources(&[("a", &noise(20_000, 1))]);
    open(&store, None).create(&context(), &request("one", 1), &parts).await.unwrap();
    let objects = objects(&store).await;
    let manifest = Manifest::of(&objects);
    (objects, manifest)
}

/// With one pack whose plain text is this, and a recipe.
async fn with_pack(
    content: &[u8],
    depth: u64,
    entries: &[[u8; 48]],
    size: u64,
    whole: [u8; 32],
) -> Arc<dyn ObjectStore> {
    let (mut objects, mut manifest) = backup().await;
    let length = u32::try_from(content.len()).unwrap();
    manifest.set_table(&mut objects, row(7, content, length, length));
    objects.insert(pack(&uuid::Uuid::from_u128(7).to_string()), Bytes::copy_from_slice(content));
    manifest.set_recipe(depth, entries, size, whole);
    objects.insert(manifest.path.clone(), manifest.write().into());
    memory_with(&objects).await
}

async fn is_corrupt(store: &Arc<dyn ObjectStore>, part: &str) {
    let backups = open(store, None);
    let source = Shelf::default();
    for result in [
        backups.verify(&target(), &id("one")).await,
        backups.restore(&context(), &all("one"), &source).await.map(drop),
    ] {
        let error = result.unwrap_err();
        let message = Chain(&error).to_string();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{message}");
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(source.touched(), 0);
    // None of it keeps anybody from taking a new one.
    let parts = sources(&[("a", b"new")]);
    backups.create(&context(), &request("two", 2), &parts).await.unwrap();
    backups.verify(&target(), &id("two")).await.unwrap();
    backups.delete(&target(), &id("one")).await.unwrap();
    backups.verify(&target(), &id("two")).await.unwrap();
}

#[tokio::test]
async fn what_is_made_up_in_the_same_way_is_a_backup() {
    let content = b"made up";
    let stored = zstd::encode_all(&content[..], 1).unwrap();
    let length = u32::try_from(stored.len()).unwrap();
    let whole: [u8; 32] = Sha256::digest(content).into();
    let store = with_pack(&stored, 0, &[entry(whole, [0, 0, length, 7])], 7, whole).await;
    open(&store, None).verify(&target(), &id("one")).await.unwrap();
}

#[tokio::test]
async fn a_bomb_in_a_chunk_never_goes_off() {
    let bomb = zstd::encode_all(&*vec![0; 256 * MIB], 1).unwrap();
    assert!(bomb.len() < 100_000);
    let length = u32::try_from(bomb.len()).unwrap();
    for size in [7, 4 << 20, 256 << 20, u32::MAX] {
        let entries = [entry([0; 32], [0, 0, length, size])];
        let store = with_pack(&bomb, 0, &entries, size.into(), [0; 32]).await;
        is_corrupt(&store, "part a of files").await;
    }
}

#[tokio::test]
async fn a_bomb_in_a_manifest_never_goes_off() {
    let (mut objects, manifest) = backup().await;
    let bomb = zstd::encode_all(&*vec![b' '; 256 * MIB], 1).unwrap();
    objects.insert(manifest.path.clone(), manifest.write_with(&bomb).into());
    is_corrupt(&memory_with(&objects).await, "backup one").await;
}

/// A block that leads to itself would need a hash of itself; one that says so is not believed.
#[tokio::test]
async fn a_recipe_that_goes_round_and_round_ends() {
    let mut looping = Vec::new();
    let zeros = [0; 32];
    for _ in 0..3 {
        let block = entry(zeros, [0, 0, u32::try_from(looping.len().max(1)).unwrap(), 48]);
        looping = zstd::encode_all(&block[..], 1).unwrap();
    }
    let length = u32::try_from(looping.len()).unwrap();
    for depth in [1, 2, 3, u64::from(u32::MAX)] {
        let store =
            with_pack(&looping, depth, &[entry(zeros, [0, 0, length, 48])], 1 << 40, zeros).await;
        is_corrupt(&store, "part a of files").await;
    }
}

#[tokio::test]
async fn a_chunk_outside_its_pack_is_refused() {
    let content = [7; 100];
    for numbers in [
        [0, 0, 101, 100],
        [0, 100, 1, 1],
        [0, u32::MAX, u32::MAX, 100],
        [0, 50, u32::MAX - 49, 100],
        [1, 0, 100, 100],
        [u32::MAX, 0, 100, 100],
        [0, 0, 100, 0],
    ] {
        let store = with_pack(&content, 0, &[entry([0; 32], numbers)], 100, [0; 32]).await;
        is_corrupt(&store, "part a of files").await;
    }
}

#[tokio::test]
async fn a_table_with_impossible_packs_is_refused() {
    for (length, plain) in [(u32::MAX, 1), (1, u32::MAX), (100, 99), (99, 100), (0, 0)] {
        let (mut objects, mut manifest) = backup().await;
        let content = [7; 100];
        manifest.set_table(&mut objects, row(7, &content, length, plain));
        let name = pack(&uuid::Uuid::from_u128(7).to_string());
        objects.insert(name, Bytes::copy_from_slice(&content));
        objects.insert(manifest.path.clone(), manifest.write().into());
        is_corrupt(&memory_with(&objects).await, "backup one").await;
    }
}

#[tokio::test]
async fn counts_that_do_not_fit_are_refused() {
    let (objects, _) = backup().await;
    let change: [fn(&mut Manifest); 5] = [
        |manifest| manifest.head["packs"]["length"] = json!(u64::MAX),
        |manifest| manifest.body["recipes"] = json!([]),
        |manifest| manifest.body["backup"]["parts"][0]["size"] = json!(u64::MAX),
        |manifest| manifest.body["recipes"][0]["entries"] = json!("00".repeat(48 * 100_000)),
        |manifest| manifest.body["recipes"][0]["entries"] = json!("é".repeat(48)),
    ];
    for (number, change) in change.into_iter().enumerate() {
        let mut manifest = Manifest::of(&objects);
        change(&mut manifest);
        let mut objects = objects.clone();
        objects.insert(manifest.path.clone(), manifest.write().into());
        let store = memory_with(&objects).await;
        let error = open(&store, None).verify(&target(), &id("one")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{number}: {error}");
    }
}

fn numbers() -> impl Strategy<Value = [u32; 4]> {
    let number = prop_oneof![0_u32..3, 0_u32..200, Just(4 << 20), any::<u32>()];
    proptest::array::uniform4(number)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn anything_at_all_in_a_recipe_is_an_error(
        depth in 0_u64..4,
        entries in prop::collection::vec(numbers(), 0..20),
        content in prop::collection::vec(any::<u8>(), 0..400),
        size in prop_oneof![1_u64..500, any::<u64>()],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let entries: Vec<_> =
                entries.into_iter().map(|numbers| entry([1; 32], numbers)).collect();
            let store = with_pack(&content, depth, &entries, size, [0; 32]).await;
            is_corrupt(&store, "part a of files").await;
        });
    }

    #[test]
    fn anything_at_all_in_a_manifest_is_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        is_head_kept in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut objects, manifest) = backup().await;
            let content = if is_head_kept { manifest.write_with(&bytes) } else { bytes };
            objects.insert(manifest.path.clone(), content.into());
            is_corrupt(&memory_with(&objects).await, "backup one").await;
        });
    }
}
