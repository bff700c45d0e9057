//! Ids, one type for each kind of thing: a service's cannot go where an environment's belongs.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an id; Railway knows whether there is such a thing.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The id as Railway writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// The id of a workspace.
    WorkspaceId;
    /// The id of a project.
    ProjectId;
    /// The id of an environment of a project.
    EnvironmentId;
    /// The id of a service; the same in all environments of its project.
    ServiceId;
    /// The id of a deployment.
    DeploymentId;
    /// The id of a volume as it is in one environment.
    VolumeInstanceId;
    /// The id of a backup of a volume.
    BackupId;
    /// The id of something that Railway goes on doing after the answer.
    WorkflowId;
}
