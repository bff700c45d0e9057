//! Registries: who logs in to them, and where images are pushed.

mod config_file;
mod credentials;
mod destination;
mod helper;
mod host;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    name::SecretName,
    secret::SecretSource,
};

pub use self::destination::Destination;
pub(crate) use self::{
    credentials::{Credentials, Redacted},
    host::{of_key as host_of_key, of_repository as host_of, to_key as server_of},
};

/// How long a credential helper may take: some of them ask a cloud for a token.
const PATIENCE: Duration = Duration::from_secs(30);

/// What registries are logged in to with; nothing where only public images are used.
///
/// For a registry it is, in this order: an explicit [login](Registries::with_login); what the
/// credential helper says that Docker's configuration names for it; what stands in that file itself.
/// It is looked up for every pull and push, so that a login made meanwhile counts.
#[derive(Clone, Default)]
pub struct Registries {
    logins: BTreeMap<String, Login>,
    secrets: Option<Arc<dyn SecretSource>>,
    config: Option<PathBuf>,
    env: Option<BTreeMap<String, String>>,
    patience: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Login {
    username: String,
    password: SecretName,
}

impl Registries {
    /// No credentials at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Logs in to the registry `host` with the secret `password`, whose value comes from the
    /// [source](Registries::with_secrets). Docker Hub is `docker.io`.
    pub fn with_login(
        mut self,
        host: &str,
        username: impl Into<String>,
        password: SecretName,
    ) -> Self {
        let login = Login { username: username.into(), password };
        self.logins.insert(host::of_key(host), login);
        self
    }

    /// Where the passwords of explicit logins come from.
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretSource>) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Docker's `config.json`, which `docker login` writes and which may name credential helpers. A
    /// file that does not exist says nothing.
    pub fn with_config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config = Some(path.into());
        self
    }

    /// The whole environment of credential helpers, `PATH` to find them included; the process's own
    /// by default.
    pub fn with_env(mut self, env: BTreeMap<String, String>) -> Self {
        self.env = Some(env);
        self
    }

    /// How long a credential helper may take; 30 s by default.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Where Docker's own configuration is: in `DOCKER_CONFIG`, else in the home directory.
    pub fn default_config_file(
        docker_config: Option<&Path>,
        home: Option<&Path>,
    ) -> Option<PathBuf> {
        let directory = docker_config.map(Path::to_path_buf);
        let directory = directory.or_else(|| Some(home?.join(".docker")))?;
        Some(directory.join("config.json"))
    }

    /// What to log in to `registry` with; nothing when nobody knows it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when an explicit login has no password or Docker's configuration is
    /// broken, [`ErrorKind::Unavailable`] and [`ErrorKind::Timeout`] when a helper gives no answer.
    /// No error holds a secret.
    pub(crate) async fn credentials(&self, registry: &str) -> Result<Option<Credentials>> {
        if let Some(login) = self.logins.get(registry) {
            return self.explicit(registry, login).await.map(Some);
        }
        let Some(path) = &self.config else { return Ok(None) };
        let Some(file) = config_file::read(path)? else { return Ok(None) };
        if let Some(name) = file.helper(registry) {
            let patience = self.patience.unwrap_or(PATIENCE);
            let asked = helper::get(name, registry, self.env.as_ref(), patience).await;
            let asked = asked.map_err(|error| config_file::named_in(error, path))?;
            if asked.is_some() {
                return Ok(asked);
            }
        }
        file.login(path, registry)
    }

    async fn explicit(&self, registry: &str, login: &Login) -> Result<Credentials> {
        let password = match &self.secrets {
            Some(secrets) => secrets.get(&login.password).await?,
            None => None,
        };
        let password = password.ok_or_else(|| {
            let message =
                format!("no source has {}, the password of registry {registry}", login.password);
            invalid(message).with_advice("set it in the environment or in an env file")
        })?;
        Ok(Credentials::password(registry, &login.username, password))
    }
}

impl fmt::Debug for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registries")
            .field("logins", &self.logins)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "log in to the registry", message).without_effect()
}
