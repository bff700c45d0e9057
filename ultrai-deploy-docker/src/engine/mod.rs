//! The Docker Engine: the few calls that this crate needs, with errors told by status code.
//!
//! bollard 0.21 sends requests without an API version, so the engine would answer in its newest
//! form. The version is negotiated once, at the first call, and put before every path.

mod archive;
mod container;
mod error;
mod events;
mod exec;
mod login;
mod network;
mod patience;

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker, models::SystemInfo};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use ultrai_deploy_core::error::{Error, ErrorKind, Result};

pub(crate) use self::{
    container::Anonymous,
    error::{engine_error, ignore_missing},
    events::Events,
    exec::{Exec, ExecOutput},
};
use crate::config::{Config, DEFAULT_HOST};

/// A version of the Engine API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Before the dot.
    pub major: usize,
    /// After the dot.
    pub minor: usize,
}

impl ApiVersion {
    /// The oldest version that this crate works with (Engine 20.10).
    pub const OLDEST: Self = Self::new(1, 41);
    /// From here on a container can be created on several networks at once (Engine 25).
    pub const MANY_NETWORKS: Self = Self::new(1, 44);
    /// What the client library knows.
    const NEWEST: Self =
        Self::new(API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);

    /// `major.minor`.
    pub const fn new(major: usize, minor: usize) -> Self {
        Self { major, minor }
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self::new(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A connection to an engine. Cheap to clone; nothing is sent before the first call.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    timeout: Duration,
    absence: Duration,
    connected: OnceCell<Connected>,
    listeners: Arc<Semaphore>,
}

#[derive(Debug)]
enum Source {
    Host(String),
    Client(Docker),
}

#[derive(Clone, Debug)]
struct Connected {
    docker: Docker,
    api: ApiVersion,
    platform: String,
}

impl Engine {
    /// The engine that `config` names.
    pub fn new(config: &Config) -> Self {
        let host = config.host.clone().unwrap_or_else(|| DEFAULT_HOST.to_owned());
        Self::from_source(Source::Host(host), config)
    }

    /// An engine reached by a client of one's own, for transports that [`Config::host`] does not
    /// cover. The client's request modifier is replaced.
    pub fn with_client(client: Docker, config: &Config) -> Self {
        Self::from_source(Source::Client(client), config)
    }

    fn from_source(source: Source, config: &Config) -> Self {
        let (timeout, absence) = (config.request_timeout, config.absence);
        let listeners = Arc::new(Semaphore::new(Events::MOST));
        let shared = Shared { source, timeout, absence, connected: OnceCell::new(), listeners };
        Self { shared: Arc::new(shared) }
    }

    /// The client, connected and with a negotiated version.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when no engine answers, [`ErrorKind::Unsupported`] when it is
    /// older than [`ApiVersion::OLDEST`].
    pub async fn client(&self) -> Result<&Docker> {
        Ok(&self.connected().await?.docker)
    }

    /// The API version that is spoken with the engine.
    ///
    /// # Errors
    /// As [`Engine::client`].
    pub async fn api(&self) -> Result<ApiVersion> {
        Ok(self.connected().await?.api)
    }

    /// The API version, if a call has been made already.
    pub fn known_api(&self) -> Option<ApiVersion> {
        self.shared.connected.get().map(|connected| connected.api)
    }

    /// What it runs natively: `linux/amd64`.
    ///
    /// # Errors
    /// As [`Engine::client`].
    pub(crate) async fn platform(&self) -> Result<&str> {
        Ok(&self.connected().await?.platform)
    }

    /// A client whose requests may take `extra` longer than usual, for calls that wait.
    ///
    /// # Errors
    /// As [`Engine::client`].
    pub async fn patient_client(&self, extra: Duration) -> Result<Docker> {
        Ok(self.client().await?.clone().with_timeout(self.shared.timeout + extra))
    }

    /// What the engine says of itself and its host.
    pub(crate) async fn info(&self) -> Result<SystemInfo> {
        let docker = self.client().await?;
        self.read("ask the Docker Engine about itself", self.address(), || docker.info()).await
    }

    /// Waits until one more may listen to events. Nobody closes it.
    async fn listener(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shared.listeners).acquire_owned().await.ok()
    }

    fn absence(&self) -> Duration {
        self.shared.absence
    }

    /// Whether the engine runs on this host, so that its files, ports and container addresses are
    /// ours too.
    pub fn is_local(&self) -> bool {
        match &self.shared.source {
            Source::Host(host) => host.starts_with("unix://") || host.starts_with('/'),
            // Whoever brings a client knows where the engine is; a local one is the rule.
            Source::Client(_) => true,
        }
    }

    /// How the engine is called in messages.
    pub fn address(&self) -> &str {
        match &self.shared.source {
            Source::Host(host) => host,
            Source::Client(_) => "the given client",
        }
    }

    async fn connected(&self) -> Result<&Connected> {
        self.shared.connected.get_or_try_init(|| self.negotiate()).await
    }

    async fn negotiate(&self) -> Result<Connected> {
        let prefix = Arc::new(OnceLock::new());
        let docker = versioned(self.open()?, Arc::clone(&prefix)).with_timeout(self.shared.timeout);
        let version = docker.version().await.map_err(|source| self.unavailable(source))?;
        let text = version.api_version.unwrap_or_default();
        let server = ApiVersion::parse(&text).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "connect to the Docker Engine",
                format!("{} answers, but names no API version", self.address()),
            )
            .without_effect()
        })?;
        let api = server.min(ApiVersion::NEWEST);
        if api < ApiVersion::OLDEST {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "use the Docker Engine",
                format!("it speaks API {api}, at least {} is needed", ApiVersion::OLDEST),
            )
            .with_advice("update it to Docker 20.10 or newer")
            .without_effect());
        }
        let oldest = version.min_api_version.as_deref().and_then(ApiVersion::parse);
        if let Some(oldest) = oldest.filter(|oldest| api < *oldest) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "use the Docker Engine",
                format!("it speaks API {oldest} and newer, this program {api}"),
            )
            .without_effect());
        }
        prefix.get_or_init(|| format!("/v{api}"));
        let (os, processor) = (version.os.unwrap_or_default(), version.arch.unwrap_or_default());
        Ok(Connected { docker, api, platform: format!("{os}/{processor}") })
    }

    fn open(&self) -> Result<Docker> {
        match &self.shared.source {
            Source::Client(client) => Ok(client.clone()),
            Source::Host(host) if Path::new(host).is_absolute() => {
                Docker::connect_with_host(&format!("unix://{host}"))
            }
            Source::Host(host) => Docker::connect_with_host(host),
        }
        .map_err(|source| self.unavailable(source))
    }

    fn unavailable(&self, source: bollard::errors::Error) -> Error {
        use bollard::errors::Error as Bollard;
        let (kind, advice) = match source {
            Bollard::UnsupportedURISchemeError { .. } => {
                (ErrorKind::Invalid, "write the address as unix:///path or tcp://host:port")
            }
            _ => (
                ErrorKind::Unavailable,
                "start it, or name another one by DOCKER_HOST or in the configuration; the user \
                 needs access to the socket",
            ),
        };
        Error::new(
            kind,
            "connect to the Docker Engine",
            format!("nothing answers at {}", self.address()),
        )
        .with_advice(advice)
        .without_effect()
        .with_source(source)
    }
}

/// Puts the version before the path of every request, once it is known.
fn versioned(docker: Docker, prefix: Arc<OnceLock<String>>) -> Docker {
    docker.with_request_modifier(move |mut request| {
        // The client library writes credentials in the standard alphabet of base64; the engine
        // reads the one of URLs, and takes what it cannot read for none.
        for name in ["x-registry-auth", "x-registry-config"] {
            if let Some(value) = request.headers_mut().get_mut(name)
                && let Ok(text) = value.to_str()
                && let Ok(readable) = text.replace('+', "-").replace('/', "_").parse()
            {
                *value = readable;
                value.set_sensitive(true);
            }
        }
        let uri = request.uri();
        if let (Some(prefix), Some(path)) = (prefix.get(), uri.path_and_query())
            && !path.as_str().starts_with("/v1.")
            && let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
            && let Ok(uri) = format!("{scheme}://{authority}{prefix}{path}").parse()
        {
            *request.uri_mut() = uri;
        }
        request
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(ApiVersion::parse("1.9").unwrap() < ApiVersion::parse("1.41").unwrap());
        assert_eq!(ApiVersion::parse("1"), None);
        assert!(ApiVersion::NEWEST >= ApiVersion::MANY_NETWORKS);
    }

    #[tokio::test]
    async fn a_missing_socket_is_told_with_what_to_do() {
        let engine = Engine::new(&Config::at("unix:///nonexistent/docker.sock"));
        let error = engine.client().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
        assert!(error.to_string().contains("unix:///nonexistent/docker.sock"), "{error}");
        assert!(error.advice().unwrap().contains("DOCKER_HOST"));
    }

    #[tokio::test]
    async fn a_strange_scheme_is_invalid() {
        let engine = Engine::new(&Config::at("gopher://x"));
        assert_eq!(engine.client().await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
