//! A hosted platform in the whole pipeline: what the writer of one runs over a fake with a memory.
//!
//! A [`Fake`] stands in for the platform: it has two services, deploys that take their time, and
//! whatever is odd about the platform. [`story`], [`drops`] and [`failures`] drive releases to it and
//! look whether it ends where it should.

mod clock;
mod history;
mod hostile;
mod kills;
mod oddities;
pub mod railway;
pub mod render;
mod server;
mod suite;
mod traffic;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use ultrai_deploy_core::{
    Ending, ErrorKind, file,
    journal::{self, Journal as _},
    lease::Wait,
    memory,
    name::{EnvironmentName, ProjectName, ReleaseId, SecretName, ServiceName, Target},
    pipeline::{Backoff, DeployRequest, Pipeline, Policy, RollbackRequest},
    report::Report,
    secret::Secret,
    spec::{ImageSpec, ReleaseSpec, ServiceSpec},
    verification::NoProbes,
    version::Version,
};
use ultrai_deploy_hosted::{self as hosted, Platform};

pub use self::{
    clock::{Clock, Lagged},
    history::{Course, Deploy, End, History, Standing, What},
    hostile::{
        Calls, Hostile, no_answer_is_no_success, nothing_secret_is_shown,
        what_does_not_end_is_given_up,
    },
    kills::kills,
    oddities::{Expected, lost_starts},
    server::Server,
    suite::{CONFORMANCE_SERVICES, conforms},
    traffic::{Call, Fault, Left, Limit, Traffic, World},
};

/// The services that a fake has.
pub const SERVICES: [&str; 2] = ["api", "web"];
/// The value of a variable of every release, which is a secret.
pub const SECRET: &str = "hunter2-\"in\"-the-release-hunter2";
/// A fake does not need to be waited for.
const LITTLE: Duration = Duration::from_millis(1);

/// A platform with the services [`SERVICES`], whose images are `shop/SERVICE:TAG`. A deploy of a tag
/// with `sick` in it fails.
pub trait Fake: fmt::Debug + Send + Sync {
    /// The platform as a new process opens it, looked at without pauses.
    fn platform(&self) -> Arc<dyn Platform>;

    /// Sets a variable, as a person does it.
    fn set_variable(&self, service: &str, name: &str, value: &str);

    /// What there is of a service.
    fn inside(&self, service: &str) -> Inside;

    /// From now on every so many calls fail, in all ways that calls may; none without a number.
    fn fail_every(&self, calls: Option<usize>);
}

/// What there is of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// The image that serves.
    pub image: Option<String>,
    /// The variables that it was started with.
    pub started_with: BTreeMap<String, String>,
    /// The variables that are set.
    pub variables: BTreeMap<String, String>,
    /// The image that the platform would deploy by itself.
    pub configured: Option<String>,
    /// Whether a deploy is under way.
    pub is_busy: bool,
}

/// A fake with the state directory of those who deploy to it.
#[derive(Debug)]
pub struct Lab<F> {
    /// The platform.
    pub fake: F,
    /// What its processes obey.
    pub policy: Policy,
    state: TempDir,
}

impl<F: Fake> Lab<F> {
    /// A state directory for `fake`.
    ///
    /// # Panics
    /// When no directory can be made.
    pub fn new(fake: F) -> Self {
        for service in SERVICES {
            fake.set_variable(service, "BY_HAND", "kept");
        }
        let retry = Backoff { first: LITTLE, longest: LITTLE, attempts: 3 };
        let (policy, state) = (Policy { retry, ..Policy::default() }, ok(tempfile::tempdir()));
        Self { fake, policy, state }
    }

    /// A new process.
    ///
    /// # Panics
    /// When the state directory cannot be used.
    pub fn process(&self) -> Pipeline {
        let state = self.state();
        let journal = Arc::clone(&state.journal);
        self.process_with(state, journal)
    }

    fn state(&self) -> file::State {
        ok(file::open(self.state.path(), &target()))
    }

    fn process_with(&self, state: file::State, journal: Arc<dyn journal::Journal>) -> Pipeline {
        let slots = SERVICES.map(|one| (service(one), one.to_owned()));
        let releases = Arc::clone(&state.releases) as _;
        let deployer = hosted::Deployer::new(self.fake.platform(), slots.into(), releases);
        let secrets = [("SECRET", SECRET), ("TOKEN", "hunter2-of-the-app")];
        let secrets = secrets.map(|(name, value)| (ok(SecretName::new(name)), Secret::new(value)));
        let (lease, releases) = (state.lease, state.releases);
        ok(Pipeline::builder(
            target(),
            Arc::new(deployer),
            journal,
            lease,
            releases,
            Arc::new(NoProbes),
        )
        .images(Arc::new(hosted::Images))
        .backups(Arc::new(memory::BackupStore::default()))
        .secrets(Arc::new(memory::Secrets::from_iter(secrets)))
        .policy(self.policy.clone())
        .build())
    }

    /// Deploys a version.
    ///
    /// # Panics
    /// When the run does not come to an end.
    pub async fn deploy(&self, version: &str) -> Report {
        self.deploy_tags(version, [version; 2]).await
    }

    /// Deploys a version, with these tags for [`SERVICES`].
    ///
    /// # Panics
    /// When the run does not come to an end.
    pub async fn deploy_tags(&self, version: &str, tags: [&str; 2]) -> Report {
        ok(self.process().deploy(DeployRequest::new(spec(version, tags))).join().await)
    }

    /// Deploys what `spec` describes. The secret `TOKEN` has the value `hunter2-of-the-app`.
    ///
    /// # Panics
    /// When the run does not come to an end.
    pub async fn deploy_spec(&self, spec: ReleaseSpec) -> Report {
        ok(self.process().deploy(DeployRequest::new(spec)).join().await)
    }

    /// Goes back to a release.
    ///
    /// # Panics
    /// When the run does not come to an end.
    pub async fn roll_back(&self, to: &ReleaseId) -> Report {
        ok(self.process().rollback(RollbackRequest::new(to.clone())).join().await)
    }

    /// Asserts that a version serves, with the variables that belong to it, that it is what the
    /// platform would deploy by itself, and that nothing is under way.
    ///
    /// # Panics
    /// When it is not so.
    #[track_caller]
    pub fn assert_serves(&self, version: &str) {
        for service in SERVICES {
            let inside = self.fake.inside(service);
            let wanted = format!("shop/{service}:{version}");
            let image = inside.image.clone().unwrap_or_default();
            // Where a former build is gone, its very image is deployed by its digest.
            assert!(image == wanted || image.contains('@'), "{service}: {inside:?}");
            assert_eq!(inside.configured.as_ref(), Some(&wanted), "{service}: {inside:?}");
            let own = own_variable(version);
            let variables =
                [("BY_HAND", "kept"), ("VERSION", version), (&own, "x"), ("SECRET", SECRET)];
            let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(inside.variables, variables.clone().into(), "{service}: {inside:?}");
            assert_eq!(inside.started_with, variables.into(), "{service}: {inside:?}");
            assert!(!inside.is_busy, "{service}: {inside:?}");
        }
    }

    /// Everything that the state directory keeps of a run, as text.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn records(&self, report: &Report) -> String {
        let state = self.state();
        let records = ok(state.journal.load(&report.run).await);
        ok(serde_json::to_string(&(records, report)))
    }
}

/// A first deploy, an upgrade, the same again, deploys of each of the `sick` tags, which fail with the
/// platform's word for it, and a rollback.
///
/// # Panics
/// When one of them ends otherwise.
pub async fn story<F: Fake>(lab: &Lab<F>, sick: &[(&str, &str)]) {
    let first = lab.deploy("1.0.0").await;
    assert!(succeeded(&first), "{first}");
    lab.assert_serves("1.0.0");
    let second = lab.deploy("1.1.0").await;
    assert!(succeeded(&second), "{second}");
    lab.assert_serves("1.1.0");
    let again = lab.deploy("1.1.0").await;
    assert_eq!(ended(&again), "succeeded, nothing changed", "{again}");
    for (tag, word) in sick {
        // The second one fails when the first one serves already.
        for (service, tags) in [("api", [*tag, "1.2.0"]), ("web", ["1.2.0", *tag])] {
            let failed = lab.deploy_tags("1.2.0", tags).await;
            assert_eq!(ended(&failed), "rolled back", "{failed}");
            let told = failed.cause().map(|cause| (cause.kind, cause.message.clone()));
            let (kind, message) = told.unwrap_or((ErrorKind::Unexpected, String::new()));
            assert_eq!(kind, ErrorKind::Unhealthy, "{failed}");
            assert!(message.contains(&format!("of {service} failed: {word}")), "{message}");
            lab.assert_serves("1.1.0");
        }
    }
    let Some(first) = first.release else { panic!("{first}") };
    let back = ok(lab.process().rollback(RollbackRequest::new(first)).join().await);
    assert!(succeeded(&back), "{back}");
    lab.assert_serves("1.0.0");
}

/// Upgrades whose process is dropped after every third record in turn, and resumed. Returns how many
/// ended how.
///
/// # Panics
/// When one does not end with a whole release.
pub async fn drops<F: Fake>(make: impl AsyncFn() -> F) -> BTreeMap<&'static str, usize> {
    let mut endings = BTreeMap::new();
    for at in (1..).step_by(3) {
        let lab = Lab::new(make().await);
        let first = lab.deploy("1.0.0").await;
        assert!(succeeded(&first), "{first}");
        let pipeline = lab.process();
        let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", ["1.1.0"; 2])));
        let mut state = run.watch();
        let report = tokio::select! {
            biased;
            () = async {
                for _ in 0..at {
                    ok(state.changed().await);
                }
            } => None,
            report = run.join() => Some(ok(report)),
        };
        drop(pipeline);
        if let Some(report) = report {
            assert!(succeeded(&report), "{report}");
            break;
        }
        let report = match ok(lab.process().resume(false, Wait::No).await) {
            Some(run) => ok(run.join().await),
            // It had not come as far as the environment, or was over.
            None => lab.deploy("1.1.0").await,
        };
        *endings.entry(ended(&report)).or_default() += 1;
        let is_there = ended(&report).starts_with("succeeded");
        lab.assert_serves(if is_there { "1.1.0" } else { "1.0.0" });
    }
    endings
}

/// Upgrades while calls fail, and while answers are lost to calls that did what they were asked for.
/// Returns how many ended how.
///
/// # Panics
/// When one does not end with a whole release, or, stuck, does not when it is tried again.
pub async fn failures<F: Fake>(make: impl AsyncFn() -> F) -> BTreeMap<&'static str, usize> {
    let mut endings = BTreeMap::new();
    for every in 3..20 {
        let lab = Lab::new(make().await);
        let first = lab.deploy("1.0.0").await;
        assert!(succeeded(&first), "{first}");
        lab.fake.fail_every(Some(every));
        let report = lab.deploy("1.1.0").await;
        lab.fake.fail_every(None);
        *endings.entry(ended(&report)).or_default() += 1;
        match ended(&report) {
            "succeeded" => lab.assert_serves("1.1.0"),
            "rolled back" | "refused" => lab.assert_serves("1.0.0"),
            // Too often for the attempts that there are; and then it is enough to try again.
            "stuck" => {
                let again = ok(lab.process().resume(true, Wait::No).await);
                let Some(again) = again else { panic!("every {every}: nothing to resume") };
                let again = ok(again.join().await);
                assert_eq!(ended(&again), "rolled back", "every {every}: {again}");
                lab.assert_serves("1.0.0");
            }
            other => panic!("every {every}: {other}: {report}"),
        }
    }
    endings
}

#[track_caller]
fn ok<T, E: fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

fn ended(report: &Report) -> &'static str {
    report.ending.as_ref().map_or("unfinished", Ending::as_str)
}

fn succeeded(report: &Report) -> bool {
    ended(report) == "succeeded"
}

/// The name of a service.
///
/// # Panics
/// When it is none.
pub fn service(name: &str) -> ServiceName {
    ok(ServiceName::new(name))
}

fn target() -> Target {
    Target::new(ok(ProjectName::new("shop")), ok(EnvironmentName::new("production")))
}

/// A variable that no other version has.
fn own_variable(version: &str) -> String {
    format!("ONLY_{}", version.replace('.', "_"))
}

/// What [`Lab::deploy_tags`] deploys.
///
/// # Panics
/// When `version` is none.
pub fn spec(version: &str, tags: [&str; 2]) -> ReleaseSpec {
    let mut spec = ReleaseSpec::new(ok(ProjectName::new("shop")), ok(Version::parse(version)));
    for (name, tag) in SERVICES.into_iter().zip(tags) {
        let reference = format!("shop/{name}:{tag}");
        let image = ImageSpec::new(reference);
        let variables = json!({ "VERSION": version, own_variable(version): "x" });
        let secret = ok(SecretName::new("SECRET"));
        let config = json!({ "variables": variables, "secret_variables": { "SECRET": secret } });
        let depends_on = if name == "web" { vec![service("api")] } else { Vec::new() };
        let image = Some(image);
        let secrets = vec![secret];
        let of_service =
            ServiceSpec { image, config, depends_on, secrets, ..ServiceSpec::default() };
        spec = spec.with_service(service(name), of_service);
    }
    spec
}
