//! A service as it is in one environment.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    deployment::Deployment,
    id::{EnvironmentId, ServiceId},
    open::{number, or_default},
    variable::{Exposed, RegistryCredentials},
};

/// A service in an environment: its settings and its deployments.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceInstance {
    /// The id of the pair.
    pub id: String,
    /// The service.
    pub service_id: ServiceId,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub service_name: String,
    /// The environment.
    pub environment_id: EnvironmentId,
    /// Where it comes from.
    pub source: Option<Source>,
    /// How many of it run.
    #[serde(default, deserialize_with = "number")]
    pub num_replicas: Option<u32>,
    /// Where it runs.
    pub region: Option<String>,
    /// The path that has to answer 200 before traffic is led to a new deployment. Without it a
    /// deployment is active as soon as its container starts.
    pub healthcheck_path: Option<String>,
    /// How long that may take, in seconds; 300 unless set.
    #[serde(default, deserialize_with = "number")]
    pub healthcheck_timeout: Option<u32>,
    /// How long the old deployment stays beside the new active one, in seconds.
    #[serde(default, deserialize_with = "number")]
    pub overlap_seconds: Option<u32>,
    /// Time between SIGTERM and SIGKILL, in seconds.
    #[serde(default, deserialize_with = "number")]
    pub draining_seconds: Option<u32>,
    /// What runs before a deployment starts; text or a list, as it was set.
    pub pre_deploy_command: Option<serde_json::Value>,
    /// What is run instead of the image's own command.
    pub start_command: Option<String>,
    /// Whether it sleeps when nobody calls it.
    pub sleep_application: Option<bool>,
    /// When it runs, where it is a job.
    pub cron_schedule: Option<String>,
    /// The newest deployment, active or not.
    pub latest_deployment: Option<Deployment>,
    /// Those that run.
    #[serde(default, deserialize_with = "or_default")]
    pub active_deployments: Vec<Deployment>,
    /// Where it is reached.
    #[serde(default, deserialize_with = "or_default")]
    pub domains: Domains,
}

impl ServiceInstance {
    /// What runs before a deployment starts, as one line.
    pub fn pre_deploy_line(&self) -> Option<String> {
        match self.pre_deploy_command.as_ref()? {
            Value::String(line) => Some(line.clone()),
            Value::Array(lines) => {
                let lines: Vec<_> = lines.iter().filter_map(Value::as_str).collect();
                Some(lines.join(" && "))
            }
            _ => None,
        }
        .filter(|line| !line.is_empty())
    }
}

/// Settings of a service to change. What is not set stays as it is; what is set to nothing is
/// cleared.
#[derive(Clone, Debug, Default)]
pub struct ServiceUpdate {
    /// Which image it runs.
    pub image: Option<String>,
    /// What that is pulled with; larger plans only.
    pub credentials: Option<RegistryCredentials>,
    /// The path that has to answer 200 before traffic is led to a new deployment.
    pub healthcheck_path: Option<Option<String>>,
    /// What runs before a deployment starts.
    pub pre_deploy_command: Option<Option<String>>,
    /// What is run instead of the image's own command.
    pub start_command: Option<Option<String>>,
}

impl ServiceUpdate {
    pub(crate) fn wire(&self) -> Value {
        let mut input = Map::new();
        let mut put = |name: &str, value| input.insert(name.to_owned(), value);
        if let Some(image) = &self.image {
            put("source", json!({ "image": image }));
        }
        if let Some(RegistryCredentials { username, password }) = &self.credentials {
            let credentials = json!({ "username": username, "password": Exposed(password) });
            put("registryCredentials", credentials);
        }
        if let Some(path) = &self.healthcheck_path {
            put("healthcheckPath", json!(path));
        }
        if let Some(line) = &self.pre_deploy_command {
            // A list, also of one.
            put("preDeployCommand", json!(line.as_ref().map(|line| [line])));
        }
        if let Some(command) = &self.start_command {
            put("startCommand", json!(command));
        }
        input.into()
    }
}

/// Whether pushes are deployed by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AutoDeploy {
    /// Whether they are.
    #[serde(default, deserialize_with = "or_default")]
    pub enabled: bool,
    /// Whether they could be: a service that runs an image has nothing to push to.
    #[serde(default, deserialize_with = "or_default")]
    pub can_enable: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// Where a service comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Source {
    /// An image.
    pub image: Option<String>,
    /// A repository.
    pub repo: Option<String>,
}

/// Where a service is reached. Names cannot be guessed: Railway puts random letters in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Domains {
    /// Names that Railway made.
    #[serde(default, deserialize_with = "or_default")]
    pub service_domains: Vec<Domain>,
    /// Names that the user brought.
    #[serde(default, deserialize_with = "or_default")]
    pub custom_domains: Vec<Domain>,
}

/// A name under which a service is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Domain {
    /// Its id.
    pub id: String,
    /// The name.
    #[serde(default, deserialize_with = "or_default")]
    pub domain: String,
    /// The port of the service that it leads to, where one was set.
    #[serde(default, deserialize_with = "number")]
    pub target_port: Option<u16>,
}
