//! What starts a deployment.

use ultrai_deploy_core::{Context, Error, ErrorKind, Result};
use ultrai_deploy_hosted::platform::Order;

use super::Platform;
use crate::model::{Patch, RegistryCredentials, ServiceAt, ServicePatch, ServiceUpdate};

impl Platform {
    /// Railway cannot be told not to deploy for these: what that starts, once for all of them, is
    /// overtaken by what comes after.
    pub(super) async fn remove_variables(
        &self,
        cx: &Context,
        at: &ServiceAt,
        names: &[String],
    ) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let service = ServicePatch { removed_variables: names.to_vec(), ..ServicePatch::default() };
        self.patch(cx, at, service, "remove variables").await
    }

    pub(super) async fn patch(
        &self,
        cx: &Context,
        at: &ServiceAt,
        service: ServicePatch,
        message: &str,
    ) -> Result<()> {
        let patch = Patch { services: [(at.service.clone(), service)].into(), ..Patch::default() };
        self.client.commit_patch(cx, &at.environment, &patch, message).await.map(drop)
    }

    /// With variables to remove it is one change of the environment, which deploys once.
    pub(super) async fn start_image(
        &self,
        cx: &Context,
        at: &ServiceAt,
        order: &Order<'_>,
    ) -> Result<Option<String>> {
        let credentials = order.login.clone().map(|login| RegistryCredentials {
            username: login.username,
            password: login.password,
        });
        let image = order.artifact.pinned();
        if order.remove.is_empty() {
            let update = ServiceUpdate { image, credentials, ..ServiceUpdate::default() };
            self.client.update_service(cx, at, &update).await?;
            let id = after(true, self.client.deploy(cx, at, None).await)?;
            return Ok(Some(id.as_str().to_owned()));
        }
        let has_login = credentials.is_some();
        if has_login {
            let update = ServiceUpdate { credentials, ..ServiceUpdate::default() };
            self.client.update_service(cx, at, &update).await?;
        }
        let removed_variables = order.remove.to_vec();
        let service = ServicePatch { image, removed_variables, ..ServicePatch::default() };
        let message = format!("deploy {}", order.artifact);
        after(has_login, self.patch(cx, at, service, &message).await).map(|()| None)
    }

    pub(super) async fn upload(
        &self,
        cx: &Context,
        at: &ServiceAt,
        digest: &str,
        order: &Order<'_>,
    ) -> Result<String> {
        let read = async {
            let path = order.archive.as_ref().ok_or(std::io::ErrorKind::NotFound)?;
            tokio::fs::read(path).await
        };
        let archive = read.await.map_err(|source| {
            let message = format!("the archive of {} cannot be read", order.artifact);
            Error::new(ErrorKind::Io, "upload a source archive", message)
                .without_effect()
                .with_source(source)
        })?;
        self.remove_variables(cx, at, order.remove).await?;
        let message = format!("source {digest}");
        let uploaded = self.client.upload(cx, at, archive, &message).await;
        let uploaded = after(!order.remove.is_empty(), uploaded)?;
        Ok(uploaded.deployment_id.as_str().to_owned())
    }
}

/// Whatever failed, something before it may have changed what is there.
pub(super) fn after<T>(is_changed: bool, result: Result<T>) -> Result<T> {
    result.map_err(|error| if is_changed { error.with_unknown_effect() } else { error })
}
