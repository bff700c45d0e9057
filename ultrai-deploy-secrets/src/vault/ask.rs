//! The calls that are made, and what is made of their answers.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Result,
    name::{EnvironmentName, ProjectName, RunId, Target},
};
use ultrai_deploy_http::{api::Call, header::HeaderName};
use zeroize::Zeroizing;

use super::{
    Config, failure,
    login::{self, Session},
};
use crate::document::{Document, Json};

const READ: &str = "read a document of Vault";

/// Makes calls outside of any run: what they wait for is bounded by their own limits.
pub(super) struct Asking(Context);

impl Asking {
    pub(super) fn new(config: &Config) -> Result<Self> {
        // It has no journal, so nothing is ever found under these names.
        let target = Target::new(ProjectName::new("secrets")?, EnvironmentName::new("vault")?);
        // What is wrong with the address or the token is wrong before anything is asked.
        match &config.login {
            super::Login::Token(token) => Session::new(config, token, None).map(drop)?,
            super::Login::AppRole { role_id, .. } => {
                Session::new(config, role_id, None).map(drop)?;
            }
        }
        Ok(Self(Context::detached(target, RunId::generate())))
    }

    /// The session, which is begun where there is none that goes on.
    pub(super) async fn session<'a>(
        &self,
        session: &'a mut Option<Session>,
        config: &Config,
    ) -> Result<&'a Session> {
        let current = match session.take().filter(Session::goes_on) {
            Some(current) => current,
            None => login::log_in(&self.0, config).await?,
        };
        Ok(session.insert(current))
    }

    /// The document at `path`, and when its lease ends.
    pub(super) async fn read(
        &self,
        session: &Session,
        config: &Config,
        path: &str,
    ) -> Result<(Document, Option<Instant>)> {
        let mount = config.mount.split('/');
        let segments = ["v1"].into_iter().chain(mount).chain(["data"]).chain(path.split('/'));
        // Not found is answered with what became of the document.
        let call = Call::get(READ, segments).accepting([200, 404]);
        let began = Instant::now();
        let replied = session.api.send(&self.0, &headed(call, config)?).await;
        let reply = replied.map_err(|error| failure::of_read(error, config, path))?;
        let status = reply.status();
        // Nothing of it is shown: it holds the values.
        let body = Zeroizing::new(reply.into_body());
        let answer = Json::parse(&body, "Vault's answer")
            .map_err(|error| failure::senseless(READ, status).with_source(error))?;
        if status == 404 {
            return Err(failure::missing(&answer, config, path));
        }
        let Some(Value::Object(data)) = answer.at("/data/data") else {
            return Err(failure::no_document(&answer, config, path));
        };
        let document = Document::object(data);
        session.api.hide(login::hiding(document.secrets())?);
        let seconds = answer.at("/lease_duration").and_then(Value::as_u64).unwrap_or_default();
        let ends = Some(seconds).filter(|seconds| *seconds > 0);
        Ok((document, ends.and_then(|seconds| began.checked_add(Duration::from_secs(seconds)))))
    }
}

/// A call with the headers that all have.
pub(super) fn headed(call: Call, config: &Config) -> Result<Call> {
    // An agent between may ask for it: what a browser is made to send does not have it.
    let call = call.with_header(&HeaderName::new("X-Vault-Request")?, "true");
    Ok(match &config.namespace {
        Some(namespace) => call.with_header(&HeaderName::new("X-Vault-Namespace")?, namespace),
        None => call,
    })
}
