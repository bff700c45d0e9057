//! Deployments: looking at them, and what can be done with one.

use serde_json::json;
use ultrai_deploy_core::{Context, Result};

use super::Client;
use crate::{
    documents::{self, Document},
    graphql::Request,
    model::{Deployment, DeploymentEvent, DeploymentId, ServiceAt},
};

/// More events than any deployment has.
const MOST_EVENTS: usize = 1000;

impl Client {
    /// A deployment.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn deployment(&self, cx: &Context, id: &DeploymentId) -> Result<Deployment> {
        self.graphql.send(cx, &Self::of(documents::DEPLOYMENT, id)).await
    }

    /// The newest deployments of a service, newest first, at most `at_most`.
    ///
    /// # Errors
    /// As [`Client`] says; `Unexpected` when the pages of the list go round in a circle or do not end.
    pub async fn deployments(
        &self,
        cx: &Context,
        at: &ServiceAt,
        at_most: usize,
    ) -> Result<Vec<Deployment>> {
        let input = json!({
            "projectId": at.project, "environmentId": at.environment, "serviceId": at.service,
        });
        let variables = json!({ "input": input });
        self.graphql.list(cx, documents::DEPLOYMENTS, variables, at_most).await
    }

    /// What happened to a deployment, step by step.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn deployment_events(
        &self,
        cx: &Context,
        id: &DeploymentId,
    ) -> Result<Vec<DeploymentEvent>> {
        let variables = json!({ "id": id });
        self.graphql.list(cx, documents::DEPLOYMENT_EVENTS, variables, MOST_EVENTS).await
    }

    /// Goes back to a deployment: its image and its variables, without a build. Railway makes a new
    /// deployment of it and does not tell which: look before, and look for a newer one after.
    ///
    /// # Errors
    /// As [`Client`] says; `Conflict` when Railway answers that it did not.
    pub async fn rollback(&self, cx: &Context, id: &DeploymentId) -> Result<()> {
        self.graphql.confirm(cx, &Self::of(documents::ROLLBACK, id)).await
    }

    /// Cancels a deployment that is not active yet; it becomes `REMOVED`.
    ///
    /// A second time changes nothing more.
    ///
    /// # Errors
    /// As [`Client::rollback`].
    pub async fn cancel(&self, cx: &Context, id: &DeploymentId) -> Result<()> {
        self.graphql.confirm(cx, &Self::of(documents::CANCEL, id).keyed()).await
    }

    /// Removes a deployment; its image is kept only for some time.
    ///
    /// A second time changes nothing more.
    ///
    /// # Errors
    /// As [`Client::rollback`].
    pub async fn remove(&self, cx: &Context, id: &DeploymentId) -> Result<()> {
        self.graphql.confirm(cx, &Self::of(documents::REMOVE, id).keyed()).await
    }

    /// Stops the containers of a deployment.
    ///
    /// A second time changes nothing more.
    ///
    /// # Errors
    /// As [`Client::rollback`].
    pub async fn stop(&self, cx: &Context, id: &DeploymentId) -> Result<()> {
        self.graphql.confirm(cx, &Self::of(documents::STOP, id).keyed()).await
    }

    /// Restarts the containers of a deployment.
    ///
    /// # Errors
    /// As [`Client::rollback`].
    pub async fn restart(&self, cx: &Context, id: &DeploymentId) -> Result<()> {
        self.graphql.confirm(cx, &Self::of(documents::RESTART, id)).await
    }

    /// Builds and deploys once more what a deployment was made from, which is not what the service is
    /// set to now. With `same_image` its own image is used again and nothing is built.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn redeploy(
        &self,
        cx: &Context,
        id: &DeploymentId,
        same_image: bool,
    ) -> Result<Deployment> {
        let variables = json!({ "id": id, "usePreviousImageTag": same_image });
        self.graphql.send(cx, &Request::new(documents::REDEPLOY, variables)).await
    }

    /// Lets a deployment go on that waits for a person.
    ///
    /// # Errors
    /// As [`Client::rollback`].
    pub async fn approve(&self, cx: &Context, id: &DeploymentId) -> Result<()> {
        self.graphql.confirm(cx, &Self::of(documents::APPROVE, id)).await
    }

    fn of(document: Document, id: &DeploymentId) -> Request {
        Request::new(document, json!({ "id": id }))
    }
}
