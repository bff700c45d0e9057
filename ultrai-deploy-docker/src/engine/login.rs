//! Logging in to a registry, as the engine does it.

use bollard::{auth::DockerCredentials, body_full, errors::Error as Bollard};
use ultrai_deploy_core::error::Result;

use super::Engine;
use crate::registry::{Credentials, server_of};

impl Engine {
    /// Has the engine log in to `registry`, without keeping the login.
    ///
    /// # Errors
    /// When the engine cannot be asked at all; what it answers is a value.
    pub(crate) async fn log_in(
        &self,
        registry: &str,
        login: Option<&Credentials>,
    ) -> Result<Result<String, Bollard>> {
        let nobody = || DockerCredentials {
            serveraddress: Some(server_of(registry).to_owned()),
            ..DockerCredentials::default()
        };
        let login = login.map_or_else(nobody, Credentials::to_docker);
        let body = serde_json::to_vec(&login).unwrap_or_default();
        let path = format!("/v{}/auth", self.api().await?);
        // The client library has no call for it: another one is sent with another head and body.
        let client = self.client().await?.clone().with_request_modifier(move |mut request| {
            let uri = request.uri();
            if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
                && let Ok(uri) = format!("{scheme}://{authority}{path}").parse()
                && let (Ok(post), Ok(json)) = ("POST".parse(), "application/json".parse())
            {
                *request.uri_mut() = uri;
                *request.method_mut() = post;
                request.headers_mut().insert("content-type", json);
                *request.body_mut() = body_full(body.clone().into());
            }
            request
        });
        Ok(client.ping().await)
    }
}
