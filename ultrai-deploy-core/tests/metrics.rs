//! What an observer counts and times of whole runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use serde_json::json;
use ultrai_deploy_core::{
    memory::{self, World},
    metrics::Metrics,
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    pipeline::{DeployRequest, Pipeline},
    spec::{ReleaseSpec, ServiceSpec},
    verification::NoProbes,
    version::Version,
};

/// How often each was counted or recorded, by name and labels.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, u64>>>);

#[derive(Debug)]
struct One(Seen, String);

impl One {
    fn add(&self, by: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
    }
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        self.add(value);
    }
    fn absolute(&self, _value: u64) {
        panic!("only counted");
    }
}

impl HistogramFn for One {
    fn record(&self, seconds: f64) {
        assert!((0.0..60.0).contains(&seconds), "{} took {seconds} s", self.1);
        self.add(1);
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(One(self.clone(), text(key))))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("there are none")
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(One(self.clone(), text(key))))
    }
}

fn text(key: &Key) -> String {
    let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
    format!("{} {}", key.name(), labels.collect::<Vec<_>>().join(" "))
}

#[test]
fn runs_are_counted_and_timed() {
    let seen = Seen::default();
    metrics::with_local_recorder(&seen, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let pipeline = pipeline();
            for (version, config) in
                [("1.0.0", json!({})), ("1.1.0", json!({ "healthy": "staged" }))]
            {
                let spec = ReleaseSpec::new(target().project, Version::parse(version).unwrap());
                let service = ServiceSpec { config, ..ServiceSpec::default() };
                let spec = spec.with_service(ServiceName::new("web").unwrap(), service);
                pipeline.deploy(DeployRequest::new(spec)).join().await.unwrap();
            }
        });
    });
    let seen = seen.0.lock().unwrap();
    let count = |name: &str, labels: &str| {
        let key = format!("ultrai_deploy_{name} project=shop environment=staging{labels}");
        seen.get(&key).copied().unwrap_or_else(|| panic!("no {key} in {seen:#?}"))
    };
    assert_eq!(count("runs_total", " outcome=succeeded"), 1);
    assert_eq!(count("runs_total", " outcome=rolled_back"), 1);
    assert_eq!(count("run_seconds", " outcome=rolled_back"), 1);
    assert_eq!(count("rollbacks_total", ""), 1);
    assert_eq!(count("lease_wait_seconds", ""), 2);
    assert_eq!(count("stage_seconds", " stage=deploy outcome=done"), 2);
    assert_eq!(count("stage_seconds", " stage=verify outcome=failed"), 1);
    assert!(count("checks_total", " check=web health verdict=pass") > 0);
    assert!(count("checks_total", " check=web health verdict=fail") > 0);
}

fn target() -> Target {
    Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("staging").unwrap())
}

fn pipeline() -> Pipeline {
    let releases = Arc::new(memory::ReleaseStore::default());
    let deployer = memory::Deployer::new(World::new(), Arc::clone(&releases) as _);
    let journal = Arc::new(memory::Journal::default());
    let lease = Arc::new(memory::Lease::default());
    Pipeline::builder(target(), Arc::new(deployer), journal, lease, releases, Arc::new(NoProbes))
        .backups(Arc::new(memory::BackupStore::default()))
        .observer(Arc::new(Metrics::new(&target())))
        .build()
        .unwrap()
}
