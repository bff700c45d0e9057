//! What a run costs that waits: ten thousand pipelines in one process, all in the middle of their
//! deploy of one release of four services.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has nothing to measure")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{fs, sync::Arc};

use async_trait::async_trait;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use ultrai_benches::{builder, images, shop, target};
use ultrai_deploy_core::{
    Context, Deployer, Result,
    current::Current,
    deployer::{Capabilities, Observation, Step, StepRecord, Work},
    evidence::Evidence,
    health::{Check, Endpoint, Role},
    journal::Journal,
    memory::{self, World},
    pipeline::{BackupPolicy, DeployRequest, Policy},
    plan::Plan,
    release::Release,
    spec::ReleaseSpec,
};

const RUNS: usize = 10_000;
const PAGE: usize = 4096;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let releases = Arc::new(memory::ReleaseStore::default());
    let inner = memory::Deployer::new(World::default(), Arc::clone(&releases) as _);
    let deployer = Arc::new(Parked { inner, arrived: Semaphore::new(0) });
    let mut spec = shop("1.0.0");
    spec.verification.tasks.clear();
    let policy = Policy { backup: BackupPolicy::Off, ..Policy::default() };

    let (images, lease) = (images(), Arc::default());

    let before = resident();
    let began = Instant::now();
    let (mut journals, mut runs) = (Vec::with_capacity(RUNS), JoinSet::new());
    for number in 0..RUNS {
        let journal = memory::Journal::default();
        journals.push(journal.clone());
        let target = target(&format!("e{number}"));
        let deployer: Arc<dyn Deployer> = Arc::clone(&deployer) as _;
        let pipeline =
            builder(target, deployer, Arc::new(journal), Arc::clone(&releases), Arc::clone(&lease));
        let pipeline = pipeline.images(Arc::clone(&images) as _).policy(policy.clone());
        let pipeline = pipeline.build().unwrap();
        runs.spawn(pipeline.deploy(DeployRequest::new(spec.clone())).join());
    }
    drop(deployer.arrived.acquire_many(u32::try_from(RUNS).unwrap()).await.unwrap());
    let took = began.elapsed();
    let parked = resident();

    // A second copy of what the journals hold is as large as the first when it grows like it.
    let mut copies = Vec::with_capacity(RUNS);
    let mut records = 0;
    for journal in &journals {
        for run in Journal::runs(journal).await.unwrap() {
            let mut copy = Vec::new();
            for record in journal.load(&run).await.unwrap() {
                copy.push(record);
            }
            records += copy.len();
            copies.push(copy);
        }
    }
    let journaled = resident() - parked;
    let each = |bytes: usize| format!("{:>10} bytes", bytes / RUNS);
    println!("{RUNS} runs parked in deploy after {:.2} s", took.as_secs_f64());
    println!("records of a run           {:>10}", records / RUNS);
    println!("resident set, a run        {}  (goal: 16384)", each(parked - before));
    println!("of these, memory journal   {}", each(journaled));
    println!("without it                 {}", each((parked - before).saturating_sub(journaled)));
    drop(copies);
    runs.shutdown().await;
}

/// Bytes of memory that are in use.
fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
}

/// A deployer that never gets done switching.
#[derive(Debug)]
struct Parked {
    inner: memory::Deployer,
    arrived: Semaphore,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Deployer for Parked {
    fn name(&self) -> &'static str {
        "parked"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    async fn preflight(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        self.inner.preflight(cx, spec).await
    }
    async fn current(&self, cx: &Context) -> Result<Current> {
        self.inner.current(cx).await
    }
    fn plan(&self, current: &Current, release: &Release) -> Result<Plan> {
        self.inner.plan(current, release)
    }
    async fn prepare(&self, cx: &Context, step: Step, work: &Work<'_>) -> Result<StepRecord> {
        self.inner.prepare(cx, step, work).await
    }
    async fn stage(&self, _: &Context, _: &Work<'_>, _: &StepRecord) -> Result<()> {
        Ok(())
    }
    async fn switch(&self, _: &Context, _: &Work<'_>, _: &StepRecord) -> Result<()> {
        self.arrived.add_permits(1);
        std::future::pending().await
    }
    async fn retire(&self, _: &Context, _: &Work<'_>, _: &StepRecord) -> Result<()> {
        Ok(())
    }
    async fn rollback(&self, _: &Context, _: &Work<'_>, _: &StepRecord) -> Result<()> {
        Ok(())
    }
    async fn observe(
        &self,
        cx: &Context,
        step: Step,
        work: &Work<'_>,
        record: &StepRecord,
    ) -> Result<Observation> {
        self.inner.observe(cx, step, work, record).await
    }
    fn declared_checks(&self, release: &Release) -> Result<Vec<Check>> {
        self.inner.declared_checks(release)
    }
    async fn endpoints(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
    ) -> Result<Vec<Endpoint>> {
        self.inner.endpoints(cx, release, role).await
    }
    async fn evidence(&self, cx: &Context, endpoint: &Endpoint) -> Vec<Evidence> {
        self.inner.evidence(cx, endpoint).await
    }
}
