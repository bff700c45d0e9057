//! Releases that come, and what is left of those before.

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind,
    current::Serving,
    deployer::{Observation, Step},
    health::Role,
    plan::Action,
};
use ultrai_deploy_docker::{bollard::query_parameters::RemoveVolumeOptions, labels};

use crate::bench::{Bench, SERVE, healthy, name, sh};

#[tokio::test]
async fn a_first_deploy_serves_and_leaves_nothing_else() {
    let bench = Bench::new().await;
    let services = json!({
        "db": {
            "command": ["sh", "-c", SERVE], "healthcheck": healthy(),
            "volumes": [{"kind": "volume", "source": "data", "target": "/data"}]
        },
        "web": {
            "command": ["sh", "-c", SERVE],
            "depends_on": {"db": {"condition": "service_healthy"}}
        }
    });
    let mut run = bench.begin(bench.release(services.clone()).await).await;
    run.step(Step::Stage).await.unwrap();
    assert!(bench.current().await.services.is_empty(), "something serves before the switch");
    run.step(Step::Switch).await.unwrap();
    let project = bench.target.project.as_str();
    let current = bench.current().await;
    assert_eq!(current.serving, Serving::Release(run.release.id.clone()));
    assert!(current.services.values().all(|one| one.up), "{current:?}");
    bench.assert_healthy(&run.release).await;
    run.step(Step::Retire).await.unwrap();
    assert_eq!(bench.names().await, [bench.live("db"), bench.live("web")]);

    let web = bench.serving("web").await;
    let labels = web.config.unwrap().labels.unwrap();
    assert_eq!(labels[labels::PROJECT], project);
    assert_eq!(labels[labels::RUN], run.id.as_str());
    assert_eq!(labels[labels::DEPENDS_ON], "db:service_healthy:false");
    let mount = &bench.serving("db").await.mounts.unwrap()[0];
    assert_eq!(mount.name.as_deref(), Some(format!("{project}_data").as_str()));

    let before = bench.current().await;
    let again = bench.begin(bench.release(services).await).await;
    assert!(again.plan.unchanged, "{}", again.plan);
    assert_eq!(bench.current().await, before);
    bench.close().await;
}

#[tokio::test]
async fn one_changed_service_is_replaced_beside_its_old_one() {
    let bench = Bench::new().await;
    let services = |n: u32| {
        json!({
            "db": {"command": ["sh", "-c", SERVE], "healthcheck": healthy()},
            "web": {
                "command": ["sh", "-c", SERVE], "healthcheck": healthy(),
                "environment": {"N": n.to_string()},
                "networks": {"default": {"aliases": ["www"]}, "back": {}},
                "depends_on": {"db": {"condition": "service_healthy"}}
            }
        })
    };
    bench.deploy(services(1)).await;
    let (db, web) = (bench.id("db").await, bench.id("web").await);
    let mut run = bench.begin(bench.release(services(2)).await).await;
    assert_eq!(run.plan.services[&name("web")].action, Action::StartFirst);
    run.step(Step::Stage).await.unwrap();
    assert_eq!(run.observe(Step::Stage).await, Observation::Done);
    assert_eq!(bench.id("web").await, web, "the old one serves");
    let staged = bench.check(&run.release, Role::Staged).await;
    assert!(staged[&name("web")].passed(), "{staged:?}");
    // While it is staged, the service's name means the old one only.
    let containers = bench.containers().await;
    let (_, hidden) = containers.iter().find(|(name, _)| name.contains("-web-1-new-")).unwrap();
    for (network, endpoint) in hidden.network_settings.clone().unwrap().networks.unwrap() {
        let aliases = endpoint.aliases.unwrap_or_default();
        assert!(!aliases.contains(&"web".to_owned()), "{network}: {aliases:?}");
    }
    let found = bench.output("db", "busybox nslookup web. 127.0.0.11").await;
    assert_eq!(found.matches("Address: ").count(), 1, "{found}");

    run.step(Step::Switch).await.unwrap();
    assert_eq!(run.observe(Step::Switch).await, Observation::Done);
    assert_eq!(bench.id("db").await, db, "db was touched");
    let new = bench.serving("web").await;
    assert_ne!(new.id.as_ref(), Some(&web));
    let networks = new.network_settings.unwrap().networks.unwrap();
    assert_eq!(networks.len(), 2);
    for (network, endpoint) in networks {
        let aliases = endpoint.aliases.unwrap();
        assert!(aliases.contains(&"web".to_owned()), "{network}: {aliases:?}");
        assert_eq!(aliases.contains(&"www".to_owned()), network.ends_with("_default"));
    }
    assert_eq!(bench.output("web", "echo $N").await, "2");
    let kept = bench.docker.inspect_container(&web, None).await.unwrap();
    assert!(kept.name.unwrap().contains("-kept-"));
    assert_eq!(kept.state.unwrap().running, Some(false));
    bench.assert_healthy(&run.release).await;
    run.step(Step::Retire).await.unwrap();
    assert_eq!(run.observe(Step::Retire).await, Observation::Done);
    assert_eq!(bench.names().await, [bench.live("db"), bench.live("web")]);
    bench.close().await;
}

#[tokio::test]
async fn services_may_swap_their_host_ports() {
    let bench = Bench::new().await;
    let port = |published: u16| {
        json!({
            "command": ["sh", "-c", SERVE],
            "ports": [{"target": 80, "published": published.to_string(), "protocol": "tcp"}]
        })
    };
    bench.deploy(json!({"a": port(47_101), "b": port(47_102)})).await;
    let release = bench.deploy(json!({"a": port(47_102), "b": port(47_101)})).await;
    bench.assert_healthy(&release).await;
    let renamed = bench.deploy(json!({"c": port(47_102), "b": port(47_101)})).await;
    bench.assert_healthy(&renamed).await;
    assert_eq!(bench.names().await, [bench.live("b"), bench.live("c")]);
    bench.close().await;
}

#[tokio::test]
async fn a_job_runs_once_before_what_waits_for_it() {
    let bench = Bench::new().await;
    let services = |n: u32, code: u32| {
        json!({
            "job": {
                "command": ["sh", "-c", format!("echo migrating; exit {code}")],
                "environment": {"CODE": code.to_string()}
            },
            "web": {
                "command": ["sh", "-c", SERVE], "environment": {"N": n.to_string()},
                "depends_on": {"job": {"condition": "service_completed_successfully"}}
            }
        })
    };
    let first = bench.deploy(services(1, 0)).await;
    bench.assert_healthy(&first).await;
    let job = bench.id("job").await;
    let finished = bench.serving("job").await.state.unwrap().finished_at;
    let second = bench.deploy(services(2, 0)).await;
    assert_eq!(bench.id("job").await, job);
    assert_eq!(bench.serving("job").await.state.unwrap().finished_at, finished, "it ran again");

    let mut run = bench.begin(bench.release(services(3, 7)).await).await;
    let error = run.step(Step::Stage).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unhealthy);
    assert!(error.to_string().contains("exit code 7"), "{error}");
    let seen: Vec<_> = error.evidence().iter().map(|one| one.text.as_str()).collect();
    assert!(seen.contains(&"migrating"), "{seen:?}");
    run.step(Step::Rollback).await.unwrap();
    assert_eq!(bench.id("job").await, job);
    bench.assert_healthy(&second).await;
    bench.close().await;
}

#[tokio::test]
async fn what_dies_at_once_is_told_at_once() {
    let bench = Bench::new().await;
    let port = json!([{"target": 80, "published": "47103", "protocol": "tcp"}]);
    let mut web = sh("echo cannot read the configuration; exit 3");
    web["ports"] = port;
    web["healthcheck"] = healthy();
    let services = json!({
        "web": web,
        "front": {
            "command": ["sh", "-c", SERVE],
            "depends_on": {"web": {"condition": "service_healthy"}}
        }
    });
    let mut run = bench.begin(bench.release(services).await).await;
    run.step(Step::Stage).await.unwrap();
    let error = run.step(Step::Switch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unhealthy);
    assert!(error.to_string().contains("exit code 3"), "{error}");
    let seen: Vec<_> = error.evidence().iter().map(|one| one.text.as_str()).collect();
    assert!(seen.contains(&"cannot read the configuration"), "{seen:?}");
    run.step(Step::Rollback).await.unwrap();
    assert!(bench.names().await.is_empty());
    assert!(bench.networks().await.is_empty());
    bench.close().await;
}

#[tokio::test]
async fn secrets_reach_the_container_and_nothing_else() {
    let value = "correct-horse-battery";
    let bench = Bench::new().await.with_secret("PASSWORD", value);
    let secret = ultrai_deploy_docker::compose::secret::placeholder("PASSWORD");
    let mut web = sh(&format!("echo the password is $URL; {SERVE}"));
    web["environment"] = json!({"URL": format!("redis://:{secret}@db")});
    web["healthcheck"] = json!({"test": {"shell": "echo $URL; false"}});
    let release = bench.release(json!({"web": web})).await;
    let mut run = bench.begin(release).await;
    run.step(Step::Stage).await.unwrap();
    run.step(Step::Switch).await.unwrap();
    let container = bench.serving("web").await;
    let config = container.config.unwrap();
    assert!(config.env.unwrap().contains(&format!("URL=redis://:{value}@db")));
    assert!(!format!("{:?}", config.labels).contains(value));
    assert!(!run.journal().contains(value));
    let cx = bench.cx();
    let seen = {
        use ultrai_deploy_core::Deployer;
        let endpoint = bench.endpoint("web");
        let check = &bench.deployer.declared_checks(&run.release).unwrap()[0];
        let looked = ultrai_deploy_core::waiting::look_once(&cx, check, &endpoint).await.unwrap();
        let evidence = bench.deployer.evidence(&cx, &endpoint).await;
        format!("{looked:?} {evidence:?}")
    };
    assert!(seen.contains("the password is redis://:***@db"), "{seen}");
    assert!(!seen.contains(value), "{seen}");
    bench.close().await;
}

#[tokio::test]
async fn replicas_come_and_go_together() {
    let bench = Bench::new().await;
    let services = |scale: u32| json!({"web": {"command": ["sh", "-c", SERVE], "scale": scale, "healthcheck": healthy()}});
    bench.deploy(services(2)).await;
    let second = format!("{}2", bench.live("web").strip_suffix('1').unwrap());
    assert_eq!(bench.names().await, [bench.live("web"), second]);
    assert_eq!(bench.current().await.services[&name("web")].instances.len(), 2);
    bench.deploy(services(1)).await;
    assert_eq!(bench.names().await, [bench.live("web")]);
    bench.close().await;
}

#[tokio::test]
async fn an_anonymous_volume_of_a_removed_service_is_kept() {
    let bench = Bench::new().await;
    let redis = json!({
        "command": ["sh", "-c", SERVE], "volumes": [{"kind": "volume", "target": "/data"}]
    });
    let web = json!({"command": ["sh", "-c", SERVE]});
    bench.deploy(json!({"redis": redis, "web": web.clone()})).await;
    let mounts = bench.serving("redis").await.mounts.unwrap();
    let volume = mounts[0].name.clone().unwrap();
    bench.deploy(json!({"web": web})).await;
    assert_eq!(bench.names().await, [bench.live("web")]);
    bench.docker.inspect_volume(&volume).await.unwrap();
    bench.docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await.unwrap();
    bench.close().await;
}
