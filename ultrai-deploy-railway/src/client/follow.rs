//! Following a deployment and what it says.

use std::time::Duration;

use serde_json::json;

use super::Client;
use crate::{
    documents,
    model::{Deployment, DeploymentEvent, DeploymentId},
    subscribe::{Changes, Lines, Log, Subscription},
};

/// How many lines there are at first, and again after a connection was lost: as Railway's CLI.
const LINES: u16 = 500;

impl Client {
    /// Follows a deployment: how far it is now, and each time when that changes. Only its id, its
    /// status and whether its containers ended are told.
    ///
    /// An end of it is no verdict: look at [`Client::deployment`] then.
    pub fn watch_deployment(&self, id: &DeploymentId) -> Subscription<Deployment> {
        let variables = json!({ "id": id });
        Subscription::new(self.graphql.clone(), documents::WATCH_DEPLOYMENT, variables)
    }

    /// Tells when a deployment may have changed; every `pause` when it cannot be followed.
    pub fn changes(&self, id: &DeploymentId, pause: Duration) -> Changes {
        Changes::new(self.watch_deployment(id), pause)
    }

    /// Follows what happens to a deployment, step by step. A step may come more than once, as it
    /// begins and ends.
    pub fn watch_events(&self, id: &DeploymentId) -> Subscription<DeploymentEvent> {
        let variables = json!({ "id": id });
        Subscription::new(self.graphql.clone(), documents::WATCH_EVENTS, variables)
    }

    /// Follows a log of a deployment, from its last 500 lines on.
    pub fn follow_logs(&self, id: &DeploymentId, log: Log) -> Lines {
        let document = match log {
            Log::Build => documents::FOLLOW_BUILD_LOGS,
            Log::Deploy => documents::FOLLOW_DEPLOY_LOGS,
        };
        let variables = json!({ "deploymentId": id, "limit": LINES, "filter": "" });
        Lines::new(Subscription::new(self.graphql.clone(), document, variables))
    }
}
