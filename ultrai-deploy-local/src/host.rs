//! The state directory of an environment and its processes: single, small operations.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    clock::{Clock, SystemClock},
    deployer::Step,
    name::{ReleaseId, ServiceName},
    release::{Release, ReleaseService},
    release_store::ReleaseStore,
    secret::Secrets,
};

use crate::{
    config::{Port, Service},
    disk::{self, blocking, failure},
    instance::{Instance, Instances, State},
    placeholder, ports,
    process::{self, Launch},
    traffic::{self, CurrentPorts, Published, Traffic},
};

/// Where programs are looked for when a service sets no `PATH`.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const START: &str = "start a process";
const STOP: &str = "stop a process";

/// What a deployer and a task runner of one environment share.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) releases: Arc<dyn ReleaseStore>,
    pub(crate) instances: Instances,
    pub(crate) traffic: Traffic,
    clock: Arc<dyn Clock>,
}

/// A service of a release, and the values that its definition leaves out.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: ServiceName,
    pub(crate) release: ReleaseId,
    pub(crate) sealed: ReleaseService,
    pub(crate) service: Service,
    pub(crate) secrets: Secrets,
}

impl Host {
    pub(crate) fn new(releases: Arc<dyn ReleaseStore>) -> Result<Self> {
        let Some(root) = releases.root().map(Path::to_owned) else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "open the local backend",
                "the release store has no directory",
            )
            .with_advice("use a release store on the file system")
            .without_effect());
        };
        Ok(Self {
            releases,
            instances: Instances::new(root.join("instances")),
            traffic: Traffic::new(root.join(traffic::FILE)),
            clock: Arc::new(SystemClock),
        })
    }

    /// A service of a release with the values of its secrets.
    pub(crate) async fn definition(
        &self,
        release: &Release,
        name: &ServiceName,
    ) -> Result<Definition> {
        let sealed = sealed(release, name)?.clone();
        let service = Service::of(name, &sealed)?;
        let secrets = if sealed.secrets.is_empty() {
            Secrets::new()
        } else {
            self.secrets_of(release).await?
        };
        Ok(Definition { name: name.clone(), release: release.id.clone(), sealed, service, secrets })
    }

    /// The secrets that were kept with a release.
    pub(crate) async fn secrets_of(&self, release: &Release) -> Result<Secrets> {
        self.releases.secrets(&release.id).await
    }

    /// Makes an instance of a service and starts it; adopts what an earlier attempt began.
    pub(crate) async fn create(
        &self,
        cx: &Context,
        step: Option<Step>,
        definition: Definition,
    ) -> Result<Instance> {
        let service = &definition.service;
        let instance = Instance::new(
            cx,
            step,
            definition.name.clone(),
            definition.release.clone(),
            definition.sealed.spec_hash.clone(),
            None,
            service.port == Port::Auto,
            service.stop_grace,
        );
        self.start(instance, definition).await
    }

    /// Starts an instance that does not run.
    pub(crate) async fn start(
        &self,
        instance: Instance,
        definition: Definition,
    ) -> Result<Instance> {
        let host = self.clone();
        blocking(move || host.start_blocking(instance, &definition)).await
    }

    fn start_blocking(&self, mut instance: Instance, definition: &Definition) -> Result<Instance> {
        if let Some(known) = self.instances.get(&instance.id)? {
            instance = known;
        }
        if let Some(process) = instance.process() {
            if instance.state == State::Starting {
                instance.state = State::Started { process, at: self.clock.now().to_string() };
                self.instances.put(&instance)?;
            }
            return Ok(instance);
        }
        instance.port = self.choose_port(&instance, definition)?;
        let lock = self.instances.lock_start()?;
        // From here on a process may exist; whoever comes next finds it by its mark.
        instance.state = State::Starting;
        self.instances.put(&instance)?;
        self.instances.forget_ending(&instance.id)?;
        let process = self.launch(&instance, definition)?.start().map_err(|source| {
            let program = definition.service.command.first().map_or("", String::as_str);
            Error::new(
                ErrorKind::Unexpected,
                START,
                format!("`{program}` of {} does not start", definition.name),
            )
            .with_source(source)
        })?;
        instance.state = State::Started { process, at: self.clock.now().to_string() };
        self.instances.put(&instance)?;
        drop(lock);
        self.link(&instance.release, &instance.service, &instance.id)?;
        Ok(instance)
    }

    fn choose_port(&self, instance: &Instance, definition: &Definition) -> Result<Option<u16>> {
        match definition.service.port {
            Port::None => Ok(None),
            Port::Fixed(port) => Ok(Some(port)),
            Port::Auto => {
                let others = self.instances.all()?;
                let taken: Vec<_> = others.iter().filter_map(|other| other.port).collect();
                ports::free(instance.port, &taken).map(Some)
            }
        }
    }

    fn launch(&self, instance: &Instance, definition: &Definition) -> Result<Launch> {
        let directory = self.instances.directory(&instance.id);
        self.put_files(&directory, &definition.sealed)?;
        let env = environment(definition, instance.port)?;
        let mut words = definition.service.command.iter();
        let program = words.next().map_or("", String::as_str);
        let program = find_program(program, &directory, &env).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                START,
                format!("there is no program `{program}` for {}", definition.name),
            )
            .with_advice("name it among the service's files, or set PATH in its env")
        })?;
        let arguments = words
            .map(|text| placeholder::fill(text, instance.port, &Secrets::new()))
            .collect::<Result<_>>()?;
        let log = self.instances.log(&instance.id);
        Ok(Launch { program, arguments, env, directory, log, mark: instance.mark() })
    }

    /// Makes a working directory with links to a service's files. What the links lead to is
    /// addressed by its content and never changes.
    pub(crate) fn put_files(&self, directory: &Path, sealed: &ReleaseService) -> Result<()> {
        let failed = |path: &Path, error| failure("put a service's files", path, error);
        disk::create_directory(directory).map_err(|error| failed(directory, error))?;
        for (name, digest) in &sealed.files {
            let link = disk::below(name).map(|name| directory.join(name)).ok_or_else(|| {
                let message = format!("file name `{}` leads elsewhere", name.escape_default());
                Error::new(ErrorKind::Invalid, START, message)
            })?;
            let stored = self.releases.file_path(digest).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, START, format!("file {name} is not stored"))
            })?;
            disk::put_link(&stored, &link).map_err(|error| failed(&link, error))?;
        }
        Ok(())
    }

    /// Lets `releases/<id>/run/<service>` lead to the directory of the instance that serves it.
    pub(crate) fn link(&self, release: &ReleaseId, service: &ServiceName, id: &str) -> Result<()> {
        let Some(directory) = self.releases.directory(release) else { return Ok(()) };
        let link = directory.join("run").join(service.as_str());
        disk::put_link(&self.instances.directory(id), &link)
            .map_err(|error| failure("link a release to its process", &link, error))
    }

    fn unlink(&self, instance: &Instance) -> Result<()> {
        let Some(directory) = self.releases.directory(&instance.release) else { return Ok(()) };
        let link = directory.join("run").join(instance.service.as_str());
        if std::fs::read_link(&link).is_ok_and(|to| to == self.instances.directory(&instance.id)) {
            return disk::remove_file(&link).map_err(|error| failure(STOP, &link, error));
        }
        Ok(())
    }

    /// Stops an instance's process. One that does not run is only recorded as stopped.
    pub(crate) async fn stop(&self, id: &str) -> Result<()> {
        let Some(mut instance) = self.instances.get(id)? else { return Ok(()) };
        let mark = instance.mark();
        let process = instance.process();
        if !process::stop(process.as_ref(), &mark, instance.stop_grace).await {
            return Err(Error::new(
                ErrorKind::Timeout,
                STOP,
                format!("{id} still runs after SIGKILL"),
            )
            .with_advice(
                "see whether it hangs in the kernel, on a disk or a network file system",
            ));
        }
        let host = self.clone();
        blocking(move || {
            // Ends the zombie, where it is a child of this program.
            let _status = host.instances.status(&instance);
            instance.state = State::Stopped;
            host.instances.put(&instance)
        })
        .await
    }

    /// Stops an instance and removes what it left. One that is not there is fine.
    pub(crate) async fn remove(&self, id: &str) -> Result<()> {
        let Some(instance) = self.instances.get(id)? else { return Ok(()) };
        self.stop(id).await?;
        let host = self.clone();
        blocking(move || {
            host.unlink(&instance)?;
            host.instances.remove(&instance.id)
        })
        .await
    }

    /// Gives a service's traffic to an instance.
    pub(crate) async fn publish(&self, instance: &Instance) -> Result<()> {
        let published = Published { instance: instance.id.clone(), port: instance.port };
        let (traffic, service) = (self.traffic.clone(), instance.service.clone());
        blocking(move || traffic.give(&service, Some(published))).await
    }

    /// Takes a service's traffic away.
    pub(crate) async fn unpublish(&self, service: &ServiceName) -> Result<()> {
        let (traffic, service) = (self.traffic.clone(), service.clone());
        blocking(move || traffic.give(&service, None)).await
    }

    /// The instances that have the traffic, by service.
    pub(crate) fn live(&self) -> Result<BTreeMap<ServiceName, Instance>> {
        let CurrentPorts(ports) = self.traffic.read()?;
        let mut live = BTreeMap::new();
        for (service, published) in ports {
            if let Some(instance) = self.instances.get(&published.instance)? {
                live.insert(service, instance);
            }
        }
        Ok(live)
    }
}

/// The environment of a service's processes.
pub(crate) fn environment(
    definition: &Definition,
    port: Option<u16>,
) -> Result<BTreeMap<String, String>> {
    let mut env = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    if let Some(port) = port {
        env.insert("PORT".to_owned(), port.to_string());
    }
    for (name, value) in &definition.service.env {
        env.insert(name.clone(), placeholder::fill(value, port, &definition.secrets)?);
    }
    Ok(env)
}

/// Where a program is.
pub(crate) fn find_program(
    program: &str,
    directory: &Path,
    env: &BTreeMap<String, String>,
) -> Option<std::path::PathBuf> {
    let path = env.get("PATH").map_or(PATH, String::as_str);
    process::find_program(program, directory, path)
}

pub(crate) fn sealed<'a>(release: &'a Release, name: &ServiceName) -> Result<&'a ReleaseService> {
    release.services.get(name).ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            "read a release",
            format!("release {} has no service {name}", release.id),
        )
        .without_effect()
    })
}
