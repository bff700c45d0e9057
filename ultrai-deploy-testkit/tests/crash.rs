//! Processes that die within a record.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test panics, and counts its cases")]

use std::sync::Arc;

use jiff::Timestamp;
use ultrai_deploy_core::{
    file,
    journal::{Event, Journal, Record},
    lease::Fence,
    name::{EnvironmentName, ProjectName, RunId, Target},
};
use ultrai_deploy_testkit::{
    conformance::{self, Named},
    crash::{self, Death, Files, Paper, Tear, When},
};

const RECORDS: u64 = 5;

fn note(seq: u64) -> Record {
    let event = Event::Note { message: format!("record {seq}") };
    Record { seq, at: Timestamp::UNIX_EPOCH, fence: Fence(1), event }
}

async fn write(journal: &dyn Journal, run: &RunId, from: u64) {
    for seq in from..=RECORDS {
        journal.append(run, &note(seq)).await.unwrap();
    }
}

/// A process dies at each record; what is whole is found, and the next one goes on from there.
async fn each_record(when: When, open: impl Fn() -> Arc<dyn Tear>) -> usize {
    let open = &open;
    crash::every_point(when, |death| async move {
        let (run, disk) = (RunId::generate(), open());
        let journal = crash::Journal::tearing(disk, death.clone());
        if death.or(write(&journal, &run, 1)).await.is_none() {
            let (next, died_at) = (open(), death.points());
            let whole = if when == When::After { died_at } else { died_at - 1 };
            let found = match next.load(&run).await {
                Err(_) if when == When::Before && died_at == 1 => Vec::new(),
                found => found.unwrap(),
            };
            assert_eq!(found, (1..=whole).map(note).collect::<Vec<_>>(), "{when:?} {died_at}");
            if when == When::Torn {
                next.append(&run, &note(whole + 1)).await.unwrap_err();
                next.repair(&run).await.unwrap();
            }
            write(next.as_ref(), &run, whole + 1).await;
        }
        assert_eq!(open().load(&run).await.unwrap().len() as u64, RECORDS);
    })
    .await
}

#[tokio::test]
async fn a_journal_is_torn_at_each_record() {
    let root = tempfile::tempdir().unwrap();
    let target =
        Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("test").unwrap());
    let paper = Paper::default();
    let mut cases = 0;
    for when in [When::Before, When::Torn, When::After] {
        cases += each_record(when, || Arc::new(paper.clone())).await;
        let files = || Files::of(&file::open(root.path(), &target).unwrap());
        cases += each_record(when, || Arc::new(files())).await;
    }
    println!("deaths at records: {cases} cases");
    assert_eq!(cases as u64, 6 * (RECORDS + 1));
}

#[tokio::test]
async fn paper_is_a_journal() {
    let stores = Named::<Paper>::default();
    let cases = conformance::journal(|name| Arc::new(stores.open(name))).await;
    println!("journal conformance, paper: {cases} cases");
    assert!(cases > 0);
}

#[test]
#[should_panic(expected = "can be torn")]
fn what_cannot_be_torn_is_refused() {
    let journal = Arc::new(ultrai_deploy_core::memory::Journal::default());
    let _journal = crash::Journal::new(journal, Death::at(1, When::Torn));
}
