//! What Railway's API speaks of. Nothing but ids and statuses is taken for granted: everything else may
//! be missing or null, times may make no sense, and enums may have values that are not known yet.

mod deployment;
mod id;
mod metrics;
mod open;
pub(crate) mod page;
mod patch;
mod place;
mod service;
mod staged;
mod status;
pub(crate) mod variable;
pub(crate) mod volume;

pub use self::{
    deployment::{
        Deployment, DeploymentEvent, EventPayload, Instance, LogLine, LogRange, Uploaded,
    },
    id::{
        BackupId, DeploymentId, EnvironmentId, ProjectId, ServiceId, VolumeInstanceId, WorkflowId,
        WorkspaceId,
    },
    metrics::{CountSample, DurationSample, StatusCount, Window},
    patch::{Patch, ServicePatch},
    place::{Environment, Named, Project, ProjectTree, Service, ServiceAt, TokenScope, Workspace},
    service::{AutoDeploy, Domain, Domains, ServiceInstance, ServiceUpdate, Source},
    staged::{PatchStatus, StagedChanges},
    status::{DeploymentStatus, EventStep, InstanceStatus, Standing, WorkflowStatus},
    variable::{Deploys, RegistryCredentials, Variables, VariablesOf},
    volume::{Backup, VolumeInstance, VolumeState, Workflow},
};
