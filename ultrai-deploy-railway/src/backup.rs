//! Railway's volumes, of which Railway keeps backups.

mod restore;
mod swap;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::OnceCell;
use ultrai_deploy_core::{Context, Error, ErrorKind, Result, name};
use ultrai_deploy_hosted::backups::{
    Asked, Begun, Manners, Object, Progress, Snapshot, Snapshots, State,
};

use crate::{
    Client, Config, find,
    model::{
        Backup, BackupId, EnvironmentId, VolumeInstance, VolumeInstanceId, VolumeState, WorkflowId,
        WorkflowStatus,
    },
};

/// How many times its lag something is waited for that Railway has accepted and does not show.
const PATIENCE: u32 = 6;
/// What Railway counts the sizes of volumes in.
const MEGABYTE: u64 = 1_000_000;

/// The volumes of an environment. A backup of one is a copy that Railway makes without stopping the
/// service, so it is what a power cut would leave: databases come up from it with their own recovery.
///
/// It is kept until it is deleted. One that was begun by a process that died is not taken up, for
/// Railway does not tell whether it is whole: it is taken anew, and the first one is removed.
#[derive(Clone, Debug)]
pub struct Volumes {
    client: Client,
    config: Config,
    wanted: Vec<String>,
    environment: Arc<OnceCell<EnvironmentId>>,
}

impl Volumes {
    /// All volumes of the environment that a service uses.
    pub fn new(client: Client, config: Config) -> Self {
        Self { client, config, wanted: Vec::new(), environment: Arc::default() }
    }

    /// Only those that are called so, by name or id.
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.wanted = names.into_iter().map(Into::into).collect();
        self
    }

    async fn environment(&self, cx: &Context) -> Result<&EnvironmentId> {
        let find = async || {
            let tree = self.client.project_tree(cx, &self.config.project).await?;
            let wanted = &self.config.environment;
            let found = find::exactly_one("environment", wanted, &tree.environments)?;
            Ok(found.id.clone())
        };
        self.environment.get_or_try_init(find).await
    }

    async fn instances(&self, cx: &Context) -> Result<Vec<VolumeInstance>> {
        let environment = self.environment(cx).await?;
        let mut all = self.client.volumes(cx, &self.config.project, environment).await?;
        let is_gone = |state| matches!(state, VolumeState::Deleting | VolumeState::Deleted);
        all.retain(|one| !one.is_pending_deletion && !one.state.clone().is_some_and(is_gone));
        Ok(all)
    }

    async fn instance(&self, cx: &Context, object: &Object) -> Result<VolumeInstance> {
        let found = self.instances(cx).await?.into_iter().find(|one| one.id.as_str() == object.id);
        found.ok_or_else(|| {
            let message = format!("there is no volume {} any more", object.name);
            Error::new(ErrorKind::NotFound, "find a volume", message).without_effect()
        })
    }

    async fn workflow(&self, cx: &Context, id: &WorkflowId) -> Result<Progress> {
        let workflow = match self.client.workflow(cx, id).await {
            Ok(workflow) => workflow,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Progress::Unknown),
            Err(error) => return Err(error),
        };
        let untold = || "it does not tell why".to_owned();
        Ok(match workflow.status {
            WorkflowStatus::Complete => Progress::Done,
            WorkflowStatus::Error => Progress::Failed(workflow.error.unwrap_or_else(untold)),
            WorkflowStatus::NotFound => Progress::Unknown,
            WorkflowStatus::Running | WorkflowStatus::Other(_) => Progress::UnderWay,
        })
    }

    async fn rest(&self, cx: &Context) -> Result<()> {
        let pause = self.pause();
        let resting = async {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        cx.bounded(resting).await
    }

    /// Why a backup may have been refused, where that can be seen.
    async fn explained(&self, cx: &Context, object: &Object, error: Error) -> Error {
        let Ok(instance) = self.instance(cx, object).await else { return error };
        let (Some(size), Some(used)) = (instance.size_mb, instance.current_size_mb) else {
            return error;
        };
        #[expect(clippy::cast_precision_loss, reason = "volumes are far smaller than 2^52 MB")]
        let is_too_full = used * 2.0 > size as f64;
        if !is_too_full {
            return error;
        }
        error.with_advice(format!(
            "volume {} holds {used:.0} MB of {size} MB, and Railway backs up what takes up to a half: \
             make it larger",
            object.name
        ))
    }
}

#[async_trait]
impl Snapshots for Volumes {
    fn name(&self) -> &'static str {
        "railway-volumes"
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Object>> {
        let all = self.instances(cx).await?;
        if self.wanted.is_empty() {
            return Ok(all.iter().filter(|one| one.service_id.is_some()).map(object).collect());
        }
        // After a restore the old volume may be there still, called the same.
        let (used, _): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|one| one.service_id.is_some());
        let find = |name: &String| match find::exactly_one("volume", name, &used) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                find::exactly_one("volume", name, &all).map(object)
            }
            found => found.map(object),
        };
        self.wanted.iter().map(find).collect()
    }

    async fn begin(&self, cx: &Context, object: &Object, asked: &Asked<'_>) -> Result<Begun> {
        let (volume, label) = (VolumeInstanceId::new(&object.id), asked.label.to_string());
        match self.client.create_backup(cx, &volume, &label).await {
            Ok(workflow) => {
                let handle = workflow.map(|id| id.as_str().to_owned());
                Ok(Begun::Work { handle, since: None })
            }
            Err(error) => Err(self.explained(cx, object, error).await),
        }
    }

    async fn progress(&self, cx: &Context, handle: &str) -> Result<Progress> {
        self.workflow(cx, &WorkflowId::new(handle)).await
    }

    async fn list(&self, cx: &Context, object: &Object) -> Result<Vec<Snapshot>> {
        let backups = self.client.backups(cx, &VolumeInstanceId::new(&object.id)).await?;
        Ok(backups.into_iter().map(snapshot).collect())
    }

    async fn find(&self, cx: &Context, object: &Object, id: &str) -> Result<Option<Snapshot>> {
        Ok(self.list(cx, object).await?.into_iter().find(|one| one.id == id))
    }

    async fn keep(&self, cx: &Context, object: &Object, snapshot: &Snapshot) -> Result<()> {
        let (volume, backup) = (VolumeInstanceId::new(&object.id), BackupId::new(&snapshot.id));
        self.client.lock_backup(cx, &volume, &backup).await
    }

    fn restorable(&self, _object: &Object, _snapshot: &Snapshot) -> Result<()> {
        Ok(())
    }

    /// Refused before anything is begun when changes of the environment are staged. A swap that an
    /// earlier call has left staged is in the way, too: nobody can tell it from one of a person's.
    async fn restore(
        &self,
        cx: &Context,
        object: &Object,
        snapshot: &Snapshot,
        id: &name::BackupId,
    ) -> Result<String> {
        self.bring_back(cx, object, snapshot, id).await
    }

    async fn delete(&self, cx: &Context, object: &Object, id: &str) -> Result<()> {
        self.remove(cx, object, id).await
    }

    fn manners(&self) -> Manners {
        Manners { has_labels: true, restoring_deletes_newer: true, lag: self.config.lag }
    }

    fn pause(&self) -> Duration {
        self.client.spread(self.config.pause)
    }
}

fn object(instance: &VolumeInstance) -> Object {
    let id = instance.id.as_str().to_owned();
    let name = instance.volume.as_ref().map(|volume| volume.name.clone());
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone());
    Object { id, name }
}

fn snapshot(backup: Backup) -> Snapshot {
    Snapshot {
        id: backup.id.as_str().to_owned(),
        label: backup.name,
        state: State::Untold,
        taken: backup.created_at,
        expires: backup.expires_at,
        bytes: backup.referenced_mb.map(|size| size * MEGABYTE),
    }
}
