//! What a hosted platform is asked for, one call each. Nothing is decided here.

mod artifact;
mod order;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result, evidence::Evidence, name::ServiceName, secret::Secret,
};

pub use self::{
    artifact::Artifact,
    order::{Configured, Login, Order, Pushes, Setting},
};
use crate::Definition;

/// A platform that builds, runs and routes services itself.
///
/// Each call is one thing asked of the platform; a call that changes something says in its error
/// whether it may have arrived. What is the case is read again after every call whose answer is not
/// known, so that no call has to tell more than it knows.
#[async_trait]
pub trait Platform: fmt::Debug + Send + Sync + 'static {
    /// A short name for reports: `render`.
    fn name(&self) -> &'static str;

    /// The place of the service that is called so there, by name or id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none, and
    /// [`ErrorKind::Invalid`] where there are several, naming
    /// those that could be meant.
    async fn find(&self, cx: &Context, name: &str) -> Result<Slot>;

    /// What is in a slot: its deploys, newest first, at least down to the one that serves.
    async fn look(&self, cx: &Context, slot: &Slot) -> Result<Seen>;

    /// One deploy as it is now.
    async fn deploy(&self, cx: &Context, slot: &Slot, id: &str) -> Result<Deploy>;

    /// The variables that are set, references of the platform's own unresolved. A value that it does
    /// not give back is not among them.
    async fn variables(&self, cx: &Context, slot: &Slot) -> Result<BTreeMap<String, Secret>>;

    /// The names of the variables that are set and whose values it does not give back.
    async fn sealed(&self, _cx: &Context, _slot: &Slot) -> Result<BTreeSet<String>> {
        Ok(BTreeSet::new())
    }

    /// Sets and removes variables, and leaves all others alone. Deploys nothing. May be repeated.
    async fn change_variables(&self, cx: &Context, slot: &Slot, change: &Change) -> Result<()>;

    /// The files with secrets that are set, by name; none where the platform has no such thing.
    async fn files(&self, _cx: &Context, _slot: &Slot) -> Result<BTreeMap<String, Secret>> {
        Ok(BTreeMap::new())
    }

    /// Sets and removes files with secrets, as [`change_variables`](Platform::change_variables) does
    /// variables.
    async fn change_files(&self, _cx: &Context, slot: &Slot, _change: &Change) -> Result<()> {
        Err(unsupported(&format!("{} has no files with secrets", slot.name)))
    }

    /// How the slot is set up.
    async fn configured(&self, cx: &Context, slot: &Slot) -> Result<Configured>;

    /// Sets what the platform deploys by itself, where `artifact` is one, and `settings`: those
    /// without a value are cleared. Deploys nothing. May be repeated.
    async fn configure(
        &self,
        cx: &Context,
        slot: &Slot,
        artifact: Option<&Artifact>,
        settings: &BTreeMap<Setting, Option<String>>,
    ) -> Result<()>;

    /// What the platform does with what is pushed; nothing where that never is its business.
    async fn pushes(&self, _cx: &Context, _slot: &Slot) -> Result<Option<Pushes>> {
        Ok(None)
    }

    /// Sets that. May be repeated.
    async fn set_pushes(&self, _cx: &Context, slot: &Slot, _pushes: &Pushes) -> Result<()> {
        Err(unsupported(&format!("{} is not deployed by the platform itself", slot.name)))
    }

    /// Whether a page is shown instead of the service; nothing where the platform has no such thing.
    async fn maintenance(&self, _cx: &Context, _slot: &Slot) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Shows it, or the service again. May be repeated.
    ///
    /// # Errors
    /// When it is not certain that it is so.
    async fn set_maintenance(&self, _cx: &Context, slot: &Slot, _on: bool) -> Result<()> {
        Err(unsupported(&format!("no page can be shown instead of {}", slot.name)))
    }

    /// Whether removing variables makes the platform deploy, so that it is better done together
    /// with a deploy: [`Order::remove`].
    fn removes_with_deploy(&self) -> bool {
        false
    }

    /// Whether going back to a deploy brings back the variables of then, too.
    fn brings_variables_back(&self) -> bool {
        false
    }

    /// Starts a deploy; its id, where the platform tells it.
    async fn start(&self, cx: &Context, slot: &Slot, order: &Order<'_>) -> Result<Option<String>>;

    /// Starts to go back to a deploy that was live: its build, and its variables only where
    /// [`brings_variables_back`](Platform::brings_variables_back) says so.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the platform has it no
    /// more; its artifact is deployed then.
    async fn start_back(&self, cx: &Context, slot: &Slot, to: &Deploy) -> Result<Option<String>>;

    /// Stops a deploy that is under way; one that is over is left alone.
    async fn cancel(&self, cx: &Context, slot: &Slot, id: &str) -> Result<()>;

    /// Lets nothing of it run, and deletes nothing. May be repeated.
    async fn suspend(&self, cx: &Context, slot: &Slot) -> Result<()>;

    /// Takes that back. May be repeated.
    async fn resume(&self, cx: &Context, slot: &Slot) -> Result<()>;

    /// What can be seen of a deploy: the end of its log, why it failed. Best effort.
    async fn evidence(&self, cx: &Context, slot: &Slot, deploy: &Deploy) -> Vec<Evidence>;

    /// Fails for what this platform cannot be asked for. Asks nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], saying what to do instead.
    fn check(&self, _service: &ServiceName, _wanted: &Wanted<'_>) -> Result<()> {
        Ok(())
    }

    /// Waits until a deploy that is under way is worth another look: [`pause`](Platform::pause),
    /// unless the platform tells when something changes.
    async fn changed(&self, cx: &Context, _slot: &Slot, _deploy: &Deploy) -> Result<()> {
        rest(cx, self.pause()).await
    }

    /// How long to wait between two looks at a deploy that is under way.
    fn pause(&self) -> Duration;

    /// How long after a call was accepted it may take until everybody sees what it did.
    fn lag(&self) -> Duration;
}

/// Waits, as long as the context allows.
///
/// # Errors
/// [`ErrorKind::Timeout`] and [`ErrorKind::Cancelled`] when the context ends.
pub async fn rest(cx: &Context, pause: Duration) -> Result<()> {
    let resting = async {
        tokio::time::sleep(pause).await;
        Ok(())
    };
    cx.bounded(resting).await
}

/// What a service of a release asks of a platform.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Wanted<'a> {
    /// Whether its source is uploaded.
    pub is_upload: bool,
    /// The rest.
    pub definition: &'a Definition,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(is_upload: bool, definition: &'a Definition) -> Self {
        Self { is_upload, definition }
    }
}

fn unsupported(message: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "set a service up", message).without_effect()
}

/// The fixed place of a service on a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The platform's id.
    pub id: String,
    /// The platform's name.
    pub name: String,
    /// Whether only one instance may run at a time, such as one with a disk: then the old one stops
    /// before the new one starts.
    #[serde(default)]
    pub is_exclusive: bool,
}

/// One deploy of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The platform's id.
    pub id: String,
    /// What it brings, where the platform tells.
    pub artifact: Option<Artifact>,
    /// How far it is.
    pub status: Status,
    /// When it began, in the platform's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
}

/// How far a deploy is. The texts are the platform's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Under way, also when the word is not known.
    UnderWay(String),
    /// It waits for a person.
    Blocked(String),
    /// It serves.
    Live,
    /// It served, and another does now.
    Replaced,
    /// It failed; what served before serves on.
    Failed(String),
    /// It ended without having served: cancelled, skipped, overtaken.
    Dropped(String),
}

impl Status {
    /// Whether it may still come to serve.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::UnderWay(_) | Self::Blocked(_))
    }
}

/// What is in a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Newest first.
    pub deploys: Vec<Deploy>,
    /// Whether it is suspended: nothing runs.
    pub is_suspended: bool,
    /// Where it is reached, with its scheme.
    pub url: Option<String>,
}

impl Seen {
    /// The deploy that serves.
    pub fn live(&self) -> Option<&Deploy> {
        self.deploys.iter().find(|deploy| deploy.status == Status::Live && !self.is_suspended)
    }

    /// Whether what serves is `wanted`: it is, or the very image that it is was deployed as that.
    pub fn serves(&self, wanted: &Artifact) -> bool {
        let Some(artifact) = self.live().and_then(|live| live.artifact.as_ref()) else {
            return false;
        };
        let was = |deploy: &Deploy| {
            deploy
                .artifact
                .as_ref()
                .is_some_and(|one| one.has_digest_of(artifact) && one.is(wanted))
        };
        artifact.is(wanted) || self.deploys.iter().any(was)
    }

    /// The deploys that came after the one with this id, newest first; all of them without one.
    pub fn since(&self, id: Option<&str>) -> impl Iterator<Item = &Deploy> {
        let older = self.deploys.iter().position(|deploy| Some(deploy.id.as_str()) == id);
        self.deploys.iter().take(older.unwrap_or(self.deploys.len()))
    }
}

/// What changes in a slot's variables. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Change {
    /// What is set.
    pub set: BTreeMap<String, Secret>,
    /// What is removed.
    pub remove: Vec<String>,
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("set", &self.set.keys())
            .field("remove", &self.remove)
            .finish()
    }
}
