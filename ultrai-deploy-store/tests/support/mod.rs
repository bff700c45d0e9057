//! What the tests of the backup store share.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod faults;

use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use tokio::io::AsyncReadExt as _;
use ultrai_deploy_core::{
    Context,
    backup::{BackupRequest, BackupSource, Content, PartStream, Selection},
    error::{Error, ErrorKind, Result},
    name::{BackupId, EnvironmentName, ProjectName, RunId, Target},
};
use ultrai_deploy_store::{backup::BackupStore, crypt::Encryption};

pub fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

pub fn context() -> Context {
    Context::detached(target(), RunId::new("run").unwrap())
}

pub fn id(name: &str) -> BackupId {
    BackupId::new(name).unwrap()
}

pub fn all(name: &str) -> Selection {
    Selection::all(target(), id(name))
}

pub fn request(name: &str, second: i64) -> BackupRequest {
    BackupRequest {
        id: id(name),
        target: target(),
        run: RunId::new("run").unwrap(),
        at: Timestamp::constant(second, 0),
        release: None,
        version: None,
        reason: "test".to_owned(),
    }
}

pub fn open(store: &Arc<dyn ObjectStore>, encryption: Option<&Encryption>) -> BackupStore {
    BackupStore::new(Arc::clone(store), Path::from("kept"), encryption.cloned())
}

pub fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

/// Bytes that look random and are the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Every object below the environment, with its content.
pub async fn objects(store: &Arc<dyn ObjectStore>) -> BTreeMap<Path, Bytes> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut objects = BTreeMap::new();
    for object in listed {
        let content = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        objects.insert(object.location, content);
    }
    objects
}

pub async fn put(store: &Arc<dyn ObjectStore>, path: &Path, content: impl Into<Bytes>) {
    store.put(path, content.into().into()).await.unwrap();
}

/// A store in memory with these objects.
pub async fn memory_with(objects: &BTreeMap<Path, Bytes>) -> Arc<dyn ObjectStore> {
    let store = memory();
    for (path, content) in objects {
        put(&store, path, content.clone()).await;
    }
    store
}

pub async fn stored_bytes(store: &Arc<dyn ObjectStore>) -> usize {
    objects(store).await.values().map(Bytes::len).sum()
}

pub async fn packs(store: &Arc<dyn ObjectStore>) -> Vec<Path> {
    let is_pack = |path: &Path| path.as_ref().contains("/packs/");
    objects(store).await.into_keys().filter(is_pack).collect()
}

/// A source with its parts in memory, which counts what is given to it.
#[derive(Debug, Default)]
pub struct Shelf {
    pub parts: Mutex<BTreeMap<String, Vec<u8>>>,
    pub restored: Mutex<u32>,
    pub has_secrets: bool,
}

impl Shelf {
    pub fn new(parts: &[(&str, &[u8])]) -> Self {
        let parts = parts.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec()));
        Self { parts: Mutex::new(parts.collect()), ..Self::default() }
    }

    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.parts.lock().unwrap().get(name).cloned()
    }

    pub fn put(&self, name: &str, content: Vec<u8>) {
        self.parts.lock().unwrap().insert(name.to_owned(), content);
    }

    pub fn touched(&self) -> u32 {
        *self.restored.lock().unwrap()
    }
}

pub fn sources(parts: &[(&str, &[u8])]) -> Vec<Arc<dyn BackupSource>> {
    vec![Arc::new(Shelf::new(parts))]
}

#[async_trait]
impl BackupSource for Shelf {
    fn name(&self) -> &'static str {
        "files"
    }

    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        self.has_secrets
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(self.parts.lock().unwrap().keys().cloned().collect())
    }

    async fn read(&self, _: &Context, part: &str) -> Result<PartStream> {
        Ok(Box::pin(Cursor::new(self.get(part).unwrap())))
    }

    async fn restore(&self, _: &Context, part: &str, mut stream: PartStream) -> Result<()> {
        *self.restored.lock().unwrap() += 1;
        let mut content = Vec::new();
        let read = stream.read_to_end(&mut content).await;
        read.map_err(|error| Error::new(ErrorKind::Io, "restore", part).with_source(error))?;
        self.put(part, content);
        Ok(())
    }
}
