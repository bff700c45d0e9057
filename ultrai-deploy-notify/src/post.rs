//! Posts to HTTP receivers, and what their answers mean.

use std::{sync::Arc, time::Duration};

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};
use ultrai_deploy_http::{Client, delivery::SecretUrl};

use crate::sender::Sent;

const SEND: &str = "send a notification";

/// Whether a URL that carries a credential may be one without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Allowed,
    Refused,
}

/// What HTTP senders have in common.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) client: Client,
    pub(crate) secrets: Arc<dyn SecretSource>,
}

impl Post {
    /// The value of a secret.
    pub(crate) async fn secret(&self, name: &SecretName) -> Result<Secret> {
        self.secrets.get(name).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, SEND, format!("secret {name} has no value"))
                .with_advice("set it where the other secrets of the environment are")
                .without_effect()
        })
    }

    /// The URL that is the value of a secret.
    pub(crate) async fn url(&self, name: &SecretName, plain: Plain) -> Result<SecretUrl> {
        let url = SecretUrl::parse(&self.secret(name).await?)?;
        if plain == Plain::Refused && !url.is_private() {
            let message = format!("the URL in secret {name} is a credential and has no TLS");
            return Err(Error::new(ErrorKind::Invalid, SEND, message)
                .with_advice("use an https URL")
                .without_effect());
        }
        Ok(url)
    }

    /// Posts JSON.
    pub(crate) async fn json(
        &self,
        url: &SecretUrl,
        mut headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Sent> {
        headers.push(("content-type", "application/json".to_owned()));
        let answer = self.client.deliver(url, &headers, body, limit).await?;
        let status = answer.status;
        let why = format!("it answered {status}");
        match status {
            200..=299 => Ok(Sent::Accepted),
            408 | 425 | 429 | 500..=599 => Ok(Sent::Later { after: answer.retry_after, why }),
            300..=399 => Err(Error::new(ErrorKind::Unexpected, SEND, why).with_advice(
                "notifications follow no redirects: set the secret to the URL that it leads to",
            )),
            401 | 403 | 404 | 410 => Err(Error::new(ErrorKind::Denied, SEND, why)
                .with_advice("look whether the URL or key in the secret is still valid")),
            _ => Err(Error::new(ErrorKind::Unexpected, SEND, why)),
        }
    }
}
