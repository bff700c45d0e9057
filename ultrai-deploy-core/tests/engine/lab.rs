//! A laboratory: one environment that outlives the processes that work on it.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Deployer, Ending, Error, ErrorKind,
    backup::{BackupSource, BackupStore},
    clock::{Clock, SystemClock},
    error::Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    image::ImageStore,
    journal::{Event, Initiator, Journal, Record},
    lease::{Lease, Wait},
    memory::{self, World},
    name::{EnvironmentName, ProjectName, ReleaseId, RunId, SecretName, ServiceName, Target},
    observer::Observer,
    pipeline::{
        DeployRequest, Pipeline, PipelineBuilder, Policy, Randomness, RollbackRequest, Run,
    },
    release_store::ReleaseStore,
    report::Report,
    retention::Retention,
    secret::Secret,
    spec::{ImageSpec, PullPolicy, ReleaseSpec, ServiceSpec},
    state::State,
    task::TaskRunner,
    verification::{CheckSpec, Dependencies, ProbeSource, TaskSpec, When},
    version::Version,
};

use crate::{
    disk::{Disk, Spoiler},
    journals::Paper,
};

/// The text that must never be seen anywhere.
pub(crate) const SECRET: &str = "hunter2-hunter2";

/// What stays when a process dies.
#[derive(Debug, Default)]
pub(crate) struct Lab {
    pub(crate) world: World,
    pub(crate) journal: Paper,
    pub(crate) lease: memory::Lease,
    pub(crate) releases: memory::ReleaseStore,
    pub(crate) backups: memory::BackupStore,
    pub(crate) disk: Disk,
    /// The policy of processes.
    pub(crate) policy: Policy,
}

/// The parts of one process, to be changed before it starts.
pub(crate) struct Parts {
    pub(crate) deployer: Arc<dyn Deployer>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) lease: Arc<dyn Lease>,
    pub(crate) releases: Arc<dyn ReleaseStore>,
    pub(crate) backups: Arc<dyn BackupStore>,
    pub(crate) source: Arc<dyn BackupSource>,
    pub(crate) tasks: Arc<dyn TaskRunner>,
    pub(crate) images: Arc<dyn ImageStore>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) policy: Policy,
    pub(crate) chance: f64,
    /// How much later than now it is.
    pub(crate) later: std::time::Duration,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The parts of a new process.
    pub(crate) fn parts(&self) -> Parts {
        Parts {
            deployer: self.deployer(),
            journal: Arc::new(self.journal.clone()),
            lease: Arc::new(self.lease.clone()),
            releases: Arc::new(self.releases.clone()),
            backups: Arc::new(self.backups.clone()),
            source: Arc::new(self.disk.clone()),
            tasks: Arc::new(memory::Tasks::new(self.world.clone())),
            images: Arc::new(memory::Images::new().with("app:1")),
            observers: vec![Arc::new(Watchman::new(self)), Arc::new(Spoiler(self.disk.clone()))],
            policy: self.policy.clone(),
            chance: 1.0,
            later: std::time::Duration::ZERO,
        }
    }

    pub(crate) fn deployer(&self) -> Arc<dyn Deployer> {
        let releases = Arc::new(self.releases.clone());
        Arc::new(memory::Deployer::new(self.world.clone(), releases))
    }

    /// A new process.
    pub(crate) fn process(&self) -> Pipeline {
        self.parts().start()
    }

    /// Deploys in a process of its own.
    pub(crate) async fn deploy(&self, spec: ReleaseSpec) -> Report {
        self.process().deploy(DeployRequest::new(spec)).join().await.unwrap()
    }

    /// The same of a version that may be lower than what serves.
    pub(crate) async fn downgrade(&self, spec: ReleaseSpec) -> Report {
        let mut request = DeployRequest::new(spec);
        request.allow_downgrade = true;
        self.process().deploy(request).join().await.unwrap()
    }

    pub(crate) async fn roll_back(&self, to: &ReleaseId) -> Report {
        self.process().rollback(RollbackRequest::new(to.clone())).join().await.unwrap()
    }

    /// What a process that takes over makes of what it finds.
    pub(crate) async fn resume(&self) -> Option<Report> {
        let run = self.process().resume(false, Wait::No).await.unwrap()?;
        Some(run.join().await.unwrap())
    }

    pub(crate) async fn records(&self, run: &RunId) -> Vec<Record> {
        self.journal.load(run).await.unwrap()
    }

    pub(crate) async fn runs(&self) -> Vec<RunId> {
        Journal::runs(&self.journal).await.unwrap()
    }

    /// The run that has the lease.
    pub(crate) async fn holder(&self) -> Option<RunId> {
        self.lease.holder(&target()).await.unwrap().map(|holder| holder.run)
    }

    /// Puts what was journaled so far into files below `base`.
    pub(crate) async fn copy_journal(&self, base: &Path) {
        let files = ultrai_deploy_core::file::open(base, &target()).unwrap().journal;
        for run in self.runs().await {
            for record in self.records(&run).await {
                files.append(&run, &record).await.unwrap();
            }
        }
    }

    pub(crate) async fn serving(&self) -> Option<ReleaseId> {
        self.releases.current().await.unwrap()
    }

    /// Everything that runs or is kept, with how often and when it was started.
    pub(crate) fn stamps(&self) -> Vec<(String, memory::Phase, u32, u64)> {
        let all = self.world.instances().into_iter();
        all.map(|one| (one.id, one.phase, one.starts, one.started_at)).collect()
    }

    pub(crate) async fn picture(&self) -> Picture {
        let live = self.world.live().into_iter().map(|one| (one.id, one.release)).collect();
        Picture { serving: self.serving().await, live }
    }

    /// Whatever happened: nothing is unfinished, nothing is left over, what serves is one whole
    /// release that passes its checks, every journal can be replayed, and no run has gone back
    /// twice.
    pub(crate) async fn assert_settled(&self) {
        for run in self.runs().await {
            let records = self.records(&run).await;
            let decided = |record: &&Record| matches!(record.event, Event::RollbackDecided { .. });
            assert!(records.iter().filter(decided).count() <= 1, "{run} goes back twice");
            let state = State::replay(&records).unwrap();
            if state.was_locked() {
                assert!(state.is_final(), "{run} is {}", state.phase().describe());
            }
        }
        let pipeline = self.process();
        assert!(pipeline.unfinished().await.unwrap().is_none());
        assert_eq!(self.world.leftovers(), [], "left over");
        match pipeline.verify(&pipeline.look()).await {
            Ok((release, proof)) => {
                assert!(proof.passed(), "{:?}", proof.outcomes);
                let live = self.world.live();
                assert_eq!(live.len(), release.services.len(), "{live:?}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                assert_eq!(self.world.live(), [], "something runs");
            }
        }
    }
}

impl Parts {
    pub(crate) fn start(self) -> Pipeline {
        self.build().unwrap()
    }

    pub(crate) fn build(self) -> Result<Pipeline> {
        self.build_as(target(), SECRET)
    }

    /// For another environment, or with another value of the secret.
    pub(crate) fn build_as(self, target: Target, secret: &str) -> Result<Pipeline> {
        let initiator = Initiator { user: "somebody".into(), ..Initiator::default() };
        let secrets = [(token(), Secret::new(secret))];
        let builder = Pipeline::builder(
            target,
            self.deployer,
            self.journal,
            self.lease,
            self.releases,
            Arc::new(Probes),
        )
        .images(self.images)
        .tasks(self.tasks)
        .backups(self.backups)
        .source(self.source)
        .secrets(Arc::new(memory::Secrets::from_iter(secrets)))
        .policy(self.policy)
        .randomness(Arc::new(Chance(self.chance)))
        .clock(Arc::new(Later(self.later)))
        .initiator(initiator);
        let builder = self.observers.into_iter().fold(builder, PipelineBuilder::observer);
        builder.build()
    }
}

/// A clock that is ahead.
#[derive(Debug)]
struct Later(std::time::Duration);

impl Clock for Later {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + self.0
    }
}

/// Always the same chance.
#[derive(Debug)]
struct Chance(f64);

impl Randomness for Chance {
    fn fraction(&self) -> f64 {
        self.0
    }
}

/// What serves: the release, and the instances with the releases that they were made for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) serving: Option<ReleaseId>,
    pub(crate) live: Vec<(String, Option<ReleaseId>)>,
}

/// The newest backup of each of so many releases, and no others.
pub(crate) fn only_last(last: usize) -> Retention {
    Retention { last, within: std::time::Duration::ZERO, ..Retention::default() }
}

pub(crate) fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

pub(crate) fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn token() -> SecretName {
    SecretName::new("TOKEN").unwrap()
}

/// A release with a database that stops first, a backend that depends on it, and a frontend that
/// starts first. Every version replaces the last two; `backend` is merged into the backend.
pub(crate) fn shop(version: &str, backend: Value) -> ReleaseSpec {
    let mut config = json!({ "version": version, "port": "fixed" });
    if let (Value::Object(config), Value::Object(more)) = (&mut config, backend) {
        config.extend(more);
    }
    spec(
        version,
        &[
            ("db", json!({ "port": "fixed" }), &[]),
            ("backend", config, &["db"]),
            ("frontend", json!({ "version": version }), &[]),
        ],
    )
}

pub(crate) fn spec(version: &str, services: &[(&str, Value, &[&str])]) -> ReleaseSpec {
    let spec = ReleaseSpec::new(target().project, Version::parse(version).unwrap());
    services.iter().fold(spec, |spec, (name, config, needs)| {
        let definition = ServiceSpec {
            config: config.clone(),
            depends_on: needs.iter().copied().map(service).collect(),
            secrets: if *name == "backend" { vec![token()] } else { Vec::new() },
            ..ServiceSpec::default()
        };
        spec.with_service(service(name), definition)
    })
}

/// A release of one service with an image, which is built when it has a `build`.
pub(crate) fn image(version: &str, reference: &str, build: Option<Value>) -> ReleaseSpec {
    let mut spec = spec(version, &[("web", json!({}), &[])]);
    if let Some(web) = spec.services.get_mut(&service("web")) {
        let (reference, pull) = (reference.to_owned(), PullPolicy::Missing);
        web.image = Some(ImageSpec { reference, build, pull, ..ImageSpec::default() });
    }
    spec
}

/// Adds a check that passes or not.
pub(crate) fn with_check(mut spec: ReleaseSpec, when: When, probe: Value) -> ReleaseSpec {
    let check = CheckSpec::new(format!("{when:?} check"), probe).with_when(when);
    spec.verification.checks.push(check);
    spec
}

/// Adds a test in the backend, which may say how it ends by `{"tasks": {"<when> test": 1}}`.
pub(crate) fn with_test(mut spec: ReleaseSpec, when: When) -> ReleaseSpec {
    spec.verification.tasks.push(TaskSpec {
        name: format!("{when:?} test"),
        service: service("backend"),
        command: vec!["test".into(), format!("--token={SECRET}")],
        when,
        dependencies: Dependencies::Create,
        timeout: std::time::Duration::from_mins(1),
    });
    spec
}

pub(crate) fn fails(when: When) -> Value {
    let name = format!("{when:?} test");
    json!({ "tasks": { name: 1 } })
}

/// Probes that answer as they are told: `{"healthy": true}`; `"says"` is their evidence. With
/// `"sick": [540, 545]` they are not healthy for these seconds of a stage. With `"verdict"` they could
/// not look or saw too little; with `"measures"` that is what they measure, and with `"beats"` it must
/// not be what was measured before.
#[derive(Debug)]
pub(crate) struct Probes;

impl ProbeSource for Probes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        Ok(Arc::new(Told(check.name.clone(), check.probe.clone(), tokio::time::Instant::now())))
    }

    fn secrets(&self, _: &CheckSpec) -> Result<Vec<SecretName>> {
        Ok(Vec::new())
    }
}

#[derive(Debug)]
struct Told(String, Value, tokio::time::Instant);

#[async_trait]
impl HealthProbe for Told {
    async fn check(&self, cx: &Context, _: &Endpoint) -> Result<Health> {
        let Self(name, told, made) = self;
        let says = told["says"].as_str().unwrap_or_default();
        let mut evidence = vec![Evidence::new(EvidenceKind::Probe, "told", says)];
        if let Some(measured) = told["measures"].as_str() {
            evidence.push(Evidence::new(EvidenceKind::Measurement, name, measured));
        }
        let why = "told so".to_owned();
        match told["verdict"].as_str() {
            Some("error") => return Err(Error::new(ErrorKind::Unavailable, "look", why)),
            Some("inconclusive") => return Ok(Health::Inconclusive { why, evidence }),
            _ => {}
        }
        if let Some(beaten) = told["beats"].as_str()
            && cx.measured_before(name) == Some(beaten)
        {
            return Ok(Health::Dead { why: format!("no better than {beaten}"), evidence });
        }
        let sick = |at: usize| told["sick"][at].as_f64();
        let now = made.elapsed().as_secs_f64();
        let is_sick = sick(0).is_some_and(|from| from <= now) && sick(1).is_none_or(|to| now < to);
        Ok(if is_sick {
            Health::Unhealthy { why: "it answers 503".into(), evidence }
        } else if told["healthy"] == true {
            Health::Healthy(evidence)
        } else {
            Health::Dead { why: format!("told so: {says}"), evidence }
        })
    }
}

/// Sees to the invariants at every record. A run goes on when one who watches panics, so the test
/// fails when the watchman is dropped.
#[derive(Debug)]
pub(crate) struct Watchman {
    world: World,
    journal: Paper,
    alarmed: AtomicBool,
    /// What had the traffic when a run began, and what the run has journaled since.
    seen: Mutex<BTreeMap<RunId, Seen>>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that was seen")]
struct Seen {
    before: Vec<String>,
    baseline: bool,
    backed_up: bool,
    /// What is there is kept, or is worth nothing, as it is half restored.
    data_kept: bool,
    half_restored: bool,
    retiring: bool,
    records: u64,
}

impl Watchman {
    pub(crate) fn new(lab: &Lab) -> Self {
        let (world, journal) = (lab.world.clone(), lab.journal.clone());
        Self { world, journal, alarmed: AtomicBool::new(false), seen: Mutex::default() }
    }

    fn watch(&self, look: impl FnOnce()) {
        if let Err(alarm) = catch_unwind(AssertUnwindSafe(look)) {
            self.alarmed.store(true, Ordering::Relaxed);
            resume_unwind(alarm);
        }
    }

    fn look(&self, run: &RunId, record: &Record) {
        let text = serde_json::to_string(record).unwrap();
        assert!(!text.contains(SECRET), "{text}");

        let mut runs = self.seen.lock().unwrap();
        let seen = runs.entry(run.clone()).or_default();
        if seen.records == 0 {
            // This process may have taken the run over: then the rest is in the journal.
            for earlier in &durable(&self.journal, run)[..] {
                if earlier.seq < record.seq {
                    seen.note(&earlier.event);
                    seen.half_restored |= matches!(earlier.event, Event::DataRestoreStarted { .. });
                }
            }
        }
        seen.note(&record.event);
        if let Event::Inherited { steps, .. } = &record.event {
            // What held runs brought may go with a rollback of this one.
            let is_theirs = |one: &memory::Instance| {
                let by = |maker: &memory::Maker| steps.iter().any(|step| step.run == maker.run);
                one.maker.as_ref().is_some_and(by)
            };
            let theirs = self.world.instances().into_iter().filter(is_theirs);
            let theirs: Vec<_> = theirs.map(|one| one.id).collect();
            seen.before.retain(|id| !theirs.contains(id));
        }
        if matches!(record.event, Event::Observed { .. }) {
            seen.before = self.world.live().into_iter().map(|one| one.id).collect();
        }
        if matches!(record.event, Event::Intent { .. }) && seen.baseline {
            assert!(seen.backed_up, "{run} changes something without a backup");
        }
        if matches!(record.event, Event::DataRestoreStarted { .. }) {
            assert!(seen.data_kept || seen.half_restored, "{run} overwrites what is not kept");
            seen.half_restored = true;
        }
        if let Event::Ended { ending: Ending::Succeeded { .. } | Ending::RolledBack { .. } } =
            record.event
        {
            assert!(!seen.half_restored, "{run} ends with half of the data");
        }
        if !seen.retiring {
            let instances = self.world.instances();
            for id in &seen.before {
                assert!(instances.iter().any(|one| one.id == *id), "{id} is gone before retire");
            }
        }
    }
}

impl Observer for Watchman {
    fn on_record(&self, run: &RunId, record: &Record) {
        self.watch(|| self.look(run, record));
    }

    fn on_output(&self, _: &RunId, _: &str, line: &str) {
        self.watch(|| assert!(!line.contains(SECRET), "{line}"));
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        let alarmed = self.alarmed.load(Ordering::Relaxed);
        assert!(!alarmed || std::thread::panicking(), "an invariant was broken, see above");
    }
}

/// The records of a run, from where nobody can wait.
pub(crate) fn durable(journal: &Paper, run: &RunId) -> Vec<Record> {
    journal.load(run).now_or_never().unwrap().unwrap()
}

impl Seen {
    fn note(&mut self, event: &Event) {
        self.records += 1;
        match event {
            Event::Observed { serving, .. } => self.baseline = serving.is_some(),
            Event::BackedUp { data, .. } => {
                self.backed_up = true;
                self.data_kept |= !data.is_empty();
            }
            // By then people may have written more.
            Event::RollbackDecided { .. } => self.data_kept = false,
            Event::DataRestored { .. } => self.half_restored = false,
            Event::Intent { step: ultrai_deploy_core::deployer::Step::Retire, .. } => {
                self.retiring = true;
            }
            _ => {}
        }
    }
}

/// The ending in short: `succeeded`, `refused`.
pub(crate) fn ended(report: &Report) -> &'static str {
    report.ending.as_ref().map_or("unfinished", Ending::as_str)
}

/// Cancels a run at the first record that `at` names.
pub(crate) struct CancelAt {
    at: Box<dyn Fn(&Event) -> bool + Send + Sync>,
    cancel: Mutex<Option<ultrai_deploy_core::Cancel>>,
}

impl CancelAt {
    pub(crate) fn new(at: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { at: Box::new(at), cancel: Mutex::default() })
    }

    pub(crate) fn watch(&self, run: &Run) {
        *self.cancel.lock().unwrap() = Some(run.cancel());
    }
}

impl fmt::Debug for CancelAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelAt").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl Observer for CancelAt {
    fn on_record(&self, _: &RunId, record: &Record) {
        if (self.at)(&record.event)
            && let Some(cancel) = self.cancel.lock().unwrap().as_ref()
        {
            cancel.cancel();
        }
    }
    fn on_output(&self, _: &RunId, _: &str, _: &str) {}
}
