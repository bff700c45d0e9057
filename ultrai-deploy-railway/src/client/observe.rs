//! What a deployment says, and what is measured of it.

use serde_json::{Value, json};
use ultrai_deploy_core::{Context, Result};

use super::Client;
use crate::{
    documents::{self, Document},
    graphql::Request,
    model::{DeploymentId, DurationSample, LogLine, LogRange, ServiceAt, StatusCount, Window},
};

impl Client {
    /// The log of a deployment's build. Logs may lag behind or be missing: they say nothing about
    /// whether a deployment succeeded.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn build_logs(
        &self,
        cx: &Context,
        id: &DeploymentId,
        range: &LogRange,
    ) -> Result<Vec<LogLine>> {
        self.logs(cx, documents::BUILD_LOGS, id, range).await
    }

    /// What the containers of a deployment wrote.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn deploy_logs(
        &self,
        cx: &Context,
        id: &DeploymentId,
        range: &LogRange,
    ) -> Result<Vec<LogLine>> {
        self.logs(cx, documents::DEPLOY_LOGS, id, range).await
    }

    async fn logs(
        &self,
        cx: &Context,
        document: Document,
        id: &DeploymentId,
        range: &LogRange,
    ) -> Result<Vec<LogLine>> {
        let LogRange { limit, since, until } = range;
        let variables = json!({
            "deploymentId": id, "limit": limit, "startDate": since, "endDate": until, "filter": "",
        });
        let mut lines: Vec<LogLine> =
            self.graphql.send(cx, &Request::new(document, variables)).await?;
        // Railway sends one more than it is asked for, the oldest.
        let surplus = lines.len().saturating_sub(usize::from(*limit));
        lines.drain(..surplus);
        Ok(lines)
    }

    /// How the requests to a service were answered.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn http_by_status(
        &self,
        cx: &Context,
        at: &ServiceAt,
        window: &Window,
    ) -> Result<Vec<StatusCount>> {
        let variables = measured(at, window);
        self.graphql.send(cx, &Request::new(documents::HTTP_BY_STATUS, variables)).await
    }

    /// How long the requests to a service took.
    ///
    /// # Errors
    /// As [`Client`] says.
    pub async fn http_durations(
        &self,
        cx: &Context,
        at: &ServiceAt,
        window: &Window,
    ) -> Result<Vec<DurationSample>> {
        let variables = measured(at, window);
        self.graphql.send(cx, &Request::new(documents::HTTP_DURATIONS, variables)).await
    }
}

fn measured(at: &ServiceAt, window: &Window) -> Value {
    json!({
        "serviceId": at.service,
        "environmentId": at.environment,
        "startDate": window.start,
        "endDate": window.end,
        "stepSeconds": window.step_seconds,
    })
}
