//! Backups that are kept in two places at once.

mod crashes;
mod odd;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    backup::{BackupRequest, BackupSource, BackupStore as _, Content, PartStream, Selection},
    clock::Clock,
    context::{EffectLog, Key},
    error::{Chain, Failure},
    memory,
    name::{BackupId, EnvironmentName, ProjectName, RunId, Target},
};
use ultrai_deploy_hosted::backups::BackupStore;
use ultrai_deploy_testkit::conformance::{self, Named};

use crate::attic::{Attic, Habits, Mortal};

/// Longer than anything takes that ends.
const LONG: Duration = Duration::from_hours(1);

#[derive(Debug)]
struct Home {
    attic: Attic,
    store: BackupStore,
    notes: Arc<Notes>,
}

impl Home {
    fn new(habits: Habits) -> Self {
        Self::over(Attic::new(habits, &["db", "files"]))
    }

    fn over(attic: Attic) -> Self {
        let inner = Arc::<memory::BackupStore>::default();
        let steps = attic.steps.clone();
        let store = BackupStore::new(Arc::new(Mortal { inner, steps }), Arc::new(attic.clone()));
        let store = store.with_clock(Arc::new(attic.clone()));
        Self { attic, store, notes: Arc::default() }
    }

    fn cx(&self) -> Context {
        let key = Key { run: RunId::generate(), step: "backup".to_owned(), attempt: 1 };
        Context::new(target(), key, Arc::clone(&self.notes) as _).with_timeout(LONG)
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.store.create(&self.cx(), &self.request(name), &[]).await.map(drop)
    }

    fn request(&self, name: &str) -> BackupRequest {
        BackupRequest {
            id: id(name),
            target: target(),
            run: RunId::generate(),
            at: self.attic.now(),
            release: None,
            version: None,
            reason: "test".to_owned(),
        }
    }

    async fn restore(&self, name: &str) -> Result<()> {
        let source = self.store.source(&target(), &id(name));
        self.store.restore(&self.cx(), &all(name), &source).await.map(drop)
    }

    async fn verify(&self, name: &str) -> Result<()> {
        self.store.verify(&target(), &id(name)).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.store.delete(&target(), &id(name)).await
    }

    async fn listed(&self) -> Vec<String> {
        let backups = self.store.list(&target()).await.unwrap();
        backups.iter().map(|backup| backup.request.id.to_string()).collect()
    }

    /// Dies at a step of `work`; whether it came to an end before.
    async fn die_at(&self, step: usize, work: impl Future<Output = Result<()>>) -> bool {
        self.attic.steps.stop_at(Some(step));
        let has_ended = tokio::select! {
            ended = work => {
                ended.unwrap();
                true
            }
            () = self.attic.steps.died() => false,
        };
        self.attic.steps.stop_at(None);
        has_ended
    }
}

impl Clock for Attic {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn taken(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl EffectLog for Notes {
    async fn begin(&self, _: &Key, _: &str, _: &str, _: Value) -> Result<u64> {
        Ok(0)
    }
    async fn end(&self, _: &Key, _: u64, _: Result<Value, Failure>) -> Result<()> {
        Ok(())
    }
    async fn guard(&self) -> Result<()> {
        Ok(())
    }
    async fn note(&self, message: &str) -> Result<()> {
        self.0.lock().unwrap().push(message.to_owned());
        Ok(())
    }
}

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("test").unwrap())
}

fn all(name: &str) -> Selection {
    Selection::all(target(), id(name))
}

fn id(name: &str) -> BackupId {
    BackupId::new(name).unwrap()
}

fn label(object: &str, name: &str) -> String {
    format!("{object} ultrai shop/test {name}")
}

#[track_caller]
fn kind(result: Result<()>) -> (ErrorKind, String) {
    let error = result.unwrap_err();
    (error.kind(), Chain(&error).to_string())
}

#[tokio::test(start_paused = true)]
async fn it_conforms_whatever_the_platform_keeps() {
    let (mut untold, mut unlabelled) = (Habits::default(), Habits::default());
    untold.tells_state = false;
    unlabelled.manners.has_labels = false;
    for objects in [&[][..], &["db", "files"][..]] {
        for habits in [Habits::default(), untold, unlabelled] {
            let stores = Named::<memory::BackupStore>::default();
            let attic = Attic::new(habits, objects);
            let cases = conformance::backup_store(|name| {
                let (inner, attic) = (stores.open(name), attic.clone());
                let store = BackupStore::new(Arc::new(inner), Arc::new(attic.clone()));
                Arc::new(store.with_clock(Arc::new(attic)))
            })
            .await;
            println!("backup store conformance, hosted, {objects:?}: {cases} cases");
            assert!(cases > 10, "only {cases} cases ran");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_names_whole_snapshots_that_stay_and_brings_them_back() {
    let home = Home::new(Habits::default());
    home.create("one").await.unwrap();
    assert_eq!(home.attic.labels(), [label("db", "one"), label("files", "one")]);
    assert_eq!(home.attic.calls(), ["begin db", "keep s1", "begin files", "keep s2"]);
    let backup = home.store.list(&target()).await.unwrap().remove(0);
    let parts: Vec<_> = backup.parts.iter().map(|part| (&*part.source, &*part.name)).collect();
    assert_eq!(parts, [("attic", "db"), ("attic", "files")]);
    assert!(backup.parts.iter().all(|part| part.size > 0 && part.sha256.len() == 64));

    tokio::time::advance(Duration::from_hours(1000)).await;
    home.verify("one").await.unwrap();
    home.attic.fill_all(2);
    for _ in 0..2 {
        home.restore("one").await.unwrap();
    }
    assert_eq!((home.attic.content("db"), home.attic.content("files")), (1, 1));
    assert!(home.notes.taken().contains(&"db is back".to_owned()), "{:?}", home.notes);
}

#[tokio::test(start_paused = true)]
async fn one_object_comes_back_and_no_data_does_for_another_source() {
    let home = Home::new(Habits::default());
    home.create("one").await.unwrap();
    home.attic.fill_all(2);
    let other = memory_source();
    home.store.restore(&home.cx(), &all("one"), other.as_ref()).await.unwrap();
    assert_eq!((home.attic.content("db"), home.attic.content("files")), (2, 2));

    let restored = home.store.restore_objects(&home.cx(), &id("one"), &["files"]).await.unwrap();
    assert_eq!(
        (restored[0].object.as_str(), restored[0].told.as_str()),
        ("files", "files is back")
    );
    assert_eq!((home.attic.content("db"), home.attic.content("files")), (2, 1));
    let unknown = home.store.restore_objects(&home.cx(), &id("one"), &["cache"]).await;
    let error = unknown.unwrap_err();
    assert_eq!((error.kind(), error.advice()), (ErrorKind::NotFound, Some("it has db, files")));

    // A source that could not be told from the platform's is refused before anything is begun.
    let before = home.attic.calls().len();
    let refused = home.store.create(&home.cx(), &home.request("two"), &[Arc::new(Twin)]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(home.attic.calls().len(), before);
}

/// A source that is called as the platform, with parts of its own.
#[derive(Debug)]
struct Twin;

#[async_trait]
impl BackupSource for Twin {
    fn name(&self) -> &'static str {
        "attic"
    }
    fn content(&self) -> Content {
        Content::Data
    }

    fn holds_secrets(&self) -> bool {
        false
    }

    async fn parts(&self, _: &Context) -> Result<Vec<String>> {
        Ok(vec!["other".to_owned()])
    }
    async fn read(&self, _: &Context, _: &str) -> Result<PartStream> {
        Ok(Box::pin(tokio::io::empty()))
    }
    async fn restore(&self, _: &Context, _: &str, _: PartStream) -> Result<()> {
        Ok(())
    }
}

fn memory_source() -> Arc<dyn BackupSource> {
    let releases = Arc::new(memory::ReleaseStore::default());
    Arc::new(ultrai_deploy_core::release_backup::ReleaseSource::new(releases))
}
