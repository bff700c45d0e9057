//! One-off jobs.

use serde_json::json;
use ultrai_deploy_core::{Context, Result};
use ultrai_deploy_http::api::Call;

use super::Client;
use crate::model::{Job, JobId, ServiceId};

impl Client {
    /// Runs a command once, with the latest build and the variables of a service, on what the
    /// service runs on unless `plan` names something else.
    ///
    /// It is never sent twice.
    pub async fn create_job(
        &self,
        cx: &Context,
        service: &ServiceId,
        command: &str,
        plan: Option<&str>,
    ) -> Result<Job> {
        let mut body = json!({ "startCommand": command });
        if let Some(plan) = plan {
            body["planId"] = json!(plan);
        }
        let call = Call::post("create a job", ["services", service.as_str(), "jobs"]);
        self.read(cx, &call.with_json(&body)?).await
    }

    /// A job.
    pub async fn job(&self, cx: &Context, service: &ServiceId, job: &JobId) -> Result<Job> {
        let segments = ["services", service.as_str(), "jobs", job.as_str()];
        self.read(cx, &Call::get("read a job", segments)).await
    }

    /// Ends a job that is not over, and gives it as it is then.
    pub async fn cancel_job(&self, cx: &Context, service: &ServiceId, job: &JobId) -> Result<Job> {
        let segments = ["services", service.as_str(), "jobs", job.as_str(), "cancel"];
        self.read(cx, &Call::post("cancel a job", segments)).await
    }
}
