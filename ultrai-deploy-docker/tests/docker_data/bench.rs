//! A project on the engine, and what a test asks of it.

use std::{collections::HashMap, io::Cursor, sync::Arc};

use tokio::io::AsyncReadExt;
use ultrai_deploy_core::{Context, Error, backup::BackupSource, file, release_store::ReleaseStore};
use ultrai_deploy_docker::{
    Engine,
    bollard::{
        Docker,
        exec::StartExecResults,
        models::{
            ContainerCreateBody, ContainerInspectResponse, ExecConfig, HostConfig,
            VolumeCreateRequest,
        },
        query_parameters::{
            CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListVolumesOptions,
            RemoveContainerOptionsBuilder, RemoveVolumeOptions,
        },
    },
    labels,
};

use crate::support;

/// An image with all of busybox.
pub(crate) const BASE: &str = "ultrai/base:1";

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) docker: Docker,
    pub(crate) cx: Context,
    pub(crate) releases: Arc<dyn ReleaseStore>,
    _state: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let engine = support::engine();
        let docker = engine.client().await.unwrap().clone();
        let cx = support::context();
        let state = tempfile::tempdir().unwrap();
        let releases = file::open(state.path(), cx.target()).unwrap().releases;
        Self { engine, docker, cx, releases, _state: state }
    }

    pub(crate) fn releases(&self) -> Arc<dyn ReleaseStore> {
        Arc::clone(&self.releases)
    }

    pub(crate) fn project(&self) -> String {
        self.cx.target().project.to_string()
    }

    pub(crate) fn volume_name(&self, key: &str) -> String {
        format!("{}_{key}", self.project())
    }

    pub(crate) async fn volume(&self, key: &str) {
        let labels = [(labels::PROJECT, self.project().as_str()), (labels::VOLUME, key)]
            .map(|(label, value)| (label.to_owned(), value.to_owned()));
        let request = VolumeCreateRequest {
            name: Some(self.volume_name(key)),
            labels: Some(labels.into()),
            ..VolumeCreateRequest::default()
        };
        self.docker.create_volume(request).await.unwrap();
    }

    /// A running container of a service; `mounts` as `key:/path`, keys of volumes.
    pub(crate) async fn service(
        &self,
        name: &str,
        image: &str,
        command: &[&str],
        env: &[&str],
        mounts: &[&str],
    ) -> String {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let labels: HashMap<_, _> = [
            (labels::PROJECT, self.project().as_str()),
            (labels::SERVICE, name),
            (labels::NUMBER, "1"),
        ]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into();
        let binds = mounts.iter().map(|mount| format!("{}_{mount}", self.project())).collect();
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(words(command)),
            env: Some(words(env)),
            labels: Some(labels),
            host_config: Some(HostConfig {
                binds: Some(binds),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let name = format!("{}-{name}-1", self.project());
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let id = self.docker.create_container(Some(options), body).await.unwrap().id;
        self.docker.start_container(&id, None).await.unwrap();
        id
    }

    /// A container that does nothing, stops at once, and has all of busybox.
    pub(crate) async fn idle(&self, name: &str, env: &[&str], mounts: &[&str]) -> String {
        let wait = "trap 'exit 0' TERM; while :; do sleep 1 & wait; done";
        self.service(name, BASE, &["sh", "-c", wait], env, mounts).await
    }

    pub(crate) async fn sh(&self, id: &str, script: &str) -> Result<String, String> {
        self.sh_with(id, script, &[]).await
    }

    /// What a script says that runs in a container; an error when it fails.
    pub(crate) async fn sh_with(
        &self,
        id: &str,
        script: &str,
        env: &[&str],
    ) -> Result<String, String> {
        use futures_util::StreamExt;
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(["sh", "-c", script].map(ToOwned::to_owned).into()),
            env: Some(env.iter().map(|one| (*one).to_owned()).collect()),
            ..ExecConfig::default()
        };
        let failed = |error: ultrai_deploy_docker::bollard::errors::Error| error.to_string();
        let exec = self.docker.create_exec(id, config).await.map_err(failed)?.id;
        let mut said = String::new();
        let started = self.docker.start_exec(&exec, None).await.map_err(failed)?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(piece) = output.next().await {
                said += &String::from_utf8_lossy(&piece.map_err(failed)?.into_bytes());
            }
        }
        match self.docker.inspect_exec(&exec).await.map_err(failed)?.exit_code {
            Some(0) => Ok(said.trim().to_owned()),
            code => Err(format!("{code:?}: {said}")),
        }
    }

    pub(crate) async fn inspect(&self, id: &str) -> ContainerInspectResponse {
        self.docker.inspect_container(id, None).await.unwrap()
    }

    pub(crate) async fn is_running(&self, id: &str) -> bool {
        self.inspect(id).await.state.unwrap().running.unwrap()
    }

    /// When it was started last.
    pub(crate) async fn started(&self, id: &str) -> String {
        self.inspect(id).await.state.unwrap().started_at.unwrap()
    }

    /// How many containers of the project are there, helpers included.
    pub(crate) async fn containers(&self) -> usize {
        let project = labels_filter(&self.project());
        let options = ListContainersOptionsBuilder::default().all(true).filters(&project).build();
        self.docker.list_containers(Some(options)).await.unwrap().len()
    }

    pub(crate) async fn clean(self) {
        let project = labels_filter(&self.project());
        let options = ListContainersOptionsBuilder::default().all(true).filters(&project).build();
        for one in self.docker.list_containers(Some(options)).await.unwrap() {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            self.docker.remove_container(&one.id.unwrap(), Some(options)).await.unwrap();
        }
        for volume in self
            .docker
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .unwrap()
            .volumes
            .unwrap_or_default()
        {
            if volume.labels.get(labels::PROJECT) == Some(&self.project()) {
                self.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await.unwrap();
            }
        }
    }

    /// All of a part.
    pub(crate) async fn keep(&self, of: &dyn BackupSource, part: &str) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        let mut reader = of.read(&self.cx, part).await?;
        match reader.read_to_end(&mut content).await {
            Ok(_count) => Ok(content),
            Err(error) => Err(error.downcast::<Error>().unwrap()),
        }
    }

    pub(crate) async fn put_back(
        &self,
        to: &dyn BackupSource,
        part: &str,
        content: &[u8],
    ) -> Result<(), Error> {
        to.restore(&self.cx, part, Box::pin(Cursor::new(content.to_vec()))).await
    }
}

fn labels_filter(project: &str) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([("label", vec![format!("{}={project}", labels::PROJECT)])])
}
