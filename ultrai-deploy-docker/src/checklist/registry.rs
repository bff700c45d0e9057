//! A registry: whether the engine reaches it, and whether it takes our login.

use async_trait::async_trait;
use bollard::errors::Error as Bollard;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
    preflight::{Found, PreflightCheck},
};

use crate::{
    engine::Engine,
    registry::{Credentials, Registries, host_of_key},
};

/// Which registry is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrySpec {
    /// The registry as image references begin: `ghcr.io`; Docker Hub is `docker.io`.
    pub host: String,
    /// Whether there has to be a login. By default one that is known has to be accepted, and to have
    /// none is fine where the registry wants none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login: bool,
}

/// Has the engine log in to a registry: it is the engine that pulls.
#[derive(Debug)]
pub struct RegistryCheck {
    name: String,
    engine: Engine,
    registries: Registries,
    spec: RegistrySpec,
}

impl RegistryCheck {
    /// A check of the registry that `spec` names, with the login that `registries` has for it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when that is no name of a registry.
    pub fn new(engine: Engine, registries: Registries, mut spec: RegistrySpec) -> Result<Self> {
        let host = host_of_key(&spec.host);
        if host.is_empty() || host.contains(char::is_whitespace) {
            let message = format!("`{}` is no registry", spec.host);
            return Err(Error::new(ErrorKind::Invalid, "read the checklist", message)
                .with_advice("write its host as image references begin: ghcr.io")
                .without_effect());
        }
        let name = format!("registry {host}");
        spec.host = host;
        Ok(Self { name, engine, registries, spec })
    }

    fn judge(&self, known: Option<&Credentials>, answer: Result<String, Bollard>) -> Result<Found> {
        let host = &self.spec.host;
        let (status, says) = match answer {
            Ok(_) => {
                return Ok(Found::good(match known {
                    Some(_) => format!("registry {host} answers and accepts the login"),
                    None => {
                        format!("registry {host} answers; no login is known, and it wants none")
                    }
                }));
            }
            Err(Bollard::DockerResponseServerError { status_code, message }) => {
                (status_code, message)
            }
            Err(source) => return Err(crate::engine::engine_error("ask the engine", host, source)),
        };
        let says = known.map_or_else(|| says.clone(), |known| known.redactor().text(&says));
        let log_in = format!("log in: docker login {host}, or set its login in the configuration");
        Ok(match (status, known) {
            (401 | 403, Some(_)) => {
                Found::bad(format!("registry {host} does not accept the login: {says}"), log_in)
            }
            (401 | 403, None) => Found::bad(
                format!("registry {host} wants a login, and none is known: {says}"),
                log_in,
            ),
            // Engines before 23 answer so for whatever went wrong.
            _ => Found::bad(
                format!("the engine cannot log in to registry {host}: {says}"),
                format!(
                    "where it cannot be reached, look at its host, the network and the engine's \
                     proxy; else {log_in}"
                ),
            ),
        })
    }
}

#[async_trait]
impl PreflightCheck for RegistryCheck {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let host = &self.spec.host;
        let ask = async {
            let known = self.registries.credentials(host).await?;
            if known.is_none() && self.spec.login {
                return Ok(Found::bad(
                    format!("no login is known for registry {host}"),
                    format!("log in: docker login {host}, or set its login in the configuration"),
                ));
            }
            if known.as_ref().is_some_and(Credentials::is_bearer) {
                return Ok(Found::good(format!(
                    "whether registry {host} accepts the login is not known: it is a token, which \
                     the engine proves by pulling only"
                )));
            }
            let answer = self.engine.log_in(host, known.as_ref()).await?;
            self.judge(known.as_ref(), answer)
        };
        cx.bounded(Box::pin(ask)).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Config;

    #[test]
    fn the_stored_form_stays_as_it_is() {
        for stored in [json!({"host": "ghcr.io"}), json!({"host": "ghcr.io", "login": true})] {
            let spec: RegistrySpec = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!(serde_json::to_value(spec).unwrap(), stored);
        }
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        for host in ["", "https://", "a b"] {
            let spec = RegistrySpec { host: host.to_owned(), login: false };
            let engine = Engine::new(&Config::default());
            let error = RegistryCheck::new(engine, Registries::new(), spec).unwrap_err();
            assert!(error.advice().unwrap().contains("ghcr.io"), "{error}");
        }
    }
}
