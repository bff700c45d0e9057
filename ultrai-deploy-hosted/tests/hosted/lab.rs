//! A pipeline on a town, of which each process may die.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;
use ultrai_deploy_core::{
    Context, Deployer as _, Ending,
    current::{Current, Serving},
    journal::{self, Journal as _},
    lease::Wait,
    memory,
    name::{EnvironmentName, ProjectName, RunId, SecretName, ServiceName, Target},
    pipeline::{DeployRequest, Pipeline},
    release_store::ReleaseStore as _,
    report::Report,
    secret::Secret,
    spec::{ImageSpec, PullPolicy, ReleaseSpec, ServiceSpec},
    state::State,
    verification::NoProbes,
    version::Version,
};
use ultrai_deploy_hosted::{self as hosted, platform::Setting};
use ultrai_deploy_testkit::crash::{self, Death, Paper};

use crate::town::{Manners, Set, Town};

/// What outlives a process.
#[derive(Debug)]
pub struct Lab {
    pub town: Town,
    /// The services of the configuration, each in the slot of its name.
    pub services: Vec<&'static str>,
    pub journal: Paper,
    pub lease: memory::Lease,
    pub releases: memory::ReleaseStore,
    pub backups: memory::BackupStore,
}

impl Lab {
    pub fn new(manners: Manners) -> Self {
        let town = Town::new(manners, &["api", "web"]);
        Self {
            town,
            services: vec!["api", "web"],
            journal: Paper::default(),
            lease: memory::Lease::default(),
            releases: memory::ReleaseStore::default(),
            backups: memory::BackupStore::default(),
        }
    }

    pub fn deployer(&self) -> hosted::Deployer {
        let slots = self.services.iter().map(|one| (name(one), (*one).to_owned())).collect();
        let (town, releases) = (Arc::new(self.town.clone()), Arc::new(self.releases.clone()));
        hosted::Deployer::new(town, slots, releases)
    }

    pub async fn current(&self) -> Current {
        let cx = Context::detached(target(), RunId::generate());
        self.deployer().current(&cx).await.unwrap()
    }

    pub fn process(&self) -> Pipeline {
        self.process_with(Arc::new(self.journal.clone()), "one")
    }

    pub fn process_with(&self, journal: Arc<dyn journal::Journal>, secret: &str) -> Pipeline {
        let (releases, deployer) = (Arc::new(self.releases.clone()), self.deployer());
        let lease = Arc::new(self.lease.clone());
        let secrets = [(SecretName::new("TOKEN").unwrap(), Secret::new(secret))];
        Pipeline::builder(
            target(),
            Arc::new(deployer),
            journal,
            lease,
            releases,
            Arc::new(NoProbes),
        )
        .images(Arc::new(hosted::Images))
        .backups(Arc::new(self.backups.clone()))
        .secrets(Arc::new(memory::Secrets::from_iter(secrets)))
        .build()
        .unwrap()
    }

    pub async fn deploy(&self, spec: ReleaseSpec) -> Report {
        self.process().deploy(DeployRequest::new(spec)).join().await.unwrap()
    }

    /// Waits until a deploy is under way.
    pub async fn deploys(&self) {
        while self.town.open().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// Nothing is under way, and each slot runs what the release that serves has for it, with its
    /// variables; what a person set is as it was.
    pub async fn assert_settled(&self, expected: Option<&str>) {
        for run in journal::Journal::runs(&self.journal).await.unwrap() {
            let state = State::replay(&self.journal.load(&run).await.unwrap()).unwrap();
            assert!(!state.was_locked() || state.is_final(), "{}", state.phase().describe());
        }
        assert_eq!(self.town.open(), Vec::<String>::new());
        let serving = self.current().await.serving;
        let Serving::Release(id) = serving else {
            assert_eq!((serving, expected), (Serving::Nothing, None));
            return;
        };
        let release = self.releases.get(&id).await.unwrap();
        assert_eq!(Some(release.version.as_str()), expected);
        let secret = if release.version.as_str() == "1.0.0" { "one" } else { "two" };
        for slot in ["api", "web"] {
            let version = release.version.as_str();
            let only = if version == "1.0.0" { "ONLY_OLD" } else { "ONLY_NEW" };
            let all = [("VERSION", version), ("TOKEN", secret), ("BY_HAND", "kept"), (only, "x")];
            let set = Set {
                variables: texts(all),
                files: texts([("token.txt", secret)]),
                settings: [(Setting::HealthPath, format!("/{version}"))].into(),
            };
            assert_eq!(self.town.set_in(slot), set, "{slot}");
            let image = release.services[&name(slot)].image.as_ref().unwrap();
            assert_eq!(self.town.configured_in(slot), Some(image.reference.clone()), "{slot}");
            assert_eq!(self.town.live_with(slot), set, "{slot} was started with");
        }
    }
}

pub fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

pub fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

pub fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

pub fn spec(version: &str, api: &str) -> ReleaseSpec {
    let mut spec =
        ReleaseSpec::new(ProjectName::new("shop").unwrap(), Version::parse(version).unwrap());
    let only = if version == "1.0.0" { "ONLY_OLD" } else { "ONLY_NEW" };
    for (service, tag, needs) in [("api", api, &[][..]), ("web", version, &["api"])] {
        let image = ImageSpec {
            reference: format!("shop/{service}:{tag}"),
            build: None,
            pull: PullPolicy::default(),
            ..ImageSpec::default()
        };
        let service_spec = ServiceSpec {
            image: Some(image),
            config: json!({
                "variables": { "VERSION": version, only: "x" },
                "secret_variables": { "TOKEN": "TOKEN" },
                "secret_files": { "token.txt": "TOKEN" },
                "settings": { "health_path": format!("/{version}") },
            }),
            depends_on: needs.iter().map(|needed| name(needed)).collect(),
            secrets: vec![SecretName::new("TOKEN").unwrap()],
            ..ServiceSpec::default()
        };
        spec = spec.with_service(name(service), service_spec);
    }
    spec
}

/// 1.0.0 serves, in slots with a variable that a person has set.
pub async fn served(manners: Manners) -> Lab {
    let lab = Lab::new(manners);
    lab.town.set_by_hand("api", "BY_HAND", "kept");
    lab.town.set_by_hand("web", "BY_HAND", "kept");
    lab.town.let_deploy_itself("web");
    let report = lab.deploy(spec("1.0.0", "1.0.0")).await;
    assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{report}");
    lab.assert_settled(Some("1.0.0")).await;
    lab
}

/// The upgrade's process, which may die.
pub async fn upgrade(lab: &Lab, api: &str, death: &Death) -> Option<Report> {
    bring(lab, spec("1.1.0", api), death).await
}

/// The process that brings `spec`, which may die.
pub async fn bring(lab: &Lab, spec: ReleaseSpec, death: &Death) -> Option<Report> {
    let journal = crash::Journal::tearing(Arc::new(lab.journal.clone()), death.clone());
    let pipeline = lab.process_with(Arc::new(journal), "two");
    let run = pipeline.deploy(DeployRequest::new(spec));
    death.or(run.join()).await.map(|report| report.unwrap())
}

/// Whoever comes after a process that died finishes its run.
pub async fn finish(lab: &Lab) {
    let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap();
    if let Some(run) = run {
        run.join().await.unwrap();
    }
}

pub const WAIT: std::time::Duration = std::time::Duration::from_mins(5);

pub async fn ending(lab: &Lab, run: &RunId) -> Option<Ending> {
    let state = State::replay(&lab.journal.load(run).await.unwrap_or_default()).unwrap();
    state.ending().cloned()
}
