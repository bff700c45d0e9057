//! What the engine adds to the disk's own time: a deploy through all stages on memory backends with
//! the file journal, beside plain synced appends of the very bytes that it wrote.

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
    let (mut engine, mut raw, mut ratios, mut memory) = (vec![], vec![], vec![], vec![]);
    let (mut records, mut bytes) = (0, 0);
    for round in 0..=ROUNDS {
        let state = tempfile::tempdir_in(base).unwrap();
        let opened = file::open(state.path(), &target("bench")).unwrap();
        let root = opened.root.clone();
        let (took, run) = upgrade(pipeline(opened.journal)).await;
        let written = fs::read(root.join(format!("runs/{run}.journal"))).unwrap();
        let (appended, appends) = append(&state.path().join("raw"), &written);
        let (in_memory, _) = upgrade(pipeline(Arc::new(memory::Journal::default()))).await;
        if round == 0 {
            // Warms caches up.
            continue;
        }
        engine.push(millis(took));
        raw.push(millis(appended));
        ratios.push(took.as_secs_f64() / appended.as_secs_f64());
        memory.push(millis(in_memory));
        (records, bytes) = (appends, written.len());
    }
    println!("{ROUNDS} rounds in {}, medians", base.display());
    println!("records of an upgrade            {records:>10}  ({bytes} bytes)");
    println!("engine, file journal             {:>10.3} ms", median(engine));
    println!("the same bytes, appended, synced {:>10.3} ms", median(raw));
    println!("ratio                            {:>10.3}  (goal: 1.3)", median(ratios));
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

/// Appends line by line to a new file, each synced; the header goes with the first.
fn append(path: &Path, written: &[u8]) -> (Duration, usize) {
    let mut lines: Vec<_> =
        written.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let header = lines.remove(0);
    lines[0].splice(0..0, header);
    let began = Instant::now();
    let mut file = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
    for line in &lines {
        file.write_all(line).unwrap();
        file.sync_data().unwrap();
    }
    (began.elapsed(), lines.len())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
