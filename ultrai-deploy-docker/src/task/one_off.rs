//! One task: its containers made, run, and told how they ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    deployer::Step,
    error::{Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Role},
    name::ServiceName,
    redact::Redactor,
    secret::Secrets,
    task::{TaskEnd, TaskOutput},
    verification::{Dependencies, TaskSpec},
    waiting::wait_until_healthy,
};

use super::{attach, labels, mounts, needed::Needed, sweep};
use crate::{
    backend::Backend,
    checks,
    compose::model::{Condition, HealthCheck, HealthTest, Restart, Service},
    container::{Created, Request},
    definition::Definition,
    engine::ApiVersion,
    evidence,
    lines::Tail,
    network,
    snapshot::Snapshot,
    volume,
};

/// Longest single request that waits for a task; its own deadline comes first.
pub(super) const LONGEST: Duration = Duration::from_hours(24);
/// How much of the slug is in a container's name.
const SHORT: usize = 12;

/// One task.
#[derive(Debug)]
pub(super) struct Job<'a> {
    backend: &'a Backend,
    cx: &'a Context,
    definition: Definition<'a>,
    task: &'a TaskSpec,
    slug: String,
    api: ApiVersion,
    secrets: Secrets,
    /// Where the release's files lie: digest → path.
    files: BTreeMap<String, PathBuf>,
    /// The container of each service that runs or was created for the task.
    containers: Mutex<BTreeMap<ServiceName, String>>,
}

impl<'a> Job<'a> {
    pub(super) async fn new(
        backend: &'a Backend,
        cx: &'a Context,
        definition: Definition<'a>,
        task: &'a TaskSpec,
        now: &Snapshot,
    ) -> Result<Self> {
        let release = definition.release;
        let digests: BTreeSet<_> =
            release.services.values().flat_map(|service| service.files.values()).collect();
        let files = digests
            .into_iter()
            .filter_map(|digest| Some((digest.clone(), backend.releases.file_path(digest)?)));
        let running = now.live().filter(|one| one.state.is_up());
        Ok(Self {
            slug: labels::slug(cx.key(), &task.name),
            api: backend.engine.api().await?,
            secrets: backend.secrets(Some(&release.id)).await?,
            files: files.collect(),
            containers: Mutex::new(
                running.map(|one| (one.service.clone(), one.id.clone())).collect(),
            ),
            backend,
            cx,
            definition,
            task,
        })
    }

    /// Creates what the task needs, runs it, and tells how it ended. Removes nothing.
    pub(super) async fn run(&self, needed: &Needed, output: &dyn TaskOutput) -> Result<TaskEnd> {
        // By this key a network is known as one for tasks.
        let cx = self.cx.for_step(labels::STEP, self.cx.key().attempt);
        network::ensure(&cx, self.backend, &self.definition, Step::Stage).await?;
        if self.keeps_data() {
            // Under the run's own key, as its stage would make them: they are not the task's.
            volume::ensure(self.cx, self.backend, &self.definition, Step::Stage).await?;
        }
        for name in &needed.skipped {
            let why = "it could change data that is in use";
            self.cx.note(&format!("{name} is not run for `{}`: {why}", self.task.name)).await?;
        }
        for name in &needed.create {
            self.wait_for_dependencies(name, needed).await?;
            let container = self.create_dependency(name).await?;
            self.start(&container).await?;
            self.note_container(name, &container.id);
        }
        self.wait_for_dependencies(&self.task.service, needed).await?;
        let container = self.create_task().await?;
        let mut tail = Tail::default();
        let ended = self.attend(&container, output, &mut tail).await;
        let tail = tail.into_text();
        match ended {
            Ok(exit_code) => Ok(TaskEnd { exit_code, tail }),
            Err(error) => Err(self.unfinished(error, tail)),
        }
    }

    /// Removes everything that was created for the task.
    pub(super) async fn sweep(&self) -> Result<()> {
        let target = self.cx.target();
        let filters = labels::of_task(&target.project, self.cx.run(), &self.slug);
        sweep::sweep(self.cx, &self.backend.engine, &filters).await?;
        sweep::networks(self.cx, &self.backend.engine).await
    }

    async fn create_task(&self) -> Result<Container> {
        let mut service = self.definition.service(&self.task.service)?.clone();
        if !self.keeps_data() {
            let existing = self.existing(&service).await?;
            mounts::of_test(&mut service, &existing);
        }
        one_off(&mut service);
        service.command = Some(self.task.command.clone());
        service.healthcheck = Some(without_check());
        service.stdin_open = false;
        service.tty = false;
        let name = self.name(&self.task.service, "run");
        // Boxed: a request's body is large.
        Box::pin(self.create(&self.task.service, service, &name, Some(&name))).await
    }

    async fn create_dependency(&self, name: &ServiceName) -> Result<Container> {
        let mut service = self.definition.service(name)?.clone();
        if !self.keeps_data() {
            let existing = self.existing(&service).await?;
            mounts::of_dependency(&mut service, &existing);
        }
        one_off(&mut service);
        let own_name = self.name(name, "for-test");
        Box::pin(self.create(name, service, &own_name, None)).await
    }

    /// Whether what the task and its dependencies write stays.
    fn keeps_data(&self) -> bool {
        self.task.dependencies == Dependencies::WithData
    }

    async fn existing(&self, service: &Service) -> Result<mounts::Existing> {
        mounts::Existing::read(&self.backend.engine, &self.definition.shared, service).await
    }

    async fn create(
        &self,
        of: &ServiceName,
        service: Service,
        name: &str,
        hidden_as: Option<&str>,
    ) -> Result<Container> {
        let mut definition = self.definition.clone();
        if let Some(own) = definition.services.get_mut(of) {
            *own = service;
        }
        let sealed = self.definition.release.services.get(of);
        let image = sealed.and_then(|service| service.image.as_ref()).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "run a task", format!("service {of} has no image"))
                .without_effect()
        })?;
        let joined = self.containers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Created { mut body, networks } = Request {
            definition: &definition,
            name: of,
            number: 1,
            key: self.cx.for_step(labels::STEP, self.cx.key().attempt).key(),
            step: Step::Stage,
            environment: &self.cx.target().environment,
            api: self.api,
            image: &image.id,
            secrets: &self.secrets,
            files: &self.files,
            joined: &joined,
            inherited: &BTreeMap::new(),
            hidden_as,
        }
        .create()?;
        labels::mark(body.labels.get_or_insert_default(), &self.task.name, &self.slug);
        let at_once = body
            .networking_config
            .as_ref()
            .and_then(|config| config.endpoints_config.as_ref())
            .map_or(0, std::collections::HashMap::len);
        let engine = &self.backend.engine;
        let work = async {
            let id = engine.create(name, body).await?;
            for (network, endpoint) in networks.into_iter().skip(at_once) {
                engine.connect(&network, &id, endpoint).await?;
            }
            Ok(id)
        };
        let detail = json!({ "task": self.task.name, "service": of });
        let id = self.cx.effect("create a container for a task", name, detail, work).await?;
        Ok(Container { id, name: name.to_owned() })
    }

    async fn start(&self, container: &Container) -> Result<()> {
        let start = self.backend.engine.start(&container.id);
        self.cx.effect("start a container for a task", &container.name, json!({}), start).await
    }

    /// Starts the task's container and stays with it to its end.
    async fn attend(
        &self,
        container: &Container,
        output: &dyn TaskOutput,
        tail: &mut Tail,
    ) -> Result<i64> {
        let engine = &self.backend.engine;
        let redactor = Redactor::new(&self.secrets);
        let pieces = attach::output(engine, &container.id).await?;
        self.start(container).await?;
        let work = async {
            attach::hand_on(pieces, &redactor, output, tail).await?;
            attach::exit_code(engine, &container.id).await
        };
        self.cx.bounded(work).await
    }

    /// Waits for what `name` needs, of what was created for the task.
    async fn wait_for_dependencies(&self, name: &ServiceName, needed: &Needed) -> Result<()> {
        for (on, dependency) in self.definition.depends_on(name) {
            if dependency.condition == Condition::Started || !needed.create.contains(on) {
                continue;
            }
            let containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(id) = containers.get(on) else { continue };
            let check = checks::of(self.backend, &self.definition, on)?;
            let endpoint = Endpoint::new(Role::Staged, on.clone(), id.clone());
            let result = wait_until_healthy(self.cx, &check, &endpoint).await?;
            if !result.passed() {
                let why = result.why.unwrap_or_else(|| "it did not get ready".to_owned());
                let message =
                    format!("{on}, created for `{}`, is not ready: {why}", self.task.name);
                let seen = evidence::collect(self.backend, &endpoint).await;
                return Err(Error::new(ErrorKind::Unhealthy, "run a task", message)
                    .with_evidence(result.evidence)
                    .with_evidence(seen));
            }
        }
        Ok(())
    }

    fn note_container(&self, name: &ServiceName, id: &str) {
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.insert(name.clone(), id.to_owned());
    }

    fn name(&self, service: &ServiceName, purpose: &str) -> String {
        let slug = self.slug.get(..SHORT).unwrap_or(&self.slug);
        format!("{}-{service}-{purpose}-{slug}", self.cx.target().project)
    }

    /// The error of a task that was not seen to its end, with what it had said.
    fn unfinished(&self, error: Error, tail: String) -> Error {
        let name = &self.task.name;
        let error = match error.kind() {
            ErrorKind::Timeout => {
                let seconds = self.task.timeout.as_secs_f64();
                let message = format!("`{name}` did not end within {seconds} s and was killed");
                Error::new(ErrorKind::Timeout, "run a task", message)
            }
            _ => error,
        };
        let said = (!tail.is_empty()).then(|| Evidence::new(EvidenceKind::Log, name, tail));
        error.with_evidence(said)
    }
}

/// A container that was created for the task.
#[derive(Clone, Debug)]
struct Container {
    id: String,
    name: String,
}

/// Takes away what only the service's own containers may have, and what would outlive the task.
fn one_off(service: &mut Service) {
    service.ports.clear();
    service.container_name = None;
    service.restart = Some(Restart::No);
    for attachment in service.networks.values_mut() {
        attachment.ipv4_address = None;
        attachment.ipv6_address = None;
        attachment.link_local_ips.clear();
        attachment.mac_address = None;
    }
}

fn without_check() -> HealthCheck {
    HealthCheck {
        test: HealthTest::None,
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    }
}
