//! Whatever happens to one stored object, nothing wrong is ever given back.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, path::Path};
use support::{
    Shelf, all, context, id, memory, memory_with, noise, objects, open, request, sources, target,
};
use ultrai_deploy_core::{
    backup::BackupStore as _,
    error::{Chain, ErrorKind},
};
use ultrai_deploy_store::crypt::Encryption;

const MIB: usize = 1 << 20;

/// A backup with several packs, a recipe of its own, and small parts.
async fn backup(encryption: Option<&Encryption>) -> BTreeMap<Path, Bytes> {
    let store = memory();
    let (big, small) = (noise(9 * MIB, 3), noise(70_000, 4));
    let parts = sources(&[("big", &big), ("small", &small), ("word", b"word")]);
    open(&store, encryption).create(&context(), &request("one", 1), &parts).await.unwrap();
    let objects = objects(&store).await;
    assert!(objects.len() > 4, "manifest, table, recipe and packs of data: {}", objects.len());
    objects
}

/// Verify and restore refuse, and say where it is; nothing is given back.
async fn is_refused(
    objects: &BTreeMap<Path, Bytes>,
    encryption: Option<&Encryption>,
    path: &Path,
    what: &str,
) {
    let store = memory_with(objects).await;
    let backups = open(&store, encryption);
    let verified = backups.verify(&target(), &id("one")).await;
    let source = Shelf::default();
    let restored = backups.restore(&context(), &all("one"), &source).await.map(drop);
    assert_eq!(source.touched(), 0, "{what} of {path}");
    for result in [verified, restored] {
        let Err(error) = result else { panic!("{what} of {path} is not noticed") };
        let message = Chain(&error).to_string();
        let is_pack = message.contains("of files in backup one");
        assert!(is_pack || message.contains("backup one"), "{what} of {path}: {message}");
        assert_eq!(error.effect(), ultrai_deploy_core::Effect::None, "{message}");
        let missing = path.as_ref().ends_with("manifest") && what == "removal";
        let kind = if missing { ErrorKind::NotFound } else { ErrorKind::Corrupt };
        assert_eq!(error.kind(), kind, "{what} of {path}: {message}");
    }
}

async fn every_damage_is_noticed(encryption: Option<&Encryption>) {
    let objects = backup(encryption).await;
    let mut cases = 0;
    for (path, content) in &objects {
        let mut damaged = objects.clone();
        let mut case = async |what: &str, content: Option<Vec<u8>>| {
            match content {
                Some(content) => damaged.insert(path.clone(), content.into()),
                None => damaged.remove(path),
            };
            is_refused(&damaged, encryption, path, what).await;
            cases += 1;
        };
        let last = content.len() - 1;
        if encryption.is_some() {
            // What is stored is compared before it is decrypted, so one of each is enough.
            let mut bytes = content.to_vec();
            bytes[last / 2] ^= 0x10;
            case("a wrong byte", Some(bytes)).await;
            continue;
        }
        for at in [0, last / 2, last] {
            let mut bytes = content.to_vec();
            bytes[at] ^= 0x10;
            case("a wrong byte", Some(bytes)).await;
        }
        case("truncation", Some(content[..last].to_vec())).await;
        case("emptiness", Some(Vec::new())).await;
        case("growth", Some([&content[..], b"\0"].concat())).await;
        case("removal", None).await;
    }
    assert_eq!(cases, objects.len() * if encryption.is_some() { 1 } else { 7 });
}

#[tokio::test]
async fn every_damage_is_noticed_in_plain() {
    every_damage_is_noticed(None).await;
}

#[tokio::test]
async fn every_damage_is_noticed_encrypted() {
    every_damage_is_noticed(Some(&Encryption::generate())).await;
}

#[tokio::test]
async fn swapped_objects_are_noticed() {
    let objects = backup(None).await;
    let paths: Vec<_> = objects.keys().collect();
    for (number, one) in paths.iter().enumerate() {
        for other in &paths[number + 1..] {
            let mut swapped = objects.clone();
            swapped.insert((*one).clone(), objects[*other].clone());
            swapped.insert((*other).clone(), objects[*one].clone());
            is_refused(&swapped, None, one, "a swap").await;
        }
    }
}

/// What is damaged in one part does not keep the others.
#[tokio::test]
async fn the_part_is_named_and_others_come_back() {
    let store = memory();
    let (big, other) = (noise(9 * MIB, 3), noise(200_000, 4));
    let backups = open(&store, None);
    let parts = sources(&[("big", &big), ("other", &other)]);
    backups.create(&context(), &request("one", 1), &parts).await.unwrap();
    let objects = objects(&store).await;
    let (path, content) = objects.iter().max_by_key(|(_, content)| content.len()).unwrap();
    let mut bytes = content.to_vec();
    bytes[1000] ^= 1;
    support::put(&store, path, bytes).await;

    let error = backups.verify(&target(), &id("one")).await.unwrap_err();
    assert!(error.to_string().contains("part big of files in backup one"), "{error}");
    let source = Shelf::default();
    let mut what = all("one");
    backups.restore(&context(), &what, &source).await.unwrap_err();
    assert_eq!(source.touched(), 0, "not even the part that is whole");
    what.parts = vec!["files/other".to_owned()];
    backups.restore(&context(), &what, &source).await.unwrap();
    assert_eq!(source.get("other"), Some(other));
}

/// As it is with two backups of one environment, or after somebody tidied up by hand.
#[tokio::test]
async fn a_manifest_in_the_place_of_another_is_refused() {
    let store = memory();
    let backups = open(&store, None);
    for (name, second) in [("one", 1), ("two", 2)] {
        let parts = sources(&[("a", name.as_bytes())]);
        backups.create(&context(), &request(name, second), &parts).await.unwrap();
    }
    let all: Vec<_> = objects(&store).await.into_keys().collect();
    let find = |name: &str| all.iter().find(|path| path.as_ref().contains(name)).unwrap();
    store.copy(find("/one/"), find("/two/")).await.unwrap();
    let error = backups.verify(&target(), &id("two")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let listed = backups.list(&target()).await.unwrap();
    assert_eq!(listed.len(), 1, "the good one is listed");
    let before = support::packs(&store).await;
    backups.delete(&target(), &id("none")).await.unwrap();
    assert_eq!(support::packs(&store).await, before, "nobody knows what the bad one needs");
    backups.delete(&target(), &id("two")).await.unwrap();
    assert!(support::packs(&store).await.len() < before.len());
    backups.verify(&target(), &id("one")).await.unwrap();
}

/// A backup whose manifest is damaged or locked cannot be listed, and a check of all still finds it.
#[tokio::test]
async fn what_cannot_be_listed_is_named_all_the_same() {
    let store = memory();
    let (ours, others) = (Encryption::generate(), Encryption::generate());
    let parts = sources(&[("word", b"word")]);
    for (number, (name, keys)) in
        [("good", &ours), ("bad", &ours), ("locked", &others)].into_iter().enumerate()
    {
        let request = request(name, i64::try_from(number).unwrap());
        open(&store, Some(keys)).create(&context(), &request, &parts).await.unwrap();
    }
    let is_of_bad = |path: &&Path| path.as_ref().ends_with("bad/manifest");
    let manifest = objects(&store).await.keys().find(is_of_bad).cloned().unwrap();
    store.put(&manifest, Bytes::from_static(b"nonsense").into()).await.unwrap();
    let backups = open(&store, Some(&ours));
    let listed = backups.list(&target()).await.unwrap();
    assert_eq!(listed.into_iter().map(|one| one.request.id).collect::<Vec<_>>(), [id("good")]);
    let all = backups.ids(&target()).await.unwrap();
    assert_eq!(all, [id("bad"), id("good"), id("locked")]);
}
