//! The whole pipeline on a platform in memory, killed at every record.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;
use ultrai_deploy_core::{
    Context, Deployer as _, Ending, ErrorKind,
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
use ultrai_deploy_testkit::crash::{self, Death, Paper, When};

use crate::town::{LAG, Manners, Set, Town};

/// What outlives a process.
#[derive(Debug)]
struct Lab {
    town: Town,
    journal: Paper,
    lease: memory::Lease,
    releases: memory::ReleaseStore,
    backups: memory::BackupStore,
}

impl Lab {
    fn new(manners: Manners) -> Self {
        let town = Town::new(manners, &["api", "web"]);
        Self {
            town,
            journal: Paper::default(),
            lease: memory::Lease::default(),
            releases: memory::ReleaseStore::default(),
            backups: memory::BackupStore::default(),
        }
    }

    fn deployer(&self) -> hosted::Deployer {
        let slots = ["api", "web"].map(|one| (name(one), one.to_owned()));
        let (town, releases) = (Arc::new(self.town.clone()), Arc::new(self.releases.clone()));
        hosted::Deployer::new(town, slots.into(), releases)
    }

    async fn current(&self) -> Current {
        let cx = Context::detached(target(), RunId::generate());
        self.deployer().current(&cx).await.unwrap()
    }

    fn process(&self) -> Pipeline {
        self.process_with(Arc::new(self.journal.clone()), "one")
    }

    fn process_with(&self, journal: Arc<dyn journal::Journal>, secret: &str) -> Pipeline {
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

    async fn deploy(&self, spec: ReleaseSpec) -> Report {
        self.process().deploy(DeployRequest::new(spec)).join().await.unwrap()
    }

    /// Waits until a deploy is under way.
    async fn deploys(&self) {
        while self.town.open().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// Nothing is under way, and each slot runs what the release that serves has for it, with its
    /// variables; what a person set is as it was.
    async fn assert_settled(&self, expected: Option<&str>) {
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

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

fn spec(version: &str, api: &str) -> ReleaseSpec {
    let mut spec =
        ReleaseSpec::new(ProjectName::new("shop").unwrap(), Version::parse(version).unwrap());
    let only = if version == "1.0.0" { "ONLY_OLD" } else { "ONLY_NEW" };
    for (service, tag, needs) in [("api", api, &[][..]), ("web", version, &["api"])] {
        let image = ImageSpec {
            reference: format!("shop/{service}:{tag}"),
            build: None,
            pull: PullPolicy::default(),
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
async fn served(manners: Manners) -> Lab {
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
async fn upgrade(lab: &Lab, api: &str, death: &Death) -> Option<Report> {
    let journal = crash::Journal::tearing(Arc::new(lab.journal.clone()), death.clone());
    let pipeline = lab.process_with(Arc::new(journal), "two");
    let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", api)));
    death.or(run.join()).await.map(|report| report.unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_and_a_failing_one() {
    for manners in [
        Manners::default(),
        Manners { is_silent: true, lag: LAG, forgets: true, ..Manners::default() },
        Manners { is_bound: true, ..Manners::default() },
        Manners { is_bound: true, is_silent: true, lag: LAG, ..Manners::default() },
    ] {
        for (api, version) in [("1.1.0", "1.1.0"), ("sick", "1.0.0")] {
            let lab = served(manners).await;
            let report = upgrade(&lab, api, &Death::never()).await.unwrap();
            let is_good = version == "1.1.0";
            assert_eq!(
                matches!(report.ending, Some(Ending::Succeeded { .. })),
                is_good,
                "{report}"
            );
            if !is_good {
                let cause = report.cause().unwrap();
                assert_eq!(cause.kind, ErrorKind::Unhealthy, "{report}");
                assert!(cause.message.contains("of api failed: update_failed"), "{report}");
                assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
            }
            lab.assert_settled(Some(version)).await;
            // A push does not bring back what failed, until a release is good.
            assert_eq!(lab.town.deploys_itself("web"), Some(is_good));
            let report = upgrade(&lab, "1.1.0-b", &Death::never()).await.unwrap();
            assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{report}");
            assert_eq!(lab.town.deploys_itself("web"), Some(true));
            assert_eq!(lab.town.deploys_itself("api"), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_killed_at_every_record() {
    let mut cases = 0;
    for when in [When::Before, When::Torn, When::After] {
        for manners in [
            Manners::default(),
            Manners { is_silent: true, lag: LAG, ..Manners::default() },
            Manners { is_bound: true, is_silent: true, ..Manners::default() },
        ] {
            for api in ["1.1.0", "sick"] {
                cases += crash::every_point(when, |death| async move {
                    let lab = served(manners).await;
                    if upgrade(&lab, api, &death).await.is_none() {
                        let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap();
                        if let Some(run) = run {
                            run.join().await.unwrap();
                        }
                    }
                    let runs = journal::Journal::runs(&lab.journal).await.unwrap();
                    let ending = match &runs[..] {
                        [_, run] => ending(&lab, run).await,
                        _ => None,
                    };
                    let version = match ending {
                        Some(Ending::Succeeded { .. }) if api == "1.1.0" => "1.1.0",
                        _ => "1.0.0",
                    };
                    lab.assert_settled(Some(version)).await;
                    let is_back = matches!(ending, Some(Ending::RolledBack { .. }));
                    assert_eq!(lab.town.deploys_itself("web"), Some(!is_back), "{ending:?}");
                })
                .await;
            }
        }
    }
    println!("hosted, killed and resumed: {cases} cases");
    assert!(cases > 300, "only {cases} cases");
}

const WAIT: std::time::Duration = std::time::Duration::from_mins(5);

async fn ending(lab: &Lab, run: &RunId) -> Option<Ending> {
    let state = State::replay(&lab.journal.load(run).await.unwrap_or_default()).unwrap();
    state.ending().cloned()
}

/// What a person deployed in between is what a rollback returns to.
#[tokio::test(start_paused = true)]
async fn what_others_deployed_is_gone_back_to() {
    let lab = served(Manners::default()).await;
    lab.town.deploy_by_hand("api", "shop/api:by-hand");
    let current = lab.current().await;
    let Serving::Unmanaged(found) = &current.serving else { panic!("{current:?}") };
    assert_eq!(found.services[&name("api")].image.as_ref().unwrap().reference, "shop/api:by-hand");

    let report = upgrade(&lab, "sick", &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
    let current = lab.current().await;
    let Serving::Unmanaged(back) = &current.serving else { panic!("{current:?}") };
    assert_eq!(back.services, found.services);
    assert_eq!(lab.town.open(), Vec::<String>::new());
}

/// Who cancels while a deploy is under way wants it stopped, also where the platform is slow to show
/// it, and where the process that started it is gone.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_stopped() {
    for (lag, is_killed) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut lab = served(Manners::default()).await;
        lab.town.manners = Manners { lag: LAG * lag, slowness: 20, ..Manners::default() };
        let run = lab.process_with(Arc::new(lab.journal.clone()), "two");
        let mut run = run.deploy(DeployRequest::new(spec("1.1.0", "1.1.0")));
        if is_killed {
            tokio::select! {
                biased;
                _ = run.join() => panic!("it ended"),
                () = lab.deploys() => {}
            }
            run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap().unwrap();
            run.cancel().cancel();
        }
        let cancel = run.cancel();
        let mut ended = Box::pin(run.join());
        let report = tokio::select! {
            biased;
            report = &mut ended => report.unwrap(),
            () = lab.deploys() => {
                cancel.cancel();
                ended.await.unwrap()
            }
        };
        let how = format!("{lag} {is_killed}");
        assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{how}: {report}");
        assert_eq!(lab.town.open(), Vec::<String>::new(), "{how}: {report}");
        lab.assert_settled(Some("1.0.0")).await;
    }
}

/// What is accepted and not shown yet is not taken for nothing: it is stopped, or gone on with, and
/// never started twice.
#[tokio::test(start_paused = true)]
async fn what_is_not_seen_yet_is_waited_for() {
    for goes_back in [true, false] {
        let mut lab = served(Manners::default()).await;
        lab.town.manners = Manners { lag: LAG, slowness: 20, ..Manners::default() };
        // Only the image changes: the deploy is all that could be seen.
        let run = lab.process().deploy(DeployRequest::new(spec("1.0.0", "1.0.0-b")));
        tokio::select! {
            biased;
            _ = run.join() => panic!("it ended"),
            () = lab.deploys() => {}
        }
        let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap().unwrap();
        if goes_back {
            run.cancel().cancel();
        }
        let report = run.join().await.unwrap();
        let is_back = matches!(report.ending, Some(Ending::RolledBack { .. }));
        assert_eq!(is_back, goes_back, "{report}");
        lab.assert_settled(Some("1.0.0")).await;
        assert_eq!(lab.town.begun("api"), 2, "1.0.0 and what came after");
    }
}

/// A success of the platform is no success when something else runs.
#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_is_taken_back() {
    let mut lab = served(Manners::default()).await;
    lab.town.manners.is_stubborn = true;
    let report = upgrade(&lab, "1.1.0", &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
    let told = report.cause().unwrap().message.clone();
    assert!(told.contains("serves image shop/api:1.0.0 instead of image shop/api:1.1.0"), "{told}");
    lab.assert_settled(Some("1.0.0")).await;
}

/// A deploy that began before a variable was changed does not have the change.
#[tokio::test(start_paused = true)]
async fn what_began_without_a_variable_is_deployed_again() {
    let lab = served(Manners::default()).await;
    let pipeline = lab.process_with(Arc::new(lab.journal.clone()), "two");
    let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", "1.1.0")));
    tokio::select! {
        biased;
        _ = run.join() => panic!("it ended"),
        () = lab.deploys() => {}
    }
    lab.town.set_by_hand("api", "VERSION", "another");
    lab.town.deploy_by_hand("api", "shop/api:1.1.0");
    let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap().unwrap();
    let report = run.join().await.unwrap();
    assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{report}");
    lab.assert_settled(Some("1.1.0")).await;
}
