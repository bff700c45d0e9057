//! Journals.

use std::sync::Arc;

use futures_util::future::{join_all, poll_immediate};
use ultrai_deploy_core::{
    error::ErrorKind,
    journal::{Journal, Record},
    name::RunId,
};

use super::{
    Cases, fails, ok,
    sample::{note, record, run},
};

type Open<'a> = &'a dyn Fn(&str) -> Arc<dyn Journal>;

/// What every [`Journal`] must do. Returns how many cases ran.
///
/// # Panics
/// At the first case that fails.
pub async fn journal(open: impl Fn(&str) -> Arc<dyn Journal>) -> usize {
    let open: Open<'_> = &open;
    let mut cases = Cases::new("journal");
    cases.run("records come back in order", records_come_back_in_order(open)).await;
    cases.run("any text comes back", any_text_comes_back(open)).await;
    cases.run("an unknown run is not found", an_unknown_run_is_not_found(open)).await;
    cases.run("a number is used once", a_number_is_used_once(open)).await;
    cases.run("no number is left out", no_number_is_left_out(open)).await;
    cases.run("a higher fence ends a lower one", a_higher_fence_ends_a_lower_one(open)).await;
    cases.run("processes see each other", processes_see_each_other(open)).await;
    cases.run("one of many at once is first", one_of_many_at_once_is_first(open)).await;
    cases.run("a dropped append is whole or not", a_dropped_append_is_whole_or_not(open)).await;
    cases.run("runs are apart and in order", runs_are_apart_and_in_order(open)).await;
    cases.run("repair leaves good records", repair_leaves_good_records(open)).await;
    cases.run("a removed run is gone", a_removed_run_is_gone(open)).await;
    cases.ran
}

async fn fill(journal: &dyn Journal, run: &RunId, records: &[Record]) {
    for record in records {
        ok(journal.append(run, record).await);
    }
}

async fn records_come_back_in_order(open: Open<'_>) {
    let journal = open("order");
    let records: Vec<_> = (1..=20).map(|seq| record(seq, seq / 7)).collect();
    fill(&*journal, &run("a"), &records).await;
    assert_eq!(ok(journal.load(&run("a")).await), records);
    assert_eq!(ok(open("order").load(&run("a")).await), records);
}

async fn any_text_comes_back(open: Open<'_>) {
    let journal = open("text");
    let long = "long ".repeat(200_000);
    let texts = ["", "two\nlines\r\n", "\0\u{1}\u{2028}\"\\", "Grüße 🚀", long.as_str()];
    let records: Vec<_> = (1..).zip(texts).map(|(seq, text)| note(seq, 1, text)).collect();
    fill(&*journal, &run("a"), &records).await;
    assert_eq!(ok(open("text").load(&run("a")).await), records);
}

async fn an_unknown_run_is_not_found(open: Open<'_>) {
    let journal = open("unknown");
    fill(&*journal, &run("a"), &[record(1, 0)]).await;
    let message = fails(journal.load(&run("b")).await, ErrorKind::NotFound);
    assert!(message.contains("run b"), "{message}");
    fails(journal.repair(&run("b")).await, ErrorKind::NotFound);
}

async fn a_number_is_used_once(open: Open<'_>) {
    let journal = open("number");
    let records: Vec<_> = (1..=3).map(|seq| record(seq, 1)).collect();
    fill(&*journal, &run("a"), &records).await;
    fails(journal.append(&run("a"), &records[2]).await, ErrorKind::Conflict);
    fails(journal.append(&run("a"), &note(1, 9, "late")).await, ErrorKind::Conflict);
    assert_eq!(ok(journal.load(&run("a")).await), records);
}

async fn no_number_is_left_out(open: Open<'_>) {
    let journal = open("gap");
    fails(journal.append(&run("a"), &record(2, 0)).await, ErrorKind::Invalid);
    fails(journal.load(&run("a")).await, ErrorKind::NotFound);
    fill(&*journal, &run("a"), &[record(1, 0)]).await;
    fails(journal.append(&run("a"), &record(3, 0)).await, ErrorKind::Invalid);
    fill(&*journal, &run("a"), &[record(2, 0)]).await;
}

async fn a_higher_fence_ends_a_lower_one(open: Open<'_>) {
    let journal = open("fence");
    let records = [record(1, 0), record(2, 4), record(3, 7)];
    fill(&*journal, &run("a"), &records).await;
    fails(journal.append(&run("a"), &record(4, 4)).await, ErrorKind::Conflict);
    fails(open("fence").append(&run("a"), &record(4, 6)).await, ErrorKind::Conflict);
    assert_eq!(ok(journal.load(&run("a")).await), records);
    fill(&*journal, &run("a"), &[record(4, 7), record(5, 8)]).await;
}

async fn processes_see_each_other(open: Open<'_>) {
    let (one, other) = (open("processes"), open("processes"));
    fill(&*one, &run("a"), &[record(1, 1), record(2, 1)]).await;
    fill(&*other, &run("a"), &[record(3, 2)]).await;
    fails(one.append(&run("a"), &record(3, 1)).await, ErrorKind::Conflict);
    fails(one.append(&run("a"), &record(4, 1)).await, ErrorKind::Conflict);
    fill(&*other, &run("a"), &[record(4, 2)]).await;
    fill(&*one, &run("a"), &[record(5, 3)]).await;
    let expected = [record(1, 1), record(2, 1), record(3, 2), record(4, 2), record(5, 3)];
    assert_eq!(ok(other.load(&run("a")).await), expected);
}

async fn one_of_many_at_once_is_first(open: Open<'_>) {
    let id = run("a");
    for seq in 1..=5 {
        let attempts = (0..8_u64).map(|author| {
            let (journal, id) = (open("many"), &id);
            async move { journal.append(id, &note(seq, 1, &author.to_string())).await }
        });
        let (won, lost): (Vec<_>, Vec<_>) =
            join_all(attempts).await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "record {seq}");
        for result in lost {
            fails(result, ErrorKind::Conflict);
        }
    }
    assert_eq!(ok(open("many").load(&id).await).len(), 5);
}

async fn a_dropped_append_is_whole_or_not(open: Open<'_>) {
    let (journal, id) = (open("dropped"), run("a"));
    fill(&*journal, &id, &[record(1, 1)]).await;
    let (second, third) = (record(2, 1), record(3, 1));
    for next in [second, third] {
        // Polled once, then dropped as by a crash of the driver's task.
        let finished = poll_immediate(journal.append(&id, &next)).await.is_some();
        let found = ok(journal.load(&id).await);
        if found.last() != Some(&next) {
            assert!(!finished, "an append that returned is durable");
            assert_eq!(found.len() as u64, next.seq - 1);
            fill(&*journal, &id, &[next]).await;
        }
    }
    assert_eq!(ok(journal.load(&id).await), [record(1, 1), record(2, 1), record(3, 1)]);
}

async fn runs_are_apart_and_in_order(open: Open<'_>) {
    let journal = open("runs");
    assert_eq!(ok(journal.runs().await), []);
    let ids: Vec<_> = ["0191a", "0191c", "0191b"].map(run).into();
    for (fence, id) in (1..).zip(&ids) {
        fill(&*journal, id, &[record(1, fence), record(2, fence)]).await;
    }
    assert_eq!(ok(journal.runs().await), ["0191a", "0191b", "0191c"].map(run));
    assert_eq!(ok(journal.load(&ids[2]).await), [record(1, 3), record(2, 3)]);
}

async fn repair_leaves_good_records(open: Open<'_>) {
    let journal = open("repair");
    fill(&*journal, &run("a"), &[record(1, 1), record(2, 1)]).await;
    ok(journal.repair(&run("a")).await);
    ok(journal.repair(&run("a")).await);
    fill(&*journal, &run("a"), &[record(3, 1)]).await;
    assert_eq!(ok(journal.load(&run("a")).await).len(), 3);
}

async fn a_removed_run_is_gone(open: Open<'_>) {
    let journal = open("remove");
    for id in ["a", "b"] {
        fill(&*journal, &run(id), &[record(1, 1), record(2, 1)]).await;
    }
    ok(journal.remove(&run("a")).await);
    ok(journal.remove(&run("a")).await);
    ok(journal.remove(&run("c")).await);
    for journal in [&journal, &open("remove")] {
        assert_eq!(ok(journal.runs().await), [run("b")]);
        fails(journal.load(&run("a")).await, ErrorKind::NotFound);
        fails(journal.append(&run("a"), &record(3, 1)).await, ErrorKind::Invalid);
        assert_eq!(ok(journal.load(&run("b")).await), [record(1, 1), record(2, 1)]);
    }
    fill(&*journal, &run("b"), &[record(3, 1)]).await;
    fill(&*journal, &run("a"), &[record(1, 2)]).await;
    assert_eq!(ok(journal.load(&run("a")).await), [record(1, 2)]);
}
