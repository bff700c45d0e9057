//! Calls about containers.

use std::{collections::HashMap, time::Duration};

use bollard::{
    container::LogOutput,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerSummary, ContainerUpdateBody,
        ImageInspect, RestartPolicy,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
        RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    },
};
use futures_util::StreamExt;
use tokio::time::Instant;
use ultrai_deploy_core::error::{Error, ErrorKind, Result};

use super::{Engine, engine_error, ignore_missing};

/// Longest time that removing a container takes an engine that is busy.
const REMOVAL: Duration = Duration::from_secs(30);
/// Pause between looks for it.
const PAUSE: Duration = Duration::from_millis(100);

/// What becomes of the volumes that a container has and nobody has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anonymous {
    /// They are removed with it: nothing but it has ever used them. One that it was given by name,
    /// as the heir of another container, stays.
    Remove,
    /// They stay: they may hold what users have entrusted.
    Keep,
}

impl Engine {
    /// All containers, running or not, that have every one of `labels` (`key` or `key=value`).
    pub(crate) async fn containers(&self, labels: &[String]) -> Result<Vec<ContainerSummary>> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let docker = self.client().await?;
        let list = || docker.list_containers(Some(options.clone()));
        self.read("list containers", &labels.join(", "), list).await
    }

    /// A container by id or name.
    pub(crate) async fn container(&self, id: &str) -> Result<ContainerInspectResponse> {
        let docker = self.client().await?;
        self.read("inspect a container", id, || docker.inspect_container(id, None)).await
    }

    /// A container by id or name, or nothing when there is none.
    pub(crate) async fn find_container(
        &self,
        id: &str,
    ) -> Result<Option<ContainerInspectResponse>> {
        ignore_missing(self.container(id).await.map(Some))
    }

    /// Creates a container and returns its id.
    pub(crate) async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<String> {
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let docker = self.client().await?;
        let create = || docker.create_container(Some(options.clone()), body.clone());
        Ok(self.write("create a container", name, create).await?.id)
    }

    /// Starts a container; one that runs is fine.
    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        let docker = self.client().await?;
        self.write("start a container", id, || docker.start_container(id, None)).await
    }

    /// Stops a container by its own signal and within its own grace period; one that does not run
    /// or does not exist is fine.
    pub(crate) async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        let docker = self.patient_client(grace).await?;
        let stop = || docker.stop_container(id, None);
        ignore_missing(self.write("stop a container", id, stop).await)
    }

    /// Gives a container another name.
    pub(crate) async fn rename(&self, id: &str, name: &str) -> Result<()> {
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let docker = self.client().await?;
        let rename = || docker.rename_container(id, options.clone());
        self.write("rename a container", name, rename).await
    }

    /// Sets a container's restart policy.
    pub(crate) async fn set_restart(&self, id: &str, policy: RestartPolicy) -> Result<()> {
        let body =
            ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
        let docker = self.client().await?;
        let update = || docker.update_container(id, body.clone());
        self.write("change a restart policy", id, update).await
    }

    /// Removes a container by force; it is gone on return. One that is not there is fine.
    pub(crate) async fn remove(&self, id: &str, anonymous: Anonymous) -> Result<()> {
        // An inspection waits for a start that is under way. The engine forgets the connections of
        // what is removed while it starts, and its networks can never be removed (20.10).
        if self.find_container(id).await?.is_none() {
            return Ok(());
        }
        let with_volumes = anonymous == Anonymous::Remove;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(with_volumes).build();
        let docker = self.client().await?;
        let remove = || docker.remove_container(id, Some(options.clone()));
        let removed = self.write("remove a container", id, remove).await;
        match ignore_missing(removed) {
            // The engine answers so while another removal of it is under way.
            Err(error) if error.kind() == ErrorKind::Conflict => self.gone(id, error).await,
            other => other,
        }
    }

    /// Waits until a container is gone; fails with `error` when it stays.
    async fn gone(&self, id: &str, error: Error) -> Result<()> {
        let give_up = Instant::now() + REMOVAL;
        while self.find_container(id).await?.is_some() {
            if Instant::now() >= give_up {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The last `lines` lines of a container's output.
    pub(crate) async fn log_tail(&self, id: &str, lines: usize) -> Result<String> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let mut stream = self.client().await?.logs(id, Some(options));
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            let chunk: LogOutput =
                chunk.map_err(|source| engine_error("read a container's log", id, source))?;
            text.push_str(&String::from_utf8_lossy(&chunk.into_bytes()));
        }
        Ok(text)
    }

    /// An image by reference or id.
    pub(crate) async fn image(&self, reference: &str) -> Result<ImageInspect> {
        let docker = self.client().await?;
        self.read("inspect an image", reference, || docker.inspect_image(reference)).await
    }
}
