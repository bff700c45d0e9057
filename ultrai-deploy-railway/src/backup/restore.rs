//! Bringing a volume back: Railway copies a backup into a new volume and stages that it takes the old
//! one's place. What a person staged is never committed with it.

use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{Context, Effect, Error, ErrorKind, Result};
use ultrai_deploy_hosted::backups::{Object, Snapshot};

use super::{
    PATIENCE, Volumes,
    swap::{self, Mounted},
};
use crate::model::{
    BackupId, Deploys, EnvironmentId, PatchStatus, ServiceId, StagedChanges, VolumeInstance,
    VolumeInstanceId, WorkflowId,
};

const RESTORE: &str = "restore a volume";
/// How many changes of an environment are looked at for one of our own.
const CHANGES: u16 = 100;
/// How many staged changes an error lists.
const SHOWN: usize = 10;

/// How following something ended.
enum Followed {
    Done,
    /// Railway does not know of it, or not any more.
    Lost,
}

impl Volumes {
    pub(super) async fn bring_back(
        &self,
        cx: &Context,
        object: &Object,
        snapshot: &Snapshot,
        backup: &ultrai_deploy_core::name::BackupId,
    ) -> Result<String> {
        let environment = self.environment(cx).await?;
        let instance = self.instance(cx, object).await?;
        let commit = format!("ultrai: volume {} as in backup {backup}", object.name);
        let (Some(service), Some(volume)) = (&instance.service_id, &instance.volume) else {
            if let Some(new) = self.restored_before(cx, environment, &commit).await? {
                return Ok(format!(
                    "volume {} was replaced already by a new volume ({new}) with what backup \
                     {backup} held",
                    object.name
                ));
            }
            let message = format!("no service uses volume {} any more", object.name);
            return Err(Error::new(ErrorKind::Conflict, RESTORE, message)
                .with_advice("mount it, or restore the backup in Railway's dashboard")
                .without_effect());
        };
        let mount_path = instance.mount_path.as_deref();
        let mounted = Mounted { service, volume: &volume.id, mount_path };
        // Asked before anything is begun: a commit takes all that is staged.
        let staged = self.client.staged_changes(cx, environment).await?;
        if !staged.is_nothing() {
            return Err(in_the_way(&staged).without_effect());
        }
        self.copy(cx, object, snapshot).await?;
        let new = self.swap_staged(cx, environment, mounted).await?;
        self.commit(cx, object, environment, &commit).await?;
        self.swapped(cx, service, &new).await?;
        Ok(format!(
            "volume {} of service {service} is replaced by a new volume ({new}) with what backup \
             {backup} held, and the service is deployed with it; the old volume ({}) stays in the \
             project, used by nothing: delete it in Railway's dashboard when it is not needed any more",
            object.name, volume.id
        ))
    }

    /// The volume that an earlier call with this commit put in place, where it is used still.
    async fn restored_before(
        &self,
        cx: &Context,
        environment: &EnvironmentId,
        commit: &str,
    ) -> Result<Option<String>> {
        let instances = self.instances(cx).await?;
        let is_used = |volume: &String| {
            let is_it = |one: &VolumeInstance| {
                one.volume.as_ref().is_some_and(|known| known.id == *volume)
                    && one.service_id.is_some()
            };
            instances.iter().any(is_it)
        };
        let changes = self.client.past_changes(cx, environment, CHANGES).await?;
        let own = changes.iter().filter(|one| {
            one.status == PatchStatus::Committed && one.message.as_deref() == Some(commit)
        });
        Ok(own.flat_map(swap::mounted).find(is_used))
    }

    /// Copies the backup into a new volume.
    async fn copy(&self, cx: &Context, object: &Object, snapshot: &Snapshot) -> Result<()> {
        let (volume, backup) = (VolumeInstanceId::new(&object.id), BackupId::new(&snapshot.id));
        let detail = json!({ "backup": backup });
        let restoring = self.client.restore_backup(cx, &volume, &backup);
        match cx.effect(RESTORE, &object.name, detail, restoring).await? {
            // Where it cannot be followed, the swap appears when it is done.
            Some(workflow) => self.follow(cx, &workflow, RESTORE).await.map(drop),
            None => Ok(()),
        }
    }

    /// Waits until the swap is staged, and nothing else: what stands beside it stays as it is.
    async fn swap_staged(
        &self,
        cx: &Context,
        environment: &EnvironmentId,
        mounted: Mounted<'_>,
    ) -> Result<String> {
        let end = Instant::now() + PATIENCE * self.config.lag;
        loop {
            let staged = self.client.staged_changes(cx, environment).await?;
            if !staged.is_nothing() {
                return swap::new_volume(&staged, mounted).map_err(|others| left_staged(&others));
            }
            if Instant::now() >= end {
                let message = "the copy is made, but nothing is staged that would put it in place";
                return Err(Error::new(ErrorKind::Timeout, RESTORE, message)
                    .with_advice("look at the volume's backups in Railway's dashboard"));
            }
            self.rest(cx).await?;
        }
    }

    /// Commits what is staged, which was looked at right before.
    async fn commit(
        &self,
        cx: &Context,
        object: &Object,
        environment: &EnvironmentId,
        message: &str,
    ) -> Result<()> {
        const COMMIT: &str = "put a restored volume in place";
        let (client, deploys) = (&self.client, Deploys::Triggered);
        let committing = client.commit_staged_changes(cx, environment, message, deploys);
        let detail = json!({ "environment": environment });
        let commit = cx.effect(COMMIT, &object.name, detail, committing).await?;
        if let Followed::Done = self.follow(cx, &WorkflowId::new(commit), COMMIT).await? {
            return Ok(());
        }
        let end = Instant::now() + PATIENCE * self.config.lag;
        loop {
            let staged = self.client.staged_changes(cx, environment).await?;
            if staged.is_nothing() {
                return Ok(());
            }
            if let Some(why) = staged.last_applied_error.filter(|why| !why.is_empty()) {
                return Err(failed(COMMIT, &why));
            }
            if Instant::now() >= end {
                let message = "it is committed, and Railway does not tell whether it is done";
                return Err(Error::new(ErrorKind::Timeout, COMMIT, message));
            }
            self.rest(cx).await?;
        }
    }

    /// Waits until the service uses the new volume.
    async fn swapped(&self, cx: &Context, service: &ServiceId, new: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE * self.config.lag;
        let is_it = |one: &VolumeInstance| {
            one.service_id.as_ref() == Some(service)
                && one.volume.as_ref().is_some_and(|volume| volume.id == new)
        };
        while !self.instances(cx).await?.iter().any(is_it) {
            if Instant::now() >= end {
                let message = format!("service {service} does not use the new volume {new}");
                return Err(Error::new(ErrorKind::Timeout, RESTORE, message)
                    .with_advice("look at the service's volume in Railway's dashboard"));
            }
            self.rest(cx).await?;
        }
        Ok(())
    }

    /// Waits until something is done that Railway goes on with after its answer.
    async fn follow(
        &self,
        cx: &Context,
        workflow: &WorkflowId,
        operation: &'static str,
    ) -> Result<Followed> {
        use ultrai_deploy_hosted::backups::Progress;
        let mut end = Instant::now() + PATIENCE * self.config.lag;
        loop {
            match self.workflow(cx, workflow).await? {
                Progress::Done => return Ok(Followed::Done),
                Progress::Failed(why) => return Err(failed(operation, &why)),
                Progress::Unknown if Instant::now() >= end => return Ok(Followed::Lost),
                Progress::Unknown => {}
                _ => end = Instant::now() + PATIENCE * self.config.lag,
            }
            self.rest(cx).await?;
        }
    }

    /// Deletes a backup, and waits until Railway has done so.
    pub(super) async fn remove(&self, cx: &Context, object: &Object, id: &str) -> Result<()> {
        const DELETE: &str = "delete a backup";
        let (volume, backup) = (VolumeInstanceId::new(&object.id), BackupId::new(id));
        match self.client.delete_backup(cx, &volume, &backup).await {
            Ok(Some(workflow)) => self.follow(cx, &workflow, DELETE).await.map(drop),
            Ok(None) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn is_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && error.effect() == Effect::None
}

fn failed(operation: &'static str, why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, format!("Railway failed: {why}"))
        .with_advice("look at the environment's changes in Railway's dashboard")
}

fn in_the_way(staged: &StagedChanges) -> Error {
    let list = list(&staged.paths());
    let message = format!("changes of the environment are staged already, or being made: {list}");
    Error::new(ErrorKind::Conflict, RESTORE, message).with_advice(
        "commit or discard them in Railway's dashboard first: a restored volume is put in place by \
         committing all that is staged. A swap of this volume is what an earlier attempt left: \
         committing it ends that restore",
    )
}

fn left_staged(others: &[String]) -> Error {
    let list = list(others);
    let message = format!(
        "the copy is made and left staged, not committed, for what is staged is not just its swap: \
         {list}"
    );
    Error::new(ErrorKind::Conflict, RESTORE, message).with_advice(
        "look at the staged changes in Railway's dashboard, and commit or discard them",
    )
}

fn list(paths: &[String]) -> String {
    let shown: Vec<_> =
        paths.iter().take(SHOWN).map(|path| path.escape_debug().to_string()).collect();
    let shown = shown.join(", ");
    match paths.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}
