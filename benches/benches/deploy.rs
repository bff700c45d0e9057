//! What the engine adds to the disk's own time: a deploy through all stages on memory backends with
//! the file journal, beside plain synced appends of the very bytes that it wrote, and beside the same
//! appends handed to a thread that may block, one by one: no caller that keeps its own thread free can
//! do better than that.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has nothing to measure")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use ultrai_benches::{median, pipeline, shop, target};
use ultrai_deploy_core::{file, memory, name::RunId, pipeline::DeployRequest};

const ROUNDS: usize = 60;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (mut engine, mut raw, mut handed, mut memory) = (vec![], vec![], vec![], vec![]);
    let (mut ratios, mut to_handed) = (vec![], vec![]);
    let (mut records, mut bytes) = (0, 0);
    for round in 0..=ROUNDS {
        let state = tempfile::tempdir_in(base).unwrap();
        let opened = file::open(state.path(), &target("bench")).unwrap();
        let root = opened.root.clone();
        let (took, run) = upgrade(pipeline(opened.journal)).await;
        let written = fs::read(root.join(format!("runs/{run}.journal"))).unwrap();
        let (appended, appends) = append(&state.path().join("raw"), &written);
        let handed_over = hand_over(&state.path().join("handed"), &written).await;
        let (in_memory, _) = upgrade(pipeline(Arc::new(memory::Journal::default()))).await;
        if round == 0 {
            // Warms caches up.
            continue;
        }
        engine.push(millis(took));
        raw.push(millis(appended));
        handed.push(millis(handed_over));
        ratios.push(took.as_secs_f64() / appended.as_secs_f64());
        to_handed.push(took.as_secs_f64() / handed_over.as_secs_f64());
        memory.push(millis(in_memory));
        (records, bytes) = (appends, written.len());
    }
    println!("{ROUNDS} rounds in {}, medians", base.display());
    println!("records of an upgrade            {records:>10}  ({bytes} bytes)");
    println!("engine, file journal             {:>10.3} ms", median(engine));
    println!("the same bytes, appended, synced {:>10.3} ms", median(raw));
    println!("ratio                            {:>10.3}  (goal: 1.3)", median(ratios));
    println!("the same, each on another thread {:>10.3} ms", median(handed));
    println!("ratio                            {:>10.3}", median(to_handed));
    println!("engine, memory journal           {:>10.3} ms", median(memory));
}

/// The time of an upgrade, after a first deploy.
async fn upgrade(pipeline: ultrai_deploy_core::pipeline::Pipeline) -> (Duration, RunId) {
    pipeline.deploy(DeployRequest::new(shop("1.0.0"))).join().await.unwrap();
    let run = pipeline.deploy(DeployRequest::new(shop("1.1.0")));
    let began = Instant::now();
    let report = run.join().await.unwrap();
    let took = began.elapsed();
    assert!(report.ending.is_some_and(|ending| ending.as_str() == "succeeded"));
    (took, report.run)
}

/// The lines of a journal; the header goes with the first.
fn lines(written: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> =
        written.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let header = lines.remove(0);
    lines[0].splice(0..0, header);
    lines
}

/// Appends line by line to a new file, each synced.
fn append(path: &Path, written: &[u8]) -> (Duration, usize) {
    let lines = lines(written);
    let began = Instant::now();
    let mut file = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
    for line in &lines {
        file.write_all(line).unwrap();
        file.sync_data().unwrap();
    }
    (began.elapsed(), lines.len())
}

/// The same, each line on a thread that may block.
async fn hand_over(path: &Path, written: &[u8]) -> Duration {
    let lines = lines(written);
    let began = Instant::now();
    let mut file = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
    for line in lines {
        let append = move || {
            file.write_all(&line).unwrap();
            file.sync_data().unwrap();
            file
        };
        file = tokio::task::spawn_blocking(append).await.unwrap();
    }
    began.elapsed()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
