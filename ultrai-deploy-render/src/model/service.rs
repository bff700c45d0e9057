//! Services and their settings.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::{OwnerId, ServiceId, absent, word::words};

words! {
    /// What a service is.
    ServiceKind {
        /// It answers HTTP requests from outside.
        WebService = "web_service",
        /// It is reached from inside only.
        PrivateService = "private_service",
        /// Nobody reaches it.
        BackgroundWorker = "background_worker",
        /// It runs at certain times.
        CronJob = "cron_job",
        /// Files.
        StaticSite = "static_site",
    }
}

words! {
    /// Whether pushes deploy a service.
    AutoDeploy {
        /// They do.
        Yes = "yes",
        /// They do not.
        No = "no",
    }
}

words! {
    /// Whether a service or database is suspended.
    Suspension {
        /// It does not run.
        Suspended = "suspended",
        /// It may run.
        NotSuspended = "not_suspended",
    }
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its name. Others may have the same, in other workspaces and environments.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub name: String,
    /// The workspace that it belongs to.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub owner_id: OwnerId,
    /// The environment of Render that it is in.
    #[serde(default)]
    pub environment_id: Option<String>,
    /// What it is.
    #[serde(rename = "type", default, deserialize_with = "absent::or_default")]
    pub kind: ServiceKind,
    /// Whether pushes deploy it.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub auto_deploy: AutoDeploy,
    /// When pushes deploy it: `commit`, `checksPass`, `off`; newer than the field above, and empty
    /// where it is not told.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub auto_deploy_trigger: String,
    /// The repository, where it is built from source.
    #[serde(default)]
    pub repo: Option<String>,
    /// The branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// The image, where it runs one.
    #[serde(default)]
    pub image_path: Option<String>,
    /// Whether it is suspended.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub suspended: Suspension,
    /// Who suspended it: `user`, `billing`.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub suspenders: Vec<String>,
    /// Where people look at it.
    #[serde(default, deserialize_with = "absent::or_default")]
    pub dashboard_url: String,
    /// When it was made.
    #[serde(default, deserialize_with = "absent::time")]
    pub created_at: Option<Timestamp>,
    /// When its settings last changed.
    #[serde(default, deserialize_with = "absent::time")]
    pub updated_at: Option<Timestamp>,
    /// What depends on its kind.
    #[serde(rename = "serviceDetails", default, deserialize_with = "absent::or_default")]
    pub details: ServiceDetails,
}

impl Service {
    /// The command that runs before each deploy, if any.
    pub fn pre_deploy_command(&self) -> Option<&str> {
        let command = self.details.runtime_details.pre_deploy_command.as_deref();
        command.filter(|command| !command.is_empty())
    }

    /// The command that starts it instead of what its image says, if any.
    pub fn start_command(&self) -> Option<&str> {
        let details = &self.details.runtime_details;
        let command = match self.details.runtime.as_deref() {
            Some("docker" | "image") => details.docker_command.as_deref(),
            _ => details.start_command.as_deref(),
        };
        command.filter(|command| !command.is_empty())
    }
}

/// What depends on the kind of a service; empty where it does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ServiceDetails {
    /// Where it is reached.
    pub url: Option<String>,
    /// What it runs on.
    pub plan: Option<String>,
    /// Where it runs.
    pub region: Option<String>,
    /// What it is run with: `docker`, `image`, `node`.
    pub runtime: Option<String>,
    /// How many instances it is to have, where it is not scaled by load.
    pub num_instances: Option<u32>,
    /// What Render asks to know whether it is healthy.
    pub health_check_path: Option<String>,
    /// Whether it shows a page instead of serving.
    pub maintenance_mode: Option<MaintenanceMode>,
    /// How long an old instance may take to end, in seconds; 30 when it is not set.
    pub max_shutdown_delay_seconds: Option<u32>,
    /// The disk. A service with one is never replaced without a gap.
    pub disk: Option<Disk>,
    /// When it runs, for a cron job.
    pub schedule: Option<String>,
    /// What depends on the runtime.
    #[serde(rename = "envSpecificDetails", deserialize_with = "absent::or_default")]
    pub runtime_details: RuntimeDetails,
}

/// What depends on the runtime of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RuntimeDetails {
    /// What builds it.
    pub build_command: Option<String>,
    /// What starts it.
    pub start_command: Option<String>,
    /// What starts its container instead of the image's own command.
    pub docker_command: Option<String>,
    /// The command before each deploy. Render shows it here; [`ServiceChange`] sends it beside.
    pub pre_deploy_command: Option<String>,
}

/// A page instead of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MaintenanceMode {
    /// Whether it is shown.
    #[serde(deserialize_with = "absent::or_default")]
    pub enabled: bool,
    /// The page; Render's own when it is empty.
    #[serde(deserialize_with = "absent::or_default")]
    pub uri: String,
}

/// A disk of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Disk {
    /// Its id.
    #[serde(deserialize_with = "absent::or_default")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "absent::or_default")]
    pub name: String,
    /// Where it is mounted.
    #[serde(deserialize_with = "absent::or_default")]
    pub mount_path: String,
    /// Its size in GB.
    #[serde(rename = "sizeGB")]
    pub size_gb: Option<u64>,
}

/// A running instance of a service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Instance {
    /// Its id: that of the service, and five more characters.
    pub id: String,
    /// When it was made.
    #[serde(default, deserialize_with = "absent::time")]
    pub created_at: Option<Timestamp>,
}

/// Settings of a service to change. What is not set stays as it is; nothing is deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// Which image it runs.
    pub image: Option<ImageSource>,
    /// Whether pushes deploy it.
    pub auto_deploy: Option<AutoDeploy>,
    /// When pushes deploy it: `commit`, `checksPass`, `off`; one of the two.
    pub auto_deploy_trigger: Option<String>,
    /// What Render asks to know whether it is healthy; web services only.
    pub health_check_path: Option<String>,
    /// The command before each deploy; empty for none.
    pub pre_deploy_command: Option<String>,
    /// The command that starts it.
    pub start_command: Option<StartCommand>,
    /// A page instead of the service; web services on a paid plan only.
    pub maintenance_mode: Option<MaintenanceMode>,
    /// How long an old instance may take to end, in whole seconds from 1 to 300.
    pub max_shutdown_delay: Option<Duration>,
}

/// What starts a service. Render has two fields for it, and reads the one of the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartCommand {
    /// What the service is run with: [`ServiceDetails::runtime`].
    pub runtime: String,
    /// The command; empty for the image's own.
    pub command: String,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSource {
    /// The workspace of the service.
    pub owner: OwnerId,
    /// The image: `docker.io/library/nginx:1.27`.
    pub path: String,
    /// The id of the credential that it is pulled with, where it needs one.
    pub registry_credential: Option<String>,
}
