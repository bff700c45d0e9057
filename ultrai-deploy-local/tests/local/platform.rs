//! Environments on this machine, each in a state directory of its own.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use ultrai_deploy_core::{
    Context, Deployer, Result,
    evidence::{Evidence, EvidenceKind},
    file,
    health::{Endpoint, Health, HealthProbe, Timing},
    name::{EnvironmentName, ProjectName, SecretName, ServiceName, Target},
    release::{Release, ReleaseService},
    release_store::ReleaseStore,
    secret::Secrets,
    verification::{CheckSpec, ProbeSource},
    version::Version,
};
use ultrai_deploy_local::{self as local, Port};
use ultrai_deploy_testkit::conformance::{DB, Environment, Platform, SIDE, Variant, WEB};

use crate::app::{self, Mode};

/// This machine.
#[derive(Debug)]
pub(crate) struct Machine;

#[async_trait]
impl Platform for Machine {
    async fn environment(&self, _case: &str) -> Box<dyn Environment> {
        Box::new(Place::new())
    }
}

/// One environment. Everything that runs in it ends with it.
#[derive(Debug)]
pub(crate) struct Place {
    /// Owned by the one that made it.
    owned: Option<TempDir>,
    base: PathBuf,
    /// The fixed port of its `db`.
    pub(crate) port: u16,
}

impl Place {
    pub(crate) fn new() -> Self {
        // In memory where there is such a place: the suite waits mostly for the disk otherwise.
        let memory = Path::new("/dev/shm");
        let directory =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let directory = directory.unwrap();
        Self { base: directory.path().to_owned(), owned: Some(directory), port: free_port() }
    }

    /// The same environment in another process.
    pub(crate) fn at(base: &Path, port: u16) -> Self {
        Self { owned: None, base: base.to_owned(), port }
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    pub(crate) fn root(&self) -> PathBuf {
        file::open(&self.base, &self.target()).unwrap().root
    }

    pub(crate) fn local(&self) -> local::Deployer {
        local::Deployer::new(self.releases(), Arc::new(Probes)).unwrap()
    }

    /// Seals services and keeps them as a release.
    pub(crate) async fn seal(
        &self,
        version: &str,
        services: BTreeMap<ServiceName, ReleaseService>,
    ) -> Release {
        let version = Version::parse(version).unwrap();
        let release = Release::new(self.target().project, version, services).unwrap();
        self.releases().put(&release, &Secrets::new()).await.unwrap();
        release
    }

    /// What an instance wrote.
    pub(crate) fn log(&self, instance: &str) -> String {
        let path = self.root().join("instances").join(instance).join("output.log");
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The processes that run in it: pid and name of the directory.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let instances = self.root().join("instances");
        let entries = fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let directory = |pid: i32| {
            let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
            let id = directory.strip_prefix(&instances).ok()?;
            Some((pid, id.to_str()?.trim_end_matches(" (deleted)").to_owned()))
        };
        pids.filter_map(directory).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.owned.is_none() {
            return;
        }
        for (pid, _) in self.processes() {
            let _gone = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

#[async_trait]
impl Environment for Place {
    fn deployer(&self) -> Arc<dyn Deployer> {
        Arc::new(self.local())
    }

    fn releases(&self) -> Arc<dyn ReleaseStore> {
        file::open(&self.base, &self.target()).unwrap().releases
    }

    fn target(&self) -> Target {
        Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("test").unwrap())
    }

    async fn release(&self, variant: Variant) -> Release {
        let (db, web, side, version) = match variant {
            Variant::First => (1, (1, Mode::Well), Some(1), "1.0.0"),
            Variant::Web => (1, (2, Mode::Well), Some(1), "1.1.0"),
            Variant::All => (2, (2, Mode::Well), Some(2), "2.0.0"),
            Variant::Fewer => (1, (3, Mode::Well), None, "1.2.0"),
            Variant::Unhealthy => (1, (4, Mode::Sick), Some(1), "1.3.0"),
            Variant::Unstartable => (1, (5, Mode::Exits), Some(1), "1.4.0"),
            other => panic!("no release for {other:?}"),
        };
        let mut services = BTreeMap::new();
        services.insert(name(DB), service(Mode::Well, Port::Fixed(self.port), db, &[]));
        services.insert(name(WEB), service(web.1, Port::Auto, web.0, &[DB]));
        if let Some(side) = side {
            services.insert(name(SIDE), service(Mode::Well, Port::Auto, side, &[]));
        }
        self.seal(version, services).await
    }

    async fn leftovers(&self) -> Vec<String> {
        let ports = self.local().current_ports().unwrap().0;
        let is_live = |id: &String| ports.values().any(|one| one.instance == *id);
        let mut found: Vec<String> = self.processes().into_iter().map(|(_, id)| id).collect();
        for entry in fs::read_dir(self.root().join("instances")).into_iter().flatten() {
            let path = entry.unwrap().path();
            found.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
        found.retain(|id| !is_live(id));
        found.sort();
        found.dedup();
        found
    }

    async fn close(self: Box<Self>) {}
}

pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// A port that nobody has, not even an outgoing connection while its service is stopped: below
/// the range that the kernel and the backend choose from.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 90).unwrap() * 100;
    loop {
        let port = 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A sealed service of the test program, one that differs by its number.
pub(crate) fn service(mode: Mode, port: Port, number: u32, needs: &[&str]) -> ReleaseService {
    let service = app::service(mode)
        .with_env("NUMBER", number.to_string())
        .with_port(port)
        .with_health(json!("answers 200"), Timing::default());
    sealed(&service, needs)
}

pub(crate) fn sealed(service: &local::Service, needs: &[&str]) -> ReleaseService {
    let spec = service.to_spec(&name("any")).unwrap();
    let needs = needs.iter().map(|needed| name(needed)).collect();
    ReleaseService::new(None, spec.config).with_depends_on(needs)
}

/// Understands nothing but GET / with 200.
#[derive(Debug)]
pub(crate) struct Probes;

impl ProbeSource for Probes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        assert_eq!(check.probe, json!("answers 200"));
        Ok(Arc::new(Answers))
    }

    fn secrets(&self, _: &CheckSpec) -> Result<Vec<SecretName>> {
        Ok(Vec::new())
    }
}

#[derive(Debug)]
struct Answers;

#[async_trait]
impl HealthProbe for Answers {
    async fn check(&self, _cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let address = endpoint.address(None).unwrap();
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let (answer, why) = match asked.await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
                let evidence = Evidence::new(EvidenceKind::Probe, &endpoint.instance, answer);
                return Ok(Health::Healthy(vec![evidence]));
            }
            Ok(answer) => (answer, "it answers, but not 200".to_owned()),
            Err(error) => (error.to_string(), "it does not answer".to_owned()),
        };
        let evidence = vec![Evidence::new(EvidenceKind::Probe, &endpoint.instance, answer)];
        Ok(Health::Unhealthy { why, evidence })
    }
}
