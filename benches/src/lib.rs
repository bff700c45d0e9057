//! A release and an environment in memory for the benches, which print numbers and assert nothing.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has nothing to measure")]

use std::sync::Arc;

use serde_json::json;
use ultrai_deploy_core::{
    Deployer, Error, ErrorKind, Result,
    health::HealthProbe,
    journal::Journal,
    memory::{self, World},
    name::{EnvironmentName, ProjectName, SecretName, ServiceName, Target},
    pipeline::{Pipeline, PipelineBuilder},
    spec::{ImageSpec, PullPolicy, ReleaseSpec, ServiceSpec},
    verification::{CheckSpec, Dependencies, ProbeSource, TaskSpec, When},
    version::Version,
};

const IMAGE: &str = "app:1";

/// The environment `name`.
pub fn target(name: &str) -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new(name).unwrap())
}

/// A release of four services, one after the other, and a test before and one after the switch.
pub fn shop(version: &str) -> ReleaseSpec {
    let service = |name: &str| ServiceName::new(name).unwrap();
    let spec = ReleaseSpec::new(target("bench").project, Version::parse(version).unwrap());
    let chain = [("db", None), ("cache", Some("db")), ("backend", Some("cache")), ("web", None)];
    let mut spec = chain.into_iter().fold(spec, |spec, (name, needs)| {
        let definition = ServiceSpec {
            image: Some(ImageSpec {
                reference: IMAGE.to_owned(),
                build: None,
                pull: PullPolicy::Missing,
                ..ImageSpec::default()
            }),
            config: json!({
                "version": version,
                "environment": { "LOG_LEVEL": "info", "LISTEN": "0.0.0.0:8080" },
                "restart": "unless-stopped",
            }),
            depends_on: needs.into_iter().map(service).collect(),
            ..ServiceSpec::default()
        };
        spec.with_service(service(name), definition)
    });
    spec.verification.tasks = [When::Pre, When::Post]
        .map(|when| TaskSpec {
            name: "smoke".to_owned(),
            service: service("backend"),
            command: vec!["smoke".to_owned()],
            when,
            dependencies: Dependencies::Create,
            timeout: std::time::Duration::from_mins(1),
        })
        .into();
    spec
}

/// A pipeline on memory backends, but for its journal.
pub fn pipeline(journal: Arc<dyn Journal>) -> Pipeline {
    let (world, releases) = (World::default(), Arc::new(memory::ReleaseStore::default()));
    let deployer = Arc::new(memory::Deployer::new(world.clone(), Arc::clone(&releases) as _));
    builder(target("bench"), deployer, journal, releases, Arc::default())
        .images(images())
        .tasks(Arc::new(memory::Tasks::new(world)))
        .backups(Arc::new(memory::BackupStore::default()))
        .build()
        .unwrap()
}

/// A builder with what all benches have.
pub fn builder(
    target: Target,
    deployer: Arc<dyn Deployer>,
    journal: Arc<dyn Journal>,
    releases: Arc<memory::ReleaseStore>,
    lease: Arc<memory::Lease>,
) -> PipelineBuilder {
    Pipeline::builder(target, deployer, journal, lease, releases, Arc::new(NoProbes))
}

/// A store with the images of [`shop`].
pub fn images() -> Arc<memory::Images> {
    Arc::new(memory::Images::new().with(IMAGE))
}

/// The middle one.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[derive(Debug)]
struct NoProbes;

impl ProbeSource for NoProbes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        Err(Error::new(ErrorKind::Unsupported, "make a probe", check.name.clone()))
    }

    fn secrets(&self, _: &CheckSpec) -> Result<Vec<SecretName>> {
        Ok(Vec::new())
    }
}

/// Numbers that are the same for the same seed, on every machine.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from `low` up to, not including, `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.word() % (high - low)
    }
}
