//! What one run leaves to another one that takes its place.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Deployer as _, Error, ErrorKind, Result,
    context::{EffectLog, Key},
    current::{Current, Serving},
    deployer::{Inherited, Step, StepRecord, Work},
    error::Failure,
    memory,
    name::{ProjectName, RunId, Target},
    release::{Image, Release, ReleaseService},
    release_store::ReleaseStore as _,
    secret::Secrets,
    version::Version,
};
use ultrai_deploy_hosted as hosted;

use crate::{
    lab::{name, served, target},
    town::{Manners, Town},
};

/// One service with a variable of its own in each version.
fn release(version: &str) -> Release {
    let reference = format!("shop/api:{version}");
    let image = Image { id: reference.clone(), reference, digest: None };
    let only = format!("ONLY_{}", version.replace('.', "_"));
    let config = json!({ "variables": { "VERSION": version, only: "x" } });
    let services = [(name("api"), ReleaseService::new(Some(image), config))].into();
    let version = Version::parse(version).unwrap();
    Release::new(ProjectName::new("shop").unwrap(), version, services).unwrap()
}

struct Bench {
    deployer: hosted::Deployer,
    releases: memory::ReleaseStore,
}

impl Bench {
    fn new(town: &Town) -> Self {
        let releases = memory::ReleaseStore::default();
        let slots = BTreeMap::from([(name("api"), "api".to_owned())]);
        let deployer =
            hosted::Deployer::new(Arc::new(town.clone()), slots, Arc::new(releases.clone()));
        Self { deployer, releases }
    }

    async fn sealed(&self, version: &str) -> Release {
        let release = release(version);
        self.releases.put(&release, &Secrets::new()).await.unwrap();
        release
    }

    async fn current(&self, cx: &Context) -> Current {
        self.deployer.current(cx).await.unwrap()
    }

    /// A run brings `to`; the record of its switch.
    async fn bring(
        &self,
        cx: &Context,
        from: Option<&Release>,
        to: &Release,
        inherited: &[Inherited],
    ) -> StepRecord {
        let plan = self.deployer.plan(&self.current(cx).await, to).unwrap();
        let work =
            Work { from, to: Some(to), plan: &plan, records: &[], inherited, is_return: false };
        let record = self.deployer.prepare(cx, Step::Switch, &work).await.unwrap();
        self.deployer.switch(cx, &work, &record).await.unwrap();
        record
    }
}

fn context() -> Context {
    let (project, environment) = ("shop".parse().unwrap(), "staging".parse().unwrap());
    Context::detached(Target::new(project, environment), RunId::generate())
}

/// Variables that only a held release has go when another one takes its place, and when that goes
/// back.
#[tokio::test(start_paused = true)]
async fn what_only_a_held_release_has_goes_with_it() {
    let town = Town::new(Manners::default(), &["api"]);
    let bench = Bench::new(&town);
    town.set_by_hand("api", "BY_HAND", "kept");
    let (first, cx) = (bench.sealed("1.0.0").await, context());
    bench.bring(&cx, None, &first, &[]).await;
    let set = town.set_in("api");

    let (held, cx) = (bench.sealed("1.1.0").await, context());
    let record = bench.bring(&cx, Some(&first), &held, &[]).await;
    let inherited = [Inherited { run: cx.run().clone(), step: Step::Switch, record }];

    let (heir, cx) = (bench.sealed("1.2.0").await, context());
    let record = bench.bring(&cx, Some(&first), &heir, &inherited).await;
    let names: Vec<_> = town.set_in("api").variables.into_keys().collect();
    assert_eq!(names, ["BY_HAND", "ONLY_1_2_0", "VERSION"]);

    let plan = bench.deployer.plan(&bench.current(&cx).await, &first).unwrap();
    let records = [(Step::Switch, record)];
    let work = Work {
        from: Some(&heir),
        to: Some(&first),
        plan: &plan,
        records: &records,
        inherited: &inherited,
        is_return: false,
    };
    let record = bench.deployer.prepare(&cx, Step::Rollback, &work).await.unwrap();
    bench.deployer.rollback(&cx, &work, &record).await.unwrap();
    assert_eq!(town.set_in("api"), set);
}

/// Who lost the lease while going back leaves the rest to whoever has it.
#[tokio::test(start_paused = true)]
async fn who_lost_the_lease_touches_nothing_more() {
    let lab = served(Manners::default()).await;
    lab.town.let_deploy_itself("api");
    let run = RunId::generate();
    let key = Key { run, step: "rollback".to_owned(), attempt: 1 };
    let cx = Context::new(target(), key, Arc::new(Lost));
    let cx = &cx;
    let deployer = lab.deployer();
    let Serving::Release(id) = lab.current().await.serving else { panic!("nothing serves") };
    let release = lab.releases.get(&id).await.unwrap();
    let plan = deployer.plan(&lab.current().await, &release).unwrap();
    let work = Work {
        from: Some(&release),
        to: Some(&release),
        plan: &plan,
        records: &[],
        inherited: &[],
        is_return: false,
    };
    let record = deployer.prepare(cx, Step::Rollback, &work).await.unwrap();
    let note = lab.releases.note().await.unwrap();
    deployer.rollback(cx, &work, &record).await.unwrap_err();
    assert_eq!(lab.releases.note().await.unwrap(), note);
}

/// The journal of a driver whose lease is gone.
#[derive(Debug)]
struct Lost;

fn fenced() -> Error {
    Error::new(ErrorKind::Fenced, "go on", "the lease is lost").without_effect()
}

#[async_trait]
impl EffectLog for Lost {
    async fn begin(&self, _: &Key, _: &str, _: &str, _: Value) -> Result<u64> {
        Err(fenced())
    }
    async fn end(&self, _: &Key, _: u64, _: Result<Value, Failure>) -> Result<()> {
        Err(fenced())
    }
    async fn guard(&self) -> Result<()> {
        Err(fenced())
    }
    async fn note(&self, _: &str) -> Result<()> {
        Err(fenced())
    }
}
