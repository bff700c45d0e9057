//! Calls about networks and volumes.

use std::collections::HashMap;

use bollard::{
    models::{
        EndpointSettings, Network, NetworkConnectRequest, NetworkCreateRequest,
        NetworkDisconnectRequest, NetworkInspect, Volume, VolumeCreateRequest,
    },
    query_parameters::{ListNetworksOptionsBuilder, ListVolumesOptionsBuilder},
};
use ultrai_deploy_core::error::Result;

use super::{Engine, engine_error, ignore_missing};

impl Engine {
    /// All networks that have every one of `labels`.
    pub(crate) async fn networks(&self, labels: &[String]) -> Result<Vec<Network>> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        self.client()
            .await?
            .list_networks(Some(options))
            .await
            .map_err(|source| engine_error("list networks", &labels.join(", "), source))
    }

    /// A network by name or id, or nothing.
    pub(crate) async fn find_network(&self, name: &str) -> Result<Option<NetworkInspect>> {
        let found = self
            .client()
            .await?
            .inspect_network(name, None)
            .await
            .map_err(|source| engine_error("inspect a network", name, source));
        ignore_missing(found.map(Some))
    }

    /// Creates a network.
    pub(crate) async fn create_network(&self, request: NetworkCreateRequest) -> Result<String> {
        let name = request.name.clone();
        let created = self
            .client()
            .await?
            .create_network(request)
            .await
            .map_err(|source| engine_error("create a network", &name, source))?;
        Ok(created.id)
    }

    /// Removes a network; one that is not there is fine.
    pub(crate) async fn remove_network(&self, name: &str) -> Result<()> {
        let removed = self
            .client()
            .await?
            .remove_network(name)
            .await
            .map_err(|source| engine_error("remove a network", name, source));
        ignore_missing(removed)
    }

    /// Connects a container to a network.
    pub(crate) async fn connect(
        &self,
        network: &str,
        container: &str,
        endpoint: EndpointSettings,
    ) -> Result<()> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint),
        };
        self.client()
            .await?
            .connect_network(network, request)
            .await
            .map_err(|source| engine_error("connect a container to a network", network, source))
    }

    /// Disconnects a container from a network; either not being there is fine.
    pub(crate) async fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        let request =
            NetworkDisconnectRequest { container: container.to_owned(), force: Some(false) };
        let disconnected =
            self.client().await?.disconnect_network(network, request).await.map_err(|source| {
                engine_error("disconnect a container from a network", network, source)
            });
        ignore_missing(disconnected)
    }

    /// All volumes that have every one of `labels`.
    pub(crate) async fn volumes(&self, labels: &[String]) -> Result<Vec<Volume>> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let list = self
            .client()
            .await?
            .list_volumes(Some(options))
            .await
            .map_err(|source| engine_error("list volumes", &labels.join(", "), source))?;
        Ok(list.volumes.unwrap_or_default())
    }

    /// A volume by name, or nothing.
    pub(crate) async fn find_volume(&self, name: &str) -> Result<Option<Volume>> {
        let found = self
            .client()
            .await?
            .inspect_volume(name)
            .await
            .map_err(|source| engine_error("inspect a volume", name, source));
        ignore_missing(found.map(Some))
    }

    /// Creates a volume; one of this name is returned as it is.
    pub(crate) async fn create_volume(&self, request: VolumeCreateRequest) -> Result<()> {
        let name = request.name.clone().unwrap_or_default();
        self.client()
            .await?
            .create_volume(request)
            .await
            .map_err(|source| engine_error("create a volume", &name, source))?;
        Ok(())
    }
}
