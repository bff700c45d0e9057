//! Backups of databases on a Render with a memory.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Effect, Error, ErrorKind, Result,
    backup::{BackupRequest, BackupStore as _, Selection},
    error::Chain,
    memory,
    name::{BackupId, RunId},
};
use ultrai_deploy_hosted::backups::{BackupStore, Snapshots as _};
use ultrai_deploy_render::{Config, Databases};
use ultrai_deploy_testkit::server::{Answer, Request};

use crate::{
    contract::{self, Contract},
    rig::{BASE, Rig},
};

const SECRET: &str = "hunter2hunter2";
/// Render's clock; that of the machine that asks is a day ahead.
const DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";
const NOW: &str = "2026-01-02T03:04:05Z";
const AHEAD: &str = "2026-01-03T03:04:05Z";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Manners {
    #[default]
    Good,
    /// A new database does not come up.
    RecoveryFails,
    /// It makes a new database, and a gateway says that it failed.
    AnswerLost,
    /// An export does not end.
    ExportHangs,
    /// It does not tell the time.
    Timeless,
}

#[derive(Debug, Default)]
struct World {
    manners: Manners,
    recovery: &'static str,
    starts_at: &'static str,
    /// Name, and how many looks it is away from being available.
    databases: Vec<(String, u32)>,
    /// Id, when, and how many looks it is away from having a link.
    exports: Vec<(String, &'static str, u32)>,
    posts: Vec<String>,
}

impl World {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.path.strip_prefix(BASE).unwrap();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if request.method == "POST" {
            self.posts.push(path.to_owned());
        }
        let (status, body) = match (request.method.as_str(), path) {
            ("GET", "/postgres") => (200, self.named(query)),
            ("GET", "/postgres/dpg-0/recovery") => {
                (200, json!({ "recoveryStatus": self.recovery, "startsAt": self.starts_at }))
            }
            ("GET", "/postgres/dpg-1/recovery") => {
                (200, json!({ "recoveryStatus": "NOT_AVAILABLE" }))
            }
            ("POST", "/postgres/dpg-0/recovery") => self.recover(request),
            ("GET", "/postgres/dpg-0/export" | "/postgres/dpg-1/export") => (200, self.exported()),
            ("POST", "/postgres/dpg-0/export" | "/postgres/dpg-1/export") => {
                self.exports.push(("exp-own".to_owned(), "2026-01-02T03:04:06Z", 3));
                (202, Value::Null)
            }
            ("GET", path) => (200, self.database(path.strip_prefix("/postgres/dpg-").unwrap())),
            other => panic!("{other:?} is not expected"),
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = Answer::json(status, body);
        if self.manners == Manners::Timeless { answer } else { answer.with_header("Date", DATE) }
    }

    fn named(&self, query: &str) -> Value {
        let all = self.databases.iter().enumerate();
        let found = all.filter(|(_, (name, _))| query.contains(&format!("name={name}&")));
        let row = |(number, (name, _)): (usize, &(String, u32))| {
            let database =
                json!({ "id": format!("dpg-{number}"), "name": name, "status": "creating" });
            json!({ "cursor": format!("c{number}"), "postgres": database })
        };
        found.map(row).collect()
    }

    fn database(&mut self, number: &str) -> Value {
        let (name, left) = &mut self.databases[number.parse::<usize>().unwrap()];
        *left = left.saturating_sub(1);
        let failed = self.manners == Manners::RecoveryFails && number != "0";
        let status = match left {
            0 if failed => "recovery_failed",
            0 => "available",
            1 => "recovery_in_progress",
            _ => "warming_up",
        };
        let owner = json!({ "id": "tea-1", "name": "n", "email": "e", "type": "team" });
        json!({ "id": format!("dpg-{number}"), "name": name, "status": status, "owner": owner })
    }

    fn recover(&mut self, request: &Request) -> (u16, Value) {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["restoreTime"], NOW);
        self.databases.push((body["restoreName"].as_str().unwrap().to_owned(), 4));
        let number = (self.databases.len() - 1).to_string();
        match self.manners {
            Manners::AnswerLost => (502, json!({ "message": "bad gateway" })),
            _ => (200, self.database(&number)),
        }
    }

    fn exported(&mut self) -> Value {
        let hangs = self.manners == Manners::ExportHangs;
        let rows = self.exports.iter_mut().map(|(id, at, left)| {
            *left = left.saturating_sub(u32::from(!hangs));
            let url = (*left == 0).then(|| format!("https://example.com/{SECRET}/{id}"));
            json!({ "id": id, "createdAt": at, "url": url })
        });
        rows.collect()
    }
}

struct Render {
    rig: Rig,
    world: Arc<Mutex<World>>,
    store: BackupStore,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Render {
    async fn new(manners: Manners, recovery: &'static str) -> Self {
        Self::keeping(manners, recovery, &["db"]).await
    }

    async fn keeping(manners: Manners, recovery: &'static str, names: &[&str]) -> Self {
        let databases = vec![("db".to_owned(), 0), ("twin".to_owned(), 0), ("twin".to_owned(), 0)];
        let starts_at = "2026-01-01T00:00:00Z";
        let world = World { manners, recovery, starts_at, databases, ..World::default() };
        let world = Arc::new(Mutex::new(world));
        let answering = Arc::clone(&world);
        let rig = Rig::answering(move |request| answering.lock().unwrap().answer(request)).await;
        let databases = Databases::new(rig.client.clone(), config(), names.iter().copied());
        let databases = databases.unwrap();
        let inner = Arc::<memory::BackupStore>::default();
        let store = BackupStore::new(inner, Arc::new(databases));
        Self { rig, world, store, notes: Arc::default() }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn cx(&self) -> Context {
        let key = self.rig.cx.key().clone();
        let log = Arc::new(log::Notes(Arc::clone(&self.notes)));
        Context::new(self.rig.cx.target().clone(), key, log).with_timeout(Duration::from_mins(1))
    }

    async fn create(&self, cx: &Context) -> Result<()> {
        let request = BackupRequest {
            id: one(),
            target: cx.target().clone(),
            run: RunId::generate(),
            at: AHEAD.parse().unwrap(),
            release: None,
            version: None,
            reason: "test".to_owned(),
        };
        self.store.create(cx, &request, &[]).await.map(drop)
    }

    async fn verify(&self) -> Result<()> {
        self.store.verify(self.rig.cx.target(), &one()).await
    }

    async fn restore(&self) -> Result<String> {
        let restored = self.store.restore_objects(&self.cx(), &one(), &[]).await?;
        Ok(restored[0].told.clone())
    }

    /// Everything that was asked is what Render describes.
    fn checked(&self) {
        if contract::is_left_out() {
            return;
        }
        let contract = Contract::read();
        let requests = self.rig.requests();
        let problems: Vec<_> = requests.iter().flat_map(|one| contract.problems(one)).collect();
        assert!(problems.is_empty(), "{problems:#?}");
        println!("{} requests of a backup are as Render describes them", requests.len());
    }
}

mod log {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use serde_json::Value;
    use ultrai_deploy_core::{
        Result,
        context::{EffectLog, Key},
        error::Failure,
    };

    #[derive(Debug)]
    pub(super) struct Notes(pub(super) Arc<Mutex<Vec<String>>>);

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
}

fn config() -> Config {
    let (pause, lag) = (Duration::from_millis(1), Duration::from_millis(10));
    Config { pause, lag, ..Config::default() }
}

fn one() -> BackupId {
    BackupId::new("one").unwrap()
}

fn shown(error: &Error) -> String {
    format!("{} {error:?} {:?}", Chain(error), error.evidence())
}

#[tokio::test]
async fn an_instant_by_renders_clock_is_kept_and_comes_back_as_a_new_database() {
    let render = Render::new(Manners::Good, "AVAILABLE").await;
    render.create(&render.cx()).await.unwrap();
    render.verify().await.unwrap();
    assert_eq!(render.world().posts, Vec::<String>::new(), "nothing has to be made");
    for _ in 0..2 {
        let told = render.restore().await.unwrap();
        let words = ["database db", NOW, "new database db-one (dpg-3)", "pointed at the new one"];
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
    assert_eq!(render.world().posts, ["/postgres/dpg-0/recovery"], "found by its name");
    assert_eq!(render.world().databases[3].1, 0, "waited for");
    render.checked();

    // Render keeps some days.
    render.world().starts_at = "2026-01-02T03:04:06Z";
    for error in [render.verify().await.unwrap_err(), render.restore().await.map(drop).unwrap_err()]
    {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Corrupt, Effect::None), "{error}");
    }
    render.world().databases.truncate(3);
    render.store.delete(render.rig.cx.target(), &one()).await.unwrap();
    assert_eq!(render.world().posts.len(), 1);
}

#[tokio::test]
async fn without_renders_clock_it_is_the_time_of_the_request() {
    let render = Render::new(Manners::Timeless, "AVAILABLE").await;
    render.create(&render.cx()).await.unwrap();
    render.world().starts_at = AHEAD;
    render.verify().await.unwrap();
    render.world().starts_at = "2026-01-03T03:04:06Z";
    assert_eq!(render.verify().await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn an_export_is_made_where_there_is_no_recovery_and_people_load_it() {
    for recovery in ["BACKUP_NOT_READY", "NOT_AVAILABLE", "SOON"] {
        let render = Render::new(Manners::Good, recovery).await;
        // Somebody else's: one that is over, one that is done before ours is, and began before it.
        let others = [("exp-old", "2025-12-01T00:00:00Z", 0), ("exp-1", "2026-01-02T03:04:04Z", 2)];
        render.world().exports = others.map(|(id, at, left)| (id.to_owned(), at, left)).into();
        render.create(&render.cx()).await.unwrap();
        assert_eq!(render.world().posts, ["/postgres/dpg-0/export"]);
        let notes = render.notes.lock().unwrap().clone();
        assert!(notes[0].contains(recovery) && notes[0].contains("exported instead"), "{notes:?}");
        render.verify().await.unwrap();
        let error = render.restore().await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
        let text = shown(&error);
        assert!(text.contains("(exp-own)") && text.contains("pg_restore"), "{text}");
        assert!(!text.contains(SECRET), "{text}");
        let backups = render.store.list(render.rig.cx.target()).await.unwrap();
        assert_eq!(
            (&*backups[0].parts[0].source, &*backups[0].parts[0].name),
            ("render-postgres", "db")
        );
        render.checked();

        render.world().exports.clear();
        assert_eq!(render.verify().await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn nothing_is_restored_where_a_part_of_it_is_left_to_people() {
    let render = Render::keeping(Manners::Good, "AVAILABLE", &["db", "dpg-1"]).await;
    render.create(&render.cx()).await.unwrap();
    assert_eq!(render.world().posts, ["/postgres/dpg-1/export"]);
    let error = render.restore().await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    let source = render.store.source(render.rig.cx.target(), &one());
    let all = Selection::all(render.rig.cx.target().clone(), one());
    let error = render.store.restore(&render.cx(), &all, &source).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    assert_eq!(render.world().posts.len(), 1);
    render.store.restore_objects(&render.cx(), &one(), &["db"]).await.unwrap();
    assert_eq!(render.world().posts.len(), 2);
}

#[tokio::test]
async fn an_export_that_does_not_end_makes_no_backup() {
    let render = Render::new(Manners::ExportHangs, "NOT_AVAILABLE").await;
    let cx = render.cx().with_timeout(Duration::from_millis(300));
    let error = render.create(&cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(render.store.list(cx.target()).await.unwrap(), []);
    assert_eq!(render.world().posts, ["/postgres/dpg-0/export"]);
}

#[tokio::test]
async fn a_recovery_that_fails_or_is_not_answered_is_looked_for() {
    let render = Render::new(Manners::RecoveryFails, "AVAILABLE").await;
    render.create(&render.cx()).await.unwrap();
    for _ in 0..2 {
        let error = render.restore().await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert!(error.to_string().contains("into db-one (dpg-3) failed"), "{error}");
    }
    assert_eq!(render.world().posts.len(), 1);

    let render = Render::new(Manners::AnswerLost, "AVAILABLE").await;
    render.create(&render.cx()).await.unwrap();
    assert!(render.restore().await.unwrap().contains("db-one (dpg-3)"));
    assert_eq!(render.world().posts.len(), 1, "sent once");
    render.world().databases.push(("db-one".to_owned(), 0));
    let error = render.restore().await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
    assert!(error.to_string().contains("dpg-3, dpg-4"), "{error}");
}

#[tokio::test]
async fn a_name_means_one_database_and_disks_are_refused_before_anything_is_asked() {
    let render = Render::new(Manners::Good, "AVAILABLE").await;
    let databases =
        |name: &str| Databases::new(render.rig.client.clone(), config(), [name.to_owned()]);
    let error = databases("dsk-1").unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    assert_eq!(render.rig.requests().len(), 0);
    for (name, words) in [("twin", "dpg-1, dpg-2"), ("none", "no database")] {
        let error = databases(name).unwrap().objects(&render.cx()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(words), "{error}");
    }
    let found = databases("dpg-1").unwrap().objects(&render.cx()).await.unwrap();
    assert_eq!((&*found[0].id, &*found[0].name), ("dpg-1", "twin"));
}
