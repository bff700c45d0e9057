//! A service of a Blueprint, and what a deploy starts from.

use std::{collections::BTreeMap, time::Duration};

use ultrai_deploy_hosted::Definition;

use crate::model::{AutoDeploy, MaintenanceMode, ServiceChange};

/// A service of a Blueprint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Its name: how it is found on Render.
    pub name: String,
    /// `web`, `worker`, `pserv`, `cron`, `keyvalue` or `redis`.
    pub kind: String,
    /// What runs it: `docker`, `image`, `node`; nothing for a key-value store.
    pub runtime: Option<String>,
    /// The project and the environment of Render that it is in, where it is in one.
    pub place: Option<(String, String)>,
    /// The image, where it runs one.
    pub image: Option<String>,
    /// The name of the credential that the image is pulled with.
    pub image_credential: Option<String>,
    /// The repository; that of the Blueprint when it is not set.
    pub repo: Option<String>,
    /// The branch; that of the Blueprint when it is not set.
    pub branch: Option<String>,
    /// What it runs on.
    pub plan: Option<String>,
    /// Where it runs.
    pub region: Option<String>,
    /// What Render asks to know whether it is healthy.
    pub health_check_path: Option<String>,
    /// The command before each deploy.
    pub pre_deploy_command: Option<String>,
    /// Whether what is pushed is deployed; Render does unless it is told not to.
    pub deploys: Pushes,
    /// Its variables, in the order of the file.
    pub variables: Vec<Variable>,
    /// Its disk.
    pub disk: Option<Disk>,
    /// How many instances it has, where it is not scaled by load.
    pub instances: Option<u32>,
    /// When it runs, for a cron job.
    pub schedule: Option<String>,
    /// How long an old instance may take to end.
    pub max_shutdown_delay: Option<Duration>,
    /// A page instead of the service.
    pub maintenance_mode: Option<MaintenanceMode>,
}

/// Which pushes are deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pushes {
    /// It is not said, and then all are.
    #[default]
    Unsaid,
    /// All.
    All,
    /// Those whose checks pass.
    Checked,
    /// None.
    None,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// Its name.
    pub name: String,
    /// Where it is mounted.
    pub mount_path: String,
    /// Its size in GB.
    pub size_gb: Option<u64>,
}

/// A variable, or several from a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variable {
    /// One with this value.
    Plain {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// One that Render makes up, once.
    Generated(String),
    /// One that a person sets in the dashboard.
    ByHand(String),
    /// One that tells about a database.
    FromDatabase {
        /// Its name.
        name: String,
        /// The database.
        database: String,
        /// What it tells.
        property: String,
    },
    /// One that tells about another service.
    FromService {
        /// Its name.
        name: String,
        /// The service.
        service: String,
        /// What it tells: a property, or the name of a variable of that service.
        what: String,
    },
    /// All of a group.
    FromGroup(String),
}

/// What a deploy of a service starts from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Start {
    /// The image that it runs, where it runs one.
    pub image: Option<String>,
    /// The branch whose commit is to be found out, where it is built; the Blueprint's own when
    /// neither is set.
    pub branch: Option<String>,
    /// Where it goes and with which plain variables. A commit is for the caller to put in.
    pub definition: Definition,
    /// The settings that the file has. Pushes are not deployed: they would go past the pipeline.
    pub settings: ServiceChange,
    /// Variables whose values are not in the file: they are left as they are on Render.
    pub elsewhere: Vec<String>,
}

impl Service {
    /// Whether releases can be brought to it: a key-value store is a thing of its own.
    pub fn is_deployable(&self) -> bool {
        self.runtime.is_some()
    }

    /// What a deploy starts from; nothing for what cannot be deployed.
    pub fn start(&self) -> Option<Start> {
        self.is_deployable().then(|| {
            let plain = self.variables.iter().filter_map(|variable| match variable {
                Variable::Plain { name, value } => Some((name.clone(), value.clone())),
                _ => None,
            });
            let variables: BTreeMap<_, _> = plain.collect();
            let elsewhere = self.variables.iter().filter_map(Variable::elsewhere);
            Start {
                image: self.image.clone(),
                branch: self.branch.clone(),
                elsewhere: elsewhere.map(str::to_owned).collect(),
                definition: Definition {
                    slot: Some(self.name.clone()),
                    variables,
                    ..Definition::default()
                },
                settings: ServiceChange {
                    auto_deploy: Some(AutoDeploy::No),
                    health_check_path: self.health_check_path.clone(),
                    pre_deploy_command: self.pre_deploy_command.clone(),
                    maintenance_mode: self.maintenance_mode.clone(),
                    max_shutdown_delay: self.max_shutdown_delay,
                    ..ServiceChange::default()
                },
            }
        })
    }
}

impl Variable {
    /// The name of one whose value is not in the file.
    fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Generated(name)
            | Self::ByHand(name)
            | Self::FromDatabase { name, .. }
            | Self::FromService { name, .. } => Some(name),
            Self::Plain { .. } | Self::FromGroup(_) => None,
        }
    }
}
