//! Who the token is, and where things are.

use serde_json::json;
use ultrai_deploy_core::{Context, Result};

use super::Client;
use crate::{
    documents,
    graphql::Request,
    model::{
        Project, ProjectId, ProjectTree, ServiceAt, ServiceInstance, TokenScope, Workspace,
        WorkspaceId,
    },
};

impl Client {
    /// What a project token is for; tokens of the other kinds cannot be asked this.
    ///
    /// # Errors
    /// As [`Client`] says; `Denied` for a token of another kind.
    pub async fn token_scope(&self, cx: &Context) -> Result<TokenScope> {
        self.graphql.send(cx, &Request::new(documents::TOKEN_SCOPE, json!({}))).await
    }

    /// The workspaces that an account or workspace token sees.
    ///
    /// # Errors
    /// As [`Client`] says; `Denied` for a project token.
    pub async fn workspaces(&self, cx: &Context) -> Result<Vec<Workspace>> {
        self.graphql.send(cx, &Request::new(documents::WORKSPACES, json!({}))).await
    }

    /// The projects of a workspace.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn projects(&self, cx: &Context, workspace: &WorkspaceId) -> Result<Vec<Project>> {
        let variables = json!({ "workspaceId": workspace });
        self.graphql.list(cx, documents::PROJECTS, variables, usize::MAX).await
    }

    /// A project with its environments and services.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn project_tree(&self, cx: &Context, project: &ProjectId) -> Result<ProjectTree> {
        let variables = json!({ "id": project });
        let itself = Request::new(documents::PROJECT, variables.clone());
        let (environments, services) =
            (documents::PROJECT_ENVIRONMENTS, documents::PROJECT_SERVICES);
        Ok(ProjectTree {
            project: self.graphql.send(cx, &itself).await?,
            environments: self
                .graphql
                .list(cx, environments, variables.clone(), usize::MAX)
                .await?,
            services: self.graphql.list(cx, services, variables, usize::MAX).await?,
        })
    }

    /// A service as it is in an environment.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn service_instance(&self, cx: &Context, at: &ServiceAt) -> Result<ServiceInstance> {
        let variables = json!({ "environmentId": at.environment, "serviceId": at.service });
        self.graphql.send(cx, &Request::new(documents::SERVICE_INSTANCE, variables)).await
    }
}
