//! A disk that fails, under a whole deploy: the run fails loudly, and nothing is done without a
//! durable intent. The files are real; the faults are not.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::*;
use crate::{
    context::Context,
    health::HealthProbe,
    journal::{Event, Journal as _},
    memory::{self, World},
    name::{EnvironmentName, ProjectName, SecretName, ServiceName, Target},
    pipeline::{BackupPolicy, DeployRequest, Pipeline, Policy},
    spec::{ReleaseSpec, ServiceSpec},
    verification::{CheckSpec, ProbeSource},
    version::Version,
};

/// How the disk fails at one of its writes or syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The write fails and has written nothing.
    NoWrite,
    /// Half of the bytes are written, then it fails, and they cannot be taken back.
    Torn,
    /// `fsync` fails; the bytes may be there or not.
    NoSync,
    /// `fsync` fails, and nothing can be taken back.
    NoSyncForGood,
}

#[derive(Debug)]
struct Failing {
    fault: Fault,
    /// At the append with this number.
    at: u64,
    appends: AtomicU64,
}

impl Failing {
    fn is_now(&self) -> bool {
        self.appends.load(Ordering::SeqCst) == self.at
    }
}

fn eio() -> io::Error {
    // EIO
    io::Error::from_raw_os_error(5)
}

impl Storage for Failing {
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::NoWrite if self.is_now() => Err(eio()),
            Fault::Torn if self.is_now() => {
                Disk.write(file, &bytes[..bytes.len() / 2])?;
                Err(eio())
            }
            _ => Disk.write(file, bytes),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.fault {
            Fault::NoSync | Fault::NoSyncForGood if self.is_now() => Err(eio()),
            _ => Disk.sync(file),
        }
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        match self.fault {
            Fault::Torn | Fault::NoSyncForGood if self.is_now() => Err(eio()),
            _ => Disk.cut(file, length),
        }
    }
}

#[derive(Debug)]
struct NoProbes;

impl ProbeSource for NoProbes {
    fn probe(&self, _: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        Err(Error::new(ErrorKind::Unsupported, "probe", "there are no checks"))
    }

    fn secrets(&self, _: &CheckSpec) -> Result<Vec<SecretName>> {
        Ok(Vec::new())
    }
}

/// What outlives a process.
struct Environment {
    base: tempfile::TempDir,
    world: World,
    lease: memory::Lease,
    releases: memory::ReleaseStore,
}

impl Environment {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        super::super::durable::create_directory(&base.path().join("runs")).unwrap();
        let (world, lease, releases) = Default::default();
        Self { base, world, lease, releases }
    }

    fn start(&self, storage: Arc<dyn Storage>) -> Pipeline {
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        let releases = Arc::new(self.releases.clone());
        Pipeline::builder(
            target,
            Arc::new(memory::Deployer::new(self.world.clone(), Arc::clone(&releases) as _)),
            Arc::new(Journal::with(self.base.path(), storage)),
            Arc::new(self.lease.clone()),
            releases,
            Arc::new(NoProbes),
        )
        .policy(Policy { backup: BackupPolicy::Off, ..Policy::default() })
        .build()
        .unwrap()
    }
}

fn spec(version: &str) -> ReleaseSpec {
    let config = json!({ "version": version, "port": "fixed" });
    let web = ServiceSpec { config, ..ServiceSpec::default() };
    ReleaseSpec::new(ProjectName::new("p").unwrap(), Version::parse(version).unwrap())
        .with_service(ServiceName::new("web").unwrap(), web)
}

/// Every change of the world that a run has made stands under an intent that can be read.
async fn assert_nothing_without_intent(environment: &Environment, journal: &Journal) {
    for instance in environment.world.instances() {
        let Some(maker) = instance.maker else { continue };
        let records = journal.load(&maker.run).await.unwrap();
        let known = records.iter().any(|record| {
            matches!(&record.event, Event::Intent { step, .. } if Some(*step) == maker.step)
        });
        assert!(known, "{} was made without a durable intent", instance.id);
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "how much was proven must be seen")]
async fn simulated_eio_at_every_append_fails_the_run_and_loses_nothing() {
    let mut cases = 0;
    for fault in [Fault::NoWrite, Fault::Torn, Fault::NoSync, Fault::NoSyncForGood] {
        for at in 1.. {
            let environment = Environment::new();
            let first = environment.start(Arc::new(Disk)).deploy(DeployRequest::new(spec("1.0.0")));
            first.join().await.unwrap();

            let storage = Arc::new(Failing { fault, at, appends: AtomicU64::new(0) });
            let pipeline = environment.start(Arc::clone(&storage) as _);
            let run = pipeline.deploy(DeployRequest::new(spec("1.1.0")));
            let result = run.join().await;
            if storage.appends.load(Ordering::SeqCst) < at {
                assert!(result.is_ok());
                break;
            }
            let what = format!("{fault:?} at append {at}");
            let error = result.expect_err(&what);
            assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Stuck), "{what}: {error}");
            assert_eq!(storage.appends.load(Ordering::SeqCst), at, "{what}: it wrote on");
            let whole = Journal::with(environment.base.path(), Arc::new(Disk));
            assert_nothing_without_intent(&environment, &whole).await;
            drop(pipeline);

            // The disk is well again: whoever takes over finishes or closes the run.
            let mended = environment.start(Arc::new(Disk));
            if let Some(run) = mended.resume(false, crate::lease::Wait::No).await.unwrap() {
                let report = run.join().await.unwrap();
                assert!(report.ending.is_some_and(|ending| !ending.is_stuck()), "{what}");
            }
            assert!(mended.unfinished().await.unwrap().is_none(), "{what}");
            assert_eq!(environment.world.leftovers(), [], "{what}");
            let look: Context = mended.look();
            assert!(mended.verify(&look).await.unwrap().1.passed(), "{what}");
            cases += 1;
        }
    }
    println!("simulated EIO and torn writes under the journal, real files: {cases} runs failed");
    assert!(cases > 100, "{cases}");
}
