//! Changing a service, and deploying it.

use serde_json::json;
use ultrai_deploy_core::{Context, Error, ErrorKind, Result};

use super::Client;
use crate::{
    documents,
    graphql::Request,
    model::{
        AutoDeploy, DeploymentId, Deploys, EnvironmentId, Patch, RegistryCredentials, ServiceAt,
        ServiceUpdate, StagedChanges, page::Page,
    },
};

impl Client {
    /// Sets the image of a service, and with `credentials` what pulls it; deploys nothing. Without
    /// `credentials` those that are set stay.
    ///
    /// A second time changes nothing more.
    ///
    /// # Errors
    /// As [`Client`] says. Credentials need one of the larger plans.
    pub async fn set_source_image(
        &self,
        cx: &Context,
        at: &ServiceAt,
        image: &str,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<()> {
        let update = ServiceUpdate {
            image: Some(image.to_owned()),
            credentials: credentials.cloned(),
            ..ServiceUpdate::default()
        };
        self.update_service(cx, at, &update).await
    }

    /// Changes settings of a service in an environment; deploys nothing.
    ///
    /// A second time changes nothing more.
    ///
    /// # Errors
    /// As [`Client`] says. Credentials need one of the larger plans.
    pub async fn update_service(
        &self,
        cx: &Context,
        at: &ServiceAt,
        update: &ServiceUpdate,
    ) -> Result<()> {
        let variables = json!({
            "serviceId": at.service, "environmentId": at.environment, "input": update.wire(),
        });
        let request = Request::with_nulls(documents::UPDATE_SERVICE, variables).keyed();
        let password = update.credentials.iter().map(|given| &given.password);
        self.graphql.confirm(cx, &request.with_secrets(password)?).await
    }

    /// Whether a push to the repository is deployed by itself.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn auto_deploy(&self, cx: &Context, at: &ServiceAt) -> Result<AutoDeploy> {
        let variables = json!({
            "projectId": at.project, "environmentId": at.environment, "serviceId": at.service,
        });
        self.graphql.send(cx, &Request::new(documents::AUTO_DEPLOY, variables)).await
    }

    /// Sets whether a push to the repository, or a new image, is deployed by itself.
    ///
    /// A second time changes nothing more.
    ///
    /// # Errors
    /// As [`Client`] says; `Conflict` when Railway left it as it was.
    pub async fn set_auto_deploy(&self, cx: &Context, at: &ServiceAt, enabled: bool) -> Result<()> {
        let input = json!({
            "projectId": at.project,
            "environmentId": at.environment,
            "serviceId": at.service,
            "enabled": enabled,
        });
        let document = documents::SET_AUTO_DEPLOY;
        let request = Request::new(document, json!({ "input": input })).keyed();
        if self.graphql.send::<bool>(cx, &request).await? == enabled {
            return Ok(());
        }
        let message = format!("Railway left it at {}", !enabled);
        Err(Error::new(ErrorKind::Conflict, document.purpose, message)
            .with_advice("look at the service's source in Railway's dashboard"))
    }

    /// Deploys a service as it is set up now: its image, or `commit` of its repository. Without
    /// `commit` that is the one which belongs to the service already, and not the newest.
    ///
    /// # Errors
    /// As [`Client`] says; `NotFound` for a commit that is not in the repository.
    pub async fn deploy(
        &self,
        cx: &Context,
        at: &ServiceAt,
        commit: Option<&str>,
    ) -> Result<DeploymentId> {
        let variables = json!({
            "environmentId": at.environment, "serviceId": at.service, "commitSha": commit,
        });
        let request = Request::new(documents::DEPLOY, variables);
        let id: DeploymentId = self.graphql.send(cx, &request).await?;
        if id.as_str().is_empty() {
            let message = "Railway tells no id of it";
            return Err(Error::new(ErrorKind::Unexpected, documents::DEPLOY.purpose, message));
        }
        Ok(id)
    }

    /// Changes several things of an environment in one go, which deploys each service that is
    /// concerned once. What Railway calls the commit comes back; the deployments have to be looked
    /// for.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn commit_patch(
        &self,
        cx: &Context,
        environment: &EnvironmentId,
        patch: &Patch,
        message: &str,
    ) -> Result<String> {
        let variables = json!({
            "environmentId": environment, "patch": patch.wire(), "commitMessage": message,
        });
        let request = Request::with_nulls(documents::COMMIT_PATCH, variables);
        self.graphql.send(cx, &request.with_secrets(patch.secrets())?).await
    }

    /// What is staged in an environment, by whoever did it. Values of variables stay encrypted, and
    /// nothing of an answer that makes no sense is shown.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn staged_changes(
        &self,
        cx: &Context,
        environment: &EnvironmentId,
    ) -> Result<StagedChanges> {
        let variables = json!({ "environmentId": environment });
        let request = Request::new(documents::STAGED_CHANGES, variables).with_secret_answer();
        self.graphql.send(cx, &request).await
    }

    /// Changes of an environment that were made, as many as `at_most`, in Railway's order; values of
    /// variables as in [`Client::staged_changes`].
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn past_changes(
        &self,
        cx: &Context,
        environment: &EnvironmentId,
        at_most: u16,
    ) -> Result<Vec<StagedChanges>> {
        let variables = json!({ "environmentId": environment, "first": at_most });
        let request = Request::new(documents::CHANGES, variables).with_secret_answer();
        Ok(self.graphql.send::<Page<StagedChanges>>(cx, &request).await?.nodes)
    }

    /// Commits all staged changes of an environment, also those that a person staged in the
    /// dashboard. What Railway calls the commit comes back; Railway's own program follows it with
    /// [`Client::workflow`].
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn commit_staged_changes(
        &self,
        cx: &Context,
        environment: &EnvironmentId,
        message: &str,
        deploys: Deploys,
    ) -> Result<String> {
        let variables = json!({
            "environmentId": environment,
            "commitMessage": message,
            "skipDeploys": deploys.are_skipped(),
        });
        self.graphql.send(cx, &Request::new(documents::COMMIT_STAGED, variables)).await
    }
}
