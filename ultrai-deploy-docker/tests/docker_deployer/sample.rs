//! The sample application's compose file as it stands, on its own images (`scripts/test-images`).

use std::{collections::BTreeMap, path::Path};

use tokio::time::Instant;
use ultrai_deploy_core::{
    deployer::Step, health::Role, plan::Action, release::Release, version::Version,
};
use ultrai_deploy_docker::{
    compose::{self, Options},
    spec,
};

use crate::bench::{Bench, name};

async fn release(bench: &Bench, version: &str) -> Release {
    let ports = [("FRONTEND_PORT", "47120"), ("BACKEND_PORT", "47121")];
    let more = [("MONGODB_PORT", "47122"), ("REDIS_PORT", "47123"), ("VERSION", version)];
    let env: BTreeMap<_, _> = ports
        .into_iter()
        .chain(more)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let options = Options {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/app/docker-compose.yml"),
        project_name: Some(bench.target.project.to_string()),
        env,
        ..Options::default()
    };
    let loaded = compose::load(&options).unwrap();
    bench.seal(spec(&loaded.project, Version::parse(version).unwrap()).unwrap()).await
}

#[tokio::test]
async fn it_is_deployed_upgraded_and_taken_back() {
    let bench = Bench::new().await;
    let first = release(&bench, "v1.0.0").await;
    let began = Instant::now();
    let mut run = bench.begin(first.clone()).await;
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    let switched = began.elapsed();
    bench.assert_healthy(&first).await;
    let proven = began.elapsed();
    run.step(Step::Retire).await.unwrap();
    let before = bench.containers().await;

    let second = release(&bench, "v1.2.0").await;
    let began = Instant::now();
    let mut run = bench.begin(second.clone()).await;
    assert_eq!(run.plan.services[&name("redis")].action, Action::Keep);
    assert_eq!(run.plan.services[&name("mongodb")].action, Action::Keep);
    assert_eq!(run.plan.services[&name("backend")].action, Action::StopFirst);
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    let upgraded = began.elapsed();
    let results = bench.check(&second, Role::Live).await;
    assert!(!results[&name("backend")].passed(), "{results:?}");
    let began = Instant::now();
    run.step(Step::Rollback).await.unwrap();
    let back = began.elapsed();
    bench.assert_healthy(&first).await;
    let after = bench.containers().await;
    for (name, container) in before {
        assert_eq!(after[&name].id, container.id, "{name}");
    }
    // Shown by `--nocapture`, judged by benches/.
    eprintln!("first {switched:?}, proven {proven:?}, upgrade {upgraded:?}, rollback {back:?}");
    bench.close().await;
}
