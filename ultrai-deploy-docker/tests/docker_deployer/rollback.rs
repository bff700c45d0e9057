//! What served before comes back, with its files, and nothing else stays.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    ErrorKind,
    current::Serving,
    deployer::{Observation, Step},
    plan::Action,
    version::Version,
};
use ultrai_deploy_docker::bollard::query_parameters::RemoveContainerOptionsBuilder;

use crate::bench::{Bench, SERVE, healthy, name};

fn stack(bench: &Bench, n: u32, health: &Value) -> Value {
    json!({
        "db": {
            "command": ["sh", "-c", SERVE], "environment": {"N": n.to_string()},
            "restart": "unless_stopped", "healthcheck": healthy(),
            "volumes": [{"kind": "volume", "source": "data", "target": "/data"}]
        },
        "web": {
            "command": ["sh", "-c", SERVE], "environment": {"N": n.to_string()},
            "restart": "always", "healthcheck": health,
            "depends_on": {"db": {"condition": "service_healthy"}},
            "volumes": [{
                "kind": "bind", "source": bench.path().join("app.conf"), "target": "/app.conf",
                "create_host_path": true
            }]
        },
        "front": {
            "command": ["sh", "-c", SERVE],
            "depends_on": {"web": {"condition": "service_healthy"}}
        }
    })
}

#[tokio::test]
async fn a_sick_release_goes_and_the_same_containers_serve_again_with_their_files() {
    let bench = Bench::new().await;
    fs::write(bench.path().join("app.conf"), "one").unwrap();
    let first = bench.deploy(stack(&bench, 1, &healthy())).await;
    let before = bench.containers().await;
    assert_eq!(bench.output("web", "cat /app.conf").await, "one");

    fs::write(bench.path().join("app.conf"), "two").unwrap();
    let mut sick = healthy();
    sick["test"] = json!({"shell": "echo no route to the database; exit 1"});
    sick["start_period"] = json!({"secs": 0, "nanos": 0});
    let mut run = bench.begin(bench.release(stack(&bench, 2, &sick)).await).await;
    assert_eq!(run.plan.services[&name("db")].action, Action::StopFirst);
    assert_eq!(run.plan.services[&name("web")].action, Action::StopFirst);
    assert_eq!(run.plan.services[&name("front")].action, Action::Keep);
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    assert_eq!(bench.output("web", "cat /app.conf").await, "two");
    assert_ne!(bench.id("db").await, before[&bench.live("db")].id.clone().unwrap());

    run.step(Step::Rollback).await.unwrap();
    assert_eq!(run.observe(Step::Rollback).await, Observation::Done);
    let after = bench.containers().await;
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    for (name, container) in &before {
        let back = &after[name];
        assert_eq!(back.id, container.id, "{name} is another container");
        assert_eq!(
            back.host_config.as_ref().unwrap().restart_policy,
            container.host_config.as_ref().unwrap().restart_policy,
            "{name}"
        );
        assert_eq!(back.state.as_ref().unwrap().running, Some(true), "{name}");
    }
    assert_eq!(bench.output("web", "cat /app.conf").await, "one");
    assert_eq!(bench.current().await.serving, Serving::Release(first.id.clone()));
    bench.assert_healthy(&first).await;
    run.step(Step::Rollback).await.unwrap();
    let again = bench.containers().await;
    for (name, container) in after {
        assert_eq!(
            again[&name].state.as_ref().unwrap().started_at,
            container.state.unwrap().started_at,
            "{name} was started once more"
        );
    }
    bench.close().await;
}

#[tokio::test]
async fn a_failed_first_deploy_leaves_only_named_volumes() {
    let bench = Bench::new().await;
    let services = json!({"db": {
        "command": ["sh", "-c", SERVE],
        "volumes": [{"kind": "volume", "source": "data", "target": "/data"}]
    }});
    let mut run = bench.begin(bench.release(services).await).await;
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    run.step(Step::Rollback).await.unwrap();
    assert!(bench.names().await.is_empty());
    assert!(bench.networks().await.is_empty());
    assert_eq!(bench.current().await.serving, Serving::Nothing);
    let volume = format!("{}_data", bench.target.project);
    bench.docker.inspect_volume(&volume).await.unwrap();
    bench.close().await;
}

#[tokio::test]
async fn a_network_and_a_volume_with_other_names_go_back() {
    let bench = Bench::new().await;
    let services = || {
        json!({"db": {
            "command": ["sh", "-c", SERVE], "healthcheck": healthy(),
            "volumes": [{"kind": "volume", "source": "data", "target": "/data"}]
        }})
    };
    let first = bench.deploy(services()).await;
    bench.output("db", "echo precious > /data/dump").await;
    let networks = || async { bench.networks().await.into_iter().collect::<BTreeSet<_>>() };
    let (old, before) = (bench.id("db").await, networks().await);

    let mut project = bench.project(services());
    project.networks["default"].name.push_str("-2");
    project.volumes["data"].name.push_str("-2");
    let spec = ultrai_deploy_docker::spec(&project, Version::parse("2.0.0").unwrap()).unwrap();
    let mut run = bench.begin(bench.seal(spec).await).await;
    assert_eq!(run.plan.services[&name("db")].action, Action::StopFirst);
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    assert_eq!(bench.output("db", "ls /data").await, "");
    assert_ne!(networks().await, before);

    run.step(Step::Rollback).await.unwrap();
    assert_eq!(bench.id("db").await, old);
    assert_eq!(bench.output("db", "cat /data/dump").await, "precious");
    bench.assert_healthy(&first).await;
    assert_eq!(networks().await, before);
    bench.close().await;
}

#[tokio::test]
async fn a_removed_service_is_kept_and_comes_back() {
    let bench = Bench::new().await;
    let serve = json!({"command": ["sh", "-c", SERVE]});
    bench.deploy(json!({"web": serve.clone(), "gone": serve.clone()})).await;
    let gone = bench.id("gone").await;
    let mut run = bench.begin(bench.release(json!({"web": serve})).await).await;
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    let kept = bench.docker.inspect_container(&gone, None).await.unwrap();
    assert_eq!(kept.state.unwrap().running, Some(false));
    assert_eq!(bench.current().await.services.len(), 1);
    run.step(Step::Rollback).await.unwrap();
    assert_eq!(bench.id("gone").await, gone);
    bench.close().await;
}

#[tokio::test]
async fn a_release_whose_containers_were_removed_is_brought_up_again() {
    let bench = Bench::new().await;
    fs::write(bench.path().join("app.conf"), "one").unwrap();
    let first = bench.deploy(stack(&bench, 1, &healthy())).await;
    let mut run = bench.begin(bench.release(stack(&bench, 2, &healthy())).await).await;
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    let kept = bench.containers().await;
    let (_, web) = kept.iter().find(|(name, _)| name.contains("-web-1-kept-")).unwrap();
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    bench.docker.remove_container(web.id.as_ref().unwrap(), Some(options)).await.unwrap();
    run.step(Step::Rollback).await.unwrap();
    bench.assert_healthy(&first).await;
    assert_eq!(bench.output("web", "cat /app.conf").await, "one");
    assert_eq!(bench.output("web", "echo $N").await, "1");
    let id = bench.id("web").await;
    run.step(Step::Rollback).await.unwrap();
    assert_eq!(bench.id("web").await, id, "what came back was replaced by the repetition");
    bench.close().await;
}

#[tokio::test]
async fn another_state_directory_is_kept_out_while_a_run_goes_on() {
    let bench = Bench::new().await;
    let serve = json!({"web": {"command": ["sh", "-c", SERVE]}});
    let mut run = bench.begin(bench.release(serve.clone()).await).await;
    run.step(Step::Stage).await.unwrap();
    let other = Bench::of(bench.target.clone()).await;
    let mut second = other.begin(other.release(serve).await).await;
    let error = second.prepare(Step::Stage).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains(&bench.path().display().to_string()), "{error}");
    assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
    run.step(Step::Rollback).await.unwrap();
    second.prepare(Step::Stage).await.unwrap();
    bench.close().await;
}
