//! Workspaces, and services with their settings.

use serde_json::{Map, Value, json};
use ultrai_deploy_core::{Context, Error, ErrorKind, Result};
use ultrai_deploy_http::api::{Call, Method, Repeat};

use super::{Client, DEPLOY, refused};
use crate::model::{
    Instance, MaintenanceMode, Owner, OwnerId, Service, ServiceChange, ServiceId, StartCommand,
};

impl Client {
    /// The workspaces that the key sees.
    pub async fn owners(&self, cx: &Context) -> Result<Vec<Owner>> {
        self.list(cx, Call::get("list workspaces", ["owners"]), None).await
    }

    /// The services with exactly this name, in one workspace or in all. Names are not unique: there
    /// may be none, one, or several.
    pub async fn services_named(
        &self,
        cx: &Context,
        owner: Option<&OwnerId>,
        name: &str,
    ) -> Result<Vec<Service>> {
        let call = Call::get("find a service", ["services"]).with_query("name", name);
        let call = super::with_some(call, "ownerId", owner);
        let mut services: Vec<Service> = self.list(cx, call, None).await?;
        // Render splits names at commas.
        services.retain(|service| service.name == name);
        Ok(services)
    }

    /// A service.
    pub async fn service(&self, cx: &Context, id: &ServiceId) -> Result<Service> {
        self.read(cx, &Call::get("read a service", ["services", id.as_str()])).await
    }

    /// Changes settings of a service, and gives it as it is then. Nothing is deployed.
    ///
    /// # Errors
    /// [`Invalid`](ultrai_deploy_core::ErrorKind::Invalid), before anything is sent, for a change
    /// of nothing.
    pub async fn update_service(
        &self,
        cx: &Context,
        id: &ServiceId,
        change: &ServiceChange,
    ) -> Result<Service> {
        let operation = "change a service";
        let body = change_body(change);
        if body.is_empty() {
            return Err(refused(operation, "there is nothing to change"));
        }
        // Settings are set to values: a second time changes nothing more.
        let call = Call::new(operation, Method::Patch, ["services", id.as_str()])
            .with_json(&body)?
            .with_repeat(Repeat::Keyed)
            .with_class(DEPLOY);
        self.read(cx, &call).await
    }

    /// Shows a page instead of a web service, or the service again, and makes sure of it: whoever
    /// goes on to what no request may see has to know that none comes through.
    ///
    /// # Errors
    /// [`Unsupported`](ultrai_deploy_core::ErrorKind::Unsupported) when Render takes the change and
    /// does not make it: only web services on a paid plan have such a page.
    pub async fn set_maintenance_mode(
        &self,
        cx: &Context,
        id: &ServiceId,
        mode: &MaintenanceMode,
    ) -> Result<()> {
        let change =
            ServiceChange { maintenance_mode: Some(mode.clone()), ..ServiceChange::default() };
        let is_set = |service: &Service| {
            let own = service.details.maintenance_mode.clone().unwrap_or_default();
            own.enabled == mode.enabled
        };
        // What answers a change may leave out what it changed.
        if is_set(&self.update_service(cx, id, &change).await?)
            || is_set(&self.service(cx, id).await?)
        {
            return Ok(());
        }
        let what = if mode.enabled { "goes on serving" } else { "does not serve again" };
        let message = format!("service {id} {what} after its maintenance mode was changed");
        Err(Error::new(ErrorKind::Unsupported, "change the maintenance mode", message)
            .with_advice("only web services on a paid plan have one: look at the service's plan"))
    }

    /// Lets a service run no more, until it is resumed.
    pub async fn suspend(&self, cx: &Context, id: &ServiceId) -> Result<()> {
        let call = Call::post("suspend a service", ["services", id.as_str(), "suspend"]);
        self.done(cx, &call.with_repeat(Repeat::Keyed)).await
    }

    /// Lets a suspended service run again.
    pub async fn resume(&self, cx: &Context, id: &ServiceId) -> Result<()> {
        let call = Call::post("resume a service", ["services", id.as_str(), "resume"]);
        self.done(cx, &call.with_repeat(Repeat::Keyed)).await
    }

    /// Restarts the instances of a service with what is live; not for cron jobs.
    pub async fn restart(&self, cx: &Context, id: &ServiceId) -> Result<()> {
        let call = Call::post("restart a service", ["services", id.as_str(), "restart"]);
        self.done(cx, &call).await
    }

    /// Sets how many instances a service has.
    pub async fn scale(&self, cx: &Context, id: &ServiceId, instances: u32) -> Result<()> {
        let call = Call::post("scale a service", ["services", id.as_str(), "scale"])
            .with_json(&json!({ "numInstances": instances }))?
            .with_repeat(Repeat::Keyed)
            .with_class(DEPLOY);
        self.done(cx, &call).await
    }

    /// The instances of a service that run now.
    pub async fn instances(&self, cx: &Context, id: &ServiceId) -> Result<Vec<Instance>> {
        let call = Call::get("list instances", ["services", id.as_str(), "instances"]);
        let instances: Option<Vec<Instance>> = self.read(cx, &call).await?;
        Ok(instances.unwrap_or_default())
    }
}

fn change_body(change: &ServiceChange) -> Map<String, Value> {
    let (mut body, mut details) = (Map::new(), Map::new());
    if let Some(image) = &change.image {
        let mut source = json!({ "ownerId": image.owner, "imagePath": image.path });
        if let Some(credential) = &image.registry_credential {
            source["registryCredentialId"] = json!(credential);
        }
        body.insert("image".to_owned(), source);
    }
    if let Some(auto_deploy) = &change.auto_deploy {
        body.insert("autoDeploy".to_owned(), json!(auto_deploy));
    }
    if let Some(trigger) = &change.auto_deploy_trigger {
        body.insert("autoDeployTrigger".to_owned(), json!(trigger));
    }
    if let Some(path) = &change.health_check_path {
        details.insert("healthCheckPath".to_owned(), json!(path));
    }
    if let Some(command) = &change.pre_deploy_command {
        details.insert("preDeployCommand".to_owned(), json!(command));
    }
    if let Some(StartCommand { runtime, command }) = &change.start_command {
        let is_container = matches!(runtime.as_str(), "docker" | "image");
        let field = if is_container { "dockerCommand" } else { "startCommand" };
        details.insert("envSpecificDetails".to_owned(), json!({ field: command }));
    }
    if let Some(mode) = &change.maintenance_mode {
        let mode = json!({ "enabled": mode.enabled, "uri": mode.uri });
        details.insert("maintenanceMode".to_owned(), mode);
    }
    if let Some(delay) = change.max_shutdown_delay {
        details.insert("maxShutdownDelaySeconds".to_owned(), json!(delay.as_secs()));
    }
    if !details.is_empty() {
        body.insert("serviceDetails".to_owned(), details.into());
    }
    body
}
