//! The whole pipeline on a Railway with a memory.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod fake;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fake::{Manners, Railway};
use serde_json::json;
use tempfile::TempDir;
use ultrai_deploy_core::{
    Ending, ErrorKind, file,
    journal::{Event, Journal as _},
    lease::Wait,
    memory,
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    pipeline::{Backoff, DeployRequest, Pipeline, Policy, RollbackRequest},
    report::Report,
    secret::Secret,
    spec::{ImageSpec, PullPolicy, ReleaseSpec, ServiceSpec},
    verification::NoProbes,
    version::Version,
};
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway::{Client, Config, Platform, Token, model::ProjectId};
use ultrai_deploy_testkit::server::Server;

/// The fake does not need to be waited for.
const LITTLE: Duration = Duration::from_millis(1);

struct Lab {
    railway: Railway,
    server: Server,
    state: TempDir,
}

impl Lab {
    async fn new() -> Self {
        let railway = Railway::new(&["api", "web"]);
        let server = railway.serve().await;
        for name in ["api", "web"] {
            let by_hand = ("BY_HAND".to_owned(), "kept".to_owned());
            railway.world().services.get_mut(name).unwrap().variables.extend([by_hand]);
        }
        Self { railway, server, state: tempfile::tempdir().unwrap() }
    }

    fn process(&self) -> Pipeline {
        let limits = Limits { pause: LITTLE, longest_pause: LITTLE, ..Limits::default() };
        let base = HttpUrl::parse(&self.server.url("")).unwrap();
        let token = Token::Account(Secret::new("hunter2-token"));
        let client = Client::new(&base, &token, limits).unwrap();
        let mut config = Config::new(ProjectId::new("project-1"), "production");
        (config.pause, config.lag) = (LITTLE, 5 * LITTLE);
        let railway = Platform::new(client, config);
        let state = file::open(self.state.path(), &target()).unwrap();
        let slots = ["api", "web"].map(|one| (name(one), one.to_owned()));
        let deployer = hosted::Deployer::new(
            Arc::new(railway),
            slots.into(),
            Arc::clone(&state.releases) as _,
        );
        Pipeline::builder(
            target(),
            Arc::new(deployer),
            state.journal,
            state.lease,
            state.releases,
            Arc::new(NoProbes),
        )
        .images(Arc::new(hosted::Images))
        .backups(Arc::new(memory::BackupStore::default()))
        .policy(Policy {
            retry: Backoff { first: LITTLE, longest: LITTLE, attempts: 3 },
            ..Policy::default()
        })
        .build()
        .unwrap()
    }

    async fn deploy(&self, version: &str, api: &str) -> Report {
        let request = DeployRequest::new(spec(version, api));
        self.process().deploy(request).join().await.unwrap()
    }

    /// What serves has this version, with the variables that belong to it, and nothing is under way.
    fn assert_serves(&self, version: &str) {
        let world = self.railway.world();
        for service in world.services.values() {
            let live = service.live().unwrap_or_else(|| panic!("{service:?}"));
            assert!(live.image.ends_with(version) || live.image.contains('@'), "{live:?}");
            let expected = [("BY_HAND", "kept"), ("VERSION", version)];
            let expected: BTreeMap<_, _> =
                expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            assert_eq!(service.variables, expected);
            // What is started next time, by whomever.
            assert_eq!(service.source, live.image, "{service:?}");
            assert_eq!(live.variables, expected, "{live:?}");
            assert!(!service.deployments.iter().any(fake::Deployment::is_open), "{service:?}");
        }
    }
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("production").unwrap())
}

fn spec(version: &str, api: &str) -> ReleaseSpec {
    let project = ProjectName::new("shop").unwrap();
    let mut spec = ReleaseSpec::new(project, Version::parse(version).unwrap());
    for (service, tag) in [("api", api), ("web", version)] {
        let reference = format!("shop/{service}:{tag}");
        let image = ImageSpec { reference, build: None, pull: PullPolicy::default() };
        let config = json!({ "variables": { "VERSION": version } });
        let service_spec = ServiceSpec { image: Some(image), config, ..ServiceSpec::default() };
        spec = spec.with_service(name(service), service_spec);
    }
    spec
}

fn succeeded(report: &Report) -> bool {
    matches!(report.ending, Some(Ending::Succeeded { .. }))
}

fn rolled_back(report: &Report) -> bool {
    matches!(report.ending, Some(Ending::RolledBack { .. }))
}

#[tokio::test]
async fn a_first_deploy_an_upgrade_failures_and_a_rollback() {
    for manners in [
        Manners::default(),
        Manners { speaks_anew: true, ..Manners::default() },
        Manners { refuses: true, ..Manners::default() },
        Manners { forgets: true, ..Manners::default() },
    ] {
        let lab = Lab::new().await;
        lab.railway.world().manners = manners;
        let first = lab.deploy("1.0.0", "1.0.0").await;
        assert!(succeeded(&first), "{first}");
        lab.assert_serves("1.0.0");
        let second = lab.deploy("1.1.0", "1.1.0").await;
        assert!(succeeded(&second), "{second}");
        lab.assert_serves("1.1.0");
        let again = lab.deploy("1.1.0", "1.1.0").await;
        assert_eq!(again.ending.as_ref().map(Ending::as_str), Some("succeeded, nothing changed"));
        for (sick, word) in [("sick", "FAILED")] {
            let failed = lab.deploy("1.2.0", sick).await;
            assert!(rolled_back(&failed), "{manners:?}: {failed}");
            let cause = failed.cause().unwrap();
            assert_eq!(cause.kind, ErrorKind::Unhealthy);
            assert!(cause.message.contains(&format!("of api failed: {word}")), "{}", cause.message);
            let evidence = format!("{:?}", cause.evidence);
            assert!(evidence.contains("a line of log"), "{evidence}");
            assert!(evidence.contains("HEALTHCHECK: exit code 1; it says no"), "{evidence}");
            lab.assert_serves("1.1.0");
        }
        let back = RollbackRequest::new(first.release.unwrap());
        let back = lab.process().rollback(back).join().await.unwrap();
        assert!(succeeded(&back), "{back}");
        lab.assert_serves("1.0.0");
    }
}

/// Dropped at each record in turn; whoever comes next finishes or undoes it.
#[tokio::test]
async fn a_run_that_dies_is_resumed() {
    let mut endings = BTreeMap::new();
    for at in (1..).step_by(3) {
        let lab = Lab::new().await;
        assert!(succeeded(&lab.deploy("1.0.0", "1.0.0").await));
        let pipeline = lab.process();
        let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", "1.1.0")));
        let mut state = run.watch();
        let report = tokio::select! {
            biased;
            () = async {
                for _ in 0..at {
                    state.changed().await.unwrap();
                }
            } => None,
            report = run.join() => Some(report.unwrap()),
        };
        drop(pipeline);
        if let Some(report) = report {
            assert!(succeeded(&report), "{report}");
            break;
        }
        let report = match lab.process().resume(false, Wait::No).await.unwrap() {
            Some(run) => run.join().await.unwrap(),
            None => lab.deploy("1.1.0", "1.1.0").await,
        };
        let ending = report.ending.as_ref().map(Ending::as_str).unwrap();
        *endings.entry(ending).or_insert(0) += 1;
        lab.assert_serves(if succeeded(&report) { "1.1.0" } else { "1.0.0" });
    }
    println!("railway, dropped and resumed: {endings:?}");
    assert!(endings.values().sum::<i32>() > 10, "{endings:?}");
}

/// Calls that fail, and calls whose answers are lost though they did what was asked: the run ends
/// in a known state, and nothing is deployed that nobody asked for.
#[tokio::test]
async fn calls_that_fail_end_in_a_known_state() {
    let mut endings = BTreeMap::new();
    for every in 3..20 {
        let lab = Lab::new().await;
        assert!(succeeded(&lab.deploy("1.0.0", "1.0.0").await));
        lab.railway.world().manners.fails_every = Some(every);
        let report = lab.deploy("1.1.0", "1.1.0").await;
        lab.railway.world().manners.fails_every = None;
        let ending = report.ending.as_ref().map(Ending::as_str).unwrap();
        *endings.entry(ending).or_insert(0) += 1;
        let version = match ending {
            "succeeded" => "1.1.0",
            "rolled back" | "refused" => "1.0.0",
            other => panic!("every {every}: {other}: {report}"),
        };
        lab.assert_serves(version);
    }
    println!("railway, with calls that fail: {endings:?}");
}

/// Neither the key nor anything of it is in what is kept.
#[tokio::test]
async fn the_key_is_nowhere() {
    let lab = Lab::new().await;
    let report = lab.deploy("1.0.0", "sick").await;
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("hunter2-token"), "{text}");
    let state = file::open(lab.state.path(), &target()).unwrap();
    let records = state.journal.load(&report.run).await.unwrap();
    assert!(records.iter().any(|record| matches!(record.event, Event::Effect { .. })));
    assert!(!serde_json::to_string(&records).unwrap().contains("hunter2-token"));
}

/// A success of Railway is none when the old image runs on.
#[tokio::test]
async fn the_old_image_is_no_success() {
    let lab = Lab::new().await;
    assert!(succeeded(&lab.deploy("1.0.0", "1.0.0").await));
    lab.railway.world().manners.is_stubborn = true;
    let report = lab.deploy("1.1.0", "1.1.0").await;
    assert!(rolled_back(&report), "{report}");
    let told = &report.cause().unwrap().message;
    assert!(told.contains("serves image shop/api:1.0.0 instead of image shop/api:1.1.0"), "{told}");
    lab.assert_serves("1.0.0");
}
