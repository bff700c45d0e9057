//! The memory deployer through the suite of all deployers.
#![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use ultrai_deploy_core::{
    Context, Deployer,
    current::Serving,
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    memory::{self, World},
    name::{EnvironmentName, ProjectName, RunId, ServiceName, Target},
    release::{Release, ReleaseService},
    release_store::ReleaseStore,
    secret::Secrets,
    version::Version,
};
use ultrai_deploy_testkit::{
    conformance::{self, DB, Environment, Platform, SIDE, Variant, WEB},
    faulty::{Fault, Faulty, Method},
};

#[derive(Debug)]
struct Memory {
    can: Capabilities,
}

#[derive(Debug)]
struct One {
    can: Capabilities,
    world: World,
    releases: memory::ReleaseStore,
}

impl Default for One {
    fn default() -> Self {
        Self { can: ALL, world: World::default(), releases: memory::ReleaseStore::default() }
    }
}

const ALL: Capabilities = Capabilities { staging: true, redeploy: true, keeping: true };

#[async_trait]
impl Platform for Memory {
    async fn environment(&self, _case: &str) -> Box<dyn Environment> {
        Box::new(One { can: self.can.clone(), ..One::default() })
    }
}

#[async_trait]
impl Environment for One {
    fn deployer(&self) -> Arc<dyn Deployer> {
        let memory = memory::Deployer::new(self.world.clone(), self.releases());
        Arc::new(Faulty::new(Arc::new(memory)).claiming(self.can.clone()))
    }

    fn releases(&self) -> Arc<dyn ReleaseStore> {
        Arc::new(self.releases.clone())
    }

    fn target(&self) -> Target {
        Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("test").unwrap())
    }

    async fn release(&self, variant: Variant) -> Release {
        let release = sealed(variant);
        self.releases.put(&release, &Secrets::new()).await.unwrap();
        release
    }

    async fn leftovers(&self) -> Vec<String> {
        self.world.leftovers().into_iter().map(|one| one.id).collect()
    }

    async fn close(self: Box<Self>) {}
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn sealed(variant: Variant) -> Release {
    let (db, web, side, version) = match variant {
        Variant::First => (1, json!({"v": 1}), Some(1), "1.0.0"),
        Variant::Web => (1, json!({"v": 2, "healthy_after": 2}), Some(1), "1.1.0"),
        Variant::All => (2, json!({"v": 2}), Some(2), "2.0.0"),
        Variant::Fewer => (1, json!({"v": 3}), None, "1.2.0"),
        Variant::Unhealthy => (1, json!({"v": 4, "healthy": false}), Some(1), "1.3.0"),
        Variant::Unstartable => (1, json!({"v": 5, "starts": false}), Some(1), "1.4.0"),
        other => panic!("no release for {other:?}"),
    };
    let mut services = BTreeMap::new();
    services.insert(name(DB), service(json!({"v": db, "port": "fixed", "healthy_after": 3}), &[]));
    services.insert(name(WEB), service(web, &[DB]));
    if let Some(side) = side {
        services.insert(name(SIDE), service(json!({"v": side}), &[]));
    }
    let version = Version::parse(version).unwrap();
    Release::new(ProjectName::new("shop").unwrap(), version, services).unwrap()
}

fn service(config: Value, needs: &[&str]) -> ReleaseService {
    let needs = needs.iter().map(|needed| name(needed)).collect();
    ReleaseService::new(None, config).with_depends_on(needs)
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the count tells that nothing was left out")]
async fn it_conforms() {
    let cases = conformance::deployer(&Memory { can: ALL }).await;
    println!("deployer conformance, memory: {cases} cases");
    assert!(cases > 100, "only {cases} cases ran");
    let can = Capabilities { redeploy: false, ..ALL };
    assert_eq!(
        conformance::deployer(&Memory { can }).await,
        cases - 1,
        "what ran without redeploy"
    );
}

#[tokio::test(start_paused = true)]
async fn what_others_started_is_adopted_and_comes_back() {
    let one = One::default();
    let ids = [
        one.world.add_unmanaged(name(DB), json!({})),
        one.world.add_unmanaged(name(WEB), json!({})),
    ];
    let deployer = one.deployer();
    let cx = Context::detached(one.target(), RunId::generate());
    let current = deployer.current(&cx).await.unwrap();
    let Serving::Unmanaged(found) = &current.serving else { panic!("{current:?}") };
    let release = one.release(Variant::First).await;
    let plan = deployer.plan(&current, &release).unwrap();
    let work = Work {
        from: Some(found),
        to: Some(&release),
        plan: &plan,
        records: &[],
        inherited: &[],
        is_return: false,
    };
    let record = deployer.prepare(&cx, Step::Switch, &work).await.unwrap();
    deployer.switch(&cx, &work, &record).await.unwrap();
    let switched = deployer.current(&cx).await.unwrap();
    assert_eq!(switched.serving, Serving::Release(release.id.clone()));

    let records = [(Step::Switch, record)];
    let work = Work {
        from: Some(&release),
        to: Some(found),
        plan: &plan,
        records: &records,
        inherited: &[],
        is_return: false,
    };
    let record: StepRecord = deployer.prepare(&cx, Step::Rollback, &work).await.unwrap();
    deployer.rollback(&cx, &work, &record).await.unwrap();
    let back = deployer.current(&cx).await.unwrap();
    assert_eq!(back.serving, current.serving);
    let live: Vec<_> = one.world.live().into_iter().map(|one| one.id).collect();
    assert_eq!(live, ids);
    assert_eq!(one.world.leftovers(), []);
}

#[tokio::test]
async fn a_fault_comes_at_its_call_and_an_answer_can_get_lost() {
    let one = One::default();
    let release = one.release(Variant::First).await;
    let faulty = Faulty::new(one.deployer())
        .with(Fault::of(Method::Current).at(2).without_effect())
        .with(Fault::of(Method::Stage).after());
    let cx = Context::detached(one.target(), RunId::generate());
    let current = faulty.current(&cx).await.unwrap();
    let error = faulty.current(&cx).await.unwrap_err();
    assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
    assert!(faulty.current(&cx).await.is_ok());

    let plan = faulty.plan(&current, &release).unwrap();
    let work = Work {
        from: None,
        to: Some(&release),
        plan: &plan,
        records: &[],
        inherited: &[],
        is_return: false,
    };
    let record = faulty.prepare(&cx, Step::Stage, &work).await.unwrap();
    let error = faulty.stage(&cx, &work, &record).await.unwrap_err();
    assert_eq!(error.effect(), ultrai_deploy_core::Effect::Unknown);
    assert_eq!(one.world.leftovers().len(), 3, "it was done before the answer got lost");
    assert_eq!(faulty.calls(Method::Stage), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_can_hang_be_slow_or_lie_once() {
    let one = One::default();
    let release = one.release(Variant::First).await;
    let hour = Duration::from_hours(1);
    let faulty = Faulty::new(one.deployer())
        .with(Fault::slow(Method::Current, hour))
        .with(Fault::hang(Method::Prepare))
        .with(Fault::hang(Method::Switch).after())
        .with(Fault::lie(Step::Stage))
        .with(Fault::lie_about(Observation::InProgress).times(2));
    let cx = Context::detached(one.target(), RunId::generate());

    let begun = Instant::now();
    let current = faulty.current(&cx).await.unwrap();
    assert!(begun.elapsed() >= hour);
    let plan = faulty.plan(&current, &release).unwrap();
    let work = Work {
        from: None,
        to: Some(&release),
        plan: &plan,
        records: &[],
        inherited: &[],
        is_return: false,
    };
    let hangs = timeout(hour, faulty.prepare(&cx, Step::Stage, &work)).await;
    assert!(hangs.is_err(), "it does not hang");
    let record = faulty.prepare(&cx, Step::Stage, &work).await.unwrap();

    faulty.stage(&cx, &work, &record).await.unwrap();
    assert_eq!(one.world.leftovers(), [], "it was to lie");
    for told in [Observation::InProgress, Observation::InProgress, Observation::NotDone] {
        assert_eq!(faulty.observe(&cx, Step::Stage, &work, &record).await.unwrap(), told);
    }
    faulty.stage(&cx, &work, &record).await.unwrap();
    assert_eq!(one.world.leftovers().len(), 3, "it lies once");

    assert!(timeout(hour, faulty.switch(&cx, &work, &record)).await.is_err());
    assert_eq!(one.world.live().len(), 3, "it was done before it hung");
}

#[test]
#[should_panic(expected = "Plan is not async")]
fn what_cannot_wait_cannot_hang() {
    let _fault = Fault::hang(Method::Plan);
}
