//! The whole pipeline on a Render with a memory.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod fake;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fake::{Manners, Render};
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
use ultrai_deploy_render::{Client, Config, Platform};
use ultrai_deploy_testkit::server::Server;

/// The fake does not need to be waited for.
const LITTLE: Duration = Duration::from_millis(1);

struct Lab {
    render: Render,
    server: Server,
    state: TempDir,
}

impl Lab {
    async fn new() -> Self {
        let render = Render::new(&["api", "web"]);
        let server = render.serve().await;
        for name in ["api", "web"] {
            let by_hand = ("BY_HAND".to_owned(), "kept".to_owned());
            render.world().service(name).variables.extend([by_hand]);
        }
        Self { render, server, state: tempfile::tempdir().unwrap() }
    }

    fn process(&self) -> Pipeline {
        let limits = Limits { pause: LITTLE, longest_pause: LITTLE, ..Limits::default() };
        let base = HttpUrl::parse(&self.server.url("/v1")).unwrap();
        let client = Client::new(base, &Secret::new("rnd_hunter2"), limits).unwrap();
        let config = Config { pause: LITTLE, lag: 5 * LITTLE, ..Config::default() };
        let render = Platform::new(client, config);
        let state = file::open(self.state.path(), &target()).unwrap();
        let slots = ["api", "web"].map(|one| (name(one), one.to_owned()));
        let deployer =
            hosted::Deployer::new(Arc::new(render), slots.into(), Arc::clone(&state.releases) as _);
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
        let world = self.render.world();
        for service in world.services.values() {
            let live = service.live().unwrap_or_else(|| panic!("{service:?}"));
            assert!(live.image.ends_with(version) || live.image.contains('@'), "{live:?}");
            let expected = [("BY_HAND", "kept"), ("VERSION", version)];
            let expected: BTreeMap<_, _> =
                expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            assert_eq!(service.variables, expected);
            // What Render starts by itself next time.
            let is_pinned = live.image.contains('@');
            assert!(service.image.ends_with(version), "{service:?}");
            assert!(is_pinned || service.image == live.image, "{service:?}");
            assert_eq!(live.variables, expected, "{live:?}");
            assert!(!service.deploys.iter().any(fake::Deploy::is_open), "{service:?}");
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
        Manners { queues: true, speaks_anew: true, ..Manners::default() },
        Manners { forgets: true, ..Manners::default() },
    ] {
        let lab = Lab::new().await;
        lab.render.world().manners = manners;
        let first = lab.deploy("1.0.0", "1.0.0").await;
        assert!(succeeded(&first), "{first}");
        lab.assert_serves("1.0.0");
        let second = lab.deploy("1.1.0", "1.1.0").await;
        assert!(succeeded(&second), "{second}");
        lab.assert_serves("1.1.0");
        let again = lab.deploy("1.1.0", "1.1.0").await;
        assert_eq!(again.ending.as_ref().map(Ending::as_str), Some("succeeded, nothing changed"));
        for (sick, word) in [("sick", "update_failed"), ("sick-build", "build_failed")] {
            let failed = lab.deploy("1.2.0", sick).await;
            assert!(rolled_back(&failed), "{manners:?}: {failed}");
            let cause = failed.cause().unwrap();
            assert_eq!(cause.kind, ErrorKind::Unhealthy);
            assert!(cause.message.contains(&format!("of api failed: {word}")), "{}", cause.message);
            let evidence = format!("{:?}", cause.evidence);
            assert!(evidence.contains("a line of log"), "{evidence}");
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
    println!("render, dropped and resumed: {endings:?}");
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
        lab.render.world().manners.fails_every = Some(every);
        let report = lab.deploy("1.1.0", "1.1.0").await;
        lab.render.world().manners.fails_every = None;
        let ending = report.ending.as_ref().map(Ending::as_str).unwrap();
        *endings.entry(ending).or_insert(0) += 1;
        let version = match ending {
            "succeeded" => "1.1.0",
            "rolled back" | "refused" => "1.0.0",
            other => panic!("every {every}: {other}: {report}"),
        };
        lab.assert_serves(version);
    }
    println!("render, with calls that fail: {endings:?}");
}

/// Neither the key nor anything of it is in what is kept.
#[tokio::test]
async fn the_key_is_nowhere() {
    let lab = Lab::new().await;
    let report = lab.deploy("1.0.0", "sick").await;
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let state = file::open(lab.state.path(), &target()).unwrap();
    let records = state.journal.load(&report.run).await.unwrap();
    assert!(records.iter().any(|record| matches!(record.event, Event::Effect { .. })));
    assert!(!serde_json::to_string(&records).unwrap().contains("hunter2"));
}
