//! A platform that fails, forgets, and says little.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use ultrai_deploy_core::{ErrorKind, backup::BackupStore as _, memory};
use ultrai_deploy_hosted::backups::BackupStore;

use super::{Home, LONG, id, kind, label, target};
use crate::attic::{Attic, Habits, Luck, WORK};

#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_is_lost_is_looked_for() {
    let home = Home::new(Habits { luck: Luck::AnswerLost, ..Habits::default() });
    home.create("one").await.unwrap();
    assert_eq!(home.attic.labels(), [label("db", "one"), label("files", "one")]);

    let home = Home::new(Habits { luck: Luck::RequestLost, ..Habits::default() });
    let (kind, text) = kind(home.create("one").await);
    assert_eq!(kind, ErrorKind::Timeout);
    assert!(text.contains("no answer came"), "{text}");
    assert_eq!(home.listed().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_fails_or_does_not_end_makes_no_backup() {
    let home = Home::new(Habits { luck: Luck::Fails, ..Habits::default() });
    let (failed, text) = kind(home.create("one").await);
    assert_eq!(failed, ErrorKind::Unavailable);
    assert!(text.contains("that of db failed: the shelf broke"), "{text}");
    assert_eq!(home.listed().await, Vec::<String>::new());

    for tells_work in [true, false] {
        let home = Home::new(Habits { luck: Luck::Hangs, tells_work, ..Habits::default() });
        let began = tokio::time::Instant::now();
        assert_eq!(kind(home.create("one").await).0, ErrorKind::Timeout);
        assert_eq!(began.elapsed(), LONG, "to its deadline and no longer");
        assert_eq!(home.listed().await, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn what_nothing_says_is_whole_makes_no_backup() {
    let habits = Habits { tells_work: false, tells_state: false, ..Habits::default() };
    let home = Home::new(habits);
    let (kind, text) = kind(home.create("one").await);
    assert_eq!(kind, ErrorKind::Timeout);
    assert!(text.contains("nothing tells whether it is whole"), "{text}");
    assert_eq!(home.listed().await, Vec::<String>::new());
}

/// Each tells which part is not there, and nothing is restored of the rest.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_gone_expired_or_partial_is_told() {
    let home = async || {
        let home = Home::new(Habits::default());
        home.create("one").await.unwrap();
        home.attic.fill_all(2);
        home
    };
    let refuses = async |home: Home, why: &str| {
        let objects = home.store.restore_objects(&home.cx(), &id("one"), &[]).await.map(drop);
        for refused in [home.verify("one").await, home.restore("one").await, objects] {
            let (kind, text) = kind(refused);
            assert_eq!(kind, ErrorKind::Corrupt, "{text}");
            assert!(text.contains("part files of attic in backup one"), "{text}");
            assert!(text.contains(why), "{text}");
        }
        assert_eq!(home.attic.content("db"), 2, "{why}: restored half");
        let db = home.store.restore_objects(&home.cx(), &id("one"), &["db"]).await;
        assert_eq!(db.unwrap().len(), 1);
    };
    let gone = home().await;
    gone.attic.forget("files");
    refuses(gone, "is gone from the platform").await;
    let gone = home().await;
    gone.attic.remove_object("files");
    let (kind_, text) = kind(gone.verify("one").await);
    assert_eq!(kind_, ErrorKind::Corrupt);
    assert!(text.contains("is gone with all that it was of"), "{text}");
    let expired = home().await;
    expired.attic.expire("files", expired.attic.now());
    refuses(expired, "expired at").await;
    let later = home().await;
    later.attic.expire("files", later.attic.now() + SignedDuration::from_secs(60));
    later.verify("one").await.unwrap();

    let partial = home().await;
    partial.attic.spoil("files");
    refuses(partial, "is not whole").await;
}

/// Without labels, ours is what came after the call, whoever asked for it.
#[tokio::test(start_paused = true)]
async fn without_labels_the_first_that_began_after_the_call_is_ours() {
    let mut habits = Habits { tells_work: false, keeps_for: None, ..Habits::default() };
    habits.manners.has_labels = false;
    let home = Home::over(Attic::new(habits, &["db"]));
    home.attic.fill("db", 7);
    // It began before, is not seen yet, and is done before ours is.
    home.attic.take_by_hand("db", None);
    tokio::time::advance(Duration::from_secs(1)).await;
    home.attic.fill("db", 8);
    home.create("one").await.unwrap();
    home.verify("one").await.unwrap();
    home.attic.fill("db", 9);
    home.restore("one").await.unwrap();
    assert_eq!(home.attic.content("db"), 8);
    home.create("one").await.unwrap();
    home.create("two").await.unwrap();
    home.delete("one").await.unwrap();
    home.verify("two").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_told_before_that_newer_snapshots_go() {
    let mut habits = Habits::default();
    habits.manners.restoring_deletes_newer = true;
    let home = Home::over(Attic::new(habits, &["db"]));
    home.create("one").await.unwrap();
    home.create("two").await.unwrap();
    home.restore("two").await.unwrap();
    assert_eq!(home.notes.taken(), ["db is back"]);
    home.restore("one").await.unwrap();
    let told = &home.notes.taken()[1];
    assert!(told.contains("deletes 1 newer snapshots") && told.ends_with("test two"), "{told}");
    assert_eq!(kind(home.verify("two").await).0, ErrorKind::Corrupt);
    home.verify("one").await.unwrap();
    home.delete("two").await.unwrap();
}

/// Only what is ours, of no backup, and old: others may be at work.
#[tokio::test(start_paused = true)]
async fn what_a_crash_left_goes_with_a_backup_that_is_deleted_later() {
    let home = Home::new(Habits::default());
    for left in ["ultrai shop/test lost", "ultrai shop/other lost", "Manual"] {
        home.attic.take_by_hand("db", Some(left));
    }
    home.create("old").await.unwrap();
    tokio::time::advance(Duration::from_hours(25)).await;
    home.attic.take_by_hand("db", Some("ultrai shop/test young"));
    tokio::time::advance(WORK).await;
    home.create("new").await.unwrap();
    home.delete("old").await.unwrap();
    assert_eq!(
        home.attic.labels(),
        [
            "db ultrai shop/other lost".to_owned(),
            "db Manual".to_owned(),
            label("db", "young"),
            label("db", "new"),
            label("files", "new"),
        ]
    );
    home.verify("new").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn listing_asks_the_platform_nothing() {
    let home = Home::new(Habits::default());
    let inner = Arc::<memory::BackupStore>::default();
    let store = BackupStore::new(inner, Arc::new(home.attic.clone()));
    // The platform does not answer any more.
    home.attic.steps.stop_at(Some(1));
    let listed = tokio::time::timeout(LONG, store.list(&target())).await;
    assert_eq!(listed.unwrap().unwrap(), []);
}
