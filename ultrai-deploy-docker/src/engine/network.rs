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

use super::{Engine, ignore_missing};

impl Engine {
    /// All networks that have every one of `labels`.
    pub(crate) async fn networks(&self, labels: &[String]) -> Result<Vec<Network>> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let docker = self.client().await?;
        let list = || docker.list_networks(Some(options.clone()));
        self.read("list networks", &labels.join(", "), list).await
    }

    /// A network by name or id, or nothing.
    pub(crate) async fn find_network(&self, name: &str) -> Result<Option<NetworkInspect>> {
        let docker = self.client().await?;
        let found = self.read("inspect a network", name, || docker.inspect_network(name, None));
        ignore_missing(found.await.map(Some))
    }

    /// Creates a network.
    pub(crate) async fn create_network(&self, request: NetworkCreateRequest) -> Result<String> {
        let docker = self.client().await?;
        let create = || docker.create_network(request.clone());
        Ok(self.write("create a network", &request.name, create).await?.id)
    }

    /// Removes a network; one that is not there is fine.
    pub(crate) async fn remove_network(&self, name: &str) -> Result<()> {
        let docker = self.client().await?;
        let remove = || docker.remove_network(name);
        ignore_missing(self.write("remove a network", name, remove).await)
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
        let docker = self.client().await?;
        let connect = || docker.connect_network(network, request.clone());
        self.write("connect a container to a network", network, connect).await
    }

    /// Disconnects a container from a network; either not being there is fine.
    pub(crate) async fn disconnect(&self, network: &str, container: &str) -> Result<()> {
        let request =
            NetworkDisconnectRequest { container: container.to_owned(), force: Some(false) };
        let docker = self.client().await?;
        let disconnect = || docker.disconnect_network(network, request.clone());
        let operation = "disconnect a container from a network";
        ignore_missing(self.write(operation, network, disconnect).await)
    }

    /// All volumes that have every one of `labels`.
    pub(crate) async fn volumes(&self, labels: &[String]) -> Result<Vec<Volume>> {
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let docker = self.client().await?;
        let list = || docker.list_volumes(Some(options.clone()));
        let list = self.read("list volumes", &labels.join(", "), list).await?;
        Ok(list.volumes.unwrap_or_default())
    }

    /// A volume by name, or nothing.
    pub(crate) async fn find_volume(&self, name: &str) -> Result<Option<Volume>> {
        let docker = self.client().await?;
        let found = self.read("inspect a volume", name, || docker.inspect_volume(name)).await;
        ignore_missing(found.map(Some))
    }

    /// Creates a volume; one of this name is returned as it is.
    pub(crate) async fn create_volume(&self, request: VolumeCreateRequest) -> Result<()> {
        let name = request.name.clone().unwrap_or_default();
        let docker = self.client().await?;
        self.write("create a volume", &name, || docker.create_volume(request.clone())).await?;
        Ok(())
    }
}
