//! The state that hosts share, in memory and on local disk.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod journal;
mod lease;
mod location;
mod releases;
#[path = "../sealing/mod.rs"]
mod sealing;
mod suites;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use ultrai_deploy_core::name::{EnvironmentName, ProjectName, Target};

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

/// The names of all objects of the environment.
async fn names(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    let below = |path: &Path| path.to_string().strip_prefix("shop/staging/").unwrap().to_owned();
    let mut names: Vec<_> = all.iter().map(|object| below(&object.location)).collect();
    names.sort();
    names
}

async fn read(store: &Arc<dyn ObjectStore>, name: &str) -> Vec<u8> {
    let path = Path::from(format!("shop/staging/{name}"));
    store.get(&path).await.unwrap().bytes().await.unwrap().to_vec()
}

async fn write(store: &Arc<dyn ObjectStore>, name: &str, bytes: Vec<u8>) {
    let path = Path::from(format!("shop/staging/{name}"));
    store.put(&path, bytes.into()).await.unwrap();
}

async fn delete(store: &Arc<dyn ObjectStore>, name: &str) {
    store.delete(&Path::from(format!("shop/staging/{name}"))).await.unwrap();
}
