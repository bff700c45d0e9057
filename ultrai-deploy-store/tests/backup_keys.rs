//! Encryption: who can read what, and that nobody else can.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::sync::Arc;

use support::{
    Shelf, all, context, id, memory, noise, objects, open, packs, request, sources, stored_bytes,
    target,
};
use ultrai_deploy_core::{
    Effect,
    backup::{BackupSource, BackupStore as _},
    error::ErrorKind,
};
use ultrai_deploy_store::crypt::Encryption;

const MIB: usize = 1 << 20;
const MARK: &str = "marigold-5f3a";

fn parse(encryptions: &[&Encryption], recipients: &[String]) -> Encryption {
    let identities: Vec<_> =
        encryptions.iter().map(|key| key.identity_file().expose().to_owned()).collect();
    Encryption::parse(&identities.join("\n"), recipients).unwrap()
}

#[tokio::test]
async fn nothing_that_is_stored_shows_content_or_names() {
    let (store, key) = (memory(), Encryption::generate());
    let backups = open(&store, Some(&key));
    let parts = sources(&[(MARK, MARK.as_bytes()), ("b", &noise(MIB, 1))]);
    backups.create(&context(), &request("one", 1), &parts).await.unwrap();
    for (path, content) in objects(&store).await {
        let shown = content.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes());
        assert!(!shown && !path.as_ref().contains(MARK), "{path}");
    }
    let reopened = parse(&[&key], &[]);
    let back = Shelf::default();
    open(&store, Some(&reopened)).restore(&context(), &all("one"), &back).await.unwrap();
    assert_eq!(back.get(MARK), Some(MARK.into()));
}

#[tokio::test]
async fn another_identity_and_none_are_told_what_is_missing() {
    let (store, key) = (memory(), Encryption::generate());
    let parts = sources(&[("a", b"x")]);
    let request_one = request("one", 1);
    open(&store, Some(&key)).create(&context(), &request_one, &parts).await.unwrap();
    let wrong = Encryption::generate();
    for encryption in [None, Some(&wrong)] {
        let backups = open(&store, encryption);
        let source = Shelf::default();
        let errors = [
            backups.list(&target()).await.unwrap_err(),
            backups.verify(&target(), &id("one")).await.unwrap_err(),
            backups.restore(&context(), &all("one"), &source).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::None));
            assert!(error.to_string().contains("identity file"), "{error}");
        }
        assert_eq!(source.touched(), 0);
        // Without a key, too, what is needed is known.
        let before = packs(&store).await;
        backups.delete(&target(), &id("nothing")).await.unwrap();
        assert_eq!(packs(&store).await, before);
    }
}

#[tokio::test]
async fn secrets_are_refused_without_a_key() {
    let store = memory();
    let secret = Shelf { has_secrets: true, ..Shelf::new(&[("a", b"x")]) };
    let secret: [Arc<dyn BackupSource>; 1] = [Arc::new(secret)];
    let refused = open(&store, None).create(&context(), &request("one", 1), &secret).await;
    let error = refused.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    assert!(error.to_string().contains("age-keygen"), "{error}");
    assert!(objects(&store).await.is_empty());
    let key = Encryption::generate();
    open(&store, Some(&key)).create(&context(), &request("one", 1), &secret).await.unwrap();
}

#[tokio::test]
async fn a_new_recipient_can_read_the_next_backup_alone() {
    let (store, old, new) = (memory(), Encryption::generate(), Encryption::generate());
    let content = noise(2 * MIB, 1);
    let parts = sources(&[("a", &content)]);
    open(&store, Some(&old)).create(&context(), &request("one", 1), &parts).await.unwrap();
    let both = parse(&[&old], &new.recipients());
    open(&store, Some(&both)).create(&context(), &request("two", 2), &parts).await.unwrap();
    let alone = open(&store, Some(&new));
    alone.verify(&target(), &id("two")).await.unwrap();
    let listed = alone.list(&target()).await.unwrap();
    assert_eq!(listed.len(), 1, "the one that is not for it is left out");
    open(&store, Some(&both)).verify(&target(), &id("one")).await.unwrap();
}

#[tokio::test]
async fn what_was_stored_in_plain_is_not_referred_to_once_there_is_a_key() {
    let (store, key) = (memory(), Encryption::generate());
    let parts = sources(&[("a", &noise(2 * MIB, 1))]);
    open(&store, None).create(&context(), &request("one", 1), &parts).await.unwrap();
    let backups = open(&store, Some(&key));
    backups.create(&context(), &request("two", 2), &parts).await.unwrap();
    assert!(stored_bytes(&store).await > 4 * MIB);
    for name in ["one", "two"] {
        backups.verify(&target(), &id(name)).await.unwrap();
    }
}

/// A host that may take backups and not read them.
#[tokio::test]
async fn with_a_recipient_alone_backups_can_only_be_taken() {
    let (store, key) = (memory(), Encryption::generate());
    let writer = Encryption::parse("", &key.recipients()).unwrap();
    assert!(!writer.has_identity());
    let parts = sources(&[("a", &noise(MIB, 1))]);
    for (name, second) in [("one", 1), ("two", 2)] {
        let backups = open(&store, Some(&writer));
        backups.create(&context(), &request(name, second), &parts).await.unwrap();
        let error = backups.verify(&target(), &id(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        open(&store, Some(&key)).verify(&target(), &id(name)).await.unwrap();
    }
}

#[test]
fn a_key_is_never_shown() {
    let key = Encryption::generate();
    let file = key.identity_file();
    let secret = file.expose().lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    assert!(!format!("{key:?} {key:#?} {file:?}").contains(&secret[15..]));
    let broken = format!("# a comment\n\n{}x", &secret[..secret.len() - 1]);
    let error = Encryption::parse(&broken, &[]).unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
    assert!(!format!("{error} {error:?}").contains(&secret[15..40]));
    for nothing in ["", "# only a comment\n"] {
        assert_eq!(Encryption::parse(nothing, &[]).unwrap_err().kind(), ErrorKind::Invalid);
    }
    let wrong = Encryption::parse("", &["age1wrong".to_owned()]).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn what_others_keep_can_be_read_and_nothing_is_written_for_them() {
    let (ours, others) = (Encryption::generate(), Encryption::generate());
    let both = ours.clone().also_reading(others.identity_file().expose()).unwrap();
    assert_eq!(both.recipients(), ours.recipients());
    let store = memory();
    let parts = sources(&[("a", b"x")]);
    open(&store, Some(&others)).create(&context(), &request("one", 1), &parts).await.unwrap();
    let back = Shelf::default();
    open(&store, Some(&both)).restore(&context(), &all("one"), &back).await.unwrap();
    assert_eq!(back.get("a"), Some(b"x".to_vec()));
    assert!(ours.also_reading("nonsense").is_err());
}
