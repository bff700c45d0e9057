//! One-off jobs.

use serde_json::json;
use ultrai_deploy_core::{Context, Result};
use ultrai_deploy_http::api::Call;

use super::{Client, with_some};
use crate::model::{Job, JobFilter, JobId, JobStatus, ServiceId};

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

    /// The jobs of a service.
    pub async fn jobs(
        &self,
        cx: &Context,
        service: &ServiceId,
        filter: &JobFilter,
    ) -> Result<Vec<Job>> {
        let mut call = Call::get("list jobs", ["services", service.as_str(), "jobs"]);
        // Several are one parameter, with commas.
        let statuses: Vec<_> = filter.statuses.iter().map(JobStatus::as_str).collect();
        if !statuses.is_empty() {
            call = call.with_query("status", statuses.join(","));
        }
        call = with_some(call, "createdAfter", filter.created_after);
        self.list(cx, call, filter.at_most).await
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
