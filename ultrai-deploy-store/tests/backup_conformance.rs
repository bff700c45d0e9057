//! What every backup store must do, over memory and local disk, encrypted and not.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{path::Path as FilePath, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory, path::Path};
use ultrai_deploy_core::backup;
use ultrai_deploy_store::{backup::BackupStore, crypt::Encryption};
use ultrai_deploy_testkit::conformance::{self, Named};

/// Cases of the suite, so that none is lost unseen.
const CASES: usize = 12;

fn disk(directory: &FilePath) -> Arc<dyn ObjectStore> {
    Arc::new(LocalFileSystem::new_with_prefix(directory).unwrap().with_fsync(true))
}

async fn in_memory(encryption: Option<Encryption>) {
    let stores = Named::<Arc<InMemory>>::default();
    let open = |name: &str| {
        let store = stores.open(name);
        Arc::new(BackupStore::new(store, Path::from("kept/here"), encryption.clone()))
            as Arc<dyn backup::BackupStore>
    };
    assert_eq!(conformance::backup_store(open).await, CASES);
}

async fn on_disk(encryption: Option<Encryption>) {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let prefix = Path::from(name);
        Arc::new(BackupStore::new(disk(directory.path()), prefix, encryption.clone()))
            as Arc<dyn backup::BackupStore>
    };
    assert_eq!(conformance::backup_store(open).await, CASES);
}

#[tokio::test(start_paused = true)]
async fn memory() {
    in_memory(None).await;
}

#[tokio::test(start_paused = true)]
async fn memory_encrypted() {
    in_memory(Some(Encryption::generate())).await;
}

#[tokio::test(start_paused = true)]
async fn local_disk() {
    on_disk(None).await;
}

#[tokio::test(start_paused = true)]
async fn local_disk_encrypted() {
    on_disk(Some(Encryption::generate())).await;
}
