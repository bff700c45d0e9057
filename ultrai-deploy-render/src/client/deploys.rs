//! Deploys of a service, and the way back.

use serde_json::json;
use ultrai_deploy_core::{Context, Result};
use ultrai_deploy_http::api::Call;

use super::{Client, DEPLOY, with_some};
use crate::model::{BuildCache, Deploy, DeployFilter, DeployId, ServiceId, Start, Started};

impl Client {
    /// Starts a deploy. While another one of the service runs, it may be queued, and then Render
    /// does not tell its id.
    ///
    /// It is never sent twice: after an error whose effect is unknown, look among the deploys that
    /// were created since.
    pub async fn start_deploy(
        &self,
        cx: &Context,
        service: &ServiceId,
        start: &Start,
    ) -> Result<Started> {
        let mut body = match start {
            Start::Configured(_) => json!({}),
            Start::Commit(commit, _) => json!({ "commitId": commit }),
            Start::Image(image) => json!({ "imageUrl": image }),
            Start::LastBuild => json!({ "deployMode": "deploy_only" }),
        };
        if let Start::Configured(BuildCache::Clear) | Start::Commit(_, BuildCache::Clear) = start {
            body["clearCache"] = json!("clear");
        }
        let call = Call::post("start a deploy", ["services", service.as_str(), "deploys"])
            .with_json(&body)?
            .with_class(DEPLOY);
        let reply = self.send(cx, &call).await?;
        if reply.is_empty() {
            return Ok(Started::Queued);
        }
        Ok(Started::Deploy(Box::new(reply.json()?)))
    }

    /// A deploy.
    pub async fn deploy(
        &self,
        cx: &Context,
        service: &ServiceId,
        deploy: &DeployId,
    ) -> Result<Deploy> {
        let segments = ["services", service.as_str(), "deploys", deploy.as_str()];
        self.read(cx, &Call::get("read a deploy", segments)).await
    }

    /// The deploys of a service, the newest first.
    pub async fn deploys(
        &self,
        cx: &Context,
        service: &ServiceId,
        filter: &DeployFilter,
    ) -> Result<Vec<Deploy>> {
        let mut call = Call::get("list deploys", ["services", service.as_str(), "deploys"]);
        for status in &filter.statuses {
            call = call.with_query("status", status.as_str());
        }
        call = with_some(call, "createdAfter", filter.created_after);
        self.list(cx, call, filter.at_most).await
    }

    /// Ends a deploy that is not over, and gives it as it is then; not for cron jobs. What serves
    /// goes on serving.
    pub async fn cancel_deploy(
        &self,
        cx: &Context,
        service: &ServiceId,
        deploy: &DeployId,
    ) -> Result<Deploy> {
        let segments = ["services", service.as_str(), "deploys", deploy.as_str(), "cancel"];
        self.read(cx, &Call::post("cancel a deploy", segments)).await
    }

    /// Deploys once more what `target`, an earlier deploy that was live, deployed; nothing is
    /// built. Gives the new deploy.
    ///
    /// Later pushes still deploy. Disks and the variables of linked groups stay as they are.
    pub async fn rollback(
        &self,
        cx: &Context,
        service: &ServiceId,
        target: &DeployId,
    ) -> Result<Deploy> {
        let call = Call::post("roll back a service", ["services", service.as_str(), "rollback"])
            .with_json(&json!({ "deployId": target }))?;
        self.read(cx, &call).await
    }
}
