//! One project on the engine: releases of busybox services, driven step by step.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Deployer as _, Result,
    current::{Current, Serving},
    deployer::{Observation, Step, StepRecord, Work},
    file::{self, State},
    health::{Endpoint, Role},
    name::{EnvironmentName, ProjectName, RunId, SecretName, ServiceName, Target},
    plan::Plan,
    release::{Image, Release, Seal},
    release_store::ReleaseStore,
    secret::{Secret, Secrets},
    spec::ReleaseSpec,
    version::Version,
    waiting::{CheckResult, wait_until_healthy},
};
use ultrai_deploy_docker::{
    Config, Deployer, Engine,
    bollard::{
        Docker,
        errors::Error,
        models::ContainerInspectResponse,
        query_parameters::{
            ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
            RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
        },
    },
    compose::model::Project,
    labels, spec,
};

use crate::support::{self, BUSYBOX};

/// Runs until it is told to stop, which it does at once.
pub(crate) const SERVE: &str = "trap 'exit 0' TERM; touch /ok; sleep 1000 & wait";

pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// A health check that passes once the service is up.
pub(crate) fn healthy() -> Value {
    json!({"test": {"shell": "test -f /ok"}, "interval": {"secs": 30, "nanos": 0}})
}

/// A service that runs `script`.
pub(crate) fn sh(script: &str) -> Value {
    json!({"command": ["sh", "-c", script]})
}

/// A project of its own, with its state in a directory of its own.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) docker: Docker,
    pub(crate) deployer: Deployer,
    pub(crate) state: State,
    pub(crate) target: Target,
    pub(crate) secrets: Secrets,
    pub(crate) directory: tempfile::TempDir,
    config: Config,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let run = RunId::generate();
        let project = ProjectName::new(format!("ut-{}", run.short())).unwrap();
        Self::of(Target::new(project, EnvironmentName::new("test").unwrap())).await
    }

    /// Another state directory for the same or another target.
    pub(crate) async fn of(target: Target) -> Self {
        let engine = support::engine();
        let docker = support::busybox(&engine).await;
        let directory = tempfile::tempdir().unwrap();
        let state = file::open(&directory.path().join("state"), &target).unwrap();
        let config = Config {
            host: Some(engine.address().to_owned()),
            drain: Duration::ZERO,
            stability: Duration::from_millis(200),
            boot_deadline: Some(Duration::from_secs(10)),
            ..Config::default()
        };
        let releases: Arc<dyn ReleaseStore> = Arc::<file::ReleaseStore>::clone(&state.releases);
        let deployer = Deployer::connect(config.clone(), releases);
        let secrets = Secrets::new();
        Self { docker, deployer, state, target, secrets, directory, config }
    }

    /// The same project as another process sees it.
    pub(crate) fn new_deployer(&self) -> Deployer {
        Deployer::connect(self.config.clone(), self.releases())
    }

    pub(crate) fn releases(&self) -> Arc<dyn ReleaseStore> {
        Arc::<file::ReleaseStore>::clone(&self.state.releases)
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.deployer.engine()
    }

    pub(crate) fn cx(&self) -> Context {
        Context::detached(self.target.clone(), RunId::generate())
            .with_timeout(Duration::from_mins(2))
    }

    pub(crate) fn with_secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.insert(SecretName::new(name).unwrap(), Secret::new(value));
        self
    }

    /// What is replaced without downtime serves on for so long.
    pub(crate) fn with_drain(mut self, drain: Duration) -> Self {
        self.config.drain = drain;
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A project with these services, all on the network `default` unless they say otherwise.
    pub(crate) fn project(&self, mut services: Value) -> Project {
        for (_, service) in services.as_object_mut().unwrap() {
            let fields = service.as_object_mut().unwrap();
            fields.entry("image").or_insert_with(|| BUSYBOX.into());
            if !fields.contains_key("network_mode") {
                fields.entry("networks").or_insert_with(|| json!({"default": {}}));
            }
        }
        let name = &self.target.project;
        serde_json::from_value(json!({
            "name": name,
            "working_dir": self.path(),
            "config_files": [self.path().join("compose.yaml")],
            "services": services,
            "networks": {
                "default": {"name": format!("{name}_default")},
                "back": {"name": format!("{name}_back")},
            },
            "volumes": {"data": {"name": format!("{name}_data")}},
        }))
        .unwrap()
    }

    pub(crate) fn spec(&self, services: Value) -> ReleaseSpec {
        spec(&self.project(services), Version::parse("v1.0.0").unwrap()).unwrap()
    }

    /// A stored release of these services.
    pub(crate) async fn release(&self, services: Value) -> Release {
        self.seal(self.spec(services)).await
    }

    pub(crate) async fn seal(&self, spec: ReleaseSpec) -> Release {
        let key = self.state.releases.fingerprint_key().await.unwrap();
        let mut seal = Seal::default();
        for (name, service) in &spec.services {
            let reference = service.image.as_ref().unwrap().reference.clone();
            let found = self.docker.inspect_image(&reference).await;
            let id = found.unwrap_or_else(|why| panic!("{reference}: {why}")).id.unwrap();
            seal.images.insert(name.clone(), Image { reference, id, digest: None });
            let files = self.state.releases.put_files(&service.files).await.unwrap();
            seal.files.insert(name.clone(), files);
        }
        for (name, value) in &self.secrets {
            seal.secrets.insert(name.clone(), key.fingerprint(name, value));
        }
        let release = Release::seal(&spec, &seal).unwrap();
        self.state.releases.put(&release, &self.secrets).await.unwrap();
        release
    }

    pub(crate) async fn current(&self) -> Current {
        self.deployer.current(&self.cx()).await.unwrap()
    }

    /// Brings a release to its end.
    pub(crate) async fn deploy(&self, services: Value) -> Release {
        let mut run = self.begin(self.release(services).await).await;
        for step in [Step::Stage, Step::Switch, Step::Retire] {
            run.step(step).await.unwrap();
        }
        run.release
    }

    /// Reads what serves and plans.
    pub(crate) async fn begin(&self, release: Release) -> Run<'_> {
        let current = self.current().await;
        let plan = self.deployer.plan(&current, &release).unwrap();
        let before = match current.serving {
            Serving::Release(id) => {
                Some(Release::clone(&*self.state.releases.get(&id).await.unwrap()))
            }
            Serving::Unmanaged(found) => {
                self.state.releases.put(&found, &Secrets::new()).await.unwrap();
                Some(*found)
            }
            _ => None,
        };
        Run { bench: self, id: RunId::generate(), before, release, plan, records: Vec::new() }
    }

    /// The containers of the project by name, without the guard.
    pub(crate) async fn containers(&self) -> BTreeMap<String, ContainerInspectResponse> {
        let mut found = BTreeMap::new();
        for id in self.ids(&format!("{}={}", labels::PROJECT, self.target.project)).await {
            // The engine may just be about to remove it for a driver that has died.
            let Some(container) = gone(self.docker.inspect_container(&id, None).await) else {
                continue;
            };
            found.insert(container.name.clone().unwrap().trim_matches('/').to_owned(), container);
        }
        found
    }

    pub(crate) async fn ids(&self, label: &str) -> Vec<String> {
        let filters = HashMap::from([("label", vec![label.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await.unwrap();
        found.into_iter().filter_map(|one| one.id).collect()
    }

    /// Names of the containers, the guard included.
    pub(crate) async fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.containers().await.into_keys().collect();
        let guard = format!("{}={}", labels::GUARD, self.target.project);
        names.extend(self.ids(&guard).await.into_iter().map(|_| "guard".to_owned()));
        names
    }

    pub(crate) fn live(&self, service: &str) -> String {
        format!("{}-{service}-1", self.target.project)
    }

    /// The container that serves for a service.
    pub(crate) async fn serving(&self, service: &str) -> ContainerInspectResponse {
        self.docker.inspect_container(&self.live(service), None).await.unwrap()
    }

    pub(crate) async fn id(&self, service: &str) -> String {
        self.serving(service).await.id.unwrap()
    }

    /// What a command prints in the container that serves for a service.
    pub(crate) async fn output(&self, service: &str, command: &str) -> String {
        use futures_util::StreamExt;
        use ultrai_deploy_docker::bollard::{exec::StartExecResults, models::ExecConfig};
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(["sh", "-c", command].map(ToOwned::to_owned).to_vec()),
            ..ExecConfig::default()
        };
        let exec = self.docker.create_exec(&self.live(service), config).await.unwrap().id;
        let started = self.docker.start_exec(&exec, None).await.unwrap();
        let StartExecResults::Attached { mut output, .. } = started else { panic!("detached") };
        let mut text = String::new();
        while let Some(chunk) = output.next().await {
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap().into_bytes()));
        }
        text.trim().to_owned()
    }

    /// The results of a release's own checks.
    pub(crate) async fn check(
        &self,
        release: &Release,
        role: Role,
    ) -> BTreeMap<ServiceName, CheckResult> {
        let cx = self.cx();
        let endpoints = self.deployer.endpoints(&cx, release, role).await.unwrap();
        let mut results = BTreeMap::new();
        for check in self.deployer.declared_checks(release).unwrap() {
            for endpoint in endpoints.iter().filter(|one| one.service == check.service) {
                let result = wait_until_healthy(&cx, &check, endpoint).await.unwrap();
                results.insert(check.service.clone().unwrap(), result);
            }
        }
        results
    }

    pub(crate) async fn assert_healthy(&self, release: &Release) {
        let results = self.check(release, Role::Live).await;
        assert_eq!(results.len(), release.services.len(), "{results:?}");
        for (name, result) in results {
            assert!(result.passed(), "{name}: {result:?}");
        }
    }

    pub(crate) fn endpoint(&self, service: &str) -> Endpoint {
        Endpoint::new(Role::Live, name(service), self.live(service))
    }

    pub(crate) async fn networks(&self) -> Vec<String> {
        let label = format!("{}={}", labels::PROJECT, self.target.project);
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found = self.docker.list_networks(Some(options)).await.unwrap();
        found.into_iter().filter_map(|one| one.name).collect()
    }

    /// Removes all that is in the project. A test that panics leaves it to `scripts/test-engine`.
    pub(crate) async fn close(&self) {
        let project = &self.target.project;
        for label in [labels::PROJECT, labels::GUARD] {
            for id in self.ids(&format!("{label}={project}")).await {
                // Waits for a start that is under way.
                gone(self.docker.inspect_container(&id, None).await);
                let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                gone(self.docker.remove_container(&id, Some(options)).await);
            }
        }
        for network in self.networks().await {
            // Containers that are gone hold it for a moment; and Engine 20.10 may miscount them for
            // good while tests run side by side.
            for _ in 0..20 {
                if self.docker.remove_network(&network).await.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let label = format!("{}={project}", labels::PROJECT);
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        for volume in self.docker.list_volumes(Some(options)).await.unwrap().volumes.unwrap() {
            let options = RemoveVolumeOptionsBuilder::default().force(true).build();
            self.docker.remove_volume(&volume.name, Some(options)).await.unwrap();
        }
    }
}

/// The answer, or nothing when what was asked about is gone or going.
fn gone<T>(answer: Result<T, Error>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// A run, driven step by step, each step by a deployer of its own.
pub(crate) struct Run<'a> {
    bench: &'a Bench,
    pub(crate) id: RunId,
    pub(crate) before: Option<Release>,
    pub(crate) release: Release,
    pub(crate) plan: Plan,
    records: Vec<(Step, StepRecord)>,
}

impl Run<'_> {
    fn work(&self, step: Step) -> Work<'_> {
        let (from, to) = match step {
            Step::Rollback => (Some(&self.release), self.before.as_ref()),
            _ => (self.before.as_ref(), Some(&self.release)),
        };
        Work {
            from,
            to,
            plan: &self.plan,
            records: &self.records,
            inherited: &[],
            is_return: false,
        }
    }

    fn cx(&self, step: Step) -> Context {
        Context::detached(self.bench.target.clone(), self.id.clone())
            .for_step(step.as_str(), 1)
            .with_timeout(Duration::from_mins(2))
    }

    pub(crate) async fn prepare(&mut self, step: Step) -> Result<()> {
        let deployer = self.bench.new_deployer();
        let record = deployer.prepare(&self.cx(step), step, &self.work(step)).await?;
        // A record goes through the journal.
        let text = serde_json::to_string(&record).unwrap();
        self.records.push((step, serde_json::from_str(&text).unwrap()));
        Ok(())
    }

    pub(crate) async fn act(&self, step: Step) -> Result<()> {
        let (cx, work, deployer) = (self.cx(step), self.work(step), self.bench.new_deployer());
        let record = work.record(step).unwrap();
        match step {
            Step::Stage => deployer.stage(&cx, &work, record).await,
            Step::Switch => deployer.switch(&cx, &work, record).await,
            Step::Retire => deployer.retire(&cx, &work, record).await,
            Step::Rollback => deployer.rollback(&cx, &work, record).await,
            other => panic!("{other}"),
        }
    }

    pub(crate) async fn step(&mut self, step: Step) -> Result<()> {
        self.prepare(step).await?;
        self.act(step).await
    }

    pub(crate) async fn observe(&self, step: Step) -> Observation {
        let (cx, work, deployer) = (self.cx(step), self.work(step), self.bench.new_deployer());
        deployer.observe(&cx, step, &work, work.record(step).unwrap()).await.unwrap()
    }

    /// The records as the journal has them.
    pub(crate) fn journal(&self) -> String {
        serde_json::to_string(&self.records).unwrap()
    }
}
