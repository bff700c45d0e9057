//! Containers that others started: taken over with their data, and back when a deploy fails.

use std::collections::HashMap;

use serde_json::json;
use ultrai_deploy_core::{current::Serving, deployer::Step, plan::Action, release::Origin};
use ultrai_deploy_docker::{
    bollard::{
        models::{
            ContainerCreateBody, EndpointSettings, HostConfig, Mount, MountType,
            NetworkCreateRequest, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
        },
        query_parameters::CreateContainerOptionsBuilder,
    },
    labels,
};

use crate::{
    bench::{Bench, SERVE, healthy, name},
    support::BUSYBOX,
};

/// Starts a service as `docker compose up` does, with an anonymous volume at `/data`.
async fn up(bench: &Bench, service: &str) -> String {
    let project = bench.target.project.to_string();
    let network = format!("{project}_default");
    let mut network_labels = HashMap::from([(labels::PROJECT.to_owned(), project.clone())]);
    network_labels.insert(labels::NETWORK.to_owned(), "default".to_owned());
    let request = NetworkCreateRequest {
        name: network.clone(),
        labels: Some(network_labels),
        ..NetworkCreateRequest::default()
    };
    bench.docker.create_network(request).await.unwrap();
    let all = [
        (labels::PROJECT, project.as_str()),
        (labels::SERVICE, service),
        (labels::NUMBER, "1"),
        (labels::ONEOFF, "False"),
        (labels::CONFIG_HASH, "0123"),
        (labels::DEPENDS_ON, ""),
    ];
    let endpoint = EndpointSettings {
        aliases: Some(vec![bench.live(service), service.to_owned()]),
        ..EndpointSettings::default()
    };
    let body = ContainerCreateBody {
        image: Some(BUSYBOX.to_owned()),
        cmd: Some(["sh", "-c", SERVE].map(ToOwned::to_owned).to_vec()),
        labels: Some(all.map(|(label, value)| (label.to_owned(), value.to_owned())).into()),
        host_config: Some(HostConfig {
            network_mode: Some(network.clone()),
            mounts: Some(vec![Mount {
                typ: Some(MountType::VOLUME),
                target: Some("/data".to_owned()),
                ..Mount::default()
            }]),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(&bench.live(service)).build();
    let id = bench.docker.create_container(Some(options), body).await.unwrap().id;
    bench.docker.start_container(&id, None).await.unwrap();
    id
}

#[tokio::test]
async fn what_compose_started_is_adopted_with_its_data_and_comes_back() {
    let bench = Bench::new().await;
    let old = up(&bench, "redis").await;
    bench.output("redis", "echo precious > /data/dump").await;
    let Serving::Unmanaged(found) = bench.current().await.serving else { panic!("not adopted") };
    assert_eq!(found.origin, Origin::Adopted);
    assert_eq!(found.version.as_str(), "0.0.0");

    let services = json!({
        "redis": {
            "command": ["sh", "-c", SERVE], "healthcheck": healthy(),
            "volumes": [{"kind": "volume", "target": "/data"}]
        }
    });
    let mut run = bench.begin(bench.release(services).await).await;
    assert_eq!(run.plan.services[&name("redis")].action, Action::StopFirst);
    assert!(!run.plan.not_undoable.is_empty(), "{}", run.plan);
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    assert_ne!(bench.id("redis").await, old);
    assert_eq!(bench.output("redis", "cat /data/dump").await, "precious");
    assert_eq!(bench.current().await.serving, Serving::Release(run.release.id.clone()));

    run.step(Step::Rollback).await.unwrap();
    assert_eq!(bench.id("redis").await, old);
    assert_eq!(bench.output("redis", "cat /data/dump").await, "precious");
    let back = bench.serving("redis").await;
    let policy = back.host_config.unwrap().restart_policy.unwrap();
    assert_eq!(policy.name, Some(RestartPolicyNameEnum::UNLESS_STOPPED));
    let Serving::Unmanaged(again) = bench.current().await.serving else { panic!("not adopted") };
    assert_eq!(again.id, found.id);
    bench.assert_healthy(&again).await;
    assert_eq!(bench.names().await, [bench.live("redis")]);
    assert_eq!(bench.networks().await.len(), 1, "a network of others was removed");

    let mut run = bench.begin(run.release.clone()).await;
    for step in [Step::Stage, Step::Switch, Step::Retire] {
        run.step(step).await.unwrap();
    }
    assert_eq!(bench.output("redis", "cat /data/dump").await, "precious", "lost with the old one");
    bench.close().await;
}
