//! A platform in memory that keeps snapshots of what is on it, slowly and not always as asked.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::{sync::Notify, time::Instant};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    backup::{self, Backup, BackupRequest, BackupSource, Part, Selection},
    name::{BackupId, Target},
};
use ultrai_deploy_hosted::backups::{
    Asked, Begun, Manners, Object, Progress, Snapshot, Snapshots, State,
};

/// How long a snapshot takes to be made.
pub const WORK: Duration = Duration::from_secs(40);

/// How an attic behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    pub manners: Manners,
    /// It tells what a snapshot is followed with, and what becomes of that.
    pub tells_work: bool,
    /// It tells whether a snapshot is whole.
    pub tells_state: bool,
    /// What it makes goes by itself after this.
    pub keeps_for: Option<SignedDuration>,
    pub luck: Luck,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Luck {
    Good,
    /// What is begun fails.
    Fails,
    /// What is begun never ends.
    Hangs,
    /// The answer to a call is lost, and what it asked for is done.
    AnswerLost,
    /// The answer is lost, and nothing is done.
    RequestLost,
}

impl Default for Habits {
    fn default() -> Self {
        let lag = Duration::from_secs(5);
        let manners = Manners { has_labels: true, restoring_deletes_newer: false, lag };
        let keeps_for = Some(SignedDuration::from_hours(72));
        Self { manners, tells_work: true, tells_state: true, keeps_for, luck: Luck::Good }
    }
}

/// Stops a caller for good at one of its steps, as a crash does.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    taken: Arc<Mutex<(usize, Option<usize>)>>,
    died: Arc<Notify>,
}

impl Steps {
    pub fn stop_at(&self, step: Option<usize>) {
        *self.taken.lock().unwrap() = (0, step);
    }

    pub async fn step(&self) {
        let stops = {
            let mut steps = self.taken.lock().unwrap();
            steps.0 += 1;
            Some(steps.0) == steps.1
        };
        if stops {
            self.died.notify_one();
            pending::<()>().await;
        }
    }

    pub async fn died(&self) {
        self.died.notified().await;
    }
}

/// Clones are the same attic.
#[derive(Clone, Debug)]
pub struct Attic {
    pub habits: Habits,
    pub steps: Steps,
    began: Instant,
    rooms: Arc<Mutex<Rooms>>,
}

#[derive(Debug, Default)]
struct Rooms {
    /// What is in each object now.
    contents: BTreeMap<String, u32>,
    kept: Vec<Kept>,
    calls: Vec<String>,
    made: u32,
}

#[derive(Clone, Debug)]
struct Kept {
    object: String,
    id: String,
    label: Option<String>,
    content: u32,
    began: Instant,
    expires: Option<Timestamp>,
    fails: bool,
    hangs: bool,
}

impl Attic {
    pub fn new(habits: Habits, objects: &[&str]) -> Self {
        let contents = objects.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let rooms = Rooms { contents, ..Rooms::default() };
        let began = Instant::now();
        Self { habits, steps: Steps::default(), began, rooms: Arc::new(Mutex::new(rooms)) }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap()
    }

    pub fn fill(&self, object: &str, content: u32) {
        self.rooms().contents.insert(object.to_owned(), content);
    }

    pub fn fill_all(&self, content: u32) {
        self.rooms().contents.values_mut().for_each(|one| *one = content);
    }

    pub fn content(&self, object: &str) -> u32 {
        self.rooms().contents[object]
    }

    /// The labels of all snapshots, those that failed aside.
    pub fn labels(&self) -> Vec<String> {
        let rooms = self.rooms();
        let kept = rooms.kept.iter().filter(|one| !one.fails);
        kept.map(|one| format!("{} {}", one.object, one.label.as_deref().unwrap_or("-"))).collect()
    }

    /// The calls that change something.
    pub fn calls(&self) -> Vec<String> {
        self.rooms().calls.clone()
    }

    /// Somebody takes one by hand.
    pub fn take_by_hand(&self, object: &str, label: Option<&str>) -> String {
        self.make(object, label.map(str::to_owned))
    }

    pub fn forget(&self, object: &str) {
        self.rooms().kept.retain(|one| one.object != object);
    }

    /// What was whole is not any more.
    pub fn spoil(&self, object: &str) {
        let mut rooms = self.rooms();
        rooms.kept.iter_mut().filter(|one| one.object == object).for_each(|one| one.hangs = true);
    }

    pub fn remove_object(&self, object: &str) {
        self.rooms().contents.remove(object);
    }

    pub fn expire(&self, object: &str, at: Timestamp) {
        let mut rooms = self.rooms();
        rooms.kept.iter_mut().filter(|one| one.object == object).for_each(|one| {
            one.expires = Some(at);
        });
    }

    fn wall(&self, at: Instant) -> Timestamp {
        let since = SignedDuration::try_from(at - self.began).unwrap();
        Timestamp::constant(1_000_000, 0) + since
    }

    pub fn now(&self) -> Timestamp {
        self.wall(Instant::now())
    }

    fn make(&self, object: &str, label: Option<String>) -> String {
        let mut rooms = self.rooms();
        rooms.made += 1;
        let (id, began) = (format!("s{}", rooms.made), Instant::now());
        let expires = self.habits.keeps_for.map(|span| self.wall(began) + span);
        let content = rooms.contents[object];
        let (fails, hangs) = (self.habits.luck == Luck::Fails, self.habits.luck == Luck::Hangs);
        let object = object.to_owned();
        rooms.kept.push(Kept {
            object,
            id: id.clone(),
            label,
            content,
            began,
            expires,
            fails,
            hangs,
        });
        id
    }

    fn shown(&self, one: &Kept) -> Option<Snapshot> {
        let now = Instant::now();
        if one.fails || now < one.began + self.habits.manners.lag {
            return None;
        }
        let is_whole = !one.hangs && now >= one.began + WORK;
        let state = match (self.habits.tells_state, is_whole) {
            (false, _) => State::Untold,
            (true, true) => State::Whole,
            (true, false) => State::Partial,
        };
        Some(Snapshot {
            id: one.id.clone(),
            label: one.label.clone().filter(|_| self.habits.manners.has_labels),
            state,
            taken: Some(self.wall(one.began)),
            expires: one.expires,
            bytes: None,
        })
    }

    async fn change<T>(&self, call: String, work: impl FnOnce() -> T) -> T {
        self.steps.step().await;
        self.rooms().calls.push(call);
        let done = work();
        self.steps.step().await;
        done
    }

    fn lost() -> Error {
        Error::new(ErrorKind::Timeout, "call the attic", "no answer came")
    }
}

#[async_trait]
impl Snapshots for Attic {
    fn name(&self) -> &'static str {
        "attic"
    }

    async fn objects(&self, _: &Context) -> Result<Vec<Object>> {
        self.steps.step().await;
        let names = self.rooms().contents.keys().cloned().collect::<Vec<_>>();
        Ok(names.into_iter().map(|name| Object { id: name.clone(), name }).collect())
    }

    async fn begin(&self, _: &Context, object: &Object, asked: &Asked<'_>) -> Result<Begun> {
        if self.habits.luck == Luck::RequestLost {
            return Err(Self::lost());
        }
        let since = Some(self.now());
        let label = Some(asked.label.to_string());
        let call = format!("begin {}", object.name);
        let id = self.change(call, || self.make(&object.id, label)).await;
        if self.habits.luck == Luck::AnswerLost {
            return Err(Self::lost());
        }
        let handle = self.habits.tells_work.then_some(id);
        Ok(Begun::Work { handle, since })
    }

    async fn progress(&self, _: &Context, handle: &str) -> Result<Progress> {
        self.steps.step().await;
        let rooms = self.rooms();
        let one = rooms.kept.iter().find(|one| one.id == handle).unwrap();
        let now = Instant::now();
        Ok(match () {
            () if now < one.began + self.habits.manners.lag => Progress::Unknown,
            () if one.hangs || now < one.began + WORK => Progress::UnderWay,
            () if one.fails => Progress::Failed("the shelf broke".to_owned()),
            () => Progress::Done,
        })
    }

    async fn list(&self, _: &Context, object: &Object) -> Result<Vec<Snapshot>> {
        self.steps.step().await;
        let rooms = self.rooms();
        if !rooms.contents.contains_key(&object.id) {
            return Err(Error::new(ErrorKind::NotFound, "list", "no such object").without_effect());
        }
        let of_it = rooms.kept.iter().filter(|one| one.object == object.id);
        Ok(of_it.filter_map(|one| self.shown(one)).collect())
    }

    async fn find(&self, cx: &Context, object: &Object, id: &str) -> Result<Option<Snapshot>> {
        Ok(self.list(cx, object).await?.into_iter().find(|one| one.id == id))
    }

    async fn keep(&self, _: &Context, _: &Object, snapshot: &Snapshot) -> Result<()> {
        let keep = || {
            let mut rooms = self.rooms();
            let kept = rooms.kept.iter_mut().filter(|one| one.id == snapshot.id);
            kept.for_each(|one| one.expires = None);
        };
        self.change(format!("keep {}", snapshot.id), keep).await;
        Ok(())
    }

    fn restorable(&self, _: &Object, _: &Snapshot) -> Result<()> {
        Ok(())
    }

    async fn restore(
        &self,
        cx: &Context,
        object: &Object,
        snapshot: &Snapshot,
        _: &BackupId,
    ) -> Result<String> {
        let restore = || {
            let mut rooms = self.rooms();
            let kept = rooms.kept.iter().find(|one| one.id == snapshot.id).unwrap().clone();
            rooms.contents.insert(object.id.clone(), kept.content);
            if self.habits.manners.restoring_deletes_newer {
                rooms.kept.retain(|one| one.object != kept.object || one.began <= kept.began);
            }
        };
        let restoring = async {
            self.change(format!("restore {}", object.name), restore).await;
            Ok(())
        };
        cx.effect("restore", &object.name, json!({}), restoring).await?;
        Ok(format!("{} is back", object.name))
    }

    async fn delete(&self, _: &Context, _: &Object, id: &str) -> Result<()> {
        let delete = || self.rooms().kept.retain(|one| one.id != id);
        self.change(format!("delete {id}"), delete).await;
        Ok(())
    }

    fn manners(&self) -> Manners {
        self.habits.manners
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// A store whose callers may die before and after each call that changes it.
#[derive(Debug)]
pub struct Mortal {
    pub inner: Arc<dyn backup::BackupStore>,
    pub steps: Steps,
}

#[async_trait]
impl backup::BackupStore for Mortal {
    async fn create(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        let backup = self.inner.create(cx, request, sources).await;
        self.steps.step().await;
        backup
    }

    async fn list(&self, target: &Target) -> Result<Vec<Backup>> {
        self.steps.step().await;
        self.inner.list(target).await
    }

    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()> {
        self.inner.verify(target, id).await
    }

    fn own_sources(&self, what: &Selection) -> Vec<Arc<dyn BackupSource>> {
        self.inner.own_sources(what)
    }

    async fn restore(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        self.inner.restore(cx, what, source).await
    }

    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()> {
        self.steps.step().await;
        let deleted = self.inner.delete(target, id).await;
        self.steps.step().await;
        deleted
    }
}
