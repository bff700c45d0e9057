//! Backups of volumes on a Railway with a memory.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod fake;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    Context, Effect, Error, ErrorKind, Result,
    backup::{BackupRequest, BackupStore as _},
    error::Chain,
    memory,
    name::{BackupId, EnvironmentName, ProjectName, RunId, Target},
};
use ultrai_deploy_hosted::backups::BackupStore;

use self::fake::{Backup, Manners, Railway, swap};

const LABEL: &str = "ultrai shop/production one";

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("production").unwrap())
}

fn cx() -> Context {
    Context::detached(target(), RunId::generate()).with_timeout(Duration::from_mins(1))
}

fn one() -> BackupId {
    BackupId::new("one").unwrap()
}

fn store(railway: &Railway) -> BackupStore {
    let inner = Arc::<memory::BackupStore>::default();
    BackupStore::new(inner, Arc::new(railway.volumes()))
}

async fn create(store: &BackupStore) -> Result<()> {
    let request = BackupRequest {
        id: one(),
        target: target(),
        run: RunId::generate(),
        at: "2026-11-21T12:00:00Z".parse().unwrap(),
        release: None,
        version: None,
        reason: "test".to_owned(),
    };
    store.create(&cx(), &request, &[]).await.map(drop)
}

/// A store with a backup, on a Railway that then behaves in this way.
async fn backed_up(manners: Manners) -> (Railway, BackupStore) {
    let railway = Railway::new().await;
    let store = store(&railway);
    create(&store).await.unwrap();
    {
        let mut world = railway.world();
        world.calls.clear();
        world.manners = manners;
    }
    (railway, store)
}

async fn restore(store: &BackupStore) -> Result<String> {
    let restored = store.restore_objects(&cx(), &one(), &[]).await?;
    Ok(restored[0].told.clone())
}

fn shown(error: &Error) -> String {
    format!("{} {error:?} {:?}", Chain(error), error.evidence())
}

#[tokio::test]
async fn a_volume_that_is_used_is_backed_up_locked_checked_and_deleted() {
    let railway = Railway::new().await;
    let store = store(&railway);
    create(&store).await.unwrap();
    let parts = store.list(&target()).await.unwrap().remove(0).parts;
    assert_eq!(parts.len(), 1, "the other volume is used by nothing");
    assert_eq!((&*parts[0].source, &*parts[0].name), ("railway-volumes", "volume-1-name"));
    {
        let world = railway.world();
        assert_eq!(world.calls, ["CreateBackup", "LockBackup b1"]);
        assert_eq!((world.backups[0].name.as_str(), &world.backups[0].expires), (LABEL, &None));
    }
    store.verify(&target(), &one()).await.unwrap();
    store.delete(&target(), &one()).await.unwrap();
    assert_eq!(railway.world().backups.len(), 0);
    store.delete(&target(), &one()).await.unwrap();
}

#[tokio::test]
async fn volumes_are_kept_by_name_where_names_are_given() {
    let railway = Railway::new().await;
    let objects = async |names: &[&str]| {
        use ultrai_deploy_hosted::backups::Snapshots as _;
        railway.volumes().only(names.iter().copied()).objects(&cx()).await
    };
    let found = objects(&["VOLUME-2-name", "instance-1"]).await.unwrap();
    let ids: Vec<_> = found.iter().map(|object| object.id.as_str()).collect();
    assert_eq!(ids, ["instance-2", "instance-1"]);
    // As after a restore: the one that is used is meant.
    railway.world().has_twin = true;
    let found = objects(&["volume-1-name"]).await.unwrap();
    assert_eq!((found.len(), &*found[0].id), (1, "instance-1"));
    railway.world().has_twin = false;
    let error = objects(&["cache"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("`volume-1-name`, `volume-2-name`"), "{error}");
}

#[tokio::test]
async fn a_backup_that_fails_is_none_and_says_why() {
    let railway = Railway::new().await;
    let store = store(&railway);
    railway.world().manners = Manners::Fails;
    let error = create(&store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    railway.world().manners = Manners::Refuses;
    let error = create(&store).await.unwrap_err();
    assert!(shown(&error).contains("Backup is too large"), "{}", shown(&error));
    assert!(error.advice().unwrap().contains("600 MB of 1000 MB"), "{error}");
    assert_eq!(store.list(&target()).await.unwrap(), []);
}

/// Railway does not tell whether a backup is whole: a workflow does.
#[tokio::test]
async fn one_that_a_dead_process_began_is_taken_anew_and_removed() {
    let railway = Railway::new().await;
    let store = store(&railway);
    let left =
        Backup { id: "b0".to_owned(), name: LABEL.to_owned(), expires: None, is_listed: true };
    let others = Backup { id: "mine".to_owned(), name: "Manual".to_owned(), ..left.clone() };
    railway.world().backups = vec![left, others];
    create(&store).await.unwrap();
    let world = railway.world();
    assert_eq!(world.calls, ["CreateBackup", "LockBackup b3", "DeleteBackup b0"]);
    let ids: Vec<_> = world.backups.iter().map(|backup| backup.id.as_str()).collect();
    assert_eq!(ids, ["mine", "b3"]);
}

#[tokio::test]
async fn a_restored_volume_takes_the_place_of_the_old_one() {
    for manners in [Manners::Good, Manners::IsSilent, Manners::Forgets] {
        let (railway, store) = backed_up(manners).await;
        let told = restore(&store).await.unwrap();
        for word in ["volume-1-name", "service-1", "volume-9", "backup one", "(volume-1) stays"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        let world = railway.world();
        assert_eq!(world.calls, ["RestoreBackup b1", "CommitStaged"], "{manners:?}");
        assert_eq!((&*world.mounted, &world.commits), ("volume-9", &vec![swap()]));
    }
}

#[tokio::test]
async fn what_a_person_staged_before_is_in_the_way_of_everything() {
    for staged in [
        json!({ "services": { "service-2": { "variables": { "KEY": { "value": "hunter2" } } } } }),
        swap(),
    ] {
        let (railway, store) = backed_up(Manners::Good).await;
        railway.world().staged = staged.clone();
        let error = restore(&store).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
        let place = if staged == swap() { "volumeMounts.volume-9" } else { "variables.KEY.value" };
        assert!(shown(&error).contains(place), "{}", shown(&error));
        assert!(!shown(&error).contains("hunter2"), "{}", shown(&error));
        let world = railway.world();
        assert_eq!((world.calls.len(), &world.staged), (0, &staged));
    }
}

#[tokio::test]
async fn what_a_person_stages_meanwhile_is_not_committed() {
    let (railway, store) = backed_up(Manners::Interrupted).await;
    let error = restore(&store).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::Unknown));
    let text = shown(&error);
    assert!(
        text.contains("left staged") && text.contains("service-2.variables.KEY.value"),
        "{text}"
    );
    assert!(!text.contains("volume-9") && !text.contains("hunter2"), "{text}");
    let world = railway.world();
    assert_eq!((world.commits.len(), &*world.mounted), (0, "volume-1"));
    assert_ne!(world.staged, json!({}), "it stays staged");
}

#[tokio::test]
async fn a_restore_that_does_not_come_about_says_how_far_it_is() {
    for (manners, kind, words) in [
        (Manners::Fails, ErrorKind::Unavailable, "the disk is gone"),
        (Manners::StagesNothing, ErrorKind::Timeout, "nothing is staged"),
        (Manners::CannotApply, ErrorKind::Unavailable, "the disk is gone"),
    ] {
        let (railway, store) = backed_up(manners).await;
        let error = restore(&store).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::Unknown), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(railway.world().mounted, "volume-1");
    }
    let (railway, store) = backed_up(Manners::Good).await;
    railway.world().mounted = String::new();
    let error = restore(&store).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
    assert_eq!(railway.world().calls.len(), 0);

    // Gone by hand.
    let (railway, store) = backed_up(Manners::Good).await;
    railway.world().backups.clear();
    let error = restore(&store).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Corrupt, Effect::None));
    assert_eq!(railway.world().calls.len(), 0);
}

/// Dies at every request of a restore, before and after Railway has done it, and tries once more.
#[tokio::test]
async fn whatever_instant_a_restore_dies_at_nothing_else_is_committed() {
    let (mut ended, mut refused, mut at) = (0, 0, 0);
    loop {
        at += 1;
        let mut is_over = false;
        for is_done in [false, true] {
            let (railway, store) = backed_up(Manners::Good).await;
            let died = {
                let mut world = railway.world();
                (world.asked, world.dies_at) = (0, Some((at, is_done)));
                Arc::clone(&world.died)
            };
            tokio::select! {
                restored = restore(&store) => {
                    restored.unwrap();
                    is_over = true;
                }
                () = died.notified() => {}
            }
            railway.world().dies_at = None;
            match restore(&store).await {
                Ok(told) => {
                    ended += 1;
                    assert!(told.contains("volume-9"), "{told}");
                    assert_eq!(railway.world().mounted, "volume-9");
                }
                // What is staged may be a person's: it is told, and left to one.
                Err(error) => {
                    refused += 1;
                    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
                    assert!(shown(&error).contains("an earlier attempt left"), "{error}");
                    assert_eq!(railway.world().staged, swap());
                }
            }
            assert!(railway.world().commits.iter().all(|commit| *commit == swap()));
            assert!(railway.world().commits.len() < 2, "{at}");
        }
        if is_over {
            break;
        }
    }
    println!("a restore dies: {ended} times the next one ends it, {refused} times it refuses");
    assert!(ended > 20 && refused > 0, "{ended}, {refused}");
}
