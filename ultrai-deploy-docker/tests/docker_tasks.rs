//! Tasks on a real engine: how they end, what they say, what they need, and that nothing stays.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    Cancel, Chain, Context, ErrorKind, Result,
    memory::ReleaseStore as Releases,
    name::{SecretName, ServiceName},
    release::{Image, Release, Seal},
    release_store::ReleaseStore,
    secret::{Secret, Secrets},
    task::{TaskEnd, TaskRunner},
    verification::{Dependencies, TaskSpec, When},
    version::Version,
};
use ultrai_deploy_docker::{
    Config, Engine,
    bollard::{
        Docker,
        models::{
            ContainerCreateBody, ContainerInspectResponse, EndpointSettings, NetworkCreateRequest,
            NetworkingConfig,
        },
        query_parameters::{
            CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
            ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
        },
    },
    compose::{model::Project, secret},
    labels, spec,
    task::{Runner, labels::TASK},
};

use self::support::{BUSYBOX, Output};

const SECRET: &str = "correct-horse-battery";

struct Bench {
    cx: Context,
    docker: Docker,
    engine: Engine,
    releases: Releases,
    runner: Runner,
    output: Output,
}

impl Bench {
    async fn new() -> Self {
        let engine = support::engine();
        let releases = Releases::default();
        let store: Arc<dyn ReleaseStore> = Arc::new(releases.clone());
        Self {
            cx: support::context(),
            docker: support::busybox(&engine).await,
            runner: Runner::new(engine.clone(), store, Config::default()),
            engine,
            releases,
            output: Output::default(),
        }
    }

    fn project(&self) -> String {
        self.cx.target().project.to_string()
    }

    /// A stored release of these services, which all run [`BUSYBOX`] on the default network.
    async fn release(&self, mut services: Value) -> Release {
        for (_, service) in services.as_object_mut().unwrap() {
            service["image"] = BUSYBOX.into();
            service["networks"] = json!({"default": {}});
        }
        let name = self.project();
        let project: Project = serde_json::from_value(json!({
            "name": name, "working_dir": "/nonexistent", "services": services,
            "networks": {"default": {"name": format!("{name}_default")}},
            "volumes": {"data": {"name": format!("{name}_data")}},
        }))
        .unwrap();
        let spec = spec(&project, Version::parse("1.0.0").unwrap()).unwrap();
        let id = self.docker.inspect_image(BUSYBOX).await.unwrap().id.unwrap();
        let image = Image { reference: BUSYBOX.into(), id, digest: None };
        let secrets: Secrets =
            BTreeMap::from([(SecretName::new("PASSWORD").unwrap(), Secret::new(SECRET))]);
        let key = self.releases.fingerprint_key().await.unwrap();
        let seal = Seal {
            images: spec.services.keys().map(|name| (name.clone(), image.clone())).collect(),
            secrets: secrets
                .iter()
                .map(|(name, value)| (name.clone(), key.fingerprint(name, value)))
                .collect(),
            ..Seal::default()
        };
        let release = Release::seal(&spec, &seal).unwrap();
        self.releases.put(&release, &secrets).await.unwrap();
        release
    }

    async fn run(&self, cx: &Context, release: &Release, task: &TaskSpec) -> Result<TaskEnd> {
        self.runner.run(cx, release, task, &self.output).await
    }

    /// Runs `task` until it has said `line`, then does `then` beside it.
    async fn beside<F: Future<Output = ()>>(
        &self,
        cx: &Context,
        release: &Release,
        task: &TaskSpec,
        line: &str,
        then: impl FnOnce() -> F,
    ) -> Result<TaskEnd> {
        let other = async {
            support::until("the task has said its line", || async {
                self.output.text().contains(line).then_some(())
            })
            .await;
            then().await;
        };
        let (end, ()) = tokio::join!(self.run(cx, release, task), other);
        end
    }

    /// The containers that were created for tasks of this run, by service.
    async fn created(&self) -> BTreeMap<String, ContainerInspectResponse> {
        let wanted = vec![format!("{}={}", labels::RUN, self.cx.run()), TASK.to_owned()];
        let filters = std::collections::HashMap::from([("label", wanted)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let mut created = BTreeMap::new();
        for one in self.docker.list_containers(Some(options)).await.unwrap() {
            let service = one.labels.unwrap()[labels::SERVICE].clone();
            let id = one.id.unwrap();
            created.insert(service, self.docker.inspect_container(&id, None).await.unwrap());
        }
        created
    }

    async fn networks(&self) -> Vec<String> {
        let project = format!("{}={}", labels::PROJECT, self.project());
        let filters = std::collections::HashMap::from([("label", vec![project])]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found = self.docker.list_networks(Some(options)).await.unwrap();
        found.into_iter().filter_map(|network| network.name).collect()
    }

    async fn assert_nothing_is_left(&self) {
        assert_eq!(self.created().await.keys().collect::<Vec<_>>(), [""; 0]);
        assert_eq!(self.networks().await, [""; 0]);
        let volume = self.docker.inspect_volume(&format!("{}_data", self.project())).await;
        assert!(volume.is_err(), "a test makes no named volume");
    }
}

fn task(service: &str, script: &str) -> TaskSpec {
    TaskSpec {
        name: "smoke test".into(),
        service: ServiceName::new(service).unwrap(),
        command: ["sh", "-c", script].map(ToOwned::to_owned).into(),
        when: When::Pre,
        dependencies: Dependencies::Create,
        timeout: Duration::from_mins(1),
    }
}

/// A service that serves what it has written to its volume, and gets healthy by itself.
fn database() -> Value {
    json!({
        "command": ["sh", "-c", "echo from the database > /data/mark; echo up; \
                     exec busybox httpd -f -p 80 -h /data"],
        "ports": [{"target": 80, "published": "1", "protocol": "tcp"}],
        "container_name": "taken",
        "restart": "always",
        "volumes": [{"kind": "volume", "source": "data", "target": "/data"}],
        "healthcheck": {"test": {"command": ["test", "-f", "/data/mark"]}},
    })
}

fn needs_database() -> Value {
    json!({"depends_on": {"db": {"condition": "service_healthy"}}})
}

#[tokio::test]
async fn a_task_has_the_release_s_configuration_and_its_end_is_told() {
    let bench = Bench::new().await;
    let release = bench
        .release(json!({"web": {
            "environment": {"MODE": "test", "PASSWORD": secret::placeholder("PASSWORD")},
            "ports": [{"target": 80, "published": "1", "protocol": "tcp"}],
            "volumes": [{"kind": "volume", "source": "data", "target": "/data"}],
            "working_dir": "/tmp",
        }}))
        .await;
    let script = "echo $MODE in $PWD; echo problem >&2; echo $PASSWORD; \
                  test $PASSWORD = correct-horse-battery && touch /data/x && printf unended; exit 3";
    let end = bench.run(&bench.cx, &release, &task("web", script)).await.unwrap();
    assert_eq!(end.exit_code, 3, "{end:?}");
    let mut lines: Vec<_> = end.tail.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["***", "problem", "test in /tmp", "unended"]);
    assert_eq!(bench.output.text(), end.tail, "what is told is what was streamed");
    bench.assert_nothing_is_left().await;

    let end = bench.run(&bench.cx, &release, &task("web", "true")).await.unwrap();
    assert_eq!(end, TaskEnd { exit_code: 0, tail: String::new() });
}

#[tokio::test]
async fn of_much_output_the_end_is_kept() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": {}})).await;
    let script = "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done";
    let end = bench.run(&bench.cx, &release, &task("web", script)).await.unwrap();
    assert!(end.tail.ends_with("line 4999") && end.tail.len() <= 8 * 1024);
    assert_eq!(bench.output.text().lines().count(), 5000);
}

#[tokio::test]
async fn a_task_that_does_not_end_is_killed() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": {}})).await;
    let endless = "trap '' TERM; echo begun; while true; do sleep 1; done";
    let short = TaskSpec { timeout: Duration::from_secs(2), ..task("web", endless) };
    let error = bench.run(&bench.cx, &release, &short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("`smoke test` did not end within 2 s"), "{error}");
    assert_eq!(error.evidence()[0].text, "begun");
    bench.assert_nothing_is_left().await;

    let cancel = Cancel::new();
    let cx = bench.cx.clone().with_cancel(cancel.clone());
    bench.output.clear();
    let error = bench
        .beside(&cx, &release, &task("web", endless), "begun", || async { cancel.cancel() })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    bench.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_an_error_with_its_cause() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": {}})).await;
    let absent = TaskSpec { command: vec!["no-such-program".into()], ..task("web", "") };
    let error = bench.run(&bench.cx, &release, &absent).await.unwrap_err();
    assert!(Chain(&error).to_string().contains("no-such-program"), "{}", Chain(&error));
    bench.assert_nothing_is_left().await;
}

#[tokio::test]
async fn missing_dependencies_are_created_without_the_real_data() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": needs_database(), "db": database()})).await;
    let cancel = Cancel::new();
    let cx = bench.cx.clone().with_cancel(cancel.clone());
    let script = "busybox wget -q -O - http://db/mark; echo asked; sleep 600";
    let mut anonymous = Vec::new();
    let look = async || {
        let created = bench.created().await;
        assert_eq!(created.keys().collect::<Vec<_>>(), ["db", "web"]);
        for container in created.values() {
            let host = container.host_config.clone().unwrap();
            assert_eq!(host.port_bindings.unwrap_or_default().len(), 0);
            let restart = host.restart_policy.and_then(|policy| policy.name);
            assert_eq!(restart.map(|name| name.to_string()).as_deref(), Some("no"));
            let own = container.config.clone().unwrap().labels.unwrap();
            assert_eq!(own[labels::ONEOFF], "True");
            assert_eq!(own[TASK], "smoke test");
            assert!(!own.contains_key(labels::NUMBER));
            assert_ne!(container.name.as_deref(), Some("/taken"));
        }
        let settings = created["web"].network_settings.clone().unwrap().networks.unwrap();
        let aliases = settings.into_values().next().unwrap().aliases.unwrap();
        assert!(!aliases.contains(&"web".to_owned()), "nothing reaches a test: {aliases:?}");
        let volume = created["db"].mounts.clone().unwrap()[0].name.clone().unwrap();
        assert!(!volume.contains("_data"), "{volume}");
        anonymous.push(volume);
        cancel.cancel();
    };
    let ended = bench.beside(&cx, &release, &task("web", script), "asked", look).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(bench.output.text(), "from the database\nasked");
    bench.assert_nothing_is_left().await;
    assert!(bench.docker.inspect_volume(&anonymous[0]).await.is_err());
}

#[tokio::test]
async fn what_runs_is_used_and_stays() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": needs_database(), "db": database()})).await;
    let (project, network) = (bench.project(), format!("{}_default", bench.project()));
    let request = NetworkCreateRequest { name: network.clone(), ..Default::default() };
    bench.docker.create_network(request).await.unwrap();
    let endpoint =
        EndpointSettings { aliases: Some(vec!["db".into()]), ..EndpointSettings::default() };
    let body = ContainerCreateBody {
        image: Some(BUSYBOX.into()),
        cmd: Some(
            ["sh", "-c", "echo the real one > /mark; exec busybox httpd -f -p 80 -h /"]
                .map(ToOwned::to_owned)
                .into(),
        ),
        labels: Some(
            [(labels::PROJECT, project.as_str()), (labels::SERVICE, "db"), (labels::NUMBER, "1")]
                .map(|(label, value)| (label.to_owned(), value.to_owned()))
                .into(),
        ),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some([(network.clone(), endpoint)].into()),
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(&format!("{project}-db-1")).build();
    let real = bench.docker.create_container(Some(options), body).await.unwrap().id;
    bench.docker.start_container(&real, None).await.unwrap();

    let script = "until busybox wget -q -O - http://db/mark; do sleep 1; done";
    let ended = bench.run(&bench.cx, &release, &task("web", script)).await.unwrap();
    assert_eq!((ended.exit_code, bench.output.text().lines().last()), (0, Some("the real one")));
    bench.runner.clean(&bench.cx).await.unwrap();
    let state = bench.docker.inspect_container(&real, None).await.unwrap().state.unwrap();
    assert_eq!(state.running, Some(true));

    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    bench.docker.remove_container(&real, Some(options)).await.unwrap();
    bench.docker.remove_network(&network).await.unwrap();
}

#[tokio::test]
async fn without_leave_no_dependency_is_created() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": needs_database(), "db": database()})).await;
    let script = "echo begun; sleep 600";
    for alone in [
        TaskSpec { dependencies: Dependencies::None, ..task("web", script) },
        TaskSpec { when: When::Post, ..task("web", script) },
    ] {
        let cancel = Cancel::new();
        let cx = bench.cx.clone().with_cancel(cancel.clone());
        bench.output.clear();
        let look = async || {
            assert_eq!(bench.created().await.keys().collect::<Vec<_>>(), ["web"]);
            cancel.cancel();
        };
        bench.beside(&cx, &release, &alone, "begun", look).await.unwrap_err();
    }
    bench.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_dependency_that_dies_is_told_with_its_log() {
    let bench = Bench::new().await;
    let mut broken = database();
    broken["command"] = json!(["sh", "-c", "echo no space; exit 4"]);
    let release = bench.release(json!({"web": needs_database(), "db": broken})).await;
    let error = bench.run(&bench.cx, &release, &task("web", "true")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unhealthy);
    assert!(error.message().contains("db") && error.message().contains("exit code 4"), "{error}");
    assert!(error.evidence().iter().any(|seen| seen.text == "no space"), "{:?}", error.evidence());
    bench.assert_nothing_is_left().await;
}

#[tokio::test]
async fn what_a_killed_process_left_is_found_and_removed() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": needs_database(), "db": database()})).await;
    let task = task("web", "echo begun; sleep 600");
    let killed = bench.run(&bench.cx, &release, &task);
    let begun = support::until("the task has begun", || async {
        bench.output.text().contains("begun").then_some(())
    });
    tokio::select! {
        _ended = killed => panic!("the task must not end"),
        () = begun => {}
    }
    assert_eq!(bench.created().await.len(), 2, "a dropped run cleans nothing up");

    let another =
        Runner::new(bench.engine.clone(), Arc::new(Releases::default()), Config::default());
    another.clean(&bench.cx).await.unwrap();
    bench.assert_nothing_is_left().await;
    another.clean(&bench.cx).await.unwrap();
}

#[tokio::test]
async fn an_attempt_again_begins_anew() {
    let bench = Bench::new().await;
    let release = bench.release(json!({"web": {}})).await;
    let endless = task("web", "echo begun; sleep 600");
    let begun = support::until("the task has begun", || async {
        bench.output.text().contains("begun").then_some(())
    });
    tokio::select! {
        _ended = bench.run(&bench.cx, &release, &endless) => panic!("the task must not end"),
        () = begun => {}
    }
    let again = TaskSpec { command: ["sh", "-c", "echo again"].map(Into::into).into(), ..endless };
    let end = bench.run(&bench.cx, &release, &again).await.unwrap();
    assert_eq!(end, TaskEnd { exit_code: 0, tail: "again".into() });
    bench.assert_nothing_is_left().await;
}
