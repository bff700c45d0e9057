//! One compose project with one container that waits for a file.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::Instant,
};
use ultrai_deploy_core::{
    Context, Deployer as _,
    health::{Check, Endpoint, Role},
    memory,
    name::{EnvironmentName, RunId, ServiceName, Target},
    release::{Image, Release, Seal},
    version::Version,
};
use ultrai_deploy_docker::{
    Config, Deployer,
    bollard::{
        Docker,
        query_parameters::{
            EventsOptionsBuilder, KillContainerOptionsBuilder, PruneNetworksOptionsBuilder,
            RemoveContainerOptionsBuilder,
        },
    },
    compose, spec,
};

const IMAGE: &str = "ultrai/base:1";

/// What the container does when the file appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It begins to listen, and its health check asks it.
    Listens,
    /// Nothing: its health check looks for the file, and no port tells.
    Says,
}

pub(crate) struct Room {
    directory: TempDir,
    project: String,
    host: String,
    compose: PathBuf,
    deployer: Deployer,
}

impl Room {
    pub(crate) fn new(host: &str, compose: &str, kind: Kind) -> Self {
        let directory = TempDir::new().unwrap();
        let project = format!("detection-{}", RunId::generate().short());
        let (command, test, expose) = match kind {
            Kind::Listens => (
                "until [ -f /go/ok ]; do usleep 1000; done; exec httpd -f -p 8085 -h /go",
                r#"["CMD", "curl", "-fs", "http://localhost:8085/ok"]"#,
                "    expose: [\"8085\"]\n",
            ),
            Kind::Says => ("sleep 100000", r#"["CMD", "test", "-f", "/go/ok"]"#, ""),
        };
        let go = directory.path().join("go");
        fs::create_dir(&go).unwrap();
        let file = format!(
            "name: {project}\nservices:\n  web:\n    image: {IMAGE}\n    init: true\n    \
             command: [\"sh\", \"-c\", \"{command}\"]\n{expose}    \
             volumes: [\"{}:/go\"]\n    healthcheck:\n      test: {test}\n      \
             interval: 2s\n      timeout: 5s\n      retries: 30\n",
            go.display()
        );
        fs::write(directory.path().join("compose.yaml"), file).unwrap();
        let releases = Arc::new(memory::ReleaseStore::default());
        let deployer = Deployer::connect(Config::at(host), releases);
        Self { directory, project, host: host.to_owned(), compose: compose.into(), deployer }
    }

    fn compose(&self) -> Command {
        let mut command = Command::new(&self.compose);
        command
            .env("DOCKER_HOST", &self.host)
            .current_dir(self.directory.path())
            .kill_on_drop(true)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command
    }

    async fn docker(&self) -> &Docker {
        self.deployer.engine().client().await.unwrap()
    }

    fn container(&self) -> String {
        format!("{}-web-1", self.project)
    }

    /// Creates the container, and its network, without starting it.
    pub(crate) async fn create(&self) {
        let status = self.compose().args(["up", "--no-start"]).status().await.unwrap();
        assert!(status.success());
    }

    pub(crate) async fn start(&self) {
        self.docker().await.start_container(&self.container(), None).await.unwrap();
    }

    /// The peer, from its beginning.
    pub(crate) fn up_and_wait(&self) -> Child {
        self.compose().args(["up", "-d", "--wait"]).spawn().unwrap()
    }

    pub(crate) async fn running(&self) {
        loop {
            let found = self.docker().await.inspect_container(&self.container(), None).await;
            if found.unwrap().state.and_then(|state| state.running) == Some(true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The check that the compose file declares.
    pub(crate) fn check(&self) -> (Check, Endpoint, Context) {
        let loaded = compose::load(&compose::Options {
            path: self.directory.path().join("compose.yaml"),
            env: BTreeMap::new(),
            ..compose::Options::default()
        })
        .unwrap();
        let spec = spec(&loaded.project, Version::parse("v1.0.0").unwrap()).unwrap();
        let name = ServiceName::new("web").unwrap();
        let image = Image { reference: IMAGE.to_owned(), id: "sha256:0".to_owned(), digest: None };
        let seal =
            Seal { images: [(name.clone(), image)].into_iter().collect(), ..Seal::default() };
        let release = Release::seal(&spec, &seal).unwrap();
        let check = self.deployer.declared_checks(&release).unwrap().remove(0);
        let target = Target::new(spec.project, EnvironmentName::new("bench").unwrap());
        let cx = Context::detached(target, RunId::generate());
        (check, Endpoint::new(Role::Staged, name, self.container()), cx)
    }

    /// The moment.
    pub(crate) fn appear(&self) {
        fs::write(self.directory.path().join("go/ok"), "ok").unwrap();
    }

    pub(crate) async fn kill(&self) {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        self.docker().await.kill_container(&self.container(), Some(options)).await.unwrap();
    }

    /// When the engine tells that it has ended.
    pub(crate) async fn told_of_death(&self) -> Instant {
        let filters = HashMap::from([
            ("container", vec![self.container()]),
            ("event", vec!["die".to_owned()]),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        self.docker().await.events(Some(options)).next().await.unwrap().unwrap();
        Instant::now()
    }

    /// When it ended, by the engine's clock, which is ours.
    pub(crate) async fn ended(&self) -> jiff::Timestamp {
        let found = self.docker().await.inspect_container(&self.container(), None).await.unwrap();
        found.state.unwrap().finished_at.unwrap().parse().unwrap()
    }

    pub(crate) async fn clear(&self) {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let docker = self.docker().await;
        docker.remove_container(&self.container(), Some(options)).await.unwrap();
        let _gone = fs::remove_file(self.directory.path().join("go/ok"));
        // Networks are few: they go with the project.
        let filters = HashMap::from([(
            "label",
            vec![format!("com.docker.compose.project={}", self.project)],
        )]);
        let options = PruneNetworksOptionsBuilder::default().filters(&filters).build();
        docker.prune_networks(Some(options)).await.unwrap();
    }
}
