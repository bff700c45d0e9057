//! Volumes and their backups.

use serde_json::json;
use ultrai_deploy_core::{Context, Result};

use super::Client;
use crate::{
    documents::{self, Document},
    graphql::Request,
    model::{
        Backup, BackupId, EnvironmentId, ProjectId, VolumeInstance, VolumeInstanceId, Workflow,
        WorkflowId, volume::Started,
    },
};

impl Client {
    /// The volumes of an environment.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn volumes(
        &self,
        cx: &Context,
        project: &ProjectId,
        environment: &EnvironmentId,
    ) -> Result<Vec<VolumeInstance>> {
        let variables = json!({ "projectId": project, "environmentId": environment });
        self.graphql.list(cx, documents::VOLUMES, variables, usize::MAX).await
    }

    /// The backups of a volume.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn backups(&self, cx: &Context, volume: &VolumeInstanceId) -> Result<Vec<Backup>> {
        let variables = json!({ "volumeInstanceId": volume });
        self.graphql.send(cx, &Request::new(documents::BACKUPS, variables)).await
    }

    /// Begins to back a volume up. The id of the backup is not told: look for its name once the
    /// workflow is complete. `None` where Railway does not tell the workflow either.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn create_backup(
        &self,
        cx: &Context,
        volume: &VolumeInstanceId,
        name: &str,
    ) -> Result<Option<WorkflowId>> {
        let variables = json!({ "volumeInstanceId": volume, "name": name });
        self.begin(cx, &Request::new(documents::CREATE_BACKUP, variables)).await
    }

    /// Takes away the time at which a backup would go by itself.
    ///
    /// A second time changes nothing more.
    ///
    /// # Errors
    /// As [`Client`] says; `Conflict` when Railway answers that it did not.
    pub async fn lock_backup(
        &self,
        cx: &Context,
        volume: &VolumeInstanceId,
        backup: &BackupId,
    ) -> Result<()> {
        let request = Self::of_backup(documents::LOCK_BACKUP, volume, backup).keyed();
        self.graphql.confirm(cx, &request).await
    }

    /// Begins to delete a backup.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn delete_backup(
        &self,
        cx: &Context,
        volume: &VolumeInstanceId,
        backup: &BackupId,
    ) -> Result<Option<WorkflowId>> {
        self.begin(cx, &Self::of_backup(documents::DELETE_BACKUP, volume, backup)).await
    }

    /// Begins to copy a backup into a new volume, and stages that it takes the place of the old one:
    /// once the workflow is complete, [`Client::commit_staged_changes`] makes it so. Railway deletes
    /// the backups that are newer.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn restore_backup(
        &self,
        cx: &Context,
        volume: &VolumeInstanceId,
        backup: &BackupId,
    ) -> Result<Option<WorkflowId>> {
        self.begin(cx, &Self::of_backup(documents::RESTORE_BACKUP, volume, backup)).await
    }

    /// How far a workflow is. Right after its beginning Railway may not find it yet.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn workflow(&self, cx: &Context, id: &WorkflowId) -> Result<Workflow> {
        let variables = json!({ "workflowId": id });
        self.graphql.send(cx, &Request::new(documents::WORKFLOW, variables)).await
    }

    async fn begin(&self, cx: &Context, request: &Request) -> Result<Option<WorkflowId>> {
        Ok(self.graphql.send::<Started>(cx, request).await?.workflow_id)
    }

    fn of_backup(document: Document, volume: &VolumeInstanceId, backup: &BackupId) -> Request {
        let variables = json!({ "volumeInstanceId": volume, "volumeInstanceBackupId": backup });
        Request::new(document, variables)
    }
}
