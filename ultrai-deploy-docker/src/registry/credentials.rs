//! What a registry is logged in to with, and how it is kept out of everything that is written.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::auth::DockerCredentials;
use ultrai_deploy_core::{
    name::SecretName,
    redact::Redactor,
    secret::{Secret, Secrets},
    task::TaskOutput,
};

use super::host;

/// Credentials of one registry.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    registry: String,
    proof: Proof,
}

#[derive(Clone, Debug)]
enum Proof {
    Password {
        username: String,
        password: Secret,
    },
    /// What a login was exchanged for; the engine asks for access tokens with it.
    Identity(Secret),
    /// An access token that goes to the registry as it is.
    Bearer(Secret),
}

impl Credentials {
    pub(super) fn password(registry: &str, username: &str, password: Secret) -> Self {
        let proof = Proof::Password { username: username.to_owned(), password };
        Self { registry: registry.to_owned(), proof }
    }

    pub(super) fn identity(registry: &str, token: Secret) -> Self {
        Self { registry: registry.to_owned(), proof: Proof::Identity(token) }
    }

    pub(super) fn bearer(registry: &str, token: Secret) -> Self {
        Self { registry: registry.to_owned(), proof: Proof::Bearer(token) }
    }

    /// What the engine calls the registry.
    pub(crate) fn server(&self) -> &str {
        host::to_key(&self.registry)
    }

    /// Whether they are an access token, which a registry takes and a login does not.
    pub(crate) fn is_bearer(&self) -> bool {
        matches!(self.proof, Proof::Bearer(_))
    }

    /// In the form that the engine takes.
    pub(crate) fn to_docker(&self) -> DockerCredentials {
        let serveraddress = Some(self.server().to_owned());
        let exposed = |secret: &Secret| Some(secret.expose().to_owned());
        let empty = DockerCredentials { serveraddress, ..DockerCredentials::default() };
        match &self.proof {
            Proof::Password { username, password } => DockerCredentials {
                username: Some(username.clone()),
                password: exposed(password),
                ..empty
            },
            Proof::Identity(token) => DockerCredentials { identitytoken: exposed(token), ..empty },
            Proof::Bearer(token) => DockerCredentials { registrytoken: exposed(token), ..empty },
        }
    }

    /// Cuts them out of whatever an engine or a registry says, also in the forms that they travel in.
    pub(crate) fn redactor(&self) -> Redactor {
        let mut values = vec![match &self.proof {
            Proof::Password { password, .. } => password.clone(),
            Proof::Identity(token) | Proof::Bearer(token) => token.clone(),
        }];
        let mut encoded = vec![serde_json::to_string(&self.to_docker()).unwrap_or_default()];
        if let Proof::Password { username, password } = &self.proof {
            encoded.push(format!("{username}:{}", password.expose()));
        }
        for text in encoded {
            let text = STANDARD.encode(text);
            let bare = text.trim_end_matches('=');
            values.push(Secret::new(bare));
            values.push(Secret::new(bare.replace('+', "-").replace('/', "_")));
        }
        let name = |index: usize| SecretName::new(format!("registry-{index}")).ok();
        let named = values.into_iter().enumerate();
        Redactor::new(
            &named.filter_map(|(at, value)| Some((name(at)?, value))).collect::<Secrets>(),
        )
    }
}

/// Hands lines on without credentials.
pub(crate) struct Redacted<'a> {
    pub(crate) output: &'a dyn TaskOutput,
    pub(crate) redactor: &'a Redactor,
}

impl TaskOutput for Redacted<'_> {
    fn line(&self, line: &str) {
        self.output.line(&self.redactor.text(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_shows_them_in_no_form() {
        let password = "pa?>~ss\u{fc}-word";
        let credentials = Credentials::password("ghcr.io", "shop", Secret::new(password));
        let redactor = credentials.redactor();
        let header = serde_json::to_string(&credentials.to_docker()).unwrap();
        let standard = STANDARD.encode(&header);
        for echo in [
            password.to_owned(),
            header,
            standard.replace('+', "-").replace('/', "_"),
            standard,
            format!("Authorization: Basic {}", STANDARD.encode(format!("shop:{password}"))),
        ] {
            let shown = redactor.text(&format!("401 for {echo}"));
            assert!(shown.contains("***") && !shown.contains("pa?>"), "{shown}");
            assert!(!shown.contains(&echo), "{shown}");
        }
        assert!(!format!("{credentials:?}").contains("pa?>"), "{credentials:?}");
    }
}
