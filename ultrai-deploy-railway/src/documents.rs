//! Every GraphQL document that is sent, in two lists: [`ALL`] and [`SUBSCRIPTIONS`].
//!
//! They are kept honest by a test that validates each against Railway's own schema: of what Railway's
//! documentation shows, a ninth is not valid.

/// A document with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// What it is for, for people: `read a deployment`.
    pub purpose: &'static str,
    /// Where in the answer's `data` that is which is asked for, as a JSON pointer.
    pub answer: &'static str,
    /// The document.
    pub text: &'static str,
}

impl Document {
    /// The name of its operation.
    pub fn name(&self) -> &'static str {
        let name = self.text.split([' ', '(', '{']).nth(1);
        name.unwrap_or_default()
    }

    /// Whether it only reads.
    pub fn is_query(&self) -> bool {
        !self.text.starts_with("mutation ")
    }
}

macro_rules! documents {
    ($(#[$doc:meta])* $all:ident: $($name:ident: $purpose:literal, $answer:literal, $text:literal;)*) => {
        $(pub(crate) const $name: Document =
            Document { purpose: $purpose, answer: $answer, text: $text };)*

        $(#[$doc])*
        pub const $all: &[Document] = &[$($name),*];
    };
}

documents! {
/// All that are sent and answered once.
ALL:

TOKEN_SCOPE: "look up what the token is for", "/projectToken",
"query TokenScope { projectToken { projectId environmentId project { id name } environment { id name } } }";

WORKSPACES: "list workspaces", "/apiToken/workspaces",
"query Workspaces { apiToken { workspaces { id name } } }";

PROJECTS: "list projects", "/projects",
"query Projects($workspaceId: String, $first: Int, $after: String) {
  projects(workspaceId: $workspaceId, first: $first, after: $after) {
    edges { node { id name deletedAt } } pageInfo { hasNextPage endCursor }
  }
}";

PROJECT: "read a project", "/project",
"query Project($id: String!) { project(id: $id) { id name deletedAt } }";

PROJECT_ENVIRONMENTS: "list the environments of a project", "/project/environments",
"query ProjectEnvironments($id: String!, $first: Int, $after: String) {
  project(id: $id) {
    environments(first: $first, after: $after) {
      edges { node { id name isEphemeral canAccess deletedAt } } pageInfo { hasNextPage endCursor }
    }
  }
}";

PROJECT_SERVICES: "list the services of a project", "/project/services",
"query ProjectServices($id: String!, $first: Int, $after: String) {
  project(id: $id) {
    services(first: $first, after: $after) {
      edges { node { id name deletedAt } } pageInfo { hasNextPage endCursor }
    }
  }
}";

SERVICE_INSTANCE: "read a service", "/serviceInstance",
"query ServiceInstance($environmentId: String!, $serviceId: String!) {
  serviceInstance(environmentId: $environmentId, serviceId: $serviceId) {
    id serviceId serviceName environmentId source { image repo } numReplicas region
    healthcheckPath healthcheckTimeout overlapSeconds drainingSeconds preDeployCommand startCommand
    sleepApplication cronSchedule
    latestDeployment { id status createdAt meta canRollback canRedeploy deploymentStopped }
    activeDeployments { id status createdAt meta canRollback instances { id status } }
    domains { serviceDomains { id domain targetPort } customDomains { id domain targetPort } }
  }
}";

UPDATE_SERVICE: "change the settings of a service", "/serviceInstanceUpdate",
"mutation UpdateService($serviceId: String!, $environmentId: String!, $input: ServiceInstanceUpdateInput!) {
  serviceInstanceUpdate(serviceId: $serviceId, environmentId: $environmentId, input: $input)
}";

AUTO_DEPLOY: "read whether pushes are deployed", "/serviceInstanceAutoDeployStatus",
"query AutoDeploy($projectId: String!, $environmentId: String!, $serviceId: String!) {
  serviceInstanceAutoDeployStatus(
    projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId
  ) { canEnable enabled reason }
}";

SET_AUTO_DEPLOY: "set whether pushes are deployed", "/serviceInstanceAutoDeployUpdate/enabled",
"mutation SetAutoDeploy($input: ServiceInstanceAutoDeployUpdateInput!) {
  serviceInstanceAutoDeployUpdate(input: $input) { enabled }
}";

DEPLOY: "start a deployment", "/serviceInstanceDeployV2",
"mutation Deploy($environmentId: String!, $serviceId: String!, $commitSha: String) {
  serviceInstanceDeployV2(environmentId: $environmentId, serviceId: $serviceId, commitSha: $commitSha)
}";

COMMIT_PATCH: "change an environment", "/environmentPatchCommit",
"mutation CommitPatch($environmentId: String!, $patch: EnvironmentConfig!, $commitMessage: String) {
  environmentPatchCommit(environmentId: $environmentId, patch: $patch, commitMessage: $commitMessage)
}";

COMMIT_STAGED: "commit the staged changes of an environment", "/environmentPatchCommitStaged",
"mutation CommitStaged($environmentId: String!, $commitMessage: String, $skipDeploys: Boolean) {
  environmentPatchCommitStaged(
    environmentId: $environmentId, commitMessage: $commitMessage, skipDeploys: $skipDeploys
  )
}";

STAGED_CHANGES: "read the staged changes of an environment", "/environmentStagedChanges",
"query StagedChanges($environmentId: String!) {
  environmentStagedChanges(environmentId: $environmentId) {
    id status message lastAppliedError patch(decryptVariables: false)
  }
}";

CHANGES: "read the last changes of an environment", "/environmentPatches",
"query Changes($environmentId: String!, $first: Int) {
  environmentPatches(environmentId: $environmentId, first: $first) {
    edges { node { id status message lastAppliedError patch(decryptVariables: false) } }
    pageInfo { hasNextPage endCursor }
  }
}";

VARIABLES: "read variables", "/variables",
"query Variables($projectId: String!, $environmentId: String!, $serviceId: String) {
  variables(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId, unrendered: true)
}";

UPSERT_VARIABLES: "set variables", "/variableCollectionUpsert",
"mutation UpsertVariables($input: VariableCollectionUpsertInput!) {
  variableCollectionUpsert(input: $input)
}";

DELETE_VARIABLE: "delete a variable", "/variableDelete",
"mutation DeleteVariable($input: VariableDeleteInput!) { variableDelete(input: $input) }";

DEPLOYMENT: "read a deployment", "/deployment",
"query Deployment($id: String!) {
  deployment(id: $id) {
    id status statusUpdatedAt createdAt canRollback canRedeploy deploymentStopped url staticUrl meta
    serviceId environmentId instances { id status }
  }
}";

DEPLOYMENTS: "list deployments", "/deployments",
"query Deployments($input: DeploymentListInput!, $first: Int, $after: String) {
  deployments(input: $input, first: $first, after: $after) {
    edges { node { id status createdAt canRollback canRedeploy deploymentStopped meta } }
    pageInfo { hasNextPage endCursor }
  }
}";

DEPLOYMENT_EVENTS: "read the events of a deployment", "/deploymentEvents",
"query DeploymentEvents($id: String!, $first: Int, $after: String) {
  deploymentEvents(id: $id, first: $first, after: $after) {
    edges { node { id step createdAt completedAt
      payload { error detail reason skipped attempt maxAttempts durationMs } } }
    pageInfo { hasNextPage endCursor }
  }
}";

BUILD_LOGS: "read the log of a build", "/buildLogs",
"query BuildLogs($deploymentId: String!, $limit: Int, $startDate: DateTime, $endDate: DateTime, $filter: String) {
  buildLogs(deploymentId: $deploymentId, limit: $limit, startDate: $startDate, endDate: $endDate, filter: $filter) {
    timestamp message severity
  }
}";

DEPLOY_LOGS: "read the log of a deployment", "/deploymentLogs",
"query DeployLogs($deploymentId: String!, $limit: Int, $startDate: DateTime, $endDate: DateTime, $filter: String) {
  deploymentLogs(deploymentId: $deploymentId, limit: $limit, startDate: $startDate, endDate: $endDate, filter: $filter) {
    timestamp message severity
  }
}";

HTTP_BY_STATUS: "read how requests were answered", "/httpMetricsGroupedByStatus",
"query HttpByStatus($serviceId: String!, $environmentId: String!, $startDate: DateTime!, $endDate: DateTime!, $stepSeconds: Int) {
  httpMetricsGroupedByStatus(serviceId: $serviceId, environmentId: $environmentId, startDate: $startDate, endDate: $endDate, stepSeconds: $stepSeconds) {
    statusCode samples { ts value }
  }
}";

HTTP_DURATIONS: "read how long requests took", "/httpDurationMetrics/samples",
"query HttpDurations($serviceId: String!, $environmentId: String!, $startDate: DateTime!, $endDate: DateTime!, $stepSeconds: Int) {
  httpDurationMetrics(serviceId: $serviceId, environmentId: $environmentId, startDate: $startDate, endDate: $endDate, stepSeconds: $stepSeconds) {
    samples { ts p50 p90 p95 p99 }
  }
}";

ROLLBACK: "roll back to a deployment", "/deploymentRollback",
"mutation Rollback($id: String!) { deploymentRollback(id: $id) }";

CANCEL: "cancel a deployment", "/deploymentCancel",
"mutation Cancel($id: String!) { deploymentCancel(id: $id) }";

REMOVE: "remove a deployment", "/deploymentRemove",
"mutation Remove($id: String!) { deploymentRemove(id: $id) }";

STOP: "stop a deployment", "/deploymentStop",
"mutation Stop($id: String!) { deploymentStop(id: $id) }";

RESTART: "restart a deployment", "/deploymentRestart",
"mutation Restart($id: String!) { deploymentRestart(id: $id) }";

REDEPLOY: "deploy a deployment once more", "/deploymentRedeploy",
"mutation Redeploy($id: String!, $usePreviousImageTag: Boolean) {
  deploymentRedeploy(id: $id, usePreviousImageTag: $usePreviousImageTag) { id status createdAt meta }
}";

APPROVE: "approve a deployment", "/deploymentApprove",
"mutation Approve($id: String!) { deploymentApprove(id: $id) }";

VOLUMES: "list volumes", "/environment/volumeInstances",
"query Volumes($environmentId: String!, $projectId: String!, $first: Int, $after: String) {
  environment(id: $environmentId, projectId: $projectId) {
    volumeInstances(first: $first, after: $after) {
      edges { node { id serviceId mountPath state sizeMB currentSizeMB isPendingDeletion volume { id name } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}";

BACKUPS: "list the backups of a volume", "/volumeInstanceBackupList",
"query Backups($volumeInstanceId: String!) {
  volumeInstanceBackupList(volumeInstanceId: $volumeInstanceId) {
    id name createdAt expiresAt usedMB referencedMB scheduleId
  }
}";

CREATE_BACKUP: "back a volume up", "/volumeInstanceBackupCreate",
"mutation CreateBackup($volumeInstanceId: String!, $name: String) {
  volumeInstanceBackupCreate(volumeInstanceId: $volumeInstanceId, name: $name) { workflowId }
}";

LOCK_BACKUP: "keep a backup", "/volumeInstanceBackupLock",
"mutation LockBackup($volumeInstanceId: String!, $volumeInstanceBackupId: String!) {
  volumeInstanceBackupLock(volumeInstanceId: $volumeInstanceId, volumeInstanceBackupId: $volumeInstanceBackupId)
}";

DELETE_BACKUP: "delete a backup", "/volumeInstanceBackupDelete",
"mutation DeleteBackup($volumeInstanceId: String!, $volumeInstanceBackupId: String!) {
  volumeInstanceBackupDelete(volumeInstanceId: $volumeInstanceId, volumeInstanceBackupId: $volumeInstanceBackupId) { workflowId }
}";

RESTORE_BACKUP: "restore a backup", "/volumeInstanceBackupRestore",
"mutation RestoreBackup($volumeInstanceId: String!, $volumeInstanceBackupId: String!) {
  volumeInstanceBackupRestore(volumeInstanceId: $volumeInstanceId, volumeInstanceBackupId: $volumeInstanceBackupId) { workflowId }
}";

WORKFLOW: "look how far Railway is", "/workflowStatus",
"query Workflow($workflowId: String!) { workflowStatus(workflowId: $workflowId) { status error } }";
}

documents! {
/// All that are answered again and again, sent by what the feature `subscriptions` adds.
SUBSCRIPTIONS:

WATCH_DEPLOYMENT: "follow a deployment", "/deployment",
"subscription WatchDeployment($id: String!) { deployment(id: $id) { id status deploymentStopped } }";

WATCH_EVENTS: "follow the events of a deployment", "/deploymentEvents",
"subscription WatchEvents($id: String!) {
  deploymentEvents(id: $id) {
    id step createdAt completedAt
    payload { error detail reason skipped attempt maxAttempts durationMs }
  }
}";

FOLLOW_BUILD_LOGS: "follow the log of a build", "/buildLogs",
"subscription FollowBuildLogs($deploymentId: String!, $limit: Int, $filter: String) {
  buildLogs(deploymentId: $deploymentId, limit: $limit, filter: $filter) { timestamp message severity }
}";

FOLLOW_DEPLOY_LOGS: "follow the log of a deployment", "/deploymentLogs",
"subscription FollowDeployLogs($deploymentId: String!, $limit: Int, $filter: String) {
  deploymentLogs(deploymentId: $deploymentId, limit: $limit, filter: $filter) {
    timestamp message severity
  }
}";
}
