//! A server that always answers the same.

use serde_json::{Value, json};
use ultrai_deploy_core::{Error, error::Chain};
use ultrai_deploy_railway::{Client, model::DeploymentId};
use ultrai_deploy_testkit::server::{Answer, Server};

use crate::support::client;

pub(crate) async fn answering(answer: Answer) -> (Server, Client) {
    let server = Server::start(move |_| answer.clone()).await.unwrap();
    let client = client(&server);
    (server, client)
}

pub(crate) fn data(data: &Value) -> Answer {
    Answer::json(200, json!({ "data": data }).to_string())
}

pub(crate) fn complaint(message: &str, code: Option<&str>) -> Answer {
    let extensions = code.map(|code| json!({ "code": code }));
    let error = json!({ "message": message, "extensions": extensions, "traceId": "trace-7" });
    Answer::json(200, json!({ "errors": [error], "data": null }).to_string())
}

pub(crate) fn id() -> DeploymentId {
    DeploymentId::new("deployment-1")
}

/// Everything that somebody could see of an error.
pub(crate) fn shown(error: &Error) -> String {
    format!("{} {error:?} {:?}", Chain(error), error.evidence())
}
