//! Bad input is refused before anything is touched.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use ultrai_deploy_core::{
    Deployer as _, Effect, Error, ErrorKind,
    deployer::Step,
    name::{EnvironmentName, Target},
    plan::Action,
    spec::ReleaseSpec,
};
use ultrai_deploy_docker::bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder},
};

use crate::{
    bench::{Bench, SERVE, name},
    support::BUSYBOX,
};

async fn refused(bench: &Bench, spec: &ReleaseSpec) -> Error {
    let error = bench.deployer.preflight(&bench.cx(), spec).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error}");
    assert!(error.advice().is_some(), "{error}");
    error
}

fn published(port: u16) -> Value {
    json!({"web": {
        "command": ["sh", "-c", SERVE],
        "ports": [{"target": 80, "published": port.to_string(), "protocol": "tcp"}]
    }})
}

#[tokio::test]
async fn a_port_that_somebody_has_is_named() {
    let bench = Bench::new().await;
    let listener = TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let spec = bench.spec(published(port));
    let error = refused(&bench, &spec).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains(&format!("port {port}/tcp")), "{error}");
    drop(listener);
    bench.deployer.preflight(&bench.cx(), &spec).await.unwrap();

    bench.deploy(published(47_110)).await;
    bench.deployer.preflight(&bench.cx(), &bench.spec(published(47_110))).await.unwrap();
    let other = Bench::new().await;
    let error = refused(&other, &other.spec(published(47_110))).await;
    assert!(error.to_string().contains(&bench.live("web")), "{error}");
    bench.close().await;
    other.close().await;
}

#[tokio::test]
async fn external_networks_and_volumes_must_exist() {
    let bench = Bench::new().await;
    let mut project = bench.project(json!({"web": {}}));
    project.networks["back"].external = true;
    let version = ultrai_deploy_core::version::Version::parse("1.0.0").unwrap();
    let spec = ultrai_deploy_docker::spec(&project, version).unwrap();
    let error = refused(&bench, &spec).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("_back"), "{error}");
    bench.close().await;
}

#[tokio::test]
async fn a_network_or_volume_that_exists_cannot_become_another() {
    let bench = Bench::new().await;
    let services = || {
        let mount = json!([{"kind": "volume", "source": "data", "target": "/data"}]);
        json!({"web": {"command": ["sh", "-c", SERVE], "volumes": mount}})
    };
    bench.deploy(services()).await;
    bench.deployer.preflight(&bench.cx(), &bench.spec(services())).await.unwrap();
    let version = || ultrai_deploy_core::version::Version::parse("1.0.0").unwrap();

    let mut project = bench.project(services());
    project.networks["default"].internal = true;
    let spec = ultrai_deploy_docker::spec(&project, version()).unwrap();
    let error = refused(&bench, &spec).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("_default exists"), "{error}");
    // A release that is stored already goes by no preflight.
    let mut run = bench.begin(bench.seal(spec).await).await;
    assert_eq!(run.plan.services[&name("web")].action, Action::StopFirst);
    run.prepare(Step::Stage).await.unwrap();
    assert_eq!(run.act(Step::Stage).await.unwrap_err().kind(), ErrorKind::Conflict);
    run.step(Step::Rollback).await.unwrap();

    let mut project = bench.project(services());
    project.volumes["data"].driver_opts.insert("o".to_owned(), "size=1m".to_owned());
    let spec = ultrai_deploy_docker::spec(&project, version()).unwrap();
    let error = refused(&bench, &spec).await;
    assert!(error.to_string().contains("_data exists"), "{error}");

    let mut project = bench.project(services());
    project.networks["default"].name.push_str("-2");
    project.networks["default"].internal = true;
    let spec = ultrai_deploy_docker::spec(&project, version()).unwrap();
    bench.deployer.preflight(&bench.cx(), &spec).await.unwrap();
    let mut run = bench.begin(bench.seal(spec).await).await;
    for step in [Step::Stage, Step::Switch, Step::Retire] {
        run.step(step).await.unwrap();
    }
    let networks = bench.serving("web").await.network_settings.unwrap().networks.unwrap();
    assert_eq!(
        networks.into_keys().collect::<Vec<_>>(),
        [project.networks["default"].name.clone()]
    );
    bench.close().await;
}

#[tokio::test]
async fn a_name_that_a_stranger_has_is_refused() {
    let bench = Bench::new().await;
    let options = CreateContainerOptionsBuilder::default().name(&bench.live("web")).build();
    let body = ContainerCreateBody {
        image: Some(BUSYBOX.to_owned()),
        cmd: Some(vec!["true".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let id = bench.docker.create_container(Some(options), body).await.unwrap().id;
    let error = refused(&bench, &bench.spec(json!({"web": {}}))).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    bench.docker.remove_container(&id, Some(options)).await.unwrap();
    bench.close().await;
}

#[tokio::test]
async fn containers_of_another_environment_are_not_touched() {
    let bench = Bench::new().await;
    bench.deploy(json!({"web": {"command": ["sh", "-c", SERVE]}})).await;
    let environment = EnvironmentName::new("production").unwrap();
    let other = Bench::of(Target::new(bench.target.project.clone(), environment)).await;
    let error = refused(&other, &other.spec(json!({"web": {}}))).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = other.deployer.current(&other.cx()).await.unwrap_err();
    assert!(error.to_string().contains("environment test"), "{error}");
    bench.close().await;
}

#[tokio::test]
async fn build_keys_that_cannot_be_carried_out_are_named() {
    let bench = Bench::new().await;
    let services = json!({"web": {"build": {"context": "/x", "unsupported": ["ssh"]}}});
    let error = refused(&bench, &bench.spec(services)).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("ssh"), "{error}");
    bench.close().await;
}

#[tokio::test]
async fn a_platform_that_the_engine_does_not_run_is_named() {
    let bench = Bench::new().await;
    let error = refused(&bench, &bench.spec(json!({"web": {"platform": "linux/s390x"}}))).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("platform of service web is linux/s390x"), "{error}");
    let own = bench.docker.version().await.unwrap();
    let own = format!("{}/{}", own.os.unwrap(), own.arch.unwrap());
    let spec = bench.spec(json!({"web": {"platform": own}}));
    bench.deployer.preflight(&bench.cx(), &spec).await.unwrap();
    bench.close().await;
}

#[tokio::test]
async fn an_older_engine_says_what_it_cannot_do() {
    let bench = Bench::new().await;
    if bench.engine().api().await.unwrap() >= ultrai_deploy_docker::engine::ApiVersion::new(1, 44) {
        return;
    }
    let services = json!({"web": {"healthcheck": {
        "test": {"shell": "true"}, "start_interval": {"secs": 1, "nanos": 0}
    }}});
    let error = refused(&bench, &bench.spec(services)).await;
    assert!(error.to_string().contains("start_interval of service web"), "{error}");
    bench.close().await;
}
