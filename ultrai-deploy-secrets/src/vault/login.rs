//! What one is let in with.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use ultrai_deploy_core::{Context, Result, redact::Redactor, secret::Secret};
use ultrai_deploy_http::{
    api::{Api, Call, Credential},
    header::HeaderName,
};

use super::{Config, Login, ask::headed, failure};
use crate::document::Json;

/// Vault, with a token.
pub(super) struct Session {
    pub(super) api: Api,
    /// When the token ends.
    ends: Option<Instant>,
}

impl Session {
    pub(super) fn new(config: &Config, token: &Secret, ends: Option<Instant>) -> Result<Self> {
        let header = HeaderName::new("X-Vault-Token")?;
        let credential = Credential::in_header("Vault token", &header, token)?;
        let api = Api::over(
            config.connection.clone(),
            config.url.clone(),
            credential,
            config.limits.clone(),
        )?;
        Ok(Self { api, ends })
    }

    pub(super) fn goes_on(&self) -> bool {
        self.ends.is_none_or(|end| Instant::now() < end)
    }
}

/// Gets a token, or takes the one that there is.
pub(super) async fn log_in(cx: &Context, config: &Config) -> Result<Session> {
    let (role_id, secret_id, mount) = match &config.login {
        Login::Token(token) => return Session::new(config, token, None),
        Login::AppRole { role_id, secret_id, mount } => (role_id, secret_id, mount),
    };
    let api = Api::over(
        config.connection.clone(),
        config.url.clone(),
        Credential::none(),
        config.limits.clone(),
    )?;
    let segments = ["v1", "auth"].into_iter().chain(mount.split('/')).chain(["login"]);
    let call = Call::post("log in to Vault", segments)
        .with_secrets([role_id, secret_id])?
        .with_json(&json!({ "role_id": role_id.expose(), "secret_id": secret_id.expose() }))?;
    let began = Instant::now();
    let replied = api.send(cx, &headed(call, config)?).await;
    let reply = replied.map_err(|error| failure::of_login(error, config, mount))?;
    let status = reply.status();
    let body = zeroize::Zeroizing::new(reply.into_body());
    let answer = Json::parse(&body, "Vault's answer to the login");
    let answer =
        answer.map_err(|error| failure::senseless("log in to Vault", status).with_source(error))?;
    let token = answer.at("/auth/client_token").and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() {
        return Err(failure::no_token(&answer));
    }
    let seconds = answer.at("/auth/lease_duration").and_then(Value::as_u64).unwrap_or_default();
    // From before the call: the answer took its time.
    let ends = Some(seconds).filter(|seconds| *seconds > 0);
    let ends = ends.and_then(|seconds| began.checked_add(Duration::from_secs(seconds)));
    let session = Session::new(config, &Secret::new(token), ends)?;
    session.api.hide(hiding([role_id, secret_id])?);
    Ok(session)
}

/// Cuts these out of what is told.
pub(super) fn hiding<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Redactor> {
    let named = secrets.into_iter().enumerate().map(|(at, secret)| {
        let name = ultrai_deploy_core::name::SecretName::new(format!("SECRET_{at}"))?;
        Ok((name, secret.clone()))
    });
    Ok(Redactor::new(&named.collect::<Result<_>>()?))
}
