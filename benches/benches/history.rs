//! How fast a long history is read: what every start, status and query of it costs.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has nothing to measure")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{hint::black_box, path::Path, sync::Arc, time::Duration};

use tokio::time::Instant;
use ultrai_benches::{median, pipeline, shop, target};
use ultrai_deploy_core::{
    file,
    history::Query,
    journal::{Journal, Record},
    memory,
    name::RunId,
    pipeline::DeployRequest,
    state::State,
};

const RUNS: usize = 1_000;
const ROUNDS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    // Reading is from the page cache in any case; writing it needs no disk.
    let shared = Path::new("/dev/shm");
    let base = if shared.is_dir() { shared } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let state = tempfile::tempdir_in(base).unwrap();
    let journal = file::open(state.path(), &target("bench")).unwrap().journal;
    let records = records().await;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let run = RunId::generate();
        for record in &records {
            journal.append(&run, record).await.unwrap();
        }
        runs.push(run);
    }
    let pipeline = pipeline(Arc::clone(&journal) as _);

    let (mut replay, mut load, mut unfinished, mut history) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..RUNS {
            black_box(State::replay(black_box(&records)).unwrap());
        }
        replay.push(began.elapsed());

        let began = Instant::now();
        for run in &runs {
            black_box(journal.load(run).await.unwrap());
        }
        load.push(began.elapsed());

        let began = Instant::now();
        assert!(pipeline.unfinished().await.unwrap().is_none());
        unfinished.push(began.elapsed());

        let began = Instant::now();
        assert_eq!(pipeline.history(&Query::default()).await.unwrap().len(), RUNS);
        history.push(began.elapsed());
    }
    let total = RUNS * records.len();
    println!("{RUNS} runs of {} records, {ROUNDS} rounds, medians", records.len());
    for (what, times) in [
        ("replay, in memory", replay),
        ("read and check journal files", load),
        ("look for unfinished runs", unfinished),
        ("list the history", history),
    ] {
        let seconds = median(times.iter().map(Duration::as_secs_f64).collect());
        let rate = f64::from(u32::try_from(total).unwrap()) / seconds;
        println!("{what:<30} {:>9.1} ms {rate:>12.0} records/s", seconds * 1000.0);
    }
}

/// The records of an upgrade.
async fn records() -> Vec<Record> {
    let journal = memory::Journal::default();
    let pipeline = pipeline(Arc::new(journal.clone()));
    pipeline.deploy(DeployRequest::new(shop("1.0.0"))).join().await.unwrap();
    let report = pipeline.deploy(DeployRequest::new(shop("1.1.0"))).join().await.unwrap();
    journal.load(&report.run).await.unwrap()
}
