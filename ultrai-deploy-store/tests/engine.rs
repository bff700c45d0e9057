//! A run is killed at every record, and another host with nothing on its disk brings it to its end.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

#[path = "sealing/mod.rs"]
mod sealing;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use serde_json::{Value, json};
use tempfile::TempDir;
use ultrai_deploy_core::{
    Ending, file,
    journal::Journal as _,
    lease::Wait,
    memory::{self, World},
    name::{EnvironmentName, ProjectName, ReleaseId, SecretName, ServiceName, Target},
    pipeline::{DeployRequest, Pipeline},
    release_store::ReleaseStore as _,
    report::Report,
    secret::Secret,
    spec::{ReleaseSpec, ServiceSpec},
    verification::NoProbes,
    version::Version,
};
use ultrai_deploy_store::{Journal, Lease, ReleaseStore};
use ultrai_deploy_testkit::crash::{self, Death, When};

use crate::sealing::Mask;

const SECRET: &str = "hunter2-hunter2";
/// Longer than a dead holder's lease lives.
const WAIT: Wait = Wait::AtMost(Duration::from_mins(1));

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

/// What outlives a host: the bucket and the platform.
#[derive(Debug)]
struct Lab {
    bucket: Arc<dyn ObjectStore>,
    world: World,
    hosts: TempDir,
}

impl Lab {
    fn new() -> Self {
        let (bucket, world) = (Arc::new(InMemory::new()), World::new());
        Self { bucket, world, hosts: tempfile::tempdir().unwrap() }
    }

    fn journal(&self) -> Journal {
        Journal::new(Arc::clone(&self.bucket), &Path::default(), &target())
    }

    /// The releases as a host sees them that has nothing on its disk.
    fn releases(&self) -> Arc<ReleaseStore> {
        let disk = tempfile::tempdir_in(self.hosts.path()).unwrap().keep();
        let local = file::open(&disk, &target()).unwrap().releases;
        let (bucket, sealing) = (Arc::clone(&self.bucket), Some(Mask::sealing(7)));
        Arc::new(ReleaseStore::new(bucket, &Path::default(), &target(), local, sealing))
    }

    /// A process on a host of its own, which dies when it is told to.
    fn host(&self, death: &Death) -> Pipeline {
        let releases = self.releases();
        let token = SecretName::new("TOKEN").unwrap();
        Pipeline::builder(
            target(),
            Arc::new(memory::Deployer::new(self.world.clone(), Arc::clone(&releases) as _)),
            Arc::new(crash::Journal::new(Arc::new(self.journal()), death.clone())),
            Arc::new(Lease::new(Arc::clone(&self.bucket), &Path::default())),
            releases,
            Arc::new(NoProbes),
        )
        .backups(Arc::new(memory::BackupStore::default()))
        .secrets(Arc::new(memory::Secrets::from_iter([(token, Secret::new(SECRET))])))
        .build()
        .unwrap()
    }

    async fn deploy(&self, version: &str, web: Value) -> Report {
        let mut request = DeployRequest::new(shop(version, web));
        // Who had the lease may have died with it.
        request.wait = WAIT;
        self.host(&Death::never()).deploy(request).join().await.unwrap()
    }

    async fn current(&self) -> Option<ReleaseId> {
        self.releases().current().await.unwrap()
    }

    /// Every object, and that none shows a secret's value.
    async fn objects(&self) -> Vec<String> {
        use futures_util::TryStreamExt as _;
        let all: Vec<_> = self.bucket.list(None).try_collect().await.unwrap();
        for object in &all {
            let bytes = self.bucket.get(&object.location).await.unwrap().bytes().await.unwrap();
            let shown = bytes.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes());
            assert!(!shown, "{} shows the secret", object.location);
        }
        all.iter().map(|object| object.location.to_string()).collect()
    }

    async fn assert_settled(&self, what: &str) {
        let pipeline = self.host(&Death::never());
        assert!(pipeline.unfinished().await.unwrap().is_none(), "{what}");
        assert_eq!(self.world.leftovers(), [], "{what}: left over");
        let serves: BTreeSet<_> = self.world.live().into_iter().map(|one| one.release).collect();
        assert_eq!(serves, BTreeSet::from([self.current().await]), "{what}: one release serves");
    }
}

fn shop(version: &str, web: Value) -> ReleaseSpec {
    let mut config = json!({ "version": version, "port": "fixed" });
    if let (Value::Object(config), Value::Object(more)) = (&mut config, web) {
        config.extend(more);
    }
    let web = ServiceSpec {
        config,
        secrets: vec![SecretName::new("TOKEN").unwrap()],
        ..ServiceSpec::default()
    };
    let side = ServiceSpec { config: json!({ "version": version }), ..ServiceSpec::default() };
    ReleaseSpec::new(target().project, Version::parse(version).unwrap())
        .with_service(ServiceName::new("web").unwrap(), web)
        .with_service(ServiceName::new("side").unwrap(), side)
}

/// Kills a deploy of `web` at every record, and lets other hosts recover. How often each ending came.
async fn killed_at_every_record(when: When, web: Value) -> Vec<(String, usize)> {
    let endings = std::sync::Mutex::new(std::collections::BTreeMap::<String, usize>::new());
    let ran = crash::every_point(when, |death| {
        let (web, endings) = (web.clone(), &endings);
        async move {
            let what = format!("{when:?} record {}", death.point());
            let lab = Lab::new();
            let before = lab.deploy("1.0.0", json!({})).await.release;
            let request = DeployRequest::new(shop("1.1.0", web));
            let one = lab.host(&death);
            let _killed = death.or(one.deploy(request).join()).await;
            drop(one);

            let run = lab.journal().runs().await.unwrap().pop().unwrap();
            let other = lab.host(&Death::never());
            if let Some(run) = other.resume(false, WAIT).await.unwrap() {
                run.join().await.unwrap();
            }
            lab.assert_settled(&what).await;
            let report = other.report(&run).await.unwrap();
            let ending = match &report.ending {
                _ if report.release == before => "nothing was written",
                Some(Ending::Succeeded { .. }) => {
                    assert!(lab.current().await == report.release, "{what}");
                    "succeeded"
                }
                Some(Ending::RolledBack { .. }) => {
                    assert_eq!(lab.current().await, before, "{what}");
                    "rolled back"
                }
                Some(Ending::Refused { .. }) | None => {
                    assert_eq!(lab.current().await, before, "{what}");
                    "nothing was touched"
                }
                other => panic!("{what}: {other:?}"),
            };
            *endings.lock().unwrap().entry(ending.to_owned()).or_default() += 1;

            // The next deploy comes from yet another host.
            let next = lab.deploy("2.0.0", json!({})).await;
            assert_eq!(next.ending, Some(Ending::Succeeded { changed: true }), "{what}");
            assert_eq!(lab.current().await, next.release, "{what}");
            let objects = lab.objects().await;
            let of = |directory: &str| {
                let directory = format!("shop/staging/{directory}/");
                objects.iter().filter(|object| object.starts_with(&directory)).count()
            };
            assert!(of("current") <= 5 && of("lease") <= 12, "{what}: {objects:?}");
        }
    })
    .await;
    let endings = endings.into_inner().unwrap();
    assert_eq!(endings.values().sum::<usize>(), ran);
    endings.into_iter().collect()
}

#[expect(clippy::print_stdout, reason = "points that have become fewer must be seen")]
fn told(what: &str, endings: &[(String, usize)]) {
    println!("{what}: {endings:?}");
    let points = endings.iter().map(|(_, count)| count).sum::<usize>();
    assert!(points > 20, "{what}: {endings:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_finished_or_undone_by_another_host() {
    told("upgrade", &killed_at_every_record(When::After, json!({})).await);
}

#[tokio::test(start_paused = true)]
async fn a_failing_upgrade_is_undone_by_another_host() {
    let failing = json!({ "healthy": "staged" });
    told("failing upgrade", &killed_at_every_record(When::Before, failing).await);
}

/// One host goes on with what another one has deployed.
#[tokio::test(start_paused = true)]
async fn another_host_rolls_back() {
    use ultrai_deploy_core::pipeline::RollbackRequest;
    let lab = Lab::new();
    let first = lab.deploy("1.0.0", json!({})).await.release.unwrap();
    lab.deploy("1.1.0", json!({})).await;
    let other = lab.host(&Death::never());
    assert_eq!(other.release_before(&other.look()).await.unwrap(), first);
    let report = other.rollback(RollbackRequest::new(first.clone())).join().await.unwrap();
    assert_eq!(report.ending, Some(Ending::Succeeded { changed: true }), "{report}");
    assert_eq!(lab.current().await, Some(first));
    lab.assert_settled("after the rollback").await;
    lab.objects().await;
}
