//! One step of `side-by-side/backups`: makes the data, changes it, takes a backup of it, restores it.
//!
//! Each step is a process of its own, so that its peak memory is its own, too.
#![expect(clippy::print_stdout, reason = "a bench prints numbers")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

mod data;
mod tree;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context,
    backup::{BackupRequest, BackupSource, BackupStore as _, Selection},
    name::{BackupId, EnvironmentName, ProjectName, RunId, Target},
};
use ultrai_deploy_store::{backup::BackupStore, crypt::Encryption};

const USAGE: &str = "generate DIR MIB | change DIR | key FILE | create STORE ID DIR [KEY] | \
                     stream STORE ID MIB [KEY] | verify STORE ID [KEY] | restore STORE ID DIR [KEY]";

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let began = Instant::now();
    match words.as_slice() {
        ["generate", directory, size] => {
            data::generate(Path::new(directory), size.parse().unwrap());
        }
        ["change", directory] => data::change(Path::new(directory)),
        ["key", file] => {
            std::fs::write(file, Encryption::generate().identity_file().expose()).unwrap();
        }
        ["create", store, id, directory, key @ ..] => {
            create(store, key, id, Arc::new(tree::Tree(PathBuf::from(directory)))).await;
        }
        ["stream", store, id, size, key @ ..] => {
            create(store, key, id, Arc::new(tree::Endless(size.parse().unwrap()))).await;
        }
        ["verify", store, id, key @ ..] => {
            open(store, key).verify(&target(), &BackupId::new(*id).unwrap()).await.unwrap();
        }
        ["restore", store, id, directory, key @ ..] => {
            let tree = tree::Tree(PathBuf::from(directory));
            let all = Selection::all(target(), BackupId::new(*id).unwrap());
            let parts = open(store, key).restore(&context(), &all, &tree).await.unwrap();
            assert_eq!(parts.len(), 1);
        }
        _ => panic!("{USAGE}"),
    }
    println!("seconds {:.3}", began.elapsed().as_secs_f64());
    println!("peak_kib {}", peak());
}

async fn create(store: &str, key: &[&str], id: &str, source: Arc<dyn BackupSource>) {
    let request = BackupRequest {
        id: BackupId::new(id).unwrap(),
        target: target(),
        run: context().run().clone(),
        at: Timestamp::now(),
        release: None,
        version: None,
        reason: "bench".to_owned(),
    };
    open(store, key).create(&context(), &request, &[source]).await.unwrap();
}

fn open(store: &str, key: &[&str]) -> BackupStore {
    let disk = LocalFileSystem::new_with_prefix(store).unwrap().with_fsync(true);
    let key = key
        .first()
        .map(|file| Encryption::parse(&std::fs::read_to_string(file).unwrap(), &[]).unwrap());
    BackupStore::new(Arc::new(disk), "".into(), key)
}

fn target() -> Target {
    Target::new(ProjectName::new("bench").unwrap(), EnvironmentName::new("here").unwrap())
}

fn context() -> Context {
    Context::detached(target(), RunId::new("bench").unwrap())
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
