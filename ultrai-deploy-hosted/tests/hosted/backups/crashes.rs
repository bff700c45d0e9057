//! Whatever instant a process dies at.

use std::time::Duration;

use super::{Home, LONG, label};
use crate::attic::{Habits, WORK};

/// Dies at every step of taking a backup, and takes it once more.
#[tokio::test(start_paused = true)]
async fn whatever_instant_taking_dies_at_the_next_call_heals_it() {
    for (tells_work, tells_state, pause) in [
        (true, true, Duration::ZERO),
        (true, true, LONG),
        (true, false, Duration::ZERO),
        (false, true, Duration::ZERO),
    ] {
        let mut step = 0;
        loop {
            step += 1;
            let home = Home::new(Habits { tells_work, tells_state, ..Habits::default() });
            home.create("old").await.unwrap();
            home.attic.take_by_hand("db", Some("by hand"));
            let ended = home.die_at(step, home.create("one")).await;
            tokio::time::advance(pause).await;
            for name in home.listed().await {
                home.verify(&name).await.unwrap();
            }
            if ended {
                break;
            }
            home.create("one").await.unwrap();
            home.verify("one").await.unwrap();
            let mut labels = home.attic.labels();
            labels.sort();
            let expected = [
                "db by hand".to_owned(),
                label("db", "old"),
                label("db", "one"),
                label("files", "old"),
                label("files", "one"),
            ];
            assert_eq!(labels, expected, "step {step}");
            home.delete("one").await.unwrap();
            home.verify("old").await.unwrap();
            assert_eq!(home.attic.labels().len(), 3, "step {step}");
        }
        println!("taking a backup: {} steps to die at ({tells_work}, {tells_state})", step - 1);
        assert!(step > 20, "only {step} steps");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_instant_deleting_dies_at_no_manifest_promises_what_is_gone() {
    let mut step = 0;
    loop {
        step += 1;
        let home = Home::new(Habits::default());
        home.create("one").await.unwrap();
        let ended = home.die_at(step, home.delete("one")).await;
        if !home.listed().await.is_empty() {
            home.verify("one").await.unwrap();
        }
        home.delete("one").await.unwrap();
        assert_eq!(home.attic.labels(), Vec::<String>::new(), "step {step}");
        assert_eq!(home.listed().await, Vec::<String>::new());
        if ended {
            break;
        }
    }
    println!("deleting a backup: {} steps to die at", step - 1);
    assert!(step > 7, "only {step} steps");
}

#[tokio::test(start_paused = true)]
async fn whatever_instant_restoring_dies_at_it_can_be_done_again() {
    let mut step = 0;
    loop {
        step += 1;
        let home = Home::new(Habits::default());
        home.create("one").await.unwrap();
        home.attic.fill_all(2);
        let ended = home.die_at(step, home.restore("one")).await;
        home.restore("one").await.unwrap();
        assert_eq!((home.attic.content("db"), home.attic.content("files")), (1, 1));
        if ended {
            break;
        }
    }
    println!("restoring a backup: {} steps to die at", step - 1);
    assert!(step > 7, "only {step} steps");
}

/// What an earlier call made is taken up only while no whole backup has it.
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_the_same_label_is_found_again_and_surplus_goes() {
    let home = Home::new(Habits::default());
    for _ in 0..2 {
        home.attic.take_by_hand("db", Some("ultrai shop/test one"));
    }
    tokio::time::advance(WORK).await;
    home.attic.fill("db", 2);
    home.create("one").await.unwrap();
    assert_eq!(home.attic.calls(), ["keep s2", "begin files", "keep s3", "delete s1"]);
    home.create("one").await.unwrap();
    assert_eq!(home.attic.labels(), [label("db", "one"), label("files", "one")]);
    home.attic.fill("db", 3);
    home.restore("one").await.unwrap();
    assert_eq!(home.attic.content("db"), 2, "the second call begins anew");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_says_is_whole_is_taken_anew() {
    let home = Home::new(Habits { tells_state: false, ..Habits::default() });
    home.attic.take_by_hand("db", Some("ultrai shop/test one"));
    tokio::time::advance(WORK).await;
    home.create("one").await.unwrap();
    assert_eq!(home.attic.labels(), [label("db", "one"), label("files", "one")]);
    assert!(home.attic.calls().contains(&"delete s1".to_owned()), "{:?}", home.attic.calls());
}
