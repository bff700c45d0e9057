//! What a deploy would change, found out without changing anything, and kept so that exactly that
//! can be applied later.
//!
//! [`Pipeline::plan`](crate::pipeline::Pipeline::plan) makes a [`Preview`], which is for people; the
//! [`SavedPlan`] in it is for
//! [`DeployRequest::with_plan`](crate::pipeline::DeployRequest::with_plan).

mod keys;
mod moved;
mod saved;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::{
    keys::{Edit, KeyChange},
    saved::SavedPlan,
};
pub(crate) use self::{
    keys::{Secrecy, of_service, of_values, of_verification},
    saved::{Basis, UNKNOWN_IMAGE, marks},
};
use crate::{
    error::{Error, ErrorKind, Result},
    name::{ReleaseId, RunId, ServiceName, Target},
    plan::Change,
    readiness::Readiness,
    release::Image,
    version::Version,
};

/// What a deploy would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// The environment.
    pub target: Target,
    /// The version that would run.
    pub version: Version,
    /// The release that would run; nothing as long as one of its images is not known.
    pub release: Option<ReleaseId>,
    /// Exactly this runs already: nothing would be touched.
    pub unchanged: bool,
    /// What would happen to each service.
    pub services: BTreeMap<ServiceName, ServicePreview>,
    /// What else would be created or changed: networks, volumes.
    pub resources: Vec<String>,
    /// Keys that change of what services share.
    pub shared: Vec<KeyChange>,
    /// Checks and tests that change, by name.
    pub verification: Vec<KeyChange>,
    /// The services that are down for a while: the old one stops before the new one starts, and
    /// until that is well nothing answers.
    pub downtime: Vec<ServiceName>,
    /// What a rollback would not bring back, in plain words.
    pub not_undoable: Vec<String>,
    /// Whether the deploy could be taken back; nothing where the policy does not ask.
    pub readiness: Option<Readiness>,
    /// Whether a deploy is refused because it could not.
    pub blocked: bool,
    /// What a failed deploy goes back to; nothing for a first deploy, whose services are removed.
    pub rollback_point: Option<RollbackPoint>,
    /// A run that is not over. A deploy goes on from what it leaves, which may be something else.
    pub unfinished: Option<RunId>,
    #[serde(skip)]
    pub(crate) saved: SavedPlan,
}

/// What would happen to one service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServicePreview {
    /// What is done, and why.
    #[serde(flatten)]
    pub change: Change,
    /// The image, where it changes or is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageChange>,
    /// Keys of the configuration that change. Empty for a new or removed service, and for one
    /// that somebody else started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configuration: Vec<KeyChange>,
}

/// The image of a service, before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ImageChange {
    /// What runs.
    pub old: Option<Image>,
    /// What would run.
    pub new: NewImage,
}

/// The image that would run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NewImage {
    /// This one.
    Known(Image),
    /// The one that is built of this name: known when it is.
    Built {
        /// The name.
        reference: String,
    },
    /// The one that is pulled by this name: known when it is.
    Pulled {
        /// The name.
        reference: String,
    },
    /// The one that has this name here, and is pushed to a registry: known by its digest then.
    Pushed {
        /// The name.
        reference: String,
    },
}

/// What a failed deploy goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RollbackPoint {
    /// The release.
    pub release: ReleaseId,
    /// Its version.
    pub version: Version,
    /// Whether a run has proven it.
    pub proven: bool,
}

impl Preview {
    /// The plan in the form that can be kept and applied.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] while a run is not over: what the plan stands on is about to change.
    pub fn to_saved(&self) -> Result<&SavedPlan> {
        match &self.unfinished {
            None => Ok(&self.saved),
            Some(run) => {
                let message = format!("run {run} is not over, and may leave something else");
                Err(Error::new(ErrorKind::Fenced, "save the plan", message)
                    .with_advice("`ultrai status` tells what it waits for and how to end it")
                    .without_effect())
            }
        }
    }
}
