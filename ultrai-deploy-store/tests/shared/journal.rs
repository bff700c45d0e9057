//! What a journal leaves in the store, and what it makes of damage.

use std::sync::Arc;

use object_store::{ObjectStore, memory::InMemory, path::Path};
use ultrai_deploy_core::{
    Ending,
    error::ErrorKind,
    journal::{Event, Journal as _, Record},
    lease::Fence,
    name::RunId,
};
use ultrai_deploy_store::Journal;

use crate::{delete, names, read, target, write};

fn record(seq: u64, event: Event) -> Record {
    Record { seq, at: jiff::Timestamp::UNIX_EPOCH, fence: Fence(1), event }
}

fn note(seq: u64) -> Record {
    record(seq, Event::Note { message: format!("note {seq}") })
}

fn ended(seq: u64) -> Record {
    record(seq, Event::Ended { ending: Ending::Succeeded { changed: true } })
}

fn journal(store: &Arc<dyn ObjectStore>) -> Journal {
    Journal::new(Arc::clone(store), &Path::default(), &target())
}

/// A store with one run of these records.
async fn written(records: &[Record]) -> (Arc<dyn ObjectStore>, RunId) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let run = RunId::new("a").unwrap();
    for record in records {
        journal(&store).append(&run, record).await.unwrap();
    }
    (store, run)
}

#[tokio::test]
async fn a_run_that_ended_is_read_at_once() {
    let mut records = vec![note(1), note(2), note(3), ended(4)];
    let (store, run) = written(&records).await;
    let gathered = "records/a/through-0000000004";
    assert!(names(&store).await.contains(&gathered.to_owned()));
    // It is read from there: what is not there is not missed.
    delete(&store, "records/a/0000000002").await;
    assert_eq!(journal(&store).load(&run).await.unwrap(), records);
    // A run that was stuck goes on.
    records.extend([note(5), ended(6)]);
    for record in &records[4..] {
        journal(&store).append(&run, record).await.unwrap();
    }
    assert_eq!(journal(&store).load(&run).await.unwrap(), records);
    assert!(names(&store).await.contains(&"records/a/through-0000000006".to_owned()));
    let error = journal(&store).append(&run, &note(6)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_removal_leaves_nothing_and_the_next_one_sweeps() {
    let (store, run) = written(&[note(1), note(2), ended(3)]).await;
    // Cut off after its first step.
    delete(&store, "runs/a").await;
    assert_eq!(journal(&store).runs().await.unwrap(), []);
    assert_eq!(journal(&store).load(&run).await.unwrap_err().kind(), ErrorKind::NotFound);
    let other = RunId::new("b").unwrap();
    journal(&store).append(&other, &note(1)).await.unwrap();
    journal(&store).remove(&RunId::new("c").unwrap()).await.unwrap();
    assert_eq!(names(&store).await, ["runs/b"]);
}

#[tokio::test]
async fn damage_is_told_with_its_object() {
    let names = ["runs/a", "records/a/0000000002", "records/a/0000000003"];
    for (at, name) in names.into_iter().enumerate() {
        let (store, run) = written(&[note(1), note(2), note(3)]).await;
        let mut bytes = read(&store, name).await;
        *bytes.last_mut().unwrap() ^= 1;
        write(&store, name, bytes).await;
        let error = journal(&store).load(&run).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(name), "{error}");
        // In another's place, whole as it is.
        let (store, run) = written(&[note(1), note(2), note(3)]).await;
        let moved = read(&store, names[(at + 1) % 3]).await;
        write(&store, name, moved).await;
        let error = journal(&store).load(&run).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    let (store, run) = written(&[note(1), note(2), note(3)]).await;
    delete(&store, names[1]).await;
    let error = journal(&store).load(&run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(names[1]), "{error}");
}

#[tokio::test]
async fn a_newer_format_is_told() {
    let (store, run) = written(&[note(1)]).await;
    let text = String::from_utf8(read(&store, "runs/a").await).unwrap();
    let newer = text.replacen("ultrai-deploy 1 ", "ultrai-deploy 2 ", 1);
    write(&store, "runs/a", newer.into_bytes()).await;
    let error = journal(&store).load(&run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
